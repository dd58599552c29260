"""Contact sheets: every picture in every column, as PNG and as a page."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import insert

from db.errors import InputError
from db.recipe import Recipe, parse
from db.session import open_database, upgrade
from db.tables import Item, Job
from tests.support import tint
from tests.support.reels import House, film, house, moving
from workers.on_demand.contact_sheet import Column, SheetOrder, make_sheet

JOB = {
    "id": 1, "name": "", "tenant": "", "priority": 0, "state": "done", "epoch": 0, "recipe_json": "{}",
    "recipe_fingerprint": "", "submission_key": "", "manifest_uri": "", "options_json": "{}", "created_at": 0,
}  # fmt: skip
ITEM = {
    "job_id": 1, "seq": 0, "external_id": "a", "extra_json": "{}", "state": "done", "generation": 1, "frames_total": 1,
    "source_json": None,
}  # fmt: skip


@pytest.fixture
def at(tmp_path: Path) -> House:
    return house(tmp_path)


def order(at: House, sources: list[Path], **more: object) -> SheetOrder:
    step = tint.step(tint.pin(at.store, at.folder / "weights"))
    columns = (
        Column(title="tint", recipe=Recipe(name="tint", steps=(step,))),
        Column(title="identity", recipe=parse("[]", "identity")),
    )
    out = str(at.folder / "sheet.png")
    return SheetOrder(sources=tuple(map(str, sources)), columns=columns, out=out, height_px=64, **more)


def photo(path: Path, seed: int = 0) -> Path:
    Image.fromarray(np.random.default_rng(seed).integers(40, 200, (48, 60), np.uint8)).save(path)
    return path


def test_photos_and_frames_of_a_reel_stand_beside_what_became_of_them(at: House, tmp_path: Path) -> None:
    reel = film(tmp_path / "a <b>.mkv", moving(12, 48, 64), "gray")
    made = make_sheet(order(at, [photo(tmp_path / "p.png"), reel], frames=2), at.settings)
    assert made["rows"] == 3
    assert made["notes"] == []
    picture = np.asarray(Image.open(made["png"]).convert("RGB")).astype(int)
    assert picture.shape[1] == 4 * 8 + 3 * 85  # the reel's frames are wider than the photo
    first = picture[56:120, 8 : 8 + 80]
    tinted, same = picture[56:120, 101 : 101 + 80], picture[56:120, 194 : 194 + 80]
    assert np.array_equal(first, same)
    assert (first[..., 0] == first[..., 2]).all()
    assert (tinted[..., 0] - tinted[..., 2]).mean() > 5
    page = Path(made["html"]).read_text(encoding="utf-8")
    assert len(re.findall(r"<img ", page)) == 9
    assert "a &lt;b&gt;.mkv · frame 4" in page
    assert "http" not in page


def test_a_source_that_cannot_be_read_is_a_note_and_the_others_are_shown(at: House, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8 no picture")
    made = make_sheet(order(at, [tmp_path / "bad.jpg", photo(tmp_path / "p.png"), tmp_path / "gone.png"]), at.settings)
    assert made["rows"] == 1
    assert len(made["notes"]) == 2
    with pytest.raises(InputError, match="gone"):
        make_sheet(order(at, [tmp_path / "gone.png"]), at.settings)


def test_a_sheet_never_replaces_a_source(at: House, tmp_path: Path) -> None:
    source = photo(tmp_path / "sheet.png")
    before = source.read_bytes()
    with pytest.raises(InputError) as caught:
        make_sheet(order(at, [source]), at.settings)
    assert caught.value.code == "OUTPUT_ON_SOURCE"
    assert source.read_bytes() == before


@pytest.mark.parametrize("suffix", [".png", ".html"])
def test_a_sheet_knows_a_source_under_any_name(at: House, tmp_path: Path, suffix: str) -> None:
    source = photo(tmp_path / "source.png")
    target = at.folder / f"sheet{suffix}"
    for link in (os.link, os.symlink):
        link(source, target)
        before = source.read_bytes()
        with pytest.raises(InputError) as caught:
            make_sheet(order(at, [source]), at.settings)
        assert caught.value.code == "OUTPUT_ON_SOURCE"
        assert source.read_bytes() == before
        target.unlink()


def test_a_sheet_replaces_a_sheet_and_nothing_else(at: House, tmp_path: Path) -> None:
    mine = at.folder / "sheet.html"
    for seed in range(2):
        made = make_sheet(order(at, [photo(tmp_path / f"{seed}.png", seed)]), at.settings)
        assert f"{seed}.png" in Path(made["html"]).read_text(encoding="utf-8")
    mine.write_text("mine")
    with pytest.raises(InputError) as caught:
        make_sheet(order(at, [photo(tmp_path / "0.png")]), at.settings)
    assert caught.value.code == "ALREADY_THERE"
    assert mine.read_text() == "mine"
    assert not list(at.folder.glob(".reelwright-*"))


def test_a_sheet_keeps_off_what_a_job_reads(at: House, tmp_path: Path) -> None:
    """A sheet of before that a job was made of is a source from then on."""
    make_sheet(order(at, [photo(tmp_path / "0.png")]), at.settings)
    before = (at.folder / "sheet.png").read_bytes()
    with open_database(at.settings) as database:
        upgrade(database)
        with database.write() as connection:
            connection.execute(insert(Job).values(JOB))
            connection.execute(insert(Item).values(uri=str(at.folder / "sheet.png"), **ITEM))
    with pytest.raises(InputError) as caught:
        make_sheet(order(at, [photo(tmp_path / "1.png", 1)]), at.settings)
    assert caught.value.code == "OUTPUT_ON_SOURCE"
    assert (at.folder / "sheet.png").read_bytes() == before


def test_what_a_step_repaired_stands_beside_it_in_red(at: House, tmp_path: Path) -> None:
    frames = [np.clip(frame.astype(int) // 8 + 100, 0, 255).astype(np.uint8) for frame in moving(24, 48, 64, seed=2)]
    frames[12][0, 20:26, 30:36] = 255
    reel = film(tmp_path / "a.mkv", frames, "gray")
    column = Column(title="dirt", recipe=parse("- dirt", "dirt"))
    sheet = SheetOrder(sources=(str(reel),), columns=(column,), out=str(at.folder / "s.png"), height_px=96, frames=1)
    picture = np.asarray(Image.open(make_sheet(sheet, at.settings)["png"]).convert("RGB")).astype(int)
    assert picture.shape[1] == 4 * 8 + 3 * 128
    shown = picture[56:152, 3 * 8 + 2 * 128 : 3 * 8 + 3 * 128]
    red = (shown[..., 0] > 200) & (shown[..., 1] < 80)
    assert red[42:50, 62:70].all()
    assert red.mean() < 0.05
