"""Time per frame is measured, not guessed."""

import pytest

from db.recipe import from_document, resolve
from workers.on_demand.estimate import seconds_besides, seconds_per_frame


def test_an_empty_recipe_takes_no_time() -> None:
    assert seconds_per_frame(resolve("identity"), 640, 480, mono=True) == 0


def test_time_grows_with_pixels() -> None:
    recipe = from_document([{"color_enhance": {}}], "tone")
    small, large = (seconds_per_frame(recipe, 320 * n, 240 * n, mono=True) for n in (1, 8))
    assert 0 < small < 1
    assert large == pytest.approx(64 * small, rel=0.9)


def test_motion_is_sought_anew_in_every_round_of_a_trial() -> None:
    """As it is for every frame of a reel: from memory alone `dirt` would be quicker than `deflicker`."""
    dirt, deflicker = (
        seconds_per_frame(from_document([stage], "r"), 192, 144, mono=True) for stage in ("dirt", "deflicker")
    )
    assert dirt > 5 * deflicker


def test_reading_and_writing_count_by_the_pixels_that_are_written() -> None:
    grey, color = (seconds_besides(resolve("identity"), 640, 480, mono, is_reel=True) for mono in (True, False))
    still, large = (
        seconds_besides(from_document(steps, "r"), 640, 480, True, is_reel=False)
        for steps in ([], [{"upscale": {"scale": 2}}])
    )
    assert 0 < still < grey < color
    assert large == pytest.approx(4 * still)


@pytest.mark.parametrize("name", ["conservation", "silent-film", "old-film", "old-photo", "faded-color"])
def test_every_shipped_recipe_can_be_tried(name: str) -> None:
    assert seconds_per_frame(resolve(name), 192, 144, mono=False) > 0


def test_steps_after_an_enlargement_are_tried_on_the_larger_picture() -> None:
    plain, after = (
        seconds_per_frame(from_document(steps, "r"), 192, 144, mono=True)
        for steps in ([{"color_enhance": {}}], [{"upscale": {"scale": 4}}, {"color_enhance": {}}])
    )
    assert after > 4 * plain
