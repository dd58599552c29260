"""Tags of hostile files: what many pages share is kept once, and what is held is bounded; read back by tifffile."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import ImageCms

from db.states import ItemKind
from tests.support.reels import House, house, item
from workers.media.stills import files as stills
from workers.media.stills import metadata as still_metadata
from workers.media.stills import openimage, tiff_tags
from workers.tasks.restore_still import restore_still

OWN, PROFILE = 65000, 34675


@pytest.fixture
def at(tmp_path: Path) -> House:
    return house(tmp_path)


def made(path: Path, order: str, count: int, body: bytes, tag: int = OWN, type_: int = 3, size: int = 2) -> Path:
    """Pages of one grey pixel whose tag points at one and the same place."""
    pixel_at, body_at, first = 8, 16, 16 + len(body) + len(body) % 2
    out = bytearray({"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HI", 42, first) + bytes(8) + body)
    out += bytes(first - len(out))
    for number in range(count):
        rows = [
            (256, 3, 1, 1), (257, 3, 1, 1), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, pixel_at),
            (277, 3, 1, 1), (278, 3, 1, 1), (279, 4, 1, 1), (tag, type_, len(body) // size, body_at),
        ]  # fmt: skip
        packed = [
            struct.pack(f"{order}HHIHH", *row, 0) if row[1:3] == (3, 1) else struct.pack(f"{order}HHII", *row)
            for row in sorted(rows)
        ]
        following = 0 if number == count - 1 else len(out) + 2 + 12 * len(rows) + 4
        out += struct.pack(f"{order}H", len(rows)) + b"".join(packed) + struct.pack(f"{order}I", following)
    path.write_bytes(out)
    return path


def restored(at: House, path: Path, recipe: str = "[]") -> tuple[Path, tuple[str, ...], dict[str, object]]:
    result = restore_still(item(path, recipe, kind=ItemKind.STILL), at.bench())
    return at.path(result.outputs["still"]), result.notes, result.facts


@pytest.mark.parametrize(("type_", "size"), [(3, 2), (4, 4), (12, 8)])
def test_values_of_the_other_byte_order_make_no_object_each(tmp_path: Path, type_: int, size: int) -> None:
    body = np.arange(1 << 20, dtype=np.uint8).tobytes()
    source = made(tmp_path / "a.tif", ">", 1, body, type_=type_, size=size)
    target = made(tmp_path / "b.tif", "<", 1, b"12345678")
    tracemalloc.start()
    assert tiff_tags.copy_tags(source, target) == ()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * len(body)
    with tifffile.TiffFile(source) as old, tifffile.TiffFile(target) as new:
        assert np.array_equal(new.pages[0].tags[OWN].value, old.pages[0].tags[OWN].value)


@pytest.mark.parametrize("order", ["<", ">"])
def test_what_all_pages_point_at_is_held_and_written_once(at: House, tmp_path: Path, order: str) -> None:
    body = np.random.default_rng(1).bytes(400_000)
    path = made(tmp_path / "a.tif", order, 40, body)
    still, notes, _ = restored(at, path)
    assert not notes
    assert still.stat().st_size < 3 * path.stat().st_size
    with tifffile.TiffFile(path) as old, tifffile.TiffFile(still) as new:
        assert len(new.pages) == 40
        for before, after in zip(old.pages, new.pages, strict=True):
            assert np.array_equal(after.tags[OWN].value, before.tags[OWN].value)


def test_profiles_that_all_pages_share_do_not_swell_the_result(
    at: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = profile[:16] + b"GRAY" + profile[20:] + bytes(100_000)
    monkeypatch.setattr(openimage, "MAX_PROFILE_BYTES", 3 * len(profile))
    still, notes, _ = restored(at, made(tmp_path / "a.tif", "<", 30, profile, PROFILE, 7, 1))
    assert "ICC profiles of more than" in notes[0]
    assert still.stat().st_size < 5 * len(profile)
    with tifffile.TiffFile(still) as opened:
        assert [PROFILE in page.tags for page in opened.pages] == [True] * 3 + [False] * 27


def test_tags_that_hold_too_much_together_are_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiff_tags, "MAX_BYTES", 1000)
    source = made(tmp_path / "a.tif", "<", 1, bytes(2000))
    target = made(tmp_path / "b.tif", "<", 1, b"12345678")
    assert tiff_tags.copy_tags(source, target) == ("1 of the source's tags hold too much together and were left out.",)
    with tifffile.TiffFile(target) as opened:
        assert OWN not in opened.pages[0].tags


def test_directories_may_not_hold_tags_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiff_tags, "MAX_ENTRIES", 99)
    source, target = made(tmp_path / "a.tif", "<", 10, b"1234"), made(tmp_path / "b.tif", "<", 1, b"1234")
    before = target.read_bytes()
    with pytest.raises(ValueError, match="too many tags"):
        tiff_tags.copy_tags(source, target)
    assert target.read_bytes() == before


@pytest.mark.parametrize("order", ["<", ">"])
def test_pages_beyond_those_that_are_read_are_counted(
    at: House, tmp_path: Path, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiff_tags, "MAX_PAGES", 5)
    path = made(tmp_path / "a.tif", order, 12, b"12345678")
    still, notes, facts = restored(at, path)
    assert notes == ("7 more pages of the file were left out.",)
    assert facts["pages"] == 12
    with tifffile.TiffFile(still) as opened:
        assert len(opened.pages) == 5
        assert all(OWN in page.tags for page in opened.pages)


def test_a_chain_that_closes_is_counted_once_round(tmp_path: Path) -> None:
    path = made(tmp_path / "a.tif", "<", 3, b"12345678")
    body = bytearray(path.read_bytes())
    body[-4:] = body[4:8]
    path.write_bytes(body)
    assert tiff_tags.page_count(path) == 3
    assert stills.kind_of(path) == "tiff"


@pytest.mark.parametrize("place", [b"\xff" * 8, b"\xff" * 7 + b"\x7f", b"\0\0\0\0\1\0\0\0"])
def test_a_place_that_no_file_has_costs_a_note_and_no_further_attempt(tmp_path: Path, place: bytes) -> None:
    source, target = tmp_path / "a.tif", tmp_path / "b.tif"
    for path in (source, target):
        tifffile.imwrite(path, np.zeros((4, 4), np.uint8), bigtiff=True, metadata=None)
    body = bytearray(source.read_bytes())
    body[8:16] = place
    source.write_bytes(body)
    before = target.read_bytes()
    (note,) = still_metadata.copy_metadata(source, target)
    assert "could not be followed" in note
    assert target.read_bytes() == before
