"""JPEG 2000 whose samples mean something else than the reader takes them for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest

from db.errors import InputError
from db.settings import Settings
from tests.support import sequences
from workers.media.stills import files as stills
from workers.media.stills import jpeg2000_boxes


def _encoded(channels: int, space: str | None = None, *, signed: bool = False, codec: str = "jp2") -> bytes:
    pixels: Any = sequences.samples(1, channels, 16 if signed else 8, 40, 40)
    pixels = pixels.astype(np.int16) if signed else pixels
    body = imagecodecs.jpeg2k_encode(
        pixels if channels > 1 else pixels[..., 0], level=0, reversible=True, codecformat=codec, colorspace=space
    )
    return bytes(body)


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (_encoded(4, "CMYK"), "colours in CMYK"),
        (_encoded(1, signed=True), "samples that have a sign"),
        (_encoded(3, signed=True, codec="j2k"), "samples that have a sign"),
        (_encoded(3, "SRGB").replace(b"colr\1\0\0\0\0\0\x10", b"colr\1\0\0\0\0\0\x0e"), "colours in CIELab"),
    ],
)
def test_samples_that_would_come_out_as_another_picture_are_named(tmp_path: Path, body: bytes, what: str) -> None:
    (tmp_path / "a.jp2").write_bytes(body)
    with pytest.raises(InputError, match=what) as caught:
        stills.read(tmp_path / "a.jp2", Settings(home=tmp_path))
    assert caught.value.code == "UNSUPPORTED_PIXELS"


@pytest.mark.parametrize("space", ["SRGB", "SYCC", None])
@pytest.mark.parametrize("codec", ["jp2", "j2k"])
def test_usual_colours_have_no_fault(space: str | None, codec: str) -> None:
    assert jpeg2000_boxes.fault(_encoded(3, space, codec=codec)) == ""
    assert jpeg2000_boxes.fault(_encoded(1, None, codec=codec)) == ""


@pytest.mark.parametrize("keep", [0, 7, 12, 30, 46, 60, 80, 100])
def test_a_header_that_is_cut_off_is_left_to_its_reader(keep: int) -> None:
    assert jpeg2000_boxes.fault(_encoded(3, "SRGB")[:keep]) == ""
