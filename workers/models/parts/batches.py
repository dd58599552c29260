"""How many pictures a network is given at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn


def predict(network: nn.Module, inputs: Sequence[Sequence[Tensor]], run: Callable[..., Tensor]) -> Tensor:
    """Return ``run`` over all inputs, on the network's device, one result a picture, in order.

    Args:
        network: Says which device.
        inputs: For each picture its tensors ``(1, …)``, as ``run`` takes them.
        run: The network, or a function around it.
    """
    device = next(network.parameters()).device
    # On the CPU one at a time: kernels round otherwise when a batch has another size, and a batch gains nothing. An
    # accelerator is given all at once; who wants the same bits gives it batches of one size.
    if device.type == "cpu":
        return torch.cat([run(*one) for one in inputs])
    return run(*(torch.cat(parts).to(device) for parts in zip(*inputs, strict=True)))
