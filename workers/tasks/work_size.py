"""How large the work becomes, reckoned before it begins: pixels of what is made, and memory at the worst moment.

What a still needs was measured as the peak of resident memory (``VmHWM``) of a process that restores one, by the slope
between pictures of 10 and of 40 megapixels of 8 bits, on one core. In strips a pixel took at the peak, with one channel
and with three: by ``identity`` 1 and 4 bytes, by ``conservation`` 10 and 9. Whole, between pictures of 1 and 4
megapixels: by ``old-photo``, whose networks colour and clean, 233 and 127, by ``upscale`` 21 and 47 for a pixel that
comes out. Here stands the least, so that nothing is refused that could be done: what needs more ends in
``OUT_OF_MEMORY``.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from db.errors import InputError
from db.recipe import Recipe
from db.records import MOST_MADE
from db.settings import Settings

_PIXEL_BYTES, _STRIP_PIXEL_BYTES = {1: 20, 3: 44}, {1: 1, 3: 3}
"""Least that a pixel of so many channels takes, in a picture that is whole in memory and in a still that is not."""
_PROCESS_BYTES = 900_000_000
"""What a worker takes before it holds a picture: libraries, interpreter, threads."""
_SAMPLE_BYTES = 4
"""Of each further frame that a step looks at."""


@dataclass(frozen=True)
class PictureShape:
    """What a source's header says of its pictures."""

    width: int
    height: int
    mono: bool
    """Whether it has one channel."""
    is_reel: bool = False
    """Whether there are neighbours to look at."""
    is_marked: bool = False
    """Whether the manifest marks what of a still is damaged."""


def check(recipe: Recipe, shape: PictureShape, settings: Settings, where: str) -> None:
    """Make sure that pictures of a shape can be restored by a recipe.

    Args:
        recipe: With its steps.
        shape: Of the source.
        settings: For ``max_pixels`` and ``worker_memory_mb``.
        where: Of what the messages speak.

    Raises:
        InputError: ``TOO_LARGE``, naming the step that makes too many pixels, or the memory.
    """
    width, height, scale = shape.width, shape.height, 1
    for number, step in enumerate(recipe.steps, start=1):
        scale *= step.scale
        if width * height * scale**2 > settings.max_pixels:
            raise InputError(
                f"{where}: step {number}, {step.stage}, makes {width * scale}x{height * scale} of {width}x{height}; "
                f"at most {settings.max_pixels} pixels are made (max_pixels)",
                code="TOO_LARGE",
            )
    need, limit = peak_bytes(recipe, shape), settings.worker_memory_mb * 10**6
    if limit and need > limit:
        raise InputError(
            f"{where}: {width}x{height} needs about {need / 1e9:.1f} GB, a worker may have {limit / 1e9:.1f} GB "
            "(worker_memory_mb)",
            code="TOO_LARGE",
            remedy="Raise the setting worker_memory_mb where there is more memory, or run fewer slots.",
        )


def check_access(recipe: Recipe, frames: int, seconds: Fraction, where: str) -> None:
    """Make sure that an access copy at a rate of its own is made of the reel's frames; raises ``TOO_LARGE``."""
    made = round(seconds * recipe.access_fps) if recipe.access_fps and "access" in recipe.outputs else 0
    if made > (MOST_MADE + 1) * frames:
        raise InputError(
            f"{where}: access: {recipe.access_fps} frames per second make {made:,} frames of {frames:,}; "
            f"at most {MOST_MADE} are made of each",
            code="TOO_LARGE",
            remedy="Leave out `access: fps` of the recipe, or give the reel's own rate with the field fps.",
        )


def peak_bytes(recipe: Recipe, shape: PictureShape) -> int:
    """Return the least memory that the work takes at its worst moment, where it is done in the smallest pieces."""
    channels = 1 if shape.mono else 3
    neighbors = 2 * max((step.temporal_radius for step in recipe.steps), default=0) if shape.is_reel else 0
    in_strips = not shape.is_reel and recipe.still_radii(shape.is_marked) is not None
    pixels = shape.width * shape.height * recipe.scale**2
    own = (_STRIP_PIXEL_BYTES if in_strips else _PIXEL_BYTES)[channels]
    return _PROCESS_BYTES + pixels * (own + neighbors * channels * _SAMPLE_BYTES)
