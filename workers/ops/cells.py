"""How many frames are computed at once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def map_cells(frames: Tensor, cell_frames: int, work: Callable[[Tensor], Tensor]) -> Tensor:
    """Return ``work`` over frames ``(T, C, H, W)`` of one cell of the batch grid, or of a part of it.

    Bits must not depend on how many frames there are. The CPU is given one at a time: its kernels round otherwise when
    a batch has another size. An accelerator is given a full cell: a shorter one is filled up with its last frame.
    """
    if frames.device.type == "cpu":
        return torch.cat([work(frame[None]) for frame in frames])
    lacking = max(0, cell_frames - len(frames))
    batch = torch.cat([frames, frames[-1:].expand(lacking, -1, -1, -1)]) if lacking else frames
    return work(batch)[: len(frames)]
