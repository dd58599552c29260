"""What stands beside the pixels, by independent readers: Pillow for TIFF, JPEG and PNG, OpenImageIO for pixels."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from db.errors import InputError
from db.records import ItemResult
from db.settings import Settings
from db.states import ItemKind
from tests.support import sequences
from tests.support.reels import House, house, item, whole_life
from workers.media.stills import files as stills
from workers.media.stills import metadata as still_metadata
from workers.tasks.restore_still import restore_still


@pytest.fixture
def at(tmp_path: Path) -> House:
    return house(tmp_path)


def _still(at: House, path: Path, recipe: str = "[]") -> tuple[Path, ItemResult]:
    result = restore_still(item(path, recipe, kind=ItemKind.STILL), at.bench())
    return at.path(result.outputs["still"]), result


def _tiff(path: Path, samples: Any, order: str = "<", big: bool = False, pages: int = 1, **more: Any) -> Path:
    """A TIFF with tags that OpenImageIO knows nothing of, on every page other ones."""
    with tifffile.TiffWriter(path, byteorder=order, bigtiff=big) as out:
        for page in range(pages):
            extra = [
                (315, "s", 0, "N. N.", True), (306, "s", 20, "1999:12:31 23:59:59", True),
                (65000, "d", 3, (1.5, -2.5, 3e300), True), (65001, "H", 2, (258, page), True),
                (33723, "B", 45, bytes([28, 2, 0, 0, page] * 9), True),
            ]  # fmt: skip
            out.write(
                samples, photometric="rgb", extratags=extra, description=f"page {page}", software=f"scanner {page}",
                resolution=(300.5, 600), metadata=None, **more,
            )  # fmt: skip
    return path


def _with_exif(path: Path, order: str) -> Path:
    """Put an EXIF directory with a lens and a date into a classic TIFF."""
    body = bytearray(path.read_bytes())
    date, lens = b"1901:02:03 04:05:06\0", b"an old lens\0"
    values = len(body) + len(body) % 2
    body += bytes(len(body) % 2) + date + lens
    exif = len(body)
    rows = struct.pack(f"{order}HHII", 36867, 2, 20, values) + struct.pack(f"{order}HHII", 42036, 2, 12, values + 20)
    body += struct.pack(f"{order}H", 2) + rows + bytes(4)
    (first,) = struct.unpack_from(f"{order}I", body, 4)
    (count,) = struct.unpack_from(f"{order}H", body, first)
    old = [bytes(body[first + 2 + 12 * n : first + 14 + 12 * n]) for n in range(count)]
    row = struct.pack(f"{order}HHII", 0x8769, 4, 1, exif)
    made = sorted([*old, row], key=lambda entry: struct.unpack_from(f"{order}H", entry)[0])
    following = bytes(body[first + 2 + 12 * count : first + 6 + 12 * count])
    struct.pack_into(f"{order}I", body, 4, len(body))
    path.write_bytes(bytes(body) + struct.pack(f"{order}H", count + 1) + b"".join(made) + following)
    return path


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("recipe", ["[]", "[{upscale: {scale: 2}}]"])
def test_every_tag_of_every_page_stays(at: House, tmp_path: Path, order: str, big: bool, recipe: str) -> None:
    samples = sequences.samples(1, 3, 16)
    path = _tiff(tmp_path / "a.tif", samples, order, big, pages=3)
    made, result = _still(at, path, recipe)
    assert not result.notes
    with tifffile.TiffFile(path) as before, tifffile.TiffFile(made) as after:
        assert len(after.pages) == 3
        for old, new in zip(before.pages, after.pages, strict=True):
            for tag in (270, 282, 283, 296, 305, 306, 315, 33723, 65000, 65001):
                assert new.tags[tag].value == old.tags[tag].value
            if recipe == "[]":  # else the first page is marked as changed, in XMP
                assert np.array_equal(new.asarray(), samples)
                assert 700 not in new.tags
    opened = sequences.read(made)
    assert opened.shape[0] == samples.shape[0] * (1 if recipe == "[]" else 2)


@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_in_tiff_stays(at: House, tmp_path: Path, order: str) -> None:
    path = _with_exif(_tiff(tmp_path / "a.tif", sequences.samples(1, 3, 8), order), order)
    made, result = _still(at, path)
    assert not result.notes
    for file in (path, made):
        with Image.open(file) as opened:
            exif = opened.getexif().get_ifd(0x8769)
            assert (exif[36867], exif[42036]) == ("1901:02:03 04:05:06", "an old lens")


def test_a_tiff_without_date_or_xmp_gets_none(at: House, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", sequences.samples(1, 3, 8), photometric="rgb", metadata=None, software=False)
    made, _ = _still(at, tmp_path / "a.tif")
    with tifffile.TiffFile(made) as opened:
        assert not {305, 306, 700} & set(opened.pages[0].tags.keys())


def test_png_keeps_its_words_and_its_exif_upright(at: House, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"
    words = PngInfo()
    words.add_text("Title", "Straße", zip=True)
    words.add_itxt("Beschreibung", "Grüße aus der Straße", lang="de")
    picture = Image.fromarray(sequences.samples(1, 3, 8))
    picture.save(tmp_path / "a.png", exif=exif, pnginfo=words, dpi=(300, 300))
    made, result = _still(at, tmp_path / "a.png")
    assert not result.notes
    with Image.open(made) as opened, Image.open(tmp_path / "a.png") as source:
        assert np.array_equal(np.asarray(opened), np.rot90(np.asarray(picture), -1))
        assert opened.text == source.text
        assert opened.info["dpi"] == source.info["dpi"]
        assert (opened.getexif()[0x010F], opened.getexif()[0x0112]) == ("maker", 1)


def test_jpeg_keeps_its_comment_and_iptc(at: House, tmp_path: Path) -> None:
    Image.fromarray(sequences.samples(1, 3, 8)).save(tmp_path / "a.jpg", comment=b"a street")
    iptc = b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x05\x1c\x02\x00\x00\x00\0"
    body = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(body[:2] + b"\xff\xed" + struct.pack(">H", len(iptc) + 2) + iptc + body[2:])
    made, _ = _still(at, tmp_path / "a.jpg")
    with Image.open(made) as opened:
        assert opened.info["comment"] == b"a street"
        assert opened.info["photoshop"] == {0x0404: b"\x1c\x02\x00\x00\x00"}


def test_jpeg2000_keeps_boxes_of_others(at: House, tmp_path: Path) -> None:
    path = sequences.write(tmp_path / "a.jp2", sequences.samples(1, 3, 8, 40, 40))
    box = struct.pack(">I4s", 28, b"uuid") + b"0123456789abcdef" + b"geo!"
    path.write_bytes(path.read_bytes() + box)
    made, _ = _still(at, path)
    assert made.read_bytes().endswith(box)
    assert np.array_equal(sequences.read(made), sequences.samples(1, 3, 8, 40, 40))


def test_frames_of_a_sequence_keep_their_own_tags(at: House, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(3):
        path = tmp_path / "in" / f"f_{number:04d}.tif"
        samples = sequences.samples(number, 3, 16)
        tifffile.imwrite(path, samples, photometric="rgb", metadata=None, description=f"frame {number}", software="s")
    steps = "{recipe: [{denoise: {method: spatial, shots: [[900, 901]]}}], outputs: [sequence]}"
    reel = item(tmp_path / "in", steps, sequence=sequences.numbered(".tif", 0, 2), batch_frames=1)
    for number, body in enumerate(sequences.files(at, whole_life(at, reel, 2)[1]).values()):
        (tmp_path / "made.tif").write_bytes(body)
        with tifffile.TiffFile(tmp_path / "made.tif") as opened:
            assert opened.pages[0].description == f"frame {number}"
            assert np.array_equal(opened.asarray(), sequences.samples(number, 3, 16))


@pytest.mark.parametrize("suffix", ["tif", "png", "jpg", "jp2"])
def test_hostile_luggage_costs_a_note_and_no_sample(tmp_path: Path, suffix: str) -> None:
    pixels, rng = sequences.samples(1, 3, 8, 40, 40), np.random.default_rng(7)
    source, target, plain = (tmp_path / f"{name}.{suffix}" for name in ("source", "target", "plain"))
    if suffix == "tif":
        _with_exif(_tiff(source, pixels), "<")
    else:
        Image.fromarray(pixels).save(source, **({"comment": b"x" * 300} if suffix == "jpg" else {}))
    body = source.read_bytes()
    if suffix == "jpg":
        Image.fromarray(pixels).save(plain, quality=90)
    else:
        sequences.write(plain, pixels)
    expected, noted = sequences.read(plain), 0
    for _ in range(150):
        broken = bytearray(body[: int(rng.integers(60, len(body)))] if rng.integers(3) == 0 else body)
        for _ in range(int(rng.integers(1, 6))):
            broken[int(rng.integers(4, len(broken)))] = int(rng.integers(256))
        source.write_bytes(broken)
        target.write_bytes(plain.read_bytes())
        noted += bool(still_metadata.copy_metadata(source, target))
        assert np.array_equal(sequences.read(target), expected)
    assert noted or suffix == "jp2"


def _with_packed(path: Path, name: bytes, head: bytes, unfolded_bytes: int, count: int) -> Path:
    """Write a PNG with chunks that each unfold to so many bytes."""
    cv2.imwrite(str(path), np.zeros((8, 8), np.uint8))
    body, packed = path.read_bytes(), name + head + zlib.compress(bytes(unfolded_bytes), 9)
    chunk = struct.pack(">I", len(packed) - 4) + packed + struct.pack(">I", zlib.crc32(packed))
    path.write_bytes(body[:33] + chunk * count + body[33:])
    return path


_PACKED = [
    (b"zTXt", b"Comment\0\0"),
    (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0"),
    (b"iTXt", b"Title\0\1\0en\0Titel\0"),
    (b"iCCP", b"sRGB\0\0"),
]


@pytest.mark.parametrize(("name", "head"), _PACKED)
def test_packed_texts_that_unfold_to_too_much_together_are_refused(tmp_path: Path, name: bytes, head: bytes) -> None:
    path = _with_packed(tmp_path / "a.png", name, head, 7_000_000, 12)
    with pytest.raises(InputError, match="packed texts unfold to more than") as caught:
        stills.header(path, Settings(home=tmp_path))
    assert caught.value.code == "TOO_LARGE"


@pytest.mark.parametrize(("name", "head"), _PACKED)
def test_some_packed_texts_are_read(tmp_path: Path, name: bytes, head: bytes) -> None:
    path = _with_packed(tmp_path / "a.png", name, head, 10_000, 3)
    assert stills.header(path, Settings(home=tmp_path)).width == 8


def test_plain_texts_and_a_file_that_is_cut_off_are_its_readers_affair(tmp_path: Path) -> None:
    path = _with_packed(tmp_path / "a.png", b"iTXt", b"Title\0\0\0\0\0", 10, 2)
    assert stills.header(path, Settings(home=tmp_path)).width == 8
    path.write_bytes(path.read_bytes()[:-6])
    assert stills.header(path, Settings(home=tmp_path)).width == 8
