"""Takes some pictures out of a photo or film, to look at, with the frames around them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from db.settings import Settings
from workers.media import pixels, planes
from workers.media.film import container
from workers.media.film import scan as film_scan
from workers.media.pixels import Picture
from workers.media.source import check_file
from workers.media.stills import files as stills


@dataclass(frozen=True)
class Sample:
    """A picture, and what is around it in its film."""

    number: int | None
    """Of the frame in decoding order; none for a photo."""
    pictures: list[Picture]
    """``(C, H, W)`` float32 0..1 each, in order."""
    place: int
    """Which of them it is."""


def sample_frames(path: Path, count: int, settings: Settings, around: int = 0) -> Iterator[Sample]:
    """Yield a photo, or at most ``count`` frames of a film at even distances.

    Args:
        path: Photo or film.
        count: Of frames.
        settings: For the limits.
        around: Frames before and after each one that come with it, as far as there are any.

    Raises:
        InputError: The file is neither, or cannot be read.
    """
    check_file(path)
    if stills.is_still(path):
        stills.header(path, settings)
        yield Sample(None, [stills.to_picture(stills.read(path, settings))], 0)
        return
    # The ends of a reel are often leader and titles: frames are taken from within.
    total = _frame_count(path)
    wanted = sorted(set(np.linspace(0, max(0, total - 1), count + 2)[1:-1].round().astype(int).tolist()))
    near: deque[tuple[int, Picture]] = deque(maxlen=2 * around + 1)
    for number, picture in _read_film(path, settings):
        near.append((number, picture))
        while wanted and number >= min(wanted[0] + around, total - 1):
            center = wanted.pop(0)
            window = [(each, shown) for each, shown in near if abs(each - center) <= around]
            yield Sample(center, [shown for _, shown in window], [each for each, _ in window].index(center))
        if not wanted:
            return


def _read_film(path: Path, settings: Settings) -> Iterator[tuple[int, Picture]]:
    with container.open_film(path, max_pixels=settings.max_pixels) as (film, stream):
        for number, frame in enumerate(container.frames(film, stream, _ignore_damage)):
            layout = film_scan.layout_of(frame, stream.codec_context.name, str(path))
            yield number, pixels.to_picture(planes.to_planes(frame, layout), layout)


def _frame_count(path: Path) -> int:
    with container.open_film(path) as (film, stream):
        return sum(1 for packet in film.demux(stream) if packet.size)


def _ignore_damage(damage: str) -> None:
    """A damaged frame is simply not among those that are looked at."""
