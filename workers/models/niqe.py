"""The pristine photographs of NIQE: no network, but a table that is registered like one. A judge.

The file is ``niqe_pris_params.npz``: ``mu_pris_param`` (1, 36), ``cov_pris_param`` (36, 36) and ``gaussian_window``
(7, 7).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from workers.ops.naturalness import FEATURES, Pristine

_ARRAYS = {"mu_pris_param": (1, FEATURES), "cov_pris_param": (FEATURES, FEATURES), "gaussian_window": (7, 7)}


def build(name: str) -> nn.Module:
    """Return the table ``niqe``, empty.

    Raises:
        ValueError: There is no table of this name here.
    """
    if name != "niqe":
        raise ValueError(f"niqe is the table of this module, not {name}")
    return NiqeTable().eval()


class NiqeTable(nn.Module):
    """Mean, covariance and window."""

    mean: Tensor
    covariance: Tensor
    window: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name, (_, shape) in zip(("mean", "covariance", "window"), _ARRAYS.items(), strict=True):
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float64))

    def pristine(self) -> Pristine:
        """Return the table as the metric wants it."""
        mean, covariance, window = (each.cpu().numpy() for each in (self.mean, self.covariance, self.window))
        return Pristine(mean.ravel(), covariance, window)


def read(network: nn.Module, path: Path) -> None:
    """Fill the table from its file.

    Raises:
        ValueError: It is no such file.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = [np.asarray(file[name], np.float64) for name in _ARRAYS]
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise ValueError(f"{path}: no parameters of NIQE ({error})") from error
    for (name, shape), array, own in zip(_ARRAYS.items(), arrays, network.buffers(), strict=True):
        if array.shape != shape or not np.isfinite(array).all():
            raise ValueError(f"{path}: {name} is {list(array.shape)} instead of {list(shape)}, or no numbers")
        own.copy_(torch.from_numpy(array))


TABLES = {"pristine": read}
"""Files that hold no network, and who reads them."""
