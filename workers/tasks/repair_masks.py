"""What was repaired, as pictures: a film of masks for each step that repairs, 255 where it did; of a still a PNG.

A segment writes a chunk for each such step, and assemble puts them together as it does the master; frame numbers and
times are the master's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from db.catalog.stages import STAGES
from db.errors import TransientError
from db.recipe import Recipe, Step
from db.records import Blob, ItemView
from workers.media.film import ffv1
from workers.media.pixels import Layout
from workers.workbench import Workbench

LAYOUT = Layout("gray", 8)
Masks = Mapping[int, torch.Tensor]
"""``(T, 1, H, W)`` bool by the step's number in the recipe, from 0."""


def output_names(recipe: Recipe) -> dict[int, str]:
    """Return the outputs that hold the masks of a recipe, by the step's number: ``dirt.mask``, then ``dirt-2.mask``."""
    names: dict[int, str] = {}
    for number, step in enumerate(recipe.steps):
        if _gives_mask(step):
            earlier = sum(recipe.steps[other].stage == step.stage for other in names)
            names[number] = f"{step.stage}-{earlier + 1}.mask" if earlier else f"{step.stage}.mask"
    return names


def wanted_names(recipe: Recipe) -> dict[int, str]:
    """Return :func:`output_names` where the recipe asks for masks, else nothing."""
    return output_names(recipe) if "masks" in recipe.outputs else {}


def size_at(item: ItemView, number: int) -> tuple[int, int]:
    """Return height and width of the pictures that step ``number`` of the recipe makes of a probed reel."""
    assert item.facts is not None
    before = item.recipe.model_copy(update={"steps": item.recipe.steps[: number + 1]})
    return ffv1.master_size(item.facts, before)


class MaskChunks:
    """The chunks of one segment, one for each step that repairs."""

    def __init__(self, paths: Mapping[int, Path], writers: Mapping[int, ffv1.Write]) -> None:
        """Take file and writer by the step's number; :func:`open_chunks` makes them."""
        self._paths, self._writers = paths, writers

    def add(self, number: int, mask: torch.Tensor | None) -> None:
        """Write what a step repaired in consecutive frames, ``(T, 1, H, W)`` bool; none of a step that gives none."""
        write = self._writers.get(number)
        if write is None or mask is None:
            return
        for row in mask:
            write((_to_samples(row),))

    def put(self, recipe: Recipe, bench: Workbench) -> dict[str, Blob]:
        """Store the finished chunks under the outputs' names."""
        names = output_names(recipe)
        return {names[number]: bench.put(path.name, path) for number, path in self._paths.items()}


@contextmanager
def open_chunks(item: ItemView, bench: Workbench) -> Iterator[MaskChunks]:
    """Open a segment's chunks; outside the block they are finished and can be stored."""
    assert item.facts is not None
    paths = {number: bench.scratch / f"{name}.mkv" for number, name in wanted_names(item.recipe).items()}
    with ExitStack() as stack:
        writers = {
            number: stack.enter_context(
                ffv1.open_writer(path, LAYOUT, size_at(item, number), item.facts.rate, item.facts)
            )
            for number, path in paths.items()
        }
        yield MaskChunks(paths, writers)


def write_still(masks: Masks, recipe: Recipe, page: int, bench: Workbench) -> dict[str, Blob]:
    """Store the masks of one page of a still as PNG, where anything was repaired; pages after the first are numbered.

    Raises:
        TransientError: A file cannot be written.
    """
    outputs = {}
    for number, name in wanted_names(recipe).items():
        if number not in masks or not masks[number].any():
            continue
        output = f"{name}.page-{page + 1}" if page else name
        path = bench.scratch / f"{output}.png"
        if not cv2.imwrite(str(path), _to_samples(masks[number][0])):
            raise TransientError(f"{path.name}: cannot be written", code="STORE_FAILED")
        outputs[output] = bench.put(path.name, path)
    return outputs


def _to_samples(mask: torch.Tensor) -> NDArray[np.uint8]:
    samples: NDArray[np.uint8] = mask[0].cpu().numpy().astype(np.uint8) * np.uint8(255)
    return samples


def _gives_mask(step: Step) -> bool:
    spec = STAGES.get(step.stage)
    return spec is not None and spec.repairs and step.has_effect
