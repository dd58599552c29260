"""Checksums of frames, held against the samples themselves."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from pathlib import Path

import pytest

from db.errors import InputError
from tests.support.reels import film, moving
from workers.media.film import framemd5


def test_a_list_is_written_and_read_again(tmp_path: Path) -> None:
    frames = moving(5, bits=16)
    path = film(tmp_path / "a.mkv", frames, "gray16le")
    expected = [(frame.nbytes, hashlib.md5(frame.tobytes()).hexdigest()) for frame in frames]
    checksums = list(framemd5.decode_checksums(path))
    assert checksums == expected
    text = framemd5.header(32, 24, Fraction(50, 3), Fraction(8, 9)) + "".join(framemd5.lines(checksums))
    assert "#tb 0: 3/50\n" in text
    assert "#sar 0: 8/9\n" in text
    assert framemd5.parse(text) == expected


def test_other_streams_of_a_list_are_left_out() -> None:
    text = "#format: frame checksums\n0, 0, 0, 1, 8, " + "A" * 32 + "\n1, 0, 0, 1, 8, " + "b" * 32 + "\n"
    assert framemd5.parse(text) == [(8, "a" * 32)]


@pytest.mark.parametrize("line", ["0, 1", "0, 0, 0, 1, x, " + "a" * 32, "0, 0, 0, 1, 8, abc", "x" * 10_000, "\x00"])
def test_a_list_that_is_none_is_refused(line: str) -> None:
    with pytest.raises(InputError) as caught:
        framemd5.parse(line)
    assert caught.value.code == "CORRUPT"
