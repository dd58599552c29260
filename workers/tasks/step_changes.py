"""What changed: how much of every frame each step touched. Restore measures, assemble sums up.

Two numbers a step and frame. ``changed``: the share of pixels of which a channel moved by more than half a code value
of the source's depth, which is what can be seen in a file. ``moved``: the mean absolute change over all samples, as a
share of full scale. A frame is measured once, in the cell where it is written, whatever was read around it; so the
numbers do not depend on where the reel was cut. A step that changes the size has none: no pixel has a counterpart.
Steps that repair parts of the picture have two more: ``repaired``, the share of pixels in the mask, and ``places``, how
many connected parts the mask has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from db.catalog.stages import STAGES
from db.recipe import Recipe, Step
from workers import device, stages
from workers.ops import rows
from workers.ops.strips import strips
from workers.tasks import repair_masks

Change = tuple[int, NDArray[np.float64]]
"""How many pixels of a strip changed, and ``(H,)`` the sum of all absolute changes in each of its rows."""
Values = Mapping[str, NDArray[np.float64]]
"""Per frame, by column: ``changed_1_denoise``, ``moved_1_denoise``, ``changed_2_colorize`` …"""


_PLACES_NAMED = 20


class ChangeRecorder:
    """Takes down what the steps of a recipe do to the frames of one span."""

    def __init__(self, recipe: Recipe, depth_bits: int) -> None:
        """Begin with no frame; ``depth_bits`` are the source's."""
        self._names = {number: _suffix(number, step.stage) for number, step in _comparable_steps(recipe)}
        self._repairing = repair_masks.output_names(recipe).keys()
        self.half_code = 0.5 / (2**depth_bits - 1)
        self._values: dict[tuple[str, int], NDArray[np.float64]] = {}

    def add(
        self, number: int, before: torch.Tensor, after: torch.Tensor, mask: torch.Tensor | None = None, start: int = 0
    ) -> None:
        """Take consecutive frames before and after a step, each ``(T, C, H, W)``; from any thread and in any order.

        Args:
            number: Of the step in the recipe, from 0.
            before: What it was given.
            after: What it made of it.
            mask: ``(T, 1, H, W)`` bool, what it repaired; none of a step that changes whole frames.
            start: Number of the first of the frames, by which they are put in order.
        """
        if number in self._names and before.shape[-2:] == after.shape[-2:]:
            self._take(number, *measure(before, after, self.half_code), mask, start)

    def add_still(
        self, number: int, changes: Sequence[Change], shape: Sequence[int], mask: torch.Tensor | None
    ) -> None:
        """Take a still whose strips were looked at one by one.

        Args:
            number: Of the step in the recipe, from 0.
            changes: Of the strips from the top down, by :func:`count_changes`.
            shape: ``(C, H, W)`` of what the step made.
            mask: As for :meth:`add`.
        """
        changed, moved = (np.array([value]) for value in _shares(changes, shape))
        self._take(number, changed, moved, mask, 0)

    def _take(
        self, number: int, changed: NDArray[np.float64], moved: NDArray[np.float64], mask: torch.Tensor | None,
        start: int,
    ) -> None:  # fmt: skip
        name = self._names[number]
        self._values[f"changed_{name}", start] = changed
        self._values[f"moved_{name}", start] = moved
        if number in self._repairing and mask is not None:
            share, places = _measure_mask(mask)
            self._values[f"repaired_{name}", start] = share
            self._values[f"places_{name}", start] = places

    def values(self) -> dict[str, NDArray[np.float64]]:
        """Return the columns, a value a frame."""
        columns: dict[str, list[NDArray[np.float64]]] = defaultdict(list)
        for name, start in sorted(self._values):
            columns[name].append(self._values[name, start])
        return {name: np.concatenate(parts) for name, parts in columns.items()}


