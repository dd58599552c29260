"""Fills GCP's networks as its facts ask: each on its own, then what must be positive or switched on."""

from __future__ import annotations

from torch import nn

from tests.support import fill


def filled(network: nn.Module, salt: str = "shared") -> nn.Module:
    for child in network.children():
        fill.fill(child.state_dict(), salt)
        for key, value in child.state_dict().items():
            if key.endswith("stored_var"):
                value.copy_(1 + value.abs())
            elif key.endswith("gamma"):
                value.fill_(0.5)
    return network.eval()
