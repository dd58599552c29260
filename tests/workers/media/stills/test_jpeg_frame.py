"""What a JPEG's header says of its coding: written by imagecodecs, which codes what Pillow does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile

from db.errors import InputError
from db.settings import Settings
from tests.support import sequences
from workers.media.stills import files as stills
from workers.media.stills import jpeg_frame

GREY16 = sequences.samples(1, 1, 16)[..., 0]
RGB8 = sequences.samples(1, 3, 8)


def test_a_coding_that_nobody_reads_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(imagecodecs.jpeg_encode(GREY16 >> 4, bitspersample=12))
    with pytest.raises(InputError, match="JPEG of 12 bits") as caught:
        stills.read(tmp_path / "a.jpg", Settings(home=tmp_path))
    assert caught.value.code == "UNSUPPORTED_PIXELS"


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"quality": 30}, {"comment": b"\xff\xc3" * 9}])
def test_usual_codings_have_no_fault(tmp_path: Path, options: dict[str, Any]) -> None:
    body = sequences.jpeg(tmp_path / "a.jpg", RGB8, **options).read_bytes()
    assert jpeg_frame.fault(body) == ""
    assert jpeg_frame.frame(body) == (0xC2 if "progressive" in options else 0xC0, 8, 3)


@pytest.mark.parametrize("body", [b"", b"\xff\xd8", b"\xff\xd8\xff\xe0\xff\xff", b"\xff\xd8\xff\xd9", b"GIF89a"])
def test_a_frame_that_is_not_there_is_not_made_up(body: bytes) -> None:
    assert jpeg_frame.frame(body) is None
    assert jpeg_frame.fault(body) == ""


def test_fill_bytes_between_segments_are_passed_over(tmp_path: Path) -> None:
    body = sequences.jpeg(tmp_path / "a.jpg", RGB8).read_bytes()
    assert jpeg_frame.frame(body[:2] + b"\xff\xff" + body[2:]) == (0xC0, 8, 3)


def test_a_lossless_jpeg_inside_a_tiff_is_named(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", GREY16, compression="jpeg", compressionargs={"lossless": True}, metadata=None)
    assert np.array_equal(tifffile.imread(tmp_path / "a.tif"), GREY16)
    with pytest.raises(InputError, match="lossless JPEG") as caught:
        stills.read(tmp_path / "a.tif", Settings(home=tmp_path))
    assert caught.value.code == "UNSUPPORTED_PIXELS"
