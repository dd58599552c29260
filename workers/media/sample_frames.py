"""Takes some pictures out of a photo or film, to look at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from db.errors import InputError
from db.settings import Settings
from workers.media import pixels, planes
from workers.media.film import container
from workers.media.film import scan as film_scan
from workers.media.pixels import Picture
from workers.media.source import check_file
from workers.media.stills import files as stills


def sample_frames(path: Path, count: int, settings: Settings) -> Iterator[tuple[int | None, Picture]]:
    """Yield a photo, or at most ``count`` frames of a film at even distances.

    Yields:
        The frame's number in decoding order (none for a photo), and ``(C, H, W)`` float32 0..1.

    Raises:
        InputError: The file is neither, or cannot be read.
    """
    check_file(path)
    if _is_still(path):
        stills.header(path, settings)
        yield None, stills.to_picture(stills.read(path, settings))
        return
    # The ends of a reel are often leader and titles: frames are taken from within.
    frame_numbers = set(np.linspace(0, max(0, _frame_count(path) - 1), count + 2)[1:-1].round().astype(int).tolist())
    with container.open_film(path) as (film, stream):
        film_scan.check_size(stream.codec_context.width, stream.codec_context.height, settings, str(path))
        for number, frame in enumerate(container.frames(film, stream, _ignore_damage)):
            if number in frame_numbers:
                layout = film_scan.layout_of(frame, stream.codec_context.name, str(path))
                yield number, pixels.to_picture(planes.to_planes(frame, layout), layout)
            if number >= max(frame_numbers):
                return


def _is_still(path: Path) -> bool:
    try:
        stills.kind_of(path)
    except InputError as error:
        if error.code != "UNKNOWN_FORMAT":
            raise
        return False
    return True


def _frame_count(path: Path) -> int:
    with container.open_film(path) as (film, stream):
        return sum(1 for packet in film.demux(stream) if packet.size)


def _ignore_damage(damage: str) -> None:
    """A damaged frame is simply not among those that are looked at."""
