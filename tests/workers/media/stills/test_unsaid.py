"""What readers do with a still and do not say is said: other ranges, and bits that could be transparency."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from db.settings import Settings
from workers.media.stills import files, unsaid


def _pnm(path: Path, kind: str, largest: int) -> Path:
    samples = np.arange(12).reshape(3, 4) * largest // 11
    header = f"{kind}\n# {kind} of a scanner, 4 3 255\n4 3\n{largest}\n".encode()
    plain = "\n".join(" ".join(map(str, row)) for row in samples).encode()
    path.write_bytes(header + (samples.astype(">u2" if largest > 255 else "u1").tobytes() if kind == "P5" else plain))
    return path


@pytest.mark.parametrize("kind", ["P2", "P5"])
@pytest.mark.parametrize(
    ("largest", "note"),
    [
        (255, ()),
        (65535, ()),
        (1, ("Samples of 0 to 1 were spread over 0 to 255.",)),
        (200, ("Samples of 0 to 200 were spread over 0 to 255.",)),
        (256, ("Samples of 0 to 256 were spread over 0 to 65535.",)),
        (1000, ("Samples of 0 to 1000 were spread over 0 to 65535.",)),
        (4095, ("Samples of 0 to 4095 were spread over 0 to 65535.",)),
    ],
)
def test_another_largest_value_than_is_written_is_told(
    tmp_path: Path, kind: str, largest: int, note: tuple[str, ...]
) -> None:
    photo = files.read(_pnm(tmp_path / "a.pgm", kind, largest), Settings())
    assert (photo.notes, photo.samples.max()) == (note, 255 if largest < 256 else 65535)


def _bmp(path: Path, bits: int, packing: int, mask: int, pixels: np.ndarray) -> Path:
    height, width = pixels.shape
    header = struct.pack("<IiiHHIIiiII", 108, width, height, 1, bits, packing, 0, 2835, 2835, 0, 0)
    masks = struct.pack("<IIII", *((0x7C00, 0x3E0, 0x1F) if bits == 16 else (0xFF0000, 0xFF00, 0xFF)), mask)
    header = (header + masks).ljust(108, b"\0")
    rows = b"".join(row.tobytes() + bytes(-len(row.tobytes()) % 4) for row in pixels)
    path.write_bytes(b"BM" + struct.pack("<IHHI", 122 + len(rows), 0, 0, 122) + header + rows)
    return path


@pytest.mark.parametrize(
    ("bits", "packing", "mask", "alpha", "is_told"),
    [
        (16, 3, 0x8000, "mixed", True),
        (16, 3, 0x8000, "full", False),
        (16, 3, 0x8000, "none", False),
        (16, 3, 0, "mixed", False),
        (16, 0, 0, "mixed", False),
        (32, 0, 0, "mixed", True),
        (32, 0, 0, "none", False),
        (32, 3, 0xFF000000, "mixed", False),  # carried on as alpha
    ],
)
def test_bits_that_could_be_transparency_are_told(
    tmp_path: Path, bits: int, packing: int, mask: int, alpha: str, is_told: bool
) -> None:
    shift = 15 if bits == 16 else 24
    top = {"mixed": np.arange(15).reshape(3, 5) % 2, "full": np.ones((3, 5), int), "none": np.zeros((3, 5), int)}[alpha]
    pixels = (np.arange(15).reshape(3, 5) * 300 | top << shift).astype(f"<u{bits // 8}")
    photo = files.read(_bmp(tmp_path / "a.bmp", bits, packing, mask, pixels), Settings())
    assert any("transparency" in note for note in photo.notes) is is_told
    assert (photo.alpha is not None) is (mask == 0xFF000000)


@pytest.mark.parametrize("keep", [0, 13, 53, 60, 121, 122, 125, 150])
@pytest.mark.parametrize("spoil", [None, 10, 14, 18, 22])
def test_no_header_stops_the_look(tmp_path: Path, keep: int, spoil: int | None) -> None:
    body = bytearray(_bmp(tmp_path / "a.bmp", 16, 3, 0x8000, np.zeros((3, 5), "<u2")).read_bytes())
    if spoil:
        body[spoil : spoil + 4] = b"\xff\xff\xff\x7f"
    (tmp_path / "a.bmp").write_bytes(body[:keep])
    assert unsaid.notes(tmp_path / "a.bmp", "bmp") == ()
