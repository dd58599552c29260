"""What the numbers of a set of tensors really take: several may share their storage, or unfold from a few numbers."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def storage_bytes(state: Mapping[str, Tensor]) -> int:
    """Return how many bytes the numbers of a set really take, whatever the shapes of its tensors say."""
    storages = (value.untyped_storage() for value in state.values() if has_storage(value))
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


def has_storage(value: Tensor) -> bool:
    """Whether a tensor's numbers lie in memory; others are refused where they are used."""
    return value.layout is torch.strided and value.device.type == "cpu"
