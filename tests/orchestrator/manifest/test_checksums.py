"""Lists of digests, as ``md5sum`` and its kin write them."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from db import checksums
from tests.orchestrator.manifest.reading import codes, lines_of, read, written

MD5, SHA1, SHA256 = "0" * 31 + "a", "b" * 40, "c" * 64


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("checksum.sha256", f"{SHA256}  film.mkv\n"),
        ("SHA256SUMS", f"{SHA256} *./film.mkv\r\n"),
        ("list.txt", f"# made by hand\n\n{SHA256.upper()}\tfilm.mkv\n"),
        ("list.txt", f"SHA256 (film.mkv) = {SHA256}\n"),
        ("list.txt", f"SHA2-256(film.mkv)= {SHA256}\n"),
        ("film.mkv.sha256", SHA256),
        ("film.mkv.sha256sum", f"\ufeff{SHA256}  film.mkv"),
    ],
)
def test_every_spelling_says_the_same(tmp_path: Path, name: str, text: str) -> None:
    (line,) = lines_of(written(tmp_path, name, text))
    assert line.problems == ()
    assert line.external_id == "film.mkv"
    assert line.source is not None
    assert (line.source.uri, line.source.checksum) == (str(tmp_path / "film.mkv"), {"sha256": SHA256})


def test_frames_are_put_together_with_a_list_of_their_digests_and_their_sound(tmp_path: Path) -> None:
    names = [f"reel/f_{number:04d}.dpx" for number in (3, 1, 2, 5, 4)] + ["reel.wav", "notes.pdf", "b\\photo.jpg"]
    opened = written(tmp_path, "checksum.md5", "".join(f"{number:032x}  {name}\n" for number, name in enumerate(names)))
    photo, reel = lines_of(opened)
    assert (photo.external_id, photo.number) == ("b/photo.jpg", 8)
    assert reel.source is not None
    assert reel.source.sequence is not None
    assert (reel.source.sequence.start, reel.source.sequence.end) == (1, 5)
    assert reel.source.sound == str(tmp_path / "reel.wav")
    assert checksums.load(reel.listing.encode())["f_0005.dpx"] == {"md5": f"{3:032x}"}
    assert list(checksums.load(reel.listing.encode())) == [f"f_{number:04d}.dpx" for number in range(1, 6)]


def test_what_was_passed_over_is_said(tmp_path: Path) -> None:
    names = ["a.pdf", "b.xml", "c.wav", ".d.jpg", "e.jpg"]
    path = written(tmp_path, "checksum.md5", "".join(f"{number:032x}  {name}\n" for number, name in enumerate(names)))
    (line,), notes = read(path)
    assert line.external_id == "e.jpg"
    assert [note.split(" were")[0] for note in notes] == ["Sound files", "Files of other kinds"]
    assert "hidden (1)" in notes[1]


def test_bad_lines_are_named_and_good_ones_kept(tmp_path: Path) -> None:
    text = (
        f"{MD5}  a.jpg\n{MD5[:-1]}  b.jpg\nhello\n{SHA1}  c.jpg\n{MD5}  ../d.jpg\n{MD5}  /etc/e.jpg\n"
        f"\\{MD5}  f\\n.jpg\n{'1' * 32}  a.jpg\n{MD5}  a.jpg\n"
    )
    found = lines_of(written(tmp_path, "checksum.md5", text))
    assert sorted(codes(found)) == [
        (2, "BAD_VALUE"), (3, "BAD_VALUE"), (4, "BAD_VALUE"), (5, "PATH_UNSAFE"), (6, "PATH_UNSAFE"),
        (8, "BAD_VALUE"),
    ]  # fmt: skip
    assert "./f%0A.jpg" in {line.external_id for line in found}
    conflict = next(line for line in found if line.external_id == "a.jpg")
    assert "another checksum.md5" in conflict.problems[0].message


def test_names_that_are_no_text_stand_in_lists_as_bytes(tmp_path: Path) -> None:
    path = written(tmp_path, "checksum.md5", f"{MD5}  caf\udce9.jpg\n{MD5}  b.jpg\n".encode(errors="surrogateescape"))
    found = lines_of(path)
    assert [(line.external_id, line.problems) for line in found] == [("b.jpg", ()), ("./caf%E9.jpg", ())]
    assert [line.source.checksum["md5"] for line in found if line.source] == [MD5, MD5]


def test_a_list_of_half_a_sequence_is_a_problem(tmp_path: Path) -> None:
    first = "".join(f"{number:032x}  f{number:03d}.png\n" for number in range(1, 7))
    second = f"{'1' * 40}  f007.png\n"
    (line,) = lines_of(written(tmp_path, "list.txt", first + second))
    assert line.problems == ()
    assert checksums.load(line.listing.encode())["f007.png"] == {"sha1": "1" * 40}


def test_files_are_looked_at(tmp_path: Path) -> None:
    written(tmp_path, "empty.jpg", "")
    found = lines_of(written(tmp_path, "x.md5", f"{MD5}  gone.jpg\n{MD5}  empty.jpg\n"), check_files=True)
    assert codes(found) == [(2, "ZERO_BYTE"), (1, "FILE_MISSING")]


def test_names_in_another_unicode_form_are_the_same_files(tmp_path: Path) -> None:
    written(tmp_path, unicodedata.normalize("NFD", "été.jpg"), "x")
    path = written(tmp_path, "x.md5", unicodedata.normalize("NFC", f"{MD5}  été.jpg\n"))
    ((line,), notes) = read(path, check_files=True)
    assert line.problems == ()
    assert "Unicode form" in notes[0]
