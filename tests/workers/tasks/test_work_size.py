"""Work that would become too large is refused before it begins, by the step or the memory that is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from db.errors import InputError
from db.recipe import parse
from db.settings import LEAST_WORKER_MEMORY_MB, Settings
from db.states import ItemKind
from tests.support.reels import House, film, house, item, moving, probed
from workers import __main__ as workers_main
from workers.tasks import work_size
from workers.tasks.restore_still import restore_still
from workers.tasks.work_size import PictureShape

TWICE = "[{denoise: {method: spatial}}, upscale, upscale]"


def refused(at: House, path: Path, recipe: str) -> InputError:
    with pytest.raises(InputError) as caught:
        restore_still(item(path, recipe, kind=ItemKind.STILL), at.bench())
    assert caught.value.code == "TOO_LARGE"
    return caught.value


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    Image.fromarray(moving(1, 24, 32)[0][0]).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def test_a_still_that_a_recipe_would_make_too_large_names_the_step(tmp_path: Path, photo: Path) -> None:
    at = house(tmp_path, max_pixels=24 * 32 * 16 - 1)
    assert "step 3, upscale, makes 128x96 of 32x24" in refused(at, photo, TWICE).message
    restore_still(item(photo, TWICE, kind=ItemKind.STILL), house(tmp_path, max_pixels=24 * 32 * 16).bench())


def test_a_reel_that_a_recipe_would_make_too_large_ends_at_the_probe(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", moving(2), "gray")
    with pytest.raises(InputError, match="step 1, upscale") as caught:
        probed(house(tmp_path, max_pixels=1000), item(path, "[upscale]"))
    assert caught.value.code == "TOO_LARGE"


def test_a_later_page_that_is_larger_than_the_first_is_looked_at_too(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as out:
        for side in (8, 40):
            out.write(np.zeros((side, side), np.uint8), metadata=None)
    at = house(tmp_path, max_pixels=2000)
    assert "page 2: step 1, upscale, makes 80x80 of 40x40" in refused(at, tmp_path / "a.tif", "[upscale]").message


def test_the_dry_run_refuses_it_by_the_header(tmp_path: Path, photo: Path) -> None:
    settings = Settings(home=tmp_path, max_pixels=5000)
    order = {"source": item(photo, kind=ItemKind.STILL).source.model_dump(mode="json"),
             "recipe": parse(TWICE, "r").model_dump(mode="json")}  # fmt: skip
    answer = workers_main._outcome(lambda: workers_main._prober(settings)(order))
    assert answer["code"] == "TOO_LARGE"
    assert "step 3" in answer["message"]


def test_a_step_without_effect_enlarges_nothing() -> None:
    steps = "[" + ", ".join(["{upscale: {scale: 4, strength: 0}}"] * 9) + "]"
    work_size.check(parse(steps, "r"), PictureShape(30, 30, mono=True), Settings(max_pixels=1000), "a.png")


def test_memory_is_reckoned_from_the_largest_picture_of_the_work() -> None:
    settings, shape = Settings(worker_memory_mb=LEAST_WORKER_MEMORY_MB), PictureShape(2000, 2000, mono=False)
    work_size.check(parse("[]", "r"), shape, settings, "a.png")
    with pytest.raises(InputError, match=r"a\.png: 2000x2000 needs about 3\.7 GB, a worker may have 1\.5 GB") as caught:
        work_size.check(parse("[{upscale: {scale: 4}}]", "r"), shape, settings, "a.png")
    assert caught.value.code == "TOO_LARGE"
    work_size.check(parse("[{upscale: {scale: 4}}]", "r"), shape, Settings(), "a.png")  # nobody gave a share


def test_only_a_reel_has_neighbours_that_take_room() -> None:
    alone, beside = (parse(f"[colorize, {{denoise: {{method: {name}}}}}]", "r") for name in ("spatial", "temporal"))
    still, reel = (PictureShape(1000, 1000, mono=False, is_reel=is_reel) for is_reel in (False, True))
    assert work_size.peak_bytes(beside, reel) - work_size.peak_bytes(alone, reel) == 4 * 12 * 1_000_000
    assert work_size.peak_bytes(beside, still) == work_size.peak_bytes(alone, still)


def test_a_still_that_is_restored_in_strips_needs_far_less_than_a_whole_one() -> None:
    recipe, pixels = parse("[dirt: {mask: given}]", "r"), 10_000_000
    strips, whole = (
        work_size.peak_bytes(recipe, PictureShape(5000, 2000, mono=False, is_marked=marked)) for marked in (False, True)
    )
    assert whole - strips > 30 * pixels
    work_size.check(
        parse("[]", "r"), PictureShape(20_000, 20_000, mono=False), Settings(worker_memory_mb=8000), "a.tif"
    )
