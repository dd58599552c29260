"""Restores a picture in one call, array in, array out: for notebooks and scripts, outside any queue.

>>> import reelwright
>>> colour = reelwright.restore(grey, "colorize", model="ddcolor")  # doctest: +SKIP
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from db import settings as settings_module
from db.errors import InputError
from db.recipe import Step, from_document
from db.settings import Settings
from db.store import open_store
from workers import device as devices
from workers import stages
from workers.frames import Clip
from workers.media.pixels import Layout, Picture, has_color, to_picture, to_planes
from workers.models.checkpoints import registered
from workers.workbench import Workbench

Image = NDArray[Any]


def restore(image: Image, stage: str, *, home: str | Path | None = None, **params: Any) -> Image:
    """Return a picture after one stage of restoration.

    Args:
        image: ``(H, W)`` or ``(H, W, 3)`` RGB; uint8, uint16, or float of 0..1.
        stage: Name of a stage, as in a recipe.
        home: Folder in which weights are registered; if omitted, ``REELWRIGHT_HOME``.
        **params: The stage's parameters, as in a recipe.

    Returns:
        The same type of number, ``(H', W')`` or ``(H', W', 3)``.

    Raises:
        InputError: The array is not a picture, the stage or a parameter is unknown, or weights are not registered.
    """
    settings = settings_module.load({"home": home})
    picture = _picture(image)
    step = from_document([{stage: params}], "notebook").steps[0]
    device = devices.open_device(settings.device)
    clip = Clip(torch.from_numpy(picture)[None].to(device), 0, (0,))
    context = stages.context_of(clip, (step,), already_colored=has_color(picture))
    with TemporaryDirectory(prefix="reelwright-notebook-") as scratch:
        bench = Workbench(open_store(settings), Path(scratch), settings, "notebook", device) if step.cards() else None
        frames = stages.apply(_pin_weights(step, settings), clip, 0, 1, context, bench)
    return _match_dtype(frames[0].cpu().numpy(), np.asarray(image))


def _pin_weights(step: Step, settings: Settings) -> Step:
    pins = tuple(registered.pin_from_home(name, settings) for name in step.cards())
    return step.model_copy(update={"pins": pins})


def _picture(image: Image) -> Picture:
    array = np.asarray(image)
    if array.ndim not in {2, 3} or (array.ndim == 3 and array.shape[2] not in {1, 3}) or 0 in array.shape:
        raise InputError(f"An image must be (H, W) or (H, W, 3), not {array.shape}")
    if array.dtype not in (np.uint8, np.uint16) and array.dtype.kind != "f":
        raise InputError(f"An image must be uint8, uint16 or float of 0..1, not {array.dtype}")
    planes = np.atleast_3d(array).transpose(2, 0, 1)
    if array.dtype.kind == "f":
        return np.ascontiguousarray(planes, np.float32)
    return to_picture(tuple(planes), _layout(len(planes), array.dtype))


def _match_dtype(picture: Picture, image: Image) -> Image:
    """Return a picture in the image's type of number, and with an axis of channels where it had one or has several."""
    whole = image.dtype.kind == "u"
    planes = np.stack(to_planes(picture, _layout(len(picture), image.dtype))) if whole else picture
    return (planes[0] if len(planes) == 1 and image.ndim == 2 else planes.transpose(1, 2, 0)).astype(image.dtype)


def _layout(channels: int, dtype: np.dtype[Any]) -> Layout:
    return Layout("gray" if channels == 1 else "rgb", 8 * dtype.itemsize)
