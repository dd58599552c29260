"""Our DPX against OpenImageIO's and FFmpeg's."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from db.errors import InputError
from tests.support import sequences
from workers.media.stills import dpx

PACKINGS = ("Packed", "Filled, method A", "Filled, method B")


def made(path: Path, order: str = "<", samples: Any = None, tail: bytes = b"", **fields: Any) -> Path:
    """A file of ours with a whole header."""
    samples = sequences.samples(1, 3, 10) if samples is None else samples
    height, width, channels = samples.shape
    head = dpx.DpxHeader((b"SDPX" if order == ">" else b"XPDS") + bytes(2044), width, height, channels, 10, 0)
    values = {
        "offset": 2048, "version": b"V2.0", "elements": 1, "width": width, "height": height,
        "descriptor": {1: 6, 3: 50, 4: 51}[channels], "bits": 10, "packing": 1, "picture_offset": 2048, **fields,
    }  # fmt: skip
    raw = head.with_fields(**values).raw
    count, bits = width * channels, values["bits"]
    stride = {8: count, 16: 2 * count, 12: 2 * count if values["packing"] else -(-count * 12 // 32) * 4}.get(bits)
    stride = stride or (-(-count // 3) * 4 if values["packing"] else -(-count * 10 // 32) * 4)
    dpx.write(path, dpx.DpxHeader(raw, width, height, channels, bits, stride, tail), samples)
    return path


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("bits", [10, 12, 16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("big", [0, 1])
def test_openimageio_and_we_read_the_same(tmp_path: Path, packing: str, bits: int, channels: int, big: int) -> None:
    for width in (34, 35):
        samples = sequences.samples(width, channels, bits, width=width)
        stretched = bits if bits < 16 else 0
        more = {"oiio__Endian": "big"} if big else {}
        path = sequences.write(tmp_path / "a.dpx", samples, stretched, dpx__Packing=packing, **more)
        head, found = dpx.read(path)
        assert np.array_equal(found, samples)
        assert (head.order == ">") == bool(big)
        dpx.write(tmp_path / "b.dpx", head, found)
        assert np.array_equal(sequences.read(tmp_path / "b.dpx", stretched), samples)
        # Fill bits in lines that end inside a word are the one thing that may differ.
        assert (tmp_path / "b.dpx").read_bytes()[: len(head.raw)] == path.read_bytes()[: len(head.raw)]


@pytest.mark.parametrize(("name", "bits", "packing"), [("rgb24", 8, 0), ("gbrp10le", 10, 1), ("gbrp12le", 12, 1)])
def test_what_we_write_ffmpeg_reads(tmp_path: Path, name: str, bits: int, packing: int) -> None:
    samples = sequences.samples(1, 3, bits, 24, 32)
    path = made(tmp_path / "a_1.dpx", ">", samples, bits=bits, packing=packing)
    with av.open(str(path), format="dpx_pipe") as opened:
        frame = next(opened.decode(video=0))
    dtype = np.uint8 if bits == 8 else np.uint16
    planes = [np.frombuffer(memoryview(plane), dtype).reshape(24, -1) for plane in frame.planes]
    if bits == 8:
        assert np.array_equal(planes[0][:, :96].reshape(24, 32, 3), samples)
    else:
        assert all(np.array_equal(planes[at][:, :32], samples[..., channel]) for at, channel in enumerate((1, 2, 0)))


@pytest.mark.parametrize(
    "name",
    ["gray", "rgb24", "rgba", "abgr", "gray16le", "gray16be", "rgb48le", "rgb48be", "rgba64be", "gbrp10le", "gbrp10be",
     "gbrp12le", "gbrp12be"],
)  # fmt: skip
def test_what_ffmpeg_writes_we_read_and_write_again_byte_for_byte(tmp_path: Path, name: str) -> None:
    for width in (34, 35, 36):
        frame, rng = av.VideoFrame(width, 20, name), np.random.default_rng(width)
        bits, parts = frame.format.components[0].bits, len(frame.format.components)
        dtype = np.dtype(np.uint8 if bits == 8 else ">u2" if name.endswith("be") else "<u2")
        planes = []
        for plane in frame.planes:
            rows = np.frombuffer(memoryview(plane), dtype).reshape(20, -1)
            rows[:] = rng.integers(0, 2**bits, rows.shape)
            planes.append(rows[:, : width * (1 if len(frame.planes) > 1 else parts)])
        coder = av.codec.CodecContext.create("dpx", "w")
        coder.width, coder.height, coder.pix_fmt, coder.time_base = width, 20, name, Fraction(1, 24)
        frame.pts = 0
        body = b"".join(bytes(packet) for packet in [*coder.encode(frame), *coder.encode(None)])
        (tmp_path / "a.dpx").write_bytes(body)
        head, samples = dpx.read(tmp_path / "a.dpx")
        expected = np.stack([planes[2], planes[0], planes[1]], axis=2) if len(planes) == 3 else planes[0]
        expected = expected.reshape(20, width, parts)
        assert np.array_equal(samples, expected[..., ::-1] if name == "abgr" else expected)
        dpx.write(tmp_path / "b.dpx", head, samples)
        assert (tmp_path / "b.dpx").read_bytes() == body


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("bits", "packing"), [(8, 0), (10, 0), (10, 1), (10, 2), (12, 0), (12, 1), (12, 2), (16, 0)])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_header_and_samples_come_back_as_they_were(
    tmp_path: Path, order: str, bits: int, packing: int, channels: int
) -> None:
    samples = sequences.samples(bits, channels, bits, 7, 11)
    fields = {"creator": b"scanner", "timecode": 0x01020304, "film_rate": 18.0, "keycode_prefix": b"123456"}
    path = made(tmp_path / "a.dpx", order, samples, b"behind", bits=bits, packing=packing, **fields)
    head, found = dpx.read(path)
    assert np.array_equal(found, samples)
    assert (head.text("creator"), head.timecode, head.rates[0], head.tail) == ("scanner", "01:02:03:04", 18, b"behind")
    dpx.write(tmp_path / "b.dpx", head, found)
    assert (tmp_path / "b.dpx").read_bytes() == path.read_bytes()


def test_abgr_is_sorted_out(tmp_path: Path) -> None:
    samples = sequences.samples(1, 4, 8)
    path = made(tmp_path / "a.dpx", "<", samples, bits=8, packing=0, descriptor=51)
    path.write_bytes(path.read_bytes()[:800] + b"\x34" + path.read_bytes()[801:])
    head, found = dpx.read(path)
    assert np.array_equal(found, samples[..., ::-1])
    dpx.write(tmp_path / "b.dpx", head, found)
    assert (tmp_path / "b.dpx").read_bytes() == path.read_bytes()


def test_every_field_lies_where_the_standard_says() -> None:
    places = {"magic": 0, "creator": 160, "project": 260, "encryption": 660, "orientation": 768, "descriptor": 800,
              "transfer": 801, "picture_offset": 808, "signed7": 1284, "x_offset": 1408, "aspect_across": 1628,
              "film_maker": 1664, "frame_position": 1712, "film_rate": 1724, "slate": 1760, "timecode": 1920,
              "video_rate": 1940, "white_level": 1964}  # fmt: skip
    assert {name: dpx.FIELDS[name][0] for name in places} == places
    last, code = max(dpx.FIELDS.values())
    assert last + struct.calcsize(f"<{code}") <= 2048


def test_rubbish_in_rate_and_timecode_counts_as_absent(tmp_path: Path) -> None:
    path = made(tmp_path / "a.dpx", film_rate=-1e-29, video_rate=float("nan"), timecode=0xFFFFFFFF)
    head = dpx.header(path)
    assert (head.rates, head.timecode) == ((None, None), "")
    head = dpx.header(made(tmp_path / "b.dpx", film_rate=23.976, video_rate=24.0))
    assert head.rates == (Fraction(24000, 1001), 24)


@pytest.mark.parametrize(
    ("film", "television", "odd"),
    [
        (b"\xff" * 4, b"\0" * 4, ()), (18.0, b"\xff" * 4, ()), (b"\0" * 4, 25.0, ()), (18.0, 25.0, ()),
        (-24.0, b"\xff" * 4, ("-24 in its film part",)), (24.0, 1e30, ("1e+30 in its television part",)),
        (float("nan"), float("inf"), ("inf in its television part",)), (18.0, float("nan"), ()),
        (b"\x18\0\0\0", 0.5, ("3.36312e-44 in its film part", "0.5 in its television part")),
    ],
)  # fmt: skip
def test_what_can_be_no_rate_is_told_from_what_nobody_filled_in(
    tmp_path: Path, film: float | bytes, television: float | bytes, odd: tuple[str, ...]
) -> None:
    body = bytearray(made(tmp_path / "a.dpx", "<").read_bytes())
    for place, value in ((1724, film), (1940, television)):
        body[place : place + 4] = value if isinstance(value, bytes) else struct.pack("<f", value)
    (tmp_path / "a.dpx").write_bytes(body)
    assert dpx.header(tmp_path / "a.dpx").odd_rates == odd


def test_a_short_header_has_neither_rate_nor_timecode(tmp_path: Path) -> None:
    path = made(tmp_path / "a.dpx", film_rate=24.0, timecode=0x01020304)
    body = path.read_bytes()
    short = bytearray(body[:1664] + body[2048:])
    struct.pack_into("<I", short, 4, 1664)
    struct.pack_into("<I", short, 808, 1664)
    path.write_bytes(short)
    head, samples = dpx.read(path)
    assert (head.rates, head.odd_rates, head.timecode) == ((None, None), (), "")
    assert np.array_equal(samples, sequences.samples(1, 3, 10))


@pytest.mark.parametrize(
    ("fields", "code"),
    [({"encoding": 1}, "UNSUPPORTED_PIXELS"), ({"descriptor": 100}, "UNSUPPORTED_PIXELS"),
     ({"elements": 3}, "UNSUPPORTED_PIXELS"), ({"signed": 1}, "UNSUPPORTED_PIXELS"), ({"width": 0}, "BAD_HEADER"),
     ({"height": 4000}, "TRUNCATED"), ({"picture_offset": 12}, "BAD_HEADER"),
     ({"picture_offset": 1 << 30}, "BAD_HEADER")],
)  # fmt: skip
def test_what_is_not_read_is_named(tmp_path: Path, fields: dict[str, int], code: str) -> None:
    with pytest.raises(InputError) as caught:
        dpx.read(made(tmp_path / "a.dpx", **fields))
    assert caught.value.code == code
    assert "a.dpx" in caught.value.message


def test_another_size_or_colour_changes_those_fields_alone(tmp_path: Path) -> None:
    head = dpx.header(made(tmp_path / "a.dpx", "<", sequences.samples(1, 1, 10), creator=b"scanner", x_center=17.0))
    larger = head.for_picture(2 * head.width, 2 * head.height, 3)
    dpx.write(tmp_path / "b.dpx", larger, sequences.samples(2, 3, 10, 48, 68))
    assert np.array_equal(sequences.read(tmp_path / "b.dpx", 10), sequences.samples(2, 3, 10, 48, 68))
    again = dpx.header(tmp_path / "b.dpx")
    unlike = {name for name in dpx.FIELDS if str(again.field(name)) != str(head.field(name))}
    assert unlike == {"width", "height", "descriptor", "file_bytes", "x_center"}
    assert (again.field("x_center"), again.field("file_bytes")) == (34.0, (tmp_path / "b.dpx").stat().st_size)


def _run_on(path: Path, order: str, samples: Any, packing: int, tail: bytes = b"", **fields: Any) -> Path:
    """A file whose 10-bit samples go on from line to line, three to a word, put together a word at a time."""
    made(path, order, samples, packing=packing, **fields)
    low, values = 0 if packing == 2 else 2, [int(value) for value in samples.ravel()]
    places = (0, 10, 20) if samples.shape[2] == 1 else (20, 10, 0)
    words = [
        sum(value << (low + place) for value, place in zip(values[at : at + 3], places, strict=False))
        for at in range(0, len(values), 3)
    ]
    path.write_bytes(path.read_bytes()[:2048] + struct.pack(f"{order}{len(words)}I", *words) + tail)
    return path


SCANNERS: list[dict[str, Any]] = [{"device": b"Scanity"}, {"creator": b"Lasergraphics Inc. Director"}, {}]


@pytest.mark.parametrize("scanner", SCANNERS)
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("packing", "channels", "width"), [(1, 1, 31), (2, 1, 31), (1, 1, 32), (1, 1, 33), (1, 4, 31)])
def test_samples_that_run_on_across_lines_are_found_where_they_lie(
    tmp_path: Path, scanner: dict[str, bytes], order: str, packing: int, channels: int, width: int
) -> None:
    samples = sequences.samples(width, channels, 10, 25, width)
    # What stands behind the picture hides its size: there only the maker tells.
    for tail in (b"", b"behind") if scanner else (b"",):
        path = _run_on(tmp_path / "a.dpx", order, samples, packing, tail, **scanner)
        head, found = dpx.read(path)
        assert np.array_equal(found, samples)
        dpx.write(tmp_path / "b.dpx", head, found)
        assert (tmp_path / "b.dpx").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("scanner", SCANNERS[:2])
def test_ffmpeg_reads_samples_that_run_on_as_we_do(tmp_path: Path, scanner: dict[str, bytes]) -> None:
    path = _run_on(tmp_path / "a_1.dpx", ">", sequences.samples(3, 1, 10, 25, 31), 1, **scanner)
    with av.open(str(path), format="dpx_pipe") as opened:
        plane = next(opened.decode(video=0)).planes[0]
    assert np.array_equal(
        np.frombuffer(memoryview(plane), np.uint16).reshape(25, -1)[:, :31], dpx.read(path)[1][..., 0]
    )


@pytest.mark.parametrize("scanner", SCANNERS)
def test_padded_lines_stay_padded_whoever_made_them(tmp_path: Path, scanner: dict[str, bytes]) -> None:
    samples = sequences.samples(3, 1, 10, 25, 31)
    path = made(tmp_path / "a.dpx", "<", samples, **scanner)
    assert np.array_equal(dpx.read(path)[1], samples)
    path.write_bytes(path.read_bytes()[:-4])
    if not scanner:
        with pytest.raises(InputError, match="ends before"):
            dpx.read(path)


def test_samples_that_run_on_do_so_in_another_size(tmp_path: Path) -> None:
    path = _run_on(tmp_path / "a.dpx", "<", sequences.samples(3, 1, 10, 25, 31), 1, device=b"Scanity")
    larger = dpx.header(path).for_picture(62, 50, 1)
    dpx.write(tmp_path / "b.dpx", larger, sequences.samples(4, 1, 10, 50, 62))
    assert np.array_equal(dpx.read(tmp_path / "b.dpx")[1], sequences.samples(4, 1, 10, 50, 62))
    assert (tmp_path / "b.dpx").stat().st_size == larger.field("file_bytes")
