"""Restores a picture in one call, array in, array out: for notebooks and scripts, outside any queue.

>>> from workers.notebook import restore
>>> colour = restore(grey, "colorize", model="ddcolor")  # doctest: +SKIP
"""

from __future__ import annotations

from dataclasses import replace
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
from workers.frames import STILL, Clip
from workers.media.pixels import COLOUR_SPREAD, Layout, chroma_spread, to_planes
from workers.models import registered
from workers.ops import exposure
from workers.workbench import Workbench

Image = NDArray[Any]


def restore(image: Image, stage: str, *, home: str | Path | None = None, **params: Any) -> Image:
    """Return a picture after one stage of restoration.

    Args:
        image: ``(H, W)`` or ``(H, W, 3)`` RGB; uint8, uint16, or float of 0..1.
        stage: Name of a stage, as in a recipe.
        home: Folder in which weights are registered; none takes ``REELWRIGHT_HOME``.
        **params: The stage's parameters, as in a recipe.

    Returns:
        The same type of number, ``(H', W')`` or ``(H', W', 3)``.

    Raises:
        InputError: The array is no picture, the stage or a parameter is unknown, or weights are not registered.
    """
    settings = settings_module.load({"home": home})
    frames = _frames(image)
    step = from_document([{stage: params}], "notebook").steps[0]
    device = devices.open_device(settings.device)
    layout = Layout("gray" if len(frames) == 1 else "rgb", 16)
    coloured = chroma_spread(to_planes(frames, layout), layout) > COLOUR_SPREAD
    clip = Clip(torch.from_numpy(frames)[None].to(device), 0, (0,))
    profile = exposure.profile(exposure.measure(clip.frames))
    around = replace(STILL, mono_source=len(frames) == 1, already_coloured=coloured, profile=profile)
    with TemporaryDirectory(prefix="reelwright-notebook-") as scratch:
        bench = Workbench(open_store(settings), Path(scratch), settings, "notebook", device) if step.cards() else None
        made = stages.apply(_pinned(step, settings), clip, 0, 1, around, bench)
    return _like(made[0].cpu().numpy(), image)


def _pinned(step: Step, settings: Settings) -> Step:
    pins = tuple(registered.pin_from_home(name, settings) for name in step.cards())
    return step.model_copy(update={"pins": pins})


def _frames(image: Image) -> NDArray[np.float32]:
    """Return ``(C, H, W)`` float32 of 0..1."""
    array = np.asarray(image)
    if array.ndim not in {2, 3} or (array.ndim == 3 and array.shape[2] not in {1, 3}) or 0 in array.shape:
        raise InputError(f"An image is (H, W) or (H, W, 3), not {array.shape}")
    if array.dtype not in (np.uint8, np.uint16) and array.dtype.kind != "f":
        raise InputError(f"An image is uint8, uint16 or float of 0..1, not {array.dtype}")
    top = np.iinfo(array.dtype).max if array.dtype.kind == "u" else 1
    picture = array[None] if array.ndim == 2 else np.moveaxis(array, 2, 0)
    return np.ascontiguousarray(picture, np.float32) / np.float32(top)


def _like(picture: NDArray[np.float32], image: Image) -> Image:
    out = picture[0] if len(picture) == 1 and np.asarray(image).ndim == 2 else np.moveaxis(picture, 0, 2)
    dtype = np.asarray(image).dtype
    if dtype.kind == "f":
        return out.astype(dtype)
    top = np.iinfo(dtype).max
    return np.clip(np.rint(out * top), 0, top).astype(dtype)
