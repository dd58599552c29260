"""The page: chapters of figures, each beside its bar and what other tools reach."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Figure:
    """One measured value."""

    what: str
    """What was measured, on what, with its unit."""
    before: str
    """The same of what came in; empty where that means nothing."""
    ours: str
    bar: str = ""
    """What it must reach."""
    met: bool | None = None
    """Whether it does; none where there is no bar."""
    others: str = ""
    """What other tools reach, by name."""


@dataclass(frozen=True)
class Sheet:
    """Pictures to look at: before, mask, after. They are written beside the page's scratch files, not into the docs."""

    name: str
    picture: NDArray[np.uint8]
    """``(H, W, 3)`` RGB."""


@dataclass(frozen=True)
class Chapter:
    """The figures of one stage, or of one question."""

    title: str
    text: str
    """What was measured how, and what still fails."""
    figures: Sequence[Figure]
    sheets: Sequence[Sheet] = field(default=())


def write_chapter(chapter: Chapter) -> Iterator[str]:
    """Yield the lines of a chapter in Markdown."""
    yield f"## {chapter.title}"
    yield ""
    yield chapter.text.strip()
    yield ""
    yield "| measured | as it came | Reelwright | bar | met | others |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for figure in chapter.figures:
        met = {True: "yes", False: "**no**", None: "–"}[figure.met]
        cells = (figure.what, figure.before or "–", figure.ours, figure.bar or "–", met, figure.others or "–")
        yield f"| {' | '.join(cells)} |"
    yield ""


def at_least(value: float, bar: float, digits: int = 2) -> tuple[str, str, bool]:
    """Return a value, its lower bar and whether it is met, as a figure wants them."""
    return f"{value:.{digits}f}", f"≥ {bar:.{digits}f}", value >= bar


def at_most(value: float, bar: float, digits: int = 2) -> tuple[str, str, bool]:
    """Return a value, its upper bar and whether it is met, as a figure wants them."""
    return f"{value:.{digits}f}", f"≤ {bar:.{digits}f}", value <= bar
