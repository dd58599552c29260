"""Frames are taken over from an earlier result, whichever release made it."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from db.records import EarlierResult, ItemView
from tests.support.reels import House, assembled, damaged, film, house, item, planes_of, probed, restored, whole_life
from workers.media.film import ffv1
from workers.media.pixels import Layout

RECIPE = "{recipe: [{dirt: {}}, {deflicker: {window: 3}}], outputs: [master, scores, masks]}"


@pytest.fixture
def at(tmp_path: Path) -> House:
    return house(tmp_path)


def _earlier_release(monkeypatch: pytest.MonkeyPatch) -> None:
    """Encode as releases did that knew one coder."""
    monkeypatch.setattr(ffv1, "suiting_coder", lambda layout: "1")


def _header(path: Path) -> bytes | None:
    with av.open(str(path)) as film_:
        return film_.streams.video[0].codec_context.extradata


def _films(at: House, item_: ItemView, parts: object) -> dict[str, bytes]:
    """The frames of master and masks, as bytes."""
    result = assembled(at, item_, parts)  # type: ignore[arg-type]
    names = [name for name in result.outputs if name == "master" or name.endswith(".mask")]
    films = {name: planes_of(at.path(result.outputs[name])) for name in names}
    return {name: b"".join(plane.tobytes() for frame in each for plane in frame) for name, each in films.items()}


@pytest.mark.parametrize("is_earlier", [False, True])
def test_what_is_taken_over_and_what_is_new_make_one_film(
    at: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_earlier: bool
) -> None:
    path = film(tmp_path / "a.mkv", damaged(24), "gray")
    with monkeypatch.context() as patch:
        if is_earlier:
            _earlier_release(patch)
        item_, first = whole_life(at, item(path, RECIPE, batch_frames=4), 8)
        expected = _films(at, item_, restored(at, item_, 8))
    again = item_.model_copy(update={"base": EarlierResult(generation=1, outputs=first.outputs, frames=(8, 16))})
    parts = restored(at, again, 8)
    headers = {_header(at.path(part.outputs["chunk"])) for part in parts}
    assert {ffv1.coder_of(header, Layout("gray", 8), (32, 48)) for header in headers} == {"0"}
    assert _films(at, again, parts) == expected
    assert len(expected) == 2
    same = [at.path(part.outputs["chunk"]).read_bytes() for part in (parts[0], parts[2])]
    assert len(set(same)) == 2


def test_chunks_of_an_earlier_release_make_a_master_that_can_be_read(
    at: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = damaged(10)
    item_ = probed(at, item(film(tmp_path / "a.mkv", frames, "gray"), "{recipe: [], outputs: [master]}"))
    with monkeypatch.context() as patch:
        _earlier_release(patch)
        parts = restored(at, item_, 4)
    result = assembled(at, item_, parts)
    made = planes_of(at.path(result.outputs["master"]))
    assert [frame[0].tobytes() for frame in made] == [frame[0].tobytes() for frame in frames]
