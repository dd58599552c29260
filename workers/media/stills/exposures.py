"""Which camera took a photograph and when, as its EXIF says."""

from __future__ import annotations

import warnings
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from PIL import Image

_MAKE, _MODEL, _PHOTO, _TAKEN, _SERIAL = 0x010F, 0x0110, 0x8769, 0x9003, 0xA431


class Exposure(NamedTuple):
    """What EXIF says of an exposure."""

    camera: str = ""
    """Maker, model and serial number; empty where there is none."""
    taken: float | None = None
    """Seconds since 1970 on the camera's own clock; none where it is not said."""


def read_exposure(path: Path) -> Exposure:
    """Return what a still's EXIF says; of a file that has none, or cannot be read, nothing: that proves nothing."""
    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter("error")
            exif = image.getexif()
            photo = exif.get_ifd(_PHOTO)
            parts = (exif.get(_MAKE), exif.get(_MODEL), photo.get(_SERIAL))
            camera = " ".join(str(part).strip(" \0")[:100] for part in parts if part)
            return Exposure(camera, _seconds(photo.get(_TAKEN)))
    except Exception:  # Pillow's EXIF reader raises whatever its parts raise
        return Exposure()


def _seconds(text: object) -> float | None:
    try:
        return datetime.strptime(str(text).strip(" \0"), "%Y:%m:%d %H:%M:%S").timestamp()
    except (ValueError, OverflowError, OSError):
        return None
