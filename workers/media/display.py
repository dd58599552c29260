"""What a screen is sent of a picture: 8 bits of sRGB, or near it, cut and scaled, as a file without metadata.

Display gamma goes out as it is stored, whatever its primaries; log and linear samples have become display gamma before,
see ``workers.media.transfer``, with everything below black and above white clipped. A still's ICC profile is followed
where it can be. Transparency is left out: what is restored are the colours.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from workers.media.errors import writing
from workers.media.pixels import Picture

Shown = NDArray[np.uint8]
"""``(H, W)`` of grey or ``(H, W, 3)`` RGB."""
Form = Literal["png", "webp"]
_OPTIONS: dict[Form, dict[str, Any]] = {"png": {"compress_level": 1}, "webp": {"quality": 90, "method": 2}}


def to_shown(picture: Picture, profile: bytes = b"") -> Shown:
    """Return a picture ``(C, H, W)`` as it is shown.

    Args:
        picture: Float32, black 0 and white 1, in display gamma.
        profile: An ICC profile that its values are meant by; empty takes them as they are.
    """
    shown = np.empty((*picture.shape[1:], len(picture)), np.uint8)
    for channel, values in enumerate(picture):
        scaled = values * np.float32(255)
        shown[..., channel] = np.clip(np.rint(scaled, out=scaled), 0, 255, out=scaled)
    return _to_srgb(shown[..., 0] if len(picture) == 1 else shown, profile)


def cut_and_scale(shown: Shown, region: tuple[int, int, int, int], size: tuple[int, int]) -> Shown:
    """Return a part of what is shown, at another size: each pixel repeated, or the mean of those that it stands for.

    Args:
        shown: The whole picture.
        region: Left, top, width and height of the part.
        size: Width and height that it gets.
    """
    left, top, width, height = region
    part = np.ascontiguousarray(shown[top : top + height, left : left + width])
    if size == (width, height):
        return part
    is_larger = size[0] >= width and size[1] >= height
    scaled = cv2.resize(part, size, interpolation=cv2.INTER_NEAREST_EXACT if is_larger else cv2.INTER_AREA)
    return np.asarray(scaled, np.uint8)


def write(shown: Shown, path: Path, form: Form) -> None:
    """Write a picture as PNG, exactly, or as WebP, smaller; raises ``TransientError``."""
    with writing(str(path)):
        Image.fromarray(shown).save(path, format=form.upper(), **_OPTIONS[form])


def _to_srgb(shown: Shown, profile: bytes) -> Shown:
    if not profile:
        return shown
    try:
        own, screen = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(Image.fromarray(shown), own, screen, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return shown  # a profile that is broken, or for other channels
    return shown if converted is None else np.asarray(converted, np.uint8)
