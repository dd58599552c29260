from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from db.errors import InputError, RecipeError
from db.recipe import parse
from db.records import Sequence
from tests.support.reels import House, film, house, item, planes_of, probed, whole_life
from workers.media.film import fields
from workers.media.pixels import Layout

SIZE = (64, 96)


@pytest.fixture
def at(tmp_path: Path) -> House:
    return house(tmp_path)


def _scenes(count: int, bits: int = 8, channels: int = 1, grain: float = 0.004) -> list[Any]:
    """Whole frames of a bright block that moves over a dark ground with grain: ``(C, H, W)`` samples."""
    rng, top, made = np.random.default_rng(3), 2**bits - 1, []
    rows, columns = np.mgrid[0 : SIZE[0], 0 : SIZE[1]]
    for n in range(count):
        inside = (abs(columns - 12 - 2 * n % 70) < 12) & (abs(rows - 30 - 8 * np.sin(n / 3)) < 16)
        picture = 0.25 + 0.5 * inside + grain * rng.standard_normal((channels, *SIZE))
        made.append(np.clip(np.rint(picture * top), 0, top).astype(np.uint8 if bits == 8 else np.uint16))
    return made


def _woven(top: Any, bottom: Any) -> Any:
    frame = top.copy()
    frame[:, 1::2] = bottom[:, 1::2]
    return frame


def _pulled_down(scenes: list[Any], order: str = "top") -> list[Any]:
    """3:2 pulldown: of four film frames A B C D five are made, AA BB BC CD DD by first and second field."""
    made = []
    for a, b, c, d in zip(*(scenes[phase::4] for phase in range(4)), strict=True):
        for first, second in ((a, a), (b, b), (b, c), (c, d), (d, d)):
            # In BC the first field is B's once more: it belongs with the second field of the frame before it.
            made.append(_woven(first, second) if order == "top" else _woven(second, first))
    return made


def _frames(at: House, path: Path, recipe: str, **more: Any) -> tuple[Any, Any]:
    item_, result = whole_life(at, item(path, recipe, **more), 8)
    return item_.facts, planes_of(at.path(result.outputs["master"])), result  # type: ignore[return-value]


@pytest.mark.parametrize("bits", [8, 10, 16])
@pytest.mark.parametrize("order", ["top", "bottom"])
def test_pulldown_is_undone_sample_for_sample(at: House, tmp_path: Path, bits: int, order: str) -> None:
    scenes = _scenes(24, bits)
    name = "gray" if bits == 8 else f"gray{bits}le"
    path = film(tmp_path / "a.mkv", _pulled_down(scenes, order), name, rate=Fraction(30000, 1001))
    recipe = f"[{{deinterlace: {{field_order: {order}}}}}]"
    facts, made, result = _frames(at, path, recipe)
    assert facts.rate == Fraction(24000, 1001)
    assert len(made) == 24
    assert all(np.array_equal(ours[0], scene[0]) for ours, scene in zip(made, scenes, strict=True))
    assert any("film" in note and "6 of 30" in note for note in result.notes)


def test_video_becomes_whole_frames_that_do_not_comb(at: House, tmp_path: Path) -> None:
    moments = _scenes(40)
    path = film(tmp_path / "a.mkv", [_woven(moments[n], moments[n + 1]) for n in range(0, 40, 2)], "gray")
    facts, made, _ = _frames(at, path, "[{deinterlace: {field_order: top}}]")
    assert facts.deinterlaced.startswith("video, top field first")
    assert len(made) == 20
    assert facts.rate == 16
    combed = [fields.combing(frame[0], 8) for frame in planes_of(path)]
    assert sum(combed) > 20 * sum(fields.combing(frame[0], 8) for frame in made)


def test_every_field_can_become_a_frame(at: House, tmp_path: Path) -> None:
    moments = _scenes(40)
    path = film(tmp_path / "a.mkv", [_woven(moments[n], moments[n + 1]) for n in range(0, 40, 2)], "gray")
    facts, made, _ = _frames(at, path, "[{deinterlace: {method: video, double_rate: true, field_order: top}}]")
    assert (len(made), facts.rate) == (40, 32)
    # The lines of each field are its own still.
    assert all(np.array_equal(frame[0][n % 2 :: 2], moments[n][0][n % 2 :: 2]) for n, frame in enumerate(made))


@pytest.mark.parametrize("bits", [10, 12])
def test_grey_of_odd_depths_stays_within_its_depth(bits: int) -> None:
    moments = _scenes(12, bits, grain=0.3)
    frames = [tuple(_woven(moments[n], moments[n + 1])) for n in range(0, 12, 2)]
    made = list(fields.deinterlace(frames, Layout("gray", bits), fields.Weave("video", "top")))
    assert len(made) == 6
    assert max(int(frame[0].max()) for frame in made) <= 2**bits - 1


