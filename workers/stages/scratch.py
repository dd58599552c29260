"""Takes out scratches: lines down the film, found by themselves, and what a mask marks.

A line is a scratch if the frames around do not have it there, or if it runs down the whole picture, as nothing in front
of a camera does. A line in the frame alone that neighbours confirm over a part of its length is taken over all of it.
Window frames and shutters, which are lines too, are in the neighbours as well and end before the picture does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import cv2
import numpy as np
import torch

from db.catalog.stages.repairs import ScratchParams
from workers.frames import Clip, Reel, Repaired, untouched
from workers.ops import cracks, evidence, lines, planes
from workers.ops.evidence import Mask
from workers.ops.fill import fill
from workers.ops.flow import Motion
from workers.ops.lines import FilmLine
from workers.ops.planes import Plane, Planes
from workers.ops.witnesses import REACH, View, motion, raw_view, reference, searched, witnesses

_MOST_DEVIATION, _DEVIATION_SCALE = 8.0, 40.0
"""Deviations from the neighbours beyond the first count no more; what is left is scaled to a picture's range."""
_WHOLE = 0.95
"""Share of the picture's height from which a line runs down all of it."""
_BLACK, _GATE_PX, _BESIDE_GATE_PX = 0.03, 5, 12
"""The gate: columns darker than this, at least so many together; lines so close to it are its edges."""
_CONFIRMED = 0.3
"""Share of a confirming line that must lie on the line in the frame."""
_WEAVE_PX = 4
"""How far a scratch may lie off from one frame to the next but one."""
_WIDTHS, _PICTURE_PX_A_WIDTH = (1, 2, 3, 4, 6, 8, 12, 16), 640
"""Widths of lines in pixels, and how wide a picture is for each pixel of the widest that is looked for unasked."""
_MOTION_BYTES = 64 << 20
"""Most that is kept of motions of one frame, of the three or so that are looked at before they are repaired."""
_SIGNS = {"both": (1, -1), "bright": (1,), "dark": (-1,)}


@dataclass(frozen=True)
class _Damaged:
    """A frame and what is seen of its damage without asking what its neighbours suffer from."""

    view: View
    lines: tuple[FilmLine, ...] = ()
    """Scratches."""
    doubtful: tuple[FilmLine, ...] = ()
    """Lines of the frame that may be scratches or picture."""
    mask: Mask | None = None
    """What is to be repaired, where lines are not looked for."""
    motions: dict[int, Motion] = field(default_factory=dict, compare=False, repr=False)
    """To neighbours by their numbers: what is known of them already, until the frame is repaired."""


_Look = Callable[[int], _Damaged]


def restore(window: Clip, start: int, stop: int, params: ScratchParams, reel: Reel) -> Repaired:
    """Return frames ``[start, stop)`` without scratches, and where they were."""
    if params.method_of(reel.frame_count) == "mask" and not any(
        window.marked(each).any() for each in range(start, stop)
    ):
        return untouched(window.part(start, stop).frames)

    def damaged(number: int) -> _Damaged:
        near = reel.neighbors(number, REACH)
        seen: _Damaged = window.memo.once("damaged", (number, *near), partial(_mark, window, number, params, reel))
        return seen

    results = [_repair(window, number, params, reel, damaged) for number in range(start, stop)]
    masks = torch.from_numpy(np.stack([mask for _, mask in results])[:, None])
    return Repaired(planes.to_frames([each for each, _ in results], window.frames), masks.to(window.frames.device))


def _repair(window: Clip, number: int, params: ScratchParams, reel: Reel, damaged: _Look) -> tuple[Planes, Mask]:
    """Return a frame without its scratches, and where they were."""
    near = witnesses(window, number, reel)
    own, others = damaged(number), [damaged(other) for other in near]
    picture, shape = own.view.planes, own.view.code.shape
    scratches = [line for line in own.lines if not _is_scenery(line, others, shape[0])]
    scratches += [line for line in own.doubtful if _goes_on(line, others)]
    mask = _paint(scratches, shape) if own.mask is None else own.mask
    if not mask.any():
        own.motions.clear()
        return picture, mask
    kept = np.zeros(shape, np.bool_)
    if params.keep_detail:
        luma = planes.luma(picture)
        for line in (each for each in scratches if lines.shows_through(luma, each)):
            picture = np.stack([lines.subtract(plane, line) for plane in picture])
            kept |= line.mask(shape) & mask
    seen = [
        reference(own.view, replace(other.view, mask=_suspected(other, scratches)), own.motions.pop(each, None))
        for each, other in zip(near, others, strict=True)
    ]
    # What a mask marks was asked for.
    always = params.fill == "always" or params.method_of(reel.frame_count) == "mask"
    picture, changed = fill(picture, mask & ~kept, seen, None if always else np.zeros_like(mask))
    return picture, changed | kept


def _goes_on(line: FilmLine, others: Sequence[_Damaged]) -> bool:
    """Whether at least half of the neighbours have a scratch where a doubtful line is: it weaves, and stays."""
    return bool(others) and 2 * sum(any(_is_near(line, each) for each in other.lines) for other in others) >= len(
        others
    )


def _is_scenery(line: FilmLine, others: Sequence[_Damaged], height: int) -> bool:
    """Whether half of the neighbours have the line too and are in doubt: then it but moved, or caught the light."""
    if len(line.rows) >= _WHOLE * height or any(_is_near(line, each) for other in others for each in other.lines):
        return False
    seen = sum(any(_is_near(line, each) for each in other.doubtful) for other in others)
    return bool(others) and 2 * seen >= len(others)


