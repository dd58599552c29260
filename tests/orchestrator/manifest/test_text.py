"""Packed text is read as far as it is in proportion to the file."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import pytest

from db.errors import ManifestError
from orchestrator.manifest import text
from tests.orchestrator.manifest.reading import lines_of, refused, written


def _members(line: bytes, times: int, count: int) -> bytes:
    """Many gzip members one behind the other: quick to write, and long to read."""
    return gzip.compress(line * times) * count


def test_packed_text_is_read_as_it_is(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv.gz", gzip.compress(b"\xef\xbb\xbfuri\na.jpg\n") + gzip.compress(b"b.jpg\n"))
    assert [line.external_id for line in lines_of(path)] == ["a.jpg", "b.jpg"]
    assert [line.external_id for line in lines_of(written(tmp_path, "b.csv", b"\xef\xbb\xbfuri\na.jpg\n"))] == ["a.jpg"]


def test_text_that_unfolds_beyond_all_proportion_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "_FREE_BYTES", 1 << 16)
    body = b'{"uri":"a.jpg","x_a":"' + b"a" * 3000 + b'"}\n'
    path = written(tmp_path, "a.jsonl.gz", _members(body, 100, 3))
    with pytest.raises(ManifestError, match="unfolds") as caught:
        lines_of(path)
    assert str(path) in caught.value.message
    assert "Unpack" in caught.value.remedy
    for form in ("checksum.md5.gz", "a.csv.gz"):
        assert refused(written(tmp_path, form, _members(b"uri\n" + b"a" * 3000, 100, 3))) == "MANIFEST_UNREADABLE"


def test_a_table_that_packs_well_is_read(tmp_path: Path) -> None:
    recipe = '[{""denoise"":{""strength"":0.5,""radius"":2,""method"":""temporal""}}]'
    rows = "".join(f'p{number}.jpg,"{recipe}"\n' for number in range(20_000))
    packed = zlib.compress(rows.encode(), 9)
    assert len(rows) > 20 * len(packed)
    path = written(tmp_path, "a.csv.gz", gzip.compress(f"uri,recipe\n{rows}".encode()))
    assert sum(1 for _ in text.lines(path, 1000)) == 20_001


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.csv.gz", "checksum.md5.gz", "a.jsonl"])
def test_a_million_empty_lines_are_refused(tmp_path: Path, name: str) -> None:
    body = _members(b"\n", 1_000_001, 1) if name.endswith(".gz") else b"\n" * 1_000_001
    head = {"a.csv.gz": b"uri\n", "checksum.md5.gz": b"0" * 32 + b"  a.jpg\n"}.get(name, b'{"uri":"a.jpg"}\n')
    head = gzip.compress(head) if name.endswith(".gz") else head
    with pytest.raises(ManifestError, match="empty lines in a row"):
        lines_of(written(tmp_path, name, head + body))
