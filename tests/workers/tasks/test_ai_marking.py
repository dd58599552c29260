"""Whose colour it is, said in every output."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from db import source_types
from db.recipe import Recipe, parse
from db.states import ItemKind
from tests.support import tint
from tests.support.reels import House, film, house, item, moving, whole_life
from workers.media.stills import xmp
from workers.tasks import ai_marking
from workers.tasks.restore_still import restore_still

INVENTED = source_types.uri(source_types.INVENTED)
ENHANCED = source_types.uri(source_types.ENHANCED)


@pytest.fixture
def at(tmp_path: Path) -> House:
    return house(tmp_path)


def _tinted(at: House, **params: Any) -> Recipe:
    return Recipe(name="tinted", steps=(tint.step(tint.pin(at.store, at.folder / "weights"), **params),))


def _still(at: House, name: str, recipe: Recipe, *, colour: bool = False) -> Any:
    samples = np.moveaxis(moving(1, 16, 24, channels=3 if colour else 1)[0], 0, 2)
    Image.fromarray(samples if colour else samples[..., 0]).save(at.folder / name)
    still = item(at.folder / name, kind=ItemKind.STILL).model_copy(update={"recipe": recipe})
    return restore_still(still, at.bench())


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.jp2"])
def test_a_coloured_still_says_so(at: House, name: str) -> None:
    result = _still(at, name, _tinted(at))
    found = xmp.properties(xmp.read(at.path(result.outputs["still"])))
    assert found["DigitalSourceType"] == INVENTED
    assert "weights tint (sha256 " in found["AISystemUsed"]
    assert source_types.has_invented_color(result.facts)


def test_a_corrected_still_says_that_and_an_untouched_one_nothing(at: House) -> None:
    corrected = _still(at, "a.png", parse("- color_enhance", "r"))
    found = xmp.properties(xmp.read(at.path(corrected.outputs["still"])))
    assert found == {"DigitalSourceType": ENHANCED}
    assert not source_types.has_invented_color(corrected.facts)
    for steps in ("[]", "- color_enhance: {strength: 0}"):
        untouched = _still(at, "b.png", parse(steps, "r"))
        assert xmp.read(at.path(untouched.outputs["still"])) is None
        assert "digital_source_type" not in untouched.facts


def test_colour_that_was_there_is_not_invented(at: House) -> None:
    kept = _still(at, "a.png", _tinted(at), colour=True)
    assert not source_types.has_invented_color(kept.facts)
    anew = _still(at, "b.png", _tinted(at, already_colored="recolor"), colour=True)
    assert source_types.has_invented_color(anew.facts)


def test_a_correction_never_hides_what_was_invented_before(at: House, tmp_path: Path) -> None:
    coloured = at.path(_still(at, "a.png", _tinted(at)).outputs["still"])
    again = restore_still(item(coloured, "- color_enhance", kind=ItemKind.STILL), at.bench())
    assert xmp.properties(xmp.read(at.path(again.outputs["still"])))["DigitalSourceType"] == INVENTED
    reel = item(film(tmp_path / "a.mkv", moving(4), "gray")).model_copy(update={"recipe": _tinted(at)})
    master = at.path(whole_life(at, reel)[1].outputs["master"])
    _, second = whole_life(at, item(master, "- color_enhance"))
    with av.open(str(at.path(second.outputs["master"]))) as opened:
        assert opened.metadata["DIGITAL_SOURCE_TYPE"] == INVENTED
        assert "tint" in opened.metadata["AI_COLOUR"]


def test_the_sources_own_packet_survives_a_step(at: House) -> None:
    """OpenImageIO writes packets of its own; the source's must come through word for word."""
    own = xmp.with_mark(None, {"PersonInImage": "somebody"})
    for name in ("a.png", "a.tif"):
        Image.fromarray(moving(1, 16, 24)[0][0]).save(at.folder / name)
        xmp.write(at.folder / name, own)
        untouched = restore_still(item(at.folder / name, kind=ItemKind.STILL), at.bench())
        found = xmp.read(at.path(untouched.outputs["still"]))
        assert found is not None
        assert found.body == own.body


def test_a_coloured_reel_says_so_in_master_and_access_copy(at: House, tmp_path: Path) -> None:
    reel = item(film(tmp_path / "a.mkv", moving(4), "gray")).model_copy(update={"recipe": _tinted(at)})
    _, result = whole_life(at, reel)
    with av.open(str(at.path(result.outputs["master"]))) as opened:
        assert opened.metadata["DIGITAL_SOURCE_TYPE"] == INVENTED
        assert "tint" in opened.metadata["AI_COLOUR"]
    access = at.path(result.outputs["access"])
    with av.open(str(access)) as opened:
        assert opened.metadata["comment"].startswith("Colour invented by Reelwright, stage colorize, weights tint")
        assert len(list(opened.decode(video=0))) == 4
    assert xmp.properties(xmp.read(access))["DigitalSourceType"] == INVENTED
    assert source_types.has_invented_color(result.facts)


def test_a_reel_that_was_only_corrected_claims_no_colour(at: House, tmp_path: Path) -> None:
    _, result = whole_life(at, item(film(tmp_path / "a.mkv", moving(4), "gray"), "- color_enhance"))
    with av.open(str(at.path(result.outputs["master"]))) as opened:
        assert opened.metadata["DIGITAL_SOURCE_TYPE"] == ENHANCED
        assert "AI_COLOUR" not in opened.metadata


@pytest.mark.parametrize(
    ("steps", "expected"),
    [("- denoise: {method: network}", source_types.ENHANCED), ("[]", ""), ("- colorize: {strength: 0}", ""),
     ("- colorize", source_types.INVENTED), ("- upscale: {method: network}", source_types.ENHANCED)],
)  # fmt: skip
def test_what_a_recipe_makes_of_a_grey_still(steps: str, expected: str) -> None:
    assert ai_marking.source_mark(parse(steps, "r"), already_colored=False).source_type == expected


def test_faces_that_a_network_drew_are_marked_as_such_and_not_as_colour() -> None:
    pin = {"card": "spandrel-face:x", "architecture": "spandrel_face", "build": "x", "files": []}
    steps = ({"stage": "face", "params": {"strength": 0.5, "weights": "spandrel-face:x"}, "pins": [pin]},)
    mark = ai_marking.source_mark(Recipe.model_validate({"name": "faces", "steps": steps}), already_colored=False)
    assert mark.result_facts() == {"digital_source_type": source_types.INVENTED, "invented": ["faces"]}
    assert mark.sentence().startswith("Faces invented by Reelwright, stage face, weights spandrel-face:x")
    assert not source_types.has_invented_color(mark.result_facts())
    assert set(mark.tags({})) == {"DIGITAL_SOURCE_TYPE", "AI_FACES"}
    assert pin["card"] in mark.xmp()[xmp.AI_SYSTEM]


def test_a_face_without_a_network_is_only_corrected() -> None:
    mark = ai_marking.source_mark(parse("- face", "r"), already_colored=False)
    assert mark.result_facts() == {"digital_source_type": source_types.ENHANCED}