def _is_near(one: FilmLine, other: FilmLine) -> bool:
    return one.sign == other.sign and abs(one.center - other.center) <= _WEAVE_PX


def _suspected(other: _Damaged, scratches: Sequence[FilmLine]) -> Mask:
    """Return where a neighbour may not be asked: its scratches, and its lines that may be those of the frame."""
    if other.mask is not None:
        return other.mask
    same = [line for line in other.doubtful if any(_is_near(line, each) for each in scratches)]
    return _paint([*other.lines, *same], other.view.code.shape)


def _mark(window: Clip, number: int, params: ScratchParams, reel: Reel) -> _Damaged:
    """Return a frame with what is seen of its damage."""
    own = raw_view(window, number)
    method = params.method_of(reel.frame_count)
    if method == "mask":
        return _Damaged(own, mask=window.marked(number))
    if method == "propose":
        luma = planes.luma(own.planes)
        return _Damaged(own, mask=cracks.find(luma, params.sensitivity, params.least_contrast, _SIGNS[params.polarity]))
    others = {other: raw_view(window, other) for other in witnesses(window, number, reel)}
    motions = {other: motion(own, seen) for other, seen in others.items()}
    references = [reference(own, seen, motions[other]).planes for other, seen in others.items()]
    found = _find_lines(own.planes, references, params)
    return _Damaged(own, *found, motions=_first_motions(motions) if any(found) else {})


def _first_motions(motions: dict[int, Motion]) -> dict[int, Motion]:
    """Return those that there is room for; the others are computed again."""
    return {
        other: each for place, (other, each) in enumerate(motions.items(), 1) if place * each.nbytes <= _MOTION_BYTES
    }


def _find_lines(
    picture: Planes, references: Sequence[Planes], params: ScratchParams
) -> tuple[tuple[FilmLine, ...], tuple[FilmLine, ...]]:
    """Return the scratches of a frame, first those seen in itself, which show their ends; and doubtful lines."""
    widths, shown = _widths(params, picture.shape[2]), [searched(other) for other in references]
    confirming = [
        line
        for number, plane in enumerate(searched(picture))
        for line in _lines_in_time(plane, [other[min(number, len(other) - 1)] for other in shown], widths, params)
    ]
    luma, signs = planes.luma(picture), _SIGNS[params.polarity]
    sure: list[FilmLine] = []
    doubtful: list[FilmLine] = []
    for line in lines.find_lines(luma, widths):
        is_scratch = _runs_through(line, luma) or any(_confirms(each, line, luma.shape) for each in confirming)
        (sure if is_scratch else doubtful).append(line)
    sure += confirming
    return tuple(each for each in sure if each.sign in signs), tuple(each for each in doubtful if each.sign in signs)


def _lines_in_time(
    plane: Plane, references: Sequence[Plane], widths: Sequence[int], params: ScratchParams
) -> list[FilmLine]:
    """Return the lines that the neighbours have not."""
    if not references:
        return []
    said = evidence.weigh(plane, references)
    deviation = np.clip(said.fine * np.float32(params.sensitivity), -_MOST_DEVIATION, _MOST_DEVIATION)
    difference = plane - said.expected
    return [
        line
        for line in lines.find_lines(deviation / np.float32(_DEVIATION_SCALE), widths)
        if abs(difference[line.mask(plane.shape)].mean()) >= params.least_contrast
    ]


def _runs_through(line: FilmLine, luma: Plane) -> bool:
    """Whether a line runs down the whole picture, and is none of the gate's edges."""
    if len(line.rows) < _WHOLE * luma.shape[0]:
        return False
    black = (luma.mean(axis=0) < _BLACK).astype(np.uint8)[None]
    # The gate goes on beyond the picture.
    black = cv2.copyMakeBorder(black, 0, 0, _GATE_PX, _GATE_PX, cv2.BORDER_REPLICATE)
    gate = cv2.morphologyEx(black, cv2.MORPH_OPEN, np.ones((1, _GATE_PX), np.uint8))[:, _GATE_PX:-_GATE_PX]
    gate = cv2.dilate(gate, np.ones((1, 2 * _BESIDE_GATE_PX + 1), np.uint8))[0]
    return bool(gate[line.columns].mean() < 0.5)


def _confirms(one: FilmLine, line: FilmLine, shape: tuple[int, ...]) -> bool:
    """Whether a line that neighbours have not lies on a line of the frame."""
    if one.sign != line.sign or abs(one.center - line.center) > shape[1] // 8:
        return False
    near = np.zeros(shape, np.bool_)
    line.mark(near, 2)
    return bool(one.pick(near).mean() > _CONFIRMED)


def _paint(found: Sequence[FilmLine], shape: tuple[int, ...]) -> Mask:
    """Return the pixels of lines; where two run along one another the first counts."""
    mask, taken = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
    for line in found:
        free = ~line.pick(taken)
        part = replace(line, rows=line.rows[free], columns=line.columns[free])
        part.mark(mask)
        part.mark(taken, 3)
    return mask


def _widths(params: ScratchParams, picture_px: int) -> list[int]:
    """Return the widths of lines to look for; wider ones, of which larger scans have more, in wider steps."""
    widest = params.widest_px or max(3, round(picture_px / _PICTURE_PX_A_WIDTH))
    return [width for width in _WIDTHS if width <= widest]