def test_whole_frames_are_left_alone(at: House, tmp_path: Path) -> None:
    scenes = _scenes(16)
    path = film(tmp_path / "a.mkv", scenes, "gray")
    facts, made, result = _frames(at, path, "[deinterlace]")
    assert facts.deinterlaced == ""
    assert any(note.startswith("deinterlace found no frames") for note in result.notes)
    assert facts.mezzanine is None
    assert all(np.array_equal(ours[0], scene[0]) for ours, scene in zip(made, scenes, strict=True))


def test_an_image_sequence_is_left_alone_and_that_is_told(at: House, tmp_path: Path) -> None:
    for number, scene in enumerate(_scenes(6)):
        Image.fromarray(scene[0]).save(tmp_path / f"f{number:03d}.png")
    part = Sequence(prefix="f", suffix=".png", padding=3, start=0, end=5)
    facts, made, result = _frames(at, tmp_path, "[deinterlace]", sequence=part)
    assert (facts.deinterlaced, len(made)) == ("", 6)
    assert any(note.startswith("deinterlace left the reel as it is") for note in result.notes)


def test_the_result_does_not_depend_on_cuts(at: House, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", _pulled_down(_scenes(24)), "gray", rate=Fraction(30000, 1001))
    recipe = "[{deinterlace: {field_order: top}}, {denoise: {method: temporal}}]"
    made = {at.path(whole_life(at, item(path, recipe), cut)[1].outputs["master"]).read_bytes() for cut in (8, 16, 24)}
    assert len(made) == 1


def test_interlaced_film_is_refused_unless_a_step_or_the_manifest_takes_it(at: House, tmp_path: Path) -> None:
    rows, columns = np.mgrid[0:480, 0:96]
    still = np.uint8(128 + 90 * np.sin(columns / 6) * np.cos(rows / 9))
    rolled = [np.roll(still, 2 * n, axis=1) for n in range(24)]
    frames = [_woven(rolled[n][None], rolled[n + 1][None]) for n in range(0, 24, 2)]
    path = film(tmp_path / "a.mkv", frames, "gray")
    with pytest.raises(InputError) as refused:
        probed(at, item(path))
    assert refused.value.code == "INTERLACED"
    facts, _, _ = _frames(at, path, "[deinterlace]")
    assert facts.deinterlaced
    facts, made, result = _frames(at, path, "[]", accept_interlaced=True)
    assert facts.field_order == "top"
    # Matroska's FieldOrder element, 0x9D, says the same of the master: 1 is "top field first".
    head = at.path(result.outputs["master"]).read_bytes()[:4096]
    assert b"\x9a\x81\x01\x9d\x81\x01" in head
    assert len(made) == 12


def test_a_master_of_whole_frames_says_that_it_is_progressive(at: House, tmp_path: Path) -> None:
    facts, _, result = _frames(at, film(tmp_path / "a.mkv", _scenes(4), "gray"), "[]")
    assert facts.field_order == ""
    # FlagInterlaced, 0x9A: 2 is "progressive".
    assert b"\x9a\x81\x02" in at.path(result.outputs["master"]).read_bytes()[:4096]


@pytest.mark.parametrize(
    "recipe",
    ["[denoise, deinterlace]", "[deinterlace, deinterlace]", "[{deinterlace: {strength: 0.5}}]",
     "[{deinterlace: {shots: [[0, 4]]}}]"],
)  # fmt: skip
def test_it_is_the_first_step_and_whole(recipe: str) -> None:
    with pytest.raises(RecipeError) as refused:
        parse(recipe, "trial")
    assert refused.value.code == "BAD_PARAMETER"


@pytest.mark.parametrize("lines", [240, 288, 540])
@pytest.mark.parametrize("times", [2, 4])
@pytest.mark.parametrize("shift", [0, 1])
def test_lines_that_stand_twice_are_no_fields(at: House, tmp_path: Path, lines: int, times: int, shift: int) -> None:
    # A picture that moves up by a line: what the doubled lines show alternates as fields do.
    height = lines * 2 // times + 1
    rows, columns = np.mgrid[0:height, 0:32]
    whole = [np.uint8(128 + 60 * np.sin(columns / 7) * np.cos((rows + n) / 9)) for n in range(6)]
    frames = [np.repeat(np.repeat(each, times, axis=0), 2, axis=1)[None, shift : shift + 2 * lines] for each in whole]
    view = probed(at, item(film(tmp_path / "a.mkv", frames, "gray")))
    assert view.facts is not None
    assert view.facts.field_order == ""


def test_fields_of_two_moments_are_no_doubled_lines() -> None:
    moments = _scenes(2)
    assert not fields.is_line_doubled(_woven(*moments)[0])
    assert not fields.is_line_doubled(moments[0][0])
    assert fields.is_line_doubled(np.repeat(moments[0][0], 2, axis=0)[1:-1])
    assert fields.is_line_doubled(moments[0][0][np.arange(76) * 5 // 6])
    assert not fields.is_line_doubled(np.full((4, 4), 7, np.uint8))
