"""Takes out scratches: lines down the film, found by themselves, and what a mask marks.

A line is a scratch if the frames around do not have it there, or if it runs down the whole picture, as nothing in front
of a camera does. A line in the frame alone that neighbours confirm over a part of its length is taken over all of it.
Window frames and shutters, which are lines too, are in the neighbours as well and end before the picture does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from db.catalog.stages.repairs import ScratchParams
from workers.frames import Clip, Reel, Repaired
from workers.ops import cracks, evidence, lines, planes
from workers.ops.evidence import Mask
from workers.ops.fill import Reference, fill
from workers.ops.lines import Line
from workers.ops.planes import Plane, Planes
from workers.ops.witnesses import REACH, View, raw_view, reference, searched, witnesses

_MOST_DEVIATION, _DEVIATION_SCALE = 8.0, 40.0
"""Deviations from the neighbours beyond the first count no more; what is left is scaled to a picture's range."""
_WHOLE = 0.95
"""Share of the picture's height from which a line runs down all of it."""
_BLACK, _GATE_PX, _BESIDE_GATE_PX = 0.03, 5, 12
"""The gate: columns darker than this, at least so many together; lines so close to it are its edges."""
_CONFIRMED = 0.3
"""Share of a confirming line that must lie on the line in the frame."""
_WIDTHS, _PICTURE_PX_A_WIDTH = (1, 2, 3, 4, 6, 8, 12, 16), 480
"""Widths of lines in pixels, and how wide a picture is for each pixel of the widest that is looked for unasked."""
_SIGNS = {"both": (1, -1), "bright": (1,), "dark": (-1,)}


@dataclass(frozen=True)
class _Damaged:
    view: View
    """The frame, with what is to be repaired as its mask."""
    lines: tuple[Line, ...]


_Look = Callable[[int], _Damaged]


def restore(window: Clip, start: int, stop: int, params: ScratchParams, reel: Reel) -> Repaired:
    """Return frames ``[start, stop)`` without scratches, and where they were."""

    def damaged(number: int) -> _Damaged:
        near = reel.neighbors(number, REACH)
        seen: _Damaged = window.memo.once("damaged", (number, *near), partial(_mark, window, number, params, reel))
        return seen

    results = [_repair(window, number, params, reel, damaged) for number in range(start, stop)]
    masks = torch.from_numpy(np.stack([mask for _, mask in results])[:, None])
    return Repaired(planes.to_frames([each for each, _ in results], window.frames), masks.to(window.frames.device))


def _repair(window: Clip, number: int, params: ScratchParams, reel: Reel, damaged: _Look) -> tuple[Planes, Mask]:
    own, scratches = damaged(number).view, damaged(number).lines
    if own.mask is None:
        return own.planes, np.zeros(own.code.shape, np.bool_)
    picture, mask = own.planes, own.mask
    kept = np.zeros(mask.shape, np.bool_)
    if params.keep_detail:
        luma = planes.luma(picture)
        for line in (each for each in scratches if lines.shows_through(luma, each)):
            picture = np.stack([lines.subtract(plane, line) for plane in picture])
            kept |= line.mask(mask.shape) & mask
    picture, changed = fill(picture, mask & ~kept, _references(window, number, reel, damaged))
    return picture, changed | kept


def _references(window: Clip, number: int, reel: Reel, damaged: _Look) -> list[Reference]:
    own = damaged(number).view
    return [reference(own, damaged(other).view) for other in witnesses(window, number, reel)]


def _mark(window: Clip, number: int, params: ScratchParams, reel: Reel) -> _Damaged:
    """Return a frame with what is to be repaired in it."""
    own = raw_view(window, number)
    method, found = params.method_of(reel.frame_count), []
    if method == "mask":
        mask = np.zeros(own.code.shape, np.bool_) if window.mask is None else _given(window, number)
    elif method == "propose":
        luma = planes.luma(own.planes)
        mask = cracks.find(luma, params.sensitivity, params.least_contrast, _SIGNS[params.polarity])
    else:
        others = [raw_view(window, other) for other in witnesses(window, number, reel)]
        found = _find_scratches(own.planes, [reference(own, other).planes for other in others], params)
        mask = _paint(found, own.code.shape)
    return _Damaged(replace(own, mask=mask) if mask.any() else own, tuple(found))


def _given(window: Clip, number: int) -> Mask:
    assert window.mask is not None
    given: NDArray[np.bool_] = window.mask[number - window.start, 0].cpu().numpy()
    return given


def _find_scratches(picture: Planes, references: Sequence[Planes], params: ScratchParams) -> list[Line]:
    """Return the lines of a frame that are scratches: first those seen in the frame itself, which show their ends."""
    widths, shown = _widths(params, picture.shape[2]), [searched(other) for other in references]
    confirmed = [
        line
        for number, plane in enumerate(searched(picture))
        for line in _lines_in_time(plane, [other[min(number, len(other) - 1)] for other in shown], widths, params)
    ]
    luma = planes.luma(picture)
    alone = [
        line
        for line in lines.find_lines(luma, widths)
        if _runs_through(line, luma) or any(_confirms(other, line, luma.shape) for other in confirmed)
    ]
    signs = _SIGNS[params.polarity]
    return [line for line in alone + confirmed if line.sign in signs]


def _lines_in_time(
    plane: Plane, references: Sequence[Plane], widths: Sequence[int], params: ScratchParams
) -> list[Line]:
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


def _runs_through(line: Line, luma: Plane) -> bool:
    """Whether a line runs down the whole picture, and is none of the gate's edges."""
    if len(line.rows) < _WHOLE * luma.shape[0]:
        return False
    black = (luma.mean(axis=0) < _BLACK).astype(np.uint8)[None]
    # The gate goes on beyond the picture.
    black = cv2.copyMakeBorder(black, 0, 0, _GATE_PX, _GATE_PX, cv2.BORDER_REPLICATE)
    gate = cv2.morphologyEx(black, cv2.MORPH_OPEN, np.ones((1, _GATE_PX), np.uint8))[:, _GATE_PX:-_GATE_PX]
    gate = cv2.dilate(gate, np.ones((1, 2 * _BESIDE_GATE_PX + 1), np.uint8))[0]
    return bool(gate[line.columns].mean() < 0.5)


def _confirms(one: Line, line: Line, shape: tuple[int, ...]) -> bool:
    near = _widen(line.mask(shape), 2)
    return one.sign == line.sign and bool(near[one.rows, one.columns].mean() > _CONFIRMED)


def _paint(found: Sequence[Line], shape: tuple[int, ...]) -> Mask:
    """Return the pixels of lines; where two run along one another the first counts."""
    mask = np.zeros(shape, np.bool_)
    for line in found:
        free = ~_widen(mask, 3)[line.rows, line.columns]
        mask |= replace(line, rows=line.rows[free], columns=line.columns[free]).mask(shape)
    return mask


def _widen(mask: Mask, reach_px: int) -> Mask:
    return cv2.dilate(mask.astype(np.uint8), np.ones((1, 2 * reach_px + 1), np.uint8)) > 0


def _widths(params: ScratchParams, picture_px: int) -> list[int]:
    """Return the widths of lines to look for; wider ones, of which larger scans have more, in wider steps."""
    widest = params.widest_px or max(3, round(picture_px / _PICTURE_PX_A_WIDTH))
    return [width for width in _WIDTHS if width <= widest]
