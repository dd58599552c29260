"""Every layout of samples that can be written here, by writers of other families, against what they were given.

tifffile and imagecodecs write and read back each file; then ours reads it: the same picture, or a refusal by name.
``docs/sequences.md`` shows the table.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageCms

from db.errors import InputError
from db.settings import Settings
from tests.support import sequences
from workers.media.stills import files as stills

HEIGHT, WIDTH = 20, 34
PAGE = Path(__file__).parents[4] / "docs" / "sequences.md"
ALPHA, ASSOCIATED, OTHER = "unassalpha", "assocalpha", "unspecified"
COLORS = {"minisblack": 1, "miniswhite": 1, "rgb": 3, "palette": 1, "separated": 4}
NAMES = {"minisblack": "grey, black is 0", "miniswhite": "grey, white is 0", "separated": "CMYK", "rgb": "RGB"}
EXTRAS = {
    (): "none",
    (ALPHA,): "alpha",
    (ASSOCIATED,): "alpha, multiplied",
    (OTHER,): "another",
    (ALPHA, OTHER): "alpha, another",
}
PILLOWS = {("minisblack", 8), ("minisblack", 16), ("miniswhite", 8), ("rgb", 8)}
"""What Pillow reads right of compressions that OpenImageIO lacks."""
LOSSLESS = (None, "lzw", "zlib", "packbits")


@dataclass(frozen=True)
class TableRow:
    """A line of the table: depths that are read, and what others are refused with."""

    photometric: str
    extra: tuple[str, ...]
    read: tuple[int, ...]
    refused: str = ""


DEPTHS = (1, 2, 4, 8, 10, 12, 14, 16)
TABLE = (
    TableRow("minisblack", (), DEPTHS),
    *(TableRow("minisblack", extra, DEPTHS) for extra in ((ALPHA,), (ASSOCIATED,), (OTHER,))),
    TableRow("minisblack", (ALPHA, OTHER), (), "3 samples a pixel"),
    TableRow("miniswhite", (), DEPTHS),
    *(TableRow("miniswhite", extra, DEPTHS) for extra in ((ALPHA,), (ASSOCIATED,), (OTHER,))),
    TableRow("miniswhite", (ALPHA, OTHER), (), "3 samples a pixel"),
    TableRow("rgb", (), DEPTHS),
    *(TableRow("rgb", extra, DEPTHS) for extra in ((ALPHA,), (ASSOCIATED,), (OTHER,), (ALPHA, OTHER))),
    *(TableRow("separated", extra, (8, 16), "CMYK of") for extra in ((), (ALPHA,), (ASSOCIATED,), (OTHER,))),
    TableRow("separated", (ALPHA, OTHER), (), "6 samples a pixel"),
)


def _read(path: Path) -> stills.Photo:
    return stills.read(path, Settings(home=path.parent))


def _write(path: Path, row: TableRow, bits: int, **options: Any) -> NDArray[Any]:
    """Write a TIFF of random samples ``(H, W, C)`` and return them, once the second reader has them back."""
    channels = COLORS[row.photometric] + len(row.extra)
    samples = np.random.default_rng(bits).integers(0, 2**bits, (HEIGHT, WIDTH, channels))
    samples = samples.astype(np.uint8 if bits <= 8 else np.uint16)
    data = samples if channels > 1 else samples[..., 0]
    if options.get("planarconfig") == "separate" and channels > 1:
        data = np.moveaxis(data, 2, 0)
    elif channels == 1:
        options.pop("planarconfig", None)
    if bits not in {8, 16}:
        options["bitspersample"] = bits
    if row.extra:
        options["extrasamples"] = list(row.extra)
    tifffile.imwrite(path, data, photometric=row.photometric, metadata=None, **options)
    assert np.array_equal(tifffile.imread(path), data)
    return samples


def _colors(row: TableRow, samples: NDArray[Any], bits: int) -> NDArray[Any]:
    """The picture by arithmetic: of 8 bits where the file has fewer."""
    top, colors = 2**bits - 1, samples[..., : COLORS[row.photometric]].astype(float)
    if row.photometric == "miniswhite":
        colors = top - colors
    if row.photometric == "separated":
        colors = (top - colors[..., :3]) * (top - colors[..., 3:]) / top
    return np.rint(colors * (255 / top if bits < 8 else 1))


def _check(path: Path, row: TableRow, bits: int, samples: NDArray[Any]) -> None:
    photo = _read(path)
    colors = _colors(row, samples, bits)
    assert photo.samples.shape == colors.shape
    # What Pillow takes CMYK apart with rounds twice.
    assert np.abs(photo.samples - colors).max() <= (1 if row.photometric == "separated" and bits == 8 else 0)
    assert photo.depth_bits == max(bits, 8)
    if row.photometric != "separated" and {ALPHA, ASSOCIATED} & set(row.extra):
        assert photo.alpha is not None
        alpha = samples[..., COLORS[row.photometric]]
        assert np.array_equal(photo.alpha, np.rint(alpha * (255 / (2**bits - 1))) if bits < 8 else alpha)
    elif row.extra:
        assert any("left out (1)" in note for note in photo.notes)


@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("row", TABLE, ids=lambda row: "-".join((row.photometric, *row.extra)))
def test_every_layout_is_the_same_picture_or_is_refused_by_name(tmp_path: Path, row: TableRow, planes: str) -> None:
    for bits in DEPTHS:
        samples = _write(tmp_path / "a.tif", row, bits, planarconfig=planes)
        if bits in row.read:
            _check(tmp_path / "a.tif", row, bits, samples)
        else:
            with pytest.raises(InputError, match=row.refused) as caught:
                _read(tmp_path / "a.tif")
            assert caught.value.code == "UNSUPPORTED_PIXELS"


def _is_read(row: TableRow, bits: int, planes: str, compression: str | None, tile: tuple[int, int] | None) -> bool:
    plain = (bits, row.extra) == (8, ())
    if compression in LOSSLESS:
        in_planes = row.photometric == "separated" and planes == "separate" and compression and not tile
        return plain or not in_planes
    is_one = planes == "contig" or COLORS[row.photometric] == 1
    return not row.extra and (
        ((row.photometric, bits) in PILLOWS and is_one) or (row.photometric, bits) == ("separated", 8)
    )


@pytest.mark.parametrize("compression", [*LOSSLESS, "lzma", "zstd"])
@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_every_compression_gives_the_same_picture_or_is_refused(
    tmp_path: Path, compression: str | None, planes: str, tile: tuple[int, int] | None
) -> None:
    rows = [row for row in TABLE if row.extra in {(), (ALPHA,)} and row.read]
    for row, bits, order in product(rows, (8, 16), "<>"):
        samples = _write(
            tmp_path / "a.tif", row, bits, planarconfig=planes, compression=compression, tile=tile, byteorder=order
        )
        if _is_read(row, bits, planes, compression, tile):
            _check(tmp_path / "a.tif", row, bits, samples)
            continue
        with pytest.raises(InputError) as caught:
            _read(tmp_path / "a.tif")
        assert caught.value.code == "UNSUPPORTED_PIXELS"


@pytest.mark.parametrize("predictor", [False, True])
@pytest.mark.parametrize("bits", [8, 16])
def test_predicted_samples_are_undone(tmp_path: Path, predictor: bool, bits: int) -> None:
    row = TABLE[0]
    for compression in ("lzw", "zlib"):
        samples = _write(tmp_path / "a.tif", row, bits, compression=compression, predictor=predictor)
        _check(tmp_path / "a.tif", row, bits, samples)


def table_text() -> str:
    """The table as the page shows it."""
    lines = ["| samples | beside colour | bits | refused |", "|---|---|---|---|"]
    for row in TABLE:
        read = ", ".join(str(bits) for bits in row.read) or "none"
        rest = "" if row.read == DEPTHS else "other depths" if row.read else "all"
        lines.append(f"| {NAMES[row.photometric]} | {EXTRAS[row.extra]} | {read} | {rest} |")
    return "\n".join(lines)


def test_the_page_shows_the_table() -> None:
    assert table_text() in PAGE.read_text(encoding="utf-8")


def test_a_palette_is_looked_up_and_one_with_samples_beside_it_is_refused(tmp_path: Path) -> None:
    colors = np.random.default_rng(1).integers(0, 256, (3, 256)).astype(np.uint16)
    indices = sequences.samples(1, 1, 8)[..., 0]
    tifffile.imwrite(tmp_path / "a.tif", indices, photometric="palette", colormap=colors * 257, metadata=None)
    assert np.array_equal(_read(tmp_path / "a.tif").samples, np.moveaxis(colors[:, indices], 0, 2))
    tifffile.imwrite(
        tmp_path / "b.tif",
        np.stack([indices, indices], -1),
        photometric="minisblack",
        planarconfig="contig",
        metadata=None,
    )
    body = (tmp_path / "b.tif").read_bytes()
    row = body.index(struct.pack("<HHI", 262, 3, 1))
    (tmp_path / "b.tif").write_bytes(body[: row + 8] + struct.pack("<H", 3) + body[row + 10 :])
    with pytest.raises(InputError, match="a palette and 1") as caught:
        _read(tmp_path / "b.tif")
    assert caught.value.code == "UNSUPPORTED_PIXELS"


@pytest.mark.parametrize(
    ("bits", "scale", "what"),
    [(8, 1, "colours are all below 256"), (16, 257, "a palette of 16 bits"), (8, 0, "a palette that is not there")],
)
def test_a_palette_that_no_reader_gets_right_is_refused_by_name(
    tmp_path: Path, bits: int, scale: int, what: str
) -> None:
    colors = np.random.default_rng(1).integers(0, 256, (3, 2**bits)).astype(np.uint16) * np.uint16(scale)
    indices = sequences.samples(1, 1, bits)[..., 0]
    tifffile.imwrite(tmp_path / "a.tif", indices, photometric="palette", colormap=colors, metadata=None)
    if not scale:
        body = (tmp_path / "a.tif").read_bytes()
        (tmp_path / "a.tif").write_bytes(body.replace(struct.pack("<HH", 320, 3), struct.pack("<HH", 40000, 3)))
    with pytest.raises(InputError, match=what) as caught:
        _read(tmp_path / "a.tif")
    assert caught.value.code == "UNSUPPORTED_PIXELS"


def test_inks_that_are_named_otherwise_and_complex_samples_are_refused(tmp_path: Path) -> None:
    samples = sequences.samples(1, 4, 16)
    tifffile.imwrite(
        tmp_path / "a.tif", samples, photometric="separated", extratags=[(332, 3, 1, 2, True)], metadata=None
    )
    tifffile.imwrite(tmp_path / "b.tif", samples[..., 0].astype(np.complex64), metadata=None)
    for name, what in (("a.tif", "other inks than CMYK"), ("b.tif", "complex samples")):
        with pytest.raises(InputError, match=what) as caught:
            _read(tmp_path / name)
        assert caught.value.code == "UNSUPPORTED_PIXELS"


def test_cmyk_of_sixteen_bits_keeps_them_and_is_written_as_rgb(tmp_path: Path) -> None:
    row = next(row for row in TABLE if row.photometric == "separated")
    samples = _write(tmp_path / "a.tif", row, 16)
    made, notes = stills.write(_read(tmp_path / "a.tif"), tmp_path / "b")
    with tifffile.TiffFile(made) as opened:
        assert np.array_equal(opened.asarray(), _colors(row, samples, 16))
        assert opened.pages[0].photometric == tifffile.PHOTOMETRIC.RGB
    assert not notes


def test_cmyk_of_sixteen_bits_with_a_profile_that_cannot_be_followed_is_inverted(tmp_path: Path) -> None:
    row = next(row for row in TABLE if row.photometric == "separated")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    samples = _write(tmp_path / "a.tif", row, 16, iccprofile=profile)
    assert np.array_equal(_read(tmp_path / "a.tif").samples, _colors(row, samples, 16))


# -- PNG, JPEG 2000, PNM, BMP


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png_is_the_same_picture(tmp_path: Path, bits: int, channels: int) -> None:
    samples = sequences.samples(1, channels, bits)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(samples if channels > 1 else samples[..., 0]))
    photo = _read(tmp_path / "a.png")
    assert np.array_equal(photo.samples, samples[..., : 3 if channels > 2 else 1])
    assert (photo.alpha is None) == (channels % 2 == 1)
    assert photo.alpha is None or np.array_equal(photo.alpha, samples[..., -1])


@pytest.mark.parametrize("codec", ["jp2", "j2k"])
@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_jpeg2000_is_the_same_picture_and_stays_it_or_is_refused(
    tmp_path: Path, codec: str, bits: int, channels: int
) -> None:
    samples = sequences.samples(1, channels, bits, 40, 40)
    body = imagecodecs.jpeg2k_encode(
        samples if channels > 1 else samples[..., 0], level=0, reversible=True, codecformat=codec, bitspersample=bits,
        colorspace="SRGB" if channels > 2 else "GRAY",
    )  # fmt: skip
    (tmp_path / f"a.{codec}").write_bytes(body)
    if channels == 2 and bits > 8:
        with pytest.raises(InputError, match="components") as caught:
            _read(tmp_path / f"a.{codec}")
        assert caught.value.code == "UNSUPPORTED_PIXELS"
        return
    photo = _read(tmp_path / f"a.{codec}")
    assert np.array_equal(photo.samples, samples[..., : 3 if channels > 2 else 1])
    made, notes = stills.write(photo, tmp_path / "b")
    assert (made.suffix, len(notes)) == ((".png", 1) if channels == 2 else (".jp2", 0))
    again = np.asarray(imagecodecs.imread(made))
    assert np.array_equal(again.reshape(samples.shape), samples)


@pytest.mark.parametrize("space", [b" ", b""])
def test_bits_written_as_figures_are_read_with_and_without_spaces(tmp_path: Path, space: bytes) -> None:
    bits = sequences.samples(1, 1, 8)[..., 0] > 127
    rows = b"\n".join(space.join(b"1" if bit else b"0" for bit in row) for row in bits)
    (tmp_path / "a.pbm").write_bytes(b"P1\n# a page\n34 24\n" + rows + b"\n")
    photo = _read(tmp_path / "a.pbm")
    assert np.array_equal(photo.samples[..., 0], np.where(bits, 0, 255))
    made, _ = stills.write(photo, tmp_path / "b")
    assert np.array_equal(np.asarray(Image.open(made)), photo.samples[..., 0])


def _bitmap(bits: int, masks: tuple[int, ...], samples: NDArray[Any], header_bytes: int = 40) -> bytes:
    """A BMP whose colours lie where the masks say."""
    height, width = samples.shape
    info = struct.pack("<IiiHHIIiiII", header_bytes, width, height, 1, bits, 3, samples.nbytes, 0, 0, 0, 0)
    info = (info + struct.pack(f"<{len(masks)}I", *masks)).ljust(header_bytes, b"\0")
    return (
        b"BM" + struct.pack("<IHHI", 14 + len(info) + samples.nbytes, 0, 0, 14 + len(info)) + info + samples.tobytes()
    )


@pytest.mark.parametrize(
    ("bits", "masks", "is_read"),
    [(16, (0xF800, 0x7E0, 0x1F), True), (16, (0x7C00, 0x3E0, 0x1F), True), (16, (0xF00, 0xF0, 0xF), False),
     (32, (0xFF0000, 0xFF00, 0xFF), True), (32, (0xFF000000, 0xFF0000, 0xFF00), True),
     (32, (0x3FF00000, 0xFFC00, 0x3FF), False)],
)  # fmt: skip
def test_bitfields_are_read_or_refused_by_name(
    tmp_path: Path, bits: int, masks: tuple[int, ...], is_read: bool
) -> None:
    samples = np.random.default_rng(2).integers(0, 2**bits, (20, 34)).astype(f"<u{bits // 8}")
    (tmp_path / "a.bmp").write_bytes(_bitmap(bits, masks, samples))
    if not is_read:
        with pytest.raises(InputError, match="bitfields") as caught:
            _read(tmp_path / "a.bmp")
        assert caught.value.code == "UNSUPPORTED_PIXELS"
        return
    parts = [(samples & mask).astype(float) * (255 / mask) for mask in masks]
    assert np.abs(_read(tmp_path / "a.bmp").samples - np.stack(parts, -1)[::-1]).max() < 1


def test_alpha_of_a_bitmap_is_kept_in_png(tmp_path: Path) -> None:
    samples = sequences.samples(1, 4, 8, 20, 34)
    masks = (0xFF, 0xFF00, 0xFF0000, 0xFF000000)
    (tmp_path / "a.bmp").write_bytes(_bitmap(32, masks, samples.view("<u4")[..., 0], 108))
    made, notes = stills.write(_read(tmp_path / "a.bmp"), tmp_path / "b")
    assert np.array_equal(np.asarray(Image.open(made)), samples[::-1])
    assert any("PNG" in note for note in notes)