def measure(
    before: torch.Tensor, after: torch.Tensor, threshold: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return share of changed pixels and mean absolute change of each frame, ``(T,)`` of 0..1.

    Args:
        before: ``(T, C, H, W)``.
        after: The same, perhaps with more channels: grey is taken as equal in all of them.
        threshold: Least change that counts.
    """
    pairs = [_shares([change], after.shape[1:]) for change in _count_frames(before, after, threshold)]
    shares = np.array(pairs, np.float64)
    return shares[:, 0], shares[:, 1]


def count_changes(before: torch.Tensor, after: torch.Tensor, threshold: float) -> Change:
    """Return the changed pixels of a frame or strip ``(C, H, W)``, and what its samples moved by in each row."""
    return _count_frames(before[None], after[None], threshold)[0]


def _count_frames(before: torch.Tensor, after: torch.Tensor, threshold: float) -> list[Change]:
    """Return it for each of the frames ``(T, C, H, W)``; none of the sums depends on how many there are."""
    if before.data_ptr() == after.data_ptr() and before.shape == after.shape:
        return [(0, np.zeros(after.shape[-2]))] * len(after)
    if after.device.type == "cpu":
        return [_count_in_strips(old, new, threshold) for old, new in zip(before, after, strict=True)]
    return _count_on_device(before, after, threshold)


def _shares(changes: Sequence[Change], shape: Sequence[int]) -> tuple[float, float]:
    """Return the share of changed pixels and the mean absolute change of a picture ``(C, H, W)`` from its strips."""
    channels, height, width = shape
    moved = float(np.concatenate([of_rows for _, of_rows in changes]).sum())
    return sum(count for count, _ in changes) / (height * width), moved / (channels * height * width)


def facts(recipe: Recipe, values: Values) -> dict[str, Any]:
    """Return what an item's result holds of what was done to it.

    Returns:
        ``recipe`` (its name), ``recipe_fingerprint``, and ``steps``, a row each: ``stage``; ``changed`` and ``moved``,
        means over all frames, and ``changed_frames``, all none for a step that changes the size; of a step that
        repairs, ``repaired``, mean over all frames, and ``places``, the sum; where it was taken back, ``taken_back``.
    """
    rows = [_step_summary(number, step.stage, values) for number, step in enumerate(recipe.steps)]
    for row, step in zip(rows, recipe.steps, strict=True):
        if step.exemptions:
            row["taken_back"] = [exemption.model_dump(mode="json") for exemption in step.exemptions]
    return {"recipe": recipe.name, "recipe_fingerprint": recipe.fingerprint(), "steps": rows}


def place_notes(step: Step, before: torch.Tensor, after: torch.Tensor, mask: torch.Tensor | None) -> Iterator[str]:
    """Name the places of a still ``(1, C, H, W)`` that a step repaired, where its stage wants that, largest first."""
    spec = STAGES.get(step.stage)
    if spec is None or not spec.lists_places or mask is None:
        return
    moved = (after - before).abs().mean(dim=1)[0].cpu().numpy()
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(mask[0, 0].cpu().numpy().astype(np.uint8))
    order = sorted(range(1, count), key=lambda place: -boxes[place][cv2.CC_STAT_AREA])
    for place in order[:_PLACES_NAMED]:
        left, top, width, height = (int(value) for value in boxes[place][:4])
        change = float(moved[labels == place].mean())
        where = f"{width} x {height} pixels at {left}, {top}"
        yield f"{step.stage} changed {where} by {change:.2%} of full scale on average."
    if count - 1 > _PLACES_NAMED:
        yield f"{step.stage} changed {count - 1 - _PLACES_NAMED} more places."


def place_faults(recipe: Recipe, frame_count: int, shot_count: int) -> Iterator[str]:
    """Name the places in a recipe, such as a tenth shot, that a reel has not: there its step did nothing else."""
    for step in recipe.steps:
        variants = step.params.get("variants") or ()
        for shot in (variant.get("shot") for variant in variants):
            if shot and shot > shot_count:
                yield f"{step.stage}: there is no shot {shot}; the reel's last is {shot_count}."
        ranges = [variant.get("frames") for variant in variants] + [exemption.frames for exemption in step.exemptions]
        for first, _ in filter(None, ranges):
            if first >= frame_count:
                yield f"{step.stage}: there is no frame {first}; the reel's last is {frame_count - 1}."


def notes(recipe: Recipe, values: Values) -> Iterator[str]:
    """Say of steps that changed nothing why that may be."""
    for number, step in enumerate(recipe.steps):
        spec, changed = STAGES.get(step.stage), values.get(f"changed_{_suffix(number, step.stage)}")
        if spec is None or changed is None or step.exemptions or not (spec.when_unchanged and step.has_effect):
            continue
        if not np.any(changed):
            why = [spec.when_unchanged, *([spec.when_still_unchanged] if len(changed) == 1 else [])]
            yield f"{step.stage} changed nothing: {'; '.join(filter(None, why))}."


def _step_summary(number: int, stage: str, values: Values) -> dict[str, Any]:
    changed, moved = (values.get(f"{what}_{_suffix(number, stage)}") for what in ("changed", "moved"))
    if changed is None or moved is None:
        return {"stage": stage, "changed": None, "moved": None, "changed_frames": None}
    means = {"changed": float(np.mean(changed)), "moved": float(np.mean(moved))}
    row = {"stage": stage, **means, "changed_frames": int(np.count_nonzero(changed))}
    repaired, places = (values.get(f"{what}_{_suffix(number, stage)}") for what in ("repaired", "places"))
    if repaired is not None and places is not None:
        row |= {"repaired": float(np.mean(repaired)), "places": int(np.sum(places))}
    return row


def _measure_mask(mask: torch.Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the share of the picture and the number of connected parts of each mask."""
    parts = [device.download(row[0]).astype(np.uint8) for row in mask]
    share = np.array([np.count_nonzero(part) / part.size for part in parts])
    return share, np.array([cv2.connectedComponents(part, connectivity=8)[0] - 1 for part in parts], np.float64)


def _comparable_steps(recipe: Recipe) -> list[tuple[int, Any]]:
    return [(number, step) for number, step in enumerate(recipe.steps) if stages.scale(step) == 1]


def _suffix(number: int, stage: str) -> str:
    return f"{number + 1}_{stage}"


def _count_on_device(before: torch.Tensor, after: torch.Tensor, threshold: float) -> list[Change]:
    """Count where the frames lie, and bring back a number a row."""
    difference = torch.sub(after, before).abs_()
    # Not in float64, which not every device has; rows first, so that float32 loses nothing that could be shown.
    moved = device.download(difference.sum(-1).sum(1)).astype(np.float64)
    changed = device.download((difference.amax(1) > threshold).sum((-2, -1)))
    return list(zip(changed.tolist(), moved, strict=True))


def _count_in_strips(before: torch.Tensor, after: torch.Tensor, threshold: float) -> Change:
    """Count a strip at a time, on the cores."""
    old, new = before.expand_as(after).numpy(), after.numpy()
    changed, moved = 0, np.zeros(new.shape[1])
    for part, _ in strips(new.shape[1:], 0):
        strongest: Any = None
        for one, other in zip(old[:, part], new[:, part], strict=True):
            difference = cv2.absdiff(other, one)
            moved[part] += rows.sums(difference)
            strongest = difference if strongest is None else cv2.max(strongest, difference, dst=strongest)
        changed += int(np.count_nonzero(strongest > threshold))
    return changed, moved
