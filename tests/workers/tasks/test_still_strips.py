"""A still in strips is the still as a whole, bit for bit, and never whole in floating point numbers."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db.catalog.stages import STAGES
from db.recipe import Recipe, from_document, parse
from tests.support.reels import house, moving
from workers import stages
from workers.media.stills import files as stills
from workers.tasks import restore_still, still_strips
from workers.workbench import Workbench

SPATIAL = "{denoise: {method: spatial, strength: 0.7}}"
RECIPES = (
    "[]",
    "[deflicker: {strength: 0.5}]",
    f"[{SPATIAL}]",
    "[denoise: {method: spatial, sigma: 0.1, exemptions: [{region: [3, 11, 20, 30]}, {region: [0, 50, 90, 1]}]}]",
    f"[stabilize, deflicker, dirt, scratch, {SPATIAL}]",
    f"[{SPATIAL}, {{denoise: {{method: spatial, sigma: 0.03}}}}]",
    f"[missing_frames, {SPATIAL}]",
)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    return house(tmp_path_factory.mktemp("strips")).bench()


def photo(height: int, width: int, channels: int, kind: str) -> stills.Photo:
    bits = 8 if kind == "png" else 16
    samples = np.ascontiguousarray(np.moveaxis(moving(1, height, width, channels, bits)[0], 0, 2))
    if kind != "exr":
        return stills.Photo("png" if bits == 8 else "tiff", samples, bits)
    return stills.Photo("exr", (samples / 40000).astype(np.float16), 16, transfer="linear")


def in_strips(bench: Workbench, page: stills.Photo, recipe: Recipe, rows: int, mask: Any = None) -> Any:
    plan = still_strips.plan(recipe, mask is not None, page.samples.shape[:2])
    assert plan is not None
    return still_strips.restore(page, mask, replace(plan, rows=rows), stages.still_context(page.mono), bench)


def as_whole(bench: Workbench, page: stills.Photo, recipe: Recipe, mask: Any = None) -> Any:
    return restore_still._restore_whole(page, mask, recipe, {}, bench)[0]


def assert_same(one: Any, other: Any) -> None:
    np.testing.assert_array_equal(one.photo.samples, other.photo.samples)
    assert one.photo.samples.dtype == other.photo.samples.dtype
    assert {name: value.tolist() for name, value in one.values.items()} == {
        name: value.tolist() for name, value in other.values.items()
    }


@given(
    st.sampled_from(RECIPES),
    st.integers(1, 130),
    st.tuples(st.integers(1, 120), st.integers(1, 70)),
    st.sampled_from([1, 3]),
    st.sampled_from(["png", "tiff", "exr"]),
)
@settings(max_examples=60, deadline=None)
def test_any_height_of_strips_gives_the_same_still(
    bench: Workbench, recipe: str, rows: int, size: tuple[int, int], channels: int, kind: str
) -> None:
    page, steps = photo(*size, channels, kind), parse(recipe, "r")
    assert_same(in_strips(bench, page, steps, rows), as_whole(bench, page, steps))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", [name for name, spec in STAGES.items() if not spec.module and not spec.done_by_probe])
def test_a_stage_that_says_how_far_it_looks_in_a_still_looks_no_further(
    bench: Workbench, name: str, channels: int
) -> None:
    recipe = from_document([{name: {"method": "temporal"} if name == "denoise" else {}}], "r")
    if recipe.still_radii(False) is None:
        assert still_strips.plan(recipe, False, (150, 60)) is None
        return
    page = photo(150, 60, channels, "png")
    for rows in (16, 40):
        assert_same(in_strips(bench, page, recipe, rows), as_whole(bench, page, recipe))


@pytest.mark.parametrize(("recipe", "is_cut"), [
    ("[dirt: {mask: given}]", False), ("[dirt: {mask: found}]", True), ("[scratch]", False),
    ("[scratch: {method: propose}]", False), (f"[dirt, {SPATIAL}]", True), ("[upscale]", False), ("[]", True),
])  # fmt: skip
def test_what_fills_marked_places_sees_the_whole_picture(recipe: str, is_cut: bool) -> None:
    assert (still_strips.plan(parse(recipe, "r"), True, (90, 60)) is not None) == is_cut


def test_a_mask_that_no_step_reads_changes_nothing(bench: Workbench) -> None:
    page, recipe = photo(90, 60, 3, "png"), parse(f"[dirt, {SPATIAL}]", "r")
    mask = np.zeros((90, 60), np.bool_)
    mask[30:40] = True
    assert_same(in_strips(bench, page, recipe, 16, mask), as_whole(bench, page, recipe, mask))


def test_samples_that_no_step_changed_are_the_sources_own(bench: Workbench) -> None:
    page = photo(90, 60, 3, "tiff")
    restored = in_strips(bench, page, parse("[stabilize, deflicker, dirt, scratch, missing_frames]", "r"), 16)
    assert restored.photo.samples is page.samples
    assert restored.values["luma_ssim"] == 1


def test_a_large_still_is_never_whole_in_floats(bench: Workbench) -> None:
    page, recipe = photo(1500, 1500, 1, "png"), parse("[{denoise: {method: spatial, sigma: 0}}]", "r")
    plan = still_strips.plan(recipe, False, page.samples.shape[:2])
    assert plan is not None
    tracemalloc.start()
    try:
        still_strips.restore(page, None, replace(plan, rows=64), stages.still_context(True), bench)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * page.samples.size


def test_each_strip_tells_that_work_moved_on_even_where_no_step_does_anything(bench: Workbench) -> None:
    told: list[int] = []
    in_strips(replace(bench, report=told.append), photo(90, 60, 1, "png"), parse("[]", "r"), 16)
    assert len(told) == 6
