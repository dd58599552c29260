"""Fixity: digests over a whole source, and over each file of a sequence."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from db import checksums
from db.errors import InputError
from workers.media.source import fixity


def _files(folder: Path, count: int = 3) -> list[Path]:
    paths = [folder / f"f_{number}.dpx" for number in range(count)]
    for path in paths:
        path.write_bytes(path.name.encode() * 1000)
    return paths


def _code(paths: list[Path], listed: dict[str, dict[str, str]]) -> tuple[str, str]:
    with pytest.raises(InputError) as caught:
        fixity(paths, {}, lambda: None, listed=listed)
    return caught.value.code, caught.value.message


@pytest.mark.parametrize("algorithm", checksums.HEX_CHARS)
def test_every_algorithm_is_checked_while_streaming(tmp_path: Path, algorithm: str) -> None:
    paths = _files(tmp_path)
    whole = hashlib.new(algorithm, b"".join(path.read_bytes() for path in paths)).hexdigest()
    listed = {path.name: {algorithm: hashlib.new(algorithm, path.read_bytes()).hexdigest()} for path in paths}
    moves: list[None] = []
    found = fixity(paths, {algorithm: whole}, lambda: moves.append(None), listed=listed)
    assert found == hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()
    assert len(moves) == 3


def test_a_wrong_file_of_a_sequence_is_named(tmp_path: Path) -> None:
    paths = _files(tmp_path)
    listed = {path.name: {"md5": hashlib.md5(path.read_bytes()).hexdigest()} for path in paths}
    listed["f_1.dpx"] = {"md5": "0" * 32, "sha1": hashlib.sha1(paths[1].read_bytes()).hexdigest()}
    code, message = _code(paths, listed)
    assert code == "CHECKSUM_MISMATCH"
    assert "f_1.dpx: md5" in message


def test_a_file_that_the_list_does_not_name_is_unexpected(tmp_path: Path) -> None:
    code, message = _code(_files(tmp_path), {})
    assert code == "FILE_UNEXPECTED"
    assert "f_0.dpx" in message


def test_an_unknown_algorithm_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="crc32"):
        fixity(_files(tmp_path), {"crc32": "0"}, lambda: None)


def test_another_size_than_the_manifests_is_refused(tmp_path: Path) -> None:
    (path,) = _files(tmp_path, 1)
    assert fixity([path], {}, lambda: None, size_bytes=7000)
    with pytest.raises(InputError, match="7000 bytes were read, the manifest says 6999") as caught:
        fixity([path], {}, lambda: None, size_bytes=6999)
    assert caught.value.code == "CHECKSUM_MISMATCH"
