"""How colourful a picture is, in both conventions of the field.

Hasler and Suesstrunk 2003 on 0..255, with ``rg = R - G`` and ``yb = (R + G) / 2 - B``::

    sqrt(std(rg)^2 + std(yb)^2) + 0.3 sqrt(mean(rg)^2 + mean(yb)^2)

``signed`` is the paper's. ``absolute`` takes ``|rg|`` and ``|yb|`` first: so do the programs of CT2, ColorFormer and
DDColor, and so do the tables that they print. It is the smaller number for most photographs.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch

from workers.ops import device_rows, rows
from workers.ops.planes import Plane, Planes
from workers.ops.rows import RowValues


def signed(picture: Planes) -> float:
    """Return how colourful planes ``(C, H, W)`` of gamma-coded 0..1 are: 0 for grey, beyond 100 for garish."""
    return from_rows(signed_rows(picture), picture[0].size)


def absolute(picture: Planes) -> float:
    """Return the same on the absolute values of both axes."""
    return (
        0.0 if len(picture) == 1 else from_rows(_rows(*(np.abs(axis) for axis in _opponents(picture))), picture[0].size)
    )


def signed_rows(picture: Planes) -> RowValues:
    """Return the sums of both axes of each row, and those of their squares; none of grey."""
    return np.zeros((picture.shape[1], 4)) if len(picture) == 1 else _rows(*_opponents(picture))


def signed_device_rows(pictures: torch.Tensor) -> torch.Tensor:
    """Return what :func:`signed_rows` does, ``(T, H, 4)`` float64, of pictures ``(T, C, H, W)`` on a device."""
    count, channels, height, _ = pictures.shape
    if channels == 1:
        return torch.zeros(count, height, 4, dtype=torch.float64, device=pictures.device)
    red, green, blue = pictures.unbind(1)
    axes = (red - green, (red * 0.5 + green * 0.5).sub_(blue))
    summed = [work(axis) for axis in axes for work in (device_rows.sums, device_rows.square_sums)]
    return torch.stack(summed, dim=-1)


def from_rows(values: RowValues, pixels: int) -> float:
    """Return how colourful a picture of so many pixels is whose rows these are."""
    (rg_mean, rg_std), (yb_mean, yb_std) = (rows.moments(axis, pixels) for axis in (values[:, :2], values[:, 2:]))
    return float(255 * (np.hypot(rg_std, yb_std) + 0.3 * np.hypot(rg_mean, yb_mean)))


def _opponents(picture: Planes) -> tuple[Plane, Plane]:
    red, green, blue = picture
    return red - green, cv2.subtract(cv2.addWeighted(red, 0.5, green, 0.5, 0), blue)


def _rows(rg: Plane, yb: Plane) -> RowValues:
    return np.stack([summed(axis) for axis in (rg, yb) for summed in (rows.sums, rows.square_sums)], axis=1)
