"""An outside package with a colorizer so small that whole jobs can run with it: it comes in by the users' own door."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from reelwright import ArchitectureSpec, Card, WeightsFile

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

SPEC = ArchitectureSpec(
    name="tint",
    task="colorizer",
    title="Tint",
    reference="none",
    idea="Light places become warm, dark ones cold.",
    choose="In tests.",
    default="tint",
    size="8 x 8",
    module="reelwright_tint",
    options=("seed",),
    cards=(
        Card("tint", "tint", "tint", "Two numbers a channel.", (WeightsFile("tint.pth"),), "nowhere", "Apache-2.0"),
        Card(
            "tint-nc", "tint", "tint", "The same on other terms.", (WeightsFile("tint_nc.pth"),), "nowhere",
            "CC BY-NC 4.0", accept="Not for money.",
        ),
        Card(
            "tint-table", "tint", "tint-table", "With a table beside it, as CT2 has one.",
            (WeightsFile("tint_main.pth", sha256_prefix="1234"), WeightsFile("tint_table.json", ("table",))), "nowhere",
            "Apache-2.0",
        ),
    ),
)  # fmt: skip


def build(name: str) -> nn.Module:
    from torch import nn

    return nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)).eval()


def _register_table(network: nn.Module, path: Path) -> None:
    network.table = json.loads(path.read_text())


TABLES = {"table": _register_table}


def chroma(network: nn.Module, pictures: Tensor, *, seed: int = 0) -> Tensor:
    import torch
    from torch.nn import functional

    light = functional.adaptive_avg_pool2d(pictures.mean(1, keepdim=True), 8)
    shift = torch.rand((1, 2, 1, 1), generator=torch.Generator().manual_seed(seed)) if seed else 0
    return torch.cat([40 * network(each[None]) + shift for each in light])
