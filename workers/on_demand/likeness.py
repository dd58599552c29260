"""How alike neighbouring pictures of a numbered series are: the frames of a film are, the prints in a box are not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from db.errors import InputError
from db.records import Source
from db.settings import Settings
from db.states import ItemKind
from workers.media.source import local_still
from workers.media.stills import files
from workers.media.stills.exposures import Exposure, read_exposure

_SIDE_PX, _BLOCK_PX = 48, 12
_INSIDE = slice(_SIDE_PX // 8, _SIDE_PX * 7 // 8)
"""What lies at the borders (a mount, a frame line, a paper edge) is the same in pictures of all kinds."""
_LEAST_CONTRAST = 0.02
"""Deviation within a block, as a share of the picture's range, below which there is nothing to compare."""


def compare_pairs(order: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """Compare pictures two by two.

    Args:
        order: ``{"uris": [first, second, first, second, …], "roots": …}``, paths or ``s3://`` addresses.
        settings: Whose limits hold.

    Returns:
        ``sizes``, one ``[width, height]`` a picture that could be read; ``likeness``, one number a pair of which both
        could, of whole pictures where there is such a pair: see :func:`likeness`; ``cameras``, the names of all that
        took one; ``apart_seconds``, one number a pair of which both say when they were taken.
    """
    with TemporaryDirectory(prefix="reelwright-look-") as folder:
        sights = [_sight(uri, order["roots"], settings, Path(folder)) for uri in order["uris"]]
    seen = [sight for sight in sights if sight is not None]
    pairs = [
        (one, two) for one, two in zip(sights[::2], sights[1::2], strict=False) if one is not None and two is not None
    ]
    # What is black for damage is like nothing: it is compared only where nothing else can be.
    pairs = [(one, two) for one, two in pairs if one.whole and two.whole] or pairs
    taken = [(one.exposure.taken, two.exposure.taken) for one, two in pairs]
    return {
        "sizes": [list(sight.size) for sight in seen],
        "likeness": [likeness(one.gray, two.gray) for one, two in pairs],
        "cameras": sorted({sight.exposure.camera for sight in seen} - {""}),
        "apart_seconds": [abs(one - two) for one, two in taken if one is not None and two is not None],
    }


class _Sight(NamedTuple):
    """A picture, as far as it is compared."""

    size: tuple[int, int]
    """Width and height."""
    gray: NDArray[np.float32]
    """``(48, 48)``."""
    exposure: Exposure
    whole: bool
    """Whether all of it could be decoded."""


def _sight(uri: str, roots: Sequence[str] | None, settings: Settings, scratch: Path) -> _Sight | None:
    """Look at a picture; none where it cannot be read."""
    source = Source(uri=uri, kind=ItemKind.STILL, roots=roots)
    try:
        path = local_still(source, settings, scratch)
        photo, whole = _read(path, settings)
    except InputError:
        return None
    height, width = photo.samples.shape[:2]
    small = cv2.resize(photo.samples.astype(np.float32), (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA)
    gray = np.nan_to_num(np.atleast_3d(small).mean(axis=2, dtype=np.float32))
    return _Sight((width, height), gray, read_exposure(path), whole)


def _read(path: Path, settings: Settings) -> tuple[files.Photo, bool]:
    """Return a picture, and whether nothing of it is damaged; raises ``InputError`` where nothing can be decoded."""
    try:
        return files.read(path, settings), True
    except InputError as error:
        if error.code not in {"TRUNCATED", "CORRUPT"}:
            raise
    return files.read(path, settings, accept_damaged=True), False


def likeness(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Return how alike two grey pictures ``(48, 48)`` are, from -1 to 1: the median correlation of their blocks.

    Blocks in which neither shows anything do not count; two pictures that show nothing at all, as leader does, are
    alike.
    """
    blocks = np.stack([_blocks(first), _blocks(second)])
    deviation = blocks.std(axis=2)
    telling = deviation.max(axis=0) > _LEAST_CONTRAST * np.ptp(blocks)
    if not telling.any():
        return 1.0
    centered = blocks - blocks.mean(axis=2, keepdims=True)
    products = (centered[0] * centered[1]).mean(axis=1)
    return float(np.median(products[telling] / np.maximum(deviation.prod(axis=0)[telling], 1e-12)))


def _blocks(picture: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the blocks of a picture's inside as rows."""
    inside = picture[_INSIDE, _INSIDE].astype(np.float64)
    count = len(inside) // _BLOCK_PX
    return inside.reshape(count, _BLOCK_PX, count, _BLOCK_PX).swapaxes(1, 2).reshape(count * count, -1)
