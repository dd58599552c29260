"""Transfers as Archivematica has them."""

from __future__ import annotations

import hashlib
import unicodedata
from pathlib import Path

import pytest

from db import checksums
from orchestrator.manifest import Line
from tests.orchestrator.manifest.reading import bury, codes, read, refused, written


@pytest.fixture
def transfer(tmp_path: Path) -> Path:
    """A transfer of a photo, a film with its sound beside it, and two reels of six frames in one folder each."""
    objects = tmp_path / "transfer" / "objects"
    for name in ("photo.jpg", "film.mkv", "film.wav", "paper.pdf", "reel1.wav"):
        _write(objects / name)
    for reel in ("reel1", "reel2"):
        for number in range(1, 7):
            _write(objects / reel / f"f_{number:04d}.dpx")
    _write(objects / "reel2" / "title.jpg")
    (tmp_path / "transfer" / "metadata").mkdir()
    return tmp_path / "transfer"


def _write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(path.name.encode())


def _rows(transfer: Path, text: str) -> list[Line]:
    return read(written(transfer / "metadata", "metadata.csv", text), check_files=True)[0]


def _list(transfer: Path, name: str = "checksum.md5", before: str = "../objects/", algorithm: str = "md5") -> Path:
    objects = transfer / "objects"
    files = [path for path in sorted(objects.rglob("*")) if path.is_file()]
    text = "".join(
        f"{hashlib.new(algorithm, path.read_bytes()).hexdigest()}  {before}{path.relative_to(objects)}\n"
        for path in files
    )
    return written(transfer / "metadata", name, text)


def test_rows_name_files_and_folders(transfer: Path) -> None:
    text = (
        "Filename,dc.title,dc.subject,dc.subject,fps,kind\n"
        "objects/photo.jpg ,A portrait ,People , Studios,,x\n"
        "objects/film.mkv,Boys,Games,,16,\n"
        "objects/reel1/,One,,,50/3,\n"
        "objects/reel2,Two,,,18,\n"
        "objects/paper.pdf,Paper,,,,\n"
    )
    photo, film, one, title, two = _rows(transfer, text)
    assert codes([photo, film, one, title, two]) == []
    assert (photo.number, photo.external_id) == (2, "objects/photo.jpg")
    assert photo.extra == {"dc.title": "A portrait", "dc.subject": ["People", "Studios"], "x_kind": "x"}
    assert film.source is not None
    assert (film.source.fps, film.source.sound) == (16, str(transfer / "objects/film.wav"))
    assert one.source is not None
    assert one.source.sequence is not None
    assert (one.external_id, one.number, str(one.source.fps)) == ("objects/reel1", 4, "50/3")
    assert one.source.sound == str(transfer / "objects/reel1.wav")
    assert {title.external_id, two.external_id} == {"objects/reel2/title.jpg", "objects/reel2/f_0001-0006.dpx"}
    assert {title.extra["dc.title"], two.extra["dc.title"]} == {"Two"}


def test_a_folder_leaves_out_what_has_a_row_of_its_own(transfer: Path) -> None:
    found = _rows(transfer, "parts,dc.title\nobjects,All\nobjects/reel1,One\nobjects/reel2/title.jpg,Title\n")
    assert codes(found) == []
    said = {line.external_id: line.extra["dc.title"] for line in found}
    assert said == {
        "objects/film.mkv": "All",
        "objects/photo.jpg": "All",
        "objects/reel2/f_0001-0006.dpx": "All",
        "objects/reel1": "One",
        "objects/reel2/title.jpg": "Title",
    }


@pytest.mark.parametrize("before", ["../objects/", "objects/", "./", ""])
@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256", "sha512"])
def test_lists_of_digests_beside_the_rows_are_used(transfer: Path, before: str, algorithm: str) -> None:
    _list(transfer, f"checksum.{algorithm}", before, algorithm)
    photo, reel = _rows(transfer, "filename\nobjects/photo.jpg\nobjects/reel1\n")
    assert photo.source is not None
    assert photo.source.checksum == {algorithm: hashlib.new(algorithm, b"photo.jpg").hexdigest()}
    assert reel.source is not None
    assert reel.source.sound_checksum == {algorithm: hashlib.new(algorithm, b"reel1.wav").hexdigest()}
    listed = checksums.load(reel.listing.encode())
    assert listed["f_0006.dpx"] == {algorithm: hashlib.new(algorithm, b"f_0006.dpx").hexdigest()}


def test_without_rows_everything_is_meant(transfer: Path) -> None:
    for place in (_list(transfer), transfer):
        found, notes = read(place, check_files=True)
        assert codes(found) == []
        assert [line.external_id for line in found] == [
            "objects/film.mkv",
            "objects/photo.jpg",
            "objects/reel1/f_0001-0006.dpx",
            "objects/reel2/f_0001-0006.dpx",
            "objects/reel2/title.jpg",
        ]
        assert all(line.listing or (line.source and line.source.checksum) for line in found)
        assert notes == ["Files of other kinds were passed over: pdf (1)"]


def test_a_transfer_that_is_not_taken_in_yet_has_no_folder_objects(transfer: Path) -> None:
    text = "filename,dc.title\nobjects/photo.jpg,A\nobjects/reel1,B\n"
    written(transfer / "metadata", "metadata.csv", text)
    _list(transfer)
    for path in (transfer / "objects").iterdir():
        path.rename(transfer / path.name)
    (transfer / "objects").rmdir()
    photo, reel = read(transfer, check_files=True)[0]
    assert (photo.external_id, reel.external_id) == ("objects/photo.jpg", "objects/reel1")
    assert photo.problems == reel.problems == ()
    assert photo.source is not None
    assert photo.source.uri == str(transfer / "photo.jpg")
    assert photo.source.checksum
    assert reel.listing
    (transfer / "metadata" / "metadata.csv").unlink()
    assert [line.external_id for line in read(transfer, check_files=True)[0]][:2] == ["film.mkv", "photo.jpg"]


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ("objects/gone.jpg", "FILE_MISSING"),
        ("objects/gone", "FILE_MISSING"),
        ("../outside.jpg", "PATH_UNSAFE"),
        ("../../", "PATH_UNSAFE"),
        ("/etc", "PATH_UNSAFE"),
        ("objects/a\x01.jpg", "FILE_MISSING"),
        ("objects/a\x00.jpg", "PATH_UNSAFE"),
        ("objects/photo.jpg,a,b,c", "BAD_VALUE"),
        ("objects/photo.jpg,x,fast", "BAD_VALUE"),
        ("objects/link", "PATH_UNSAFE"),
        ("objects/photo.jpg\nobjects/photo.jpg", "DUPLICATE_ID"),
    ],
)
def test_a_row_that_is_wrong_is_named(transfer: Path, row: str, code: str) -> None:
    (transfer / "objects" / "link").symlink_to("/usr")
    found = _rows(transfer, f"filename,dc.title,fps\n{row}\n")
    assert code in [each for _, each in codes(found)]


def test_half_a_list_is_a_problem_of_the_reel(transfer: Path) -> None:
    lines = _list(transfer).read_text().splitlines(keepends=True)
    written(transfer / "metadata", "checksum.md5", "".join(line for line in lines if "reel1/f_0004" not in line))
    (reel,) = _rows(transfer, "filename\nobjects/reel1\n")
    assert [each.code for each in reel.problems] == ["FILE_UNEXPECTED"]
    assert "f_0004.dpx" in reel.problems[0].message


def test_what_is_no_header_is_no_transfer(transfer: Path) -> None:
    path = written(transfer / "metadata", "metadata.csv", "title,filename\nx,y\n")
    assert refused(path) in {"UNKNOWN_FIELD", "BAD_HEADER"}


def test_other_rows_and_empty_folders_are_told(transfer: Path) -> None:
    (transfer / "objects" / "nothing").mkdir()
    path = written(transfer / "metadata", "metadata.csv", "filename\nobjects/nothing\nobjects/paper.pdf\n\n ,\n")
    found, notes = read(path, check_files=True)
    assert found == []
    assert len(notes) == 2


def test_papers_that_are_links_out_of_the_transfer_are_not_read(transfer: Path, tmp_path: Path) -> None:
    (transfer / "metadata" / "checksum.md5").symlink_to(written(tmp_path, "secret.md5", f"{'0' * 32}  photo.jpg\n"))
    (transfer / "metadata" / "metadata.csv").symlink_to(written(tmp_path, "secret.csv", "filename\nsecret\n"))
    found, _ = read(transfer, check_files=True)
    assert [line.external_id for line in found][:2] == ["objects/film.mkv", "objects/photo.jpg"]
    assert not any(line.source and line.source.checksum for line in found)


def test_names_in_another_unicode_form_are_the_same_files(transfer: Path) -> None:
    for path in ("objects/dossié/f_{}.dpx", "objects/été.jpg"):
        for number in range(6):
            _write(transfer / unicodedata.normalize("NFD", path.format(number)))
    _list(transfer)
    text = unicodedata.normalize("NFC", (transfer / "metadata" / "checksum.md5").read_text())
    written(transfer / "metadata", "checksum.md5", text)
    path = written(transfer / "metadata", "metadata.csv", "filename\nobjects/dossié\nobjects/été.jpg\nobjects\n")
    found, notes = read(path, check_files=True)
    assert codes(found) == []
    assert len({line.external_id for line in found}) == len(found) == 7
    assert found[0].listing
    assert found[1].source is not None
    assert found[1].source.checksum
    assert "Unicode form" in notes[0]


def test_a_folder_that_cannot_be_listed_is_a_problem_of_its_row(transfer: Path) -> None:
    bury(transfer / "objects" / "reel2", "lost.jpg")
    path = written(transfer / "metadata", "metadata.csv", "filename\nobjects/photo.jpg\nobjects/reel2\nobjects/reel1\n")
    found, notes = read(path, check_files=True)
    assert codes(found) == [(3, "SOURCE_DENIED")]
    assert any("cannot be looked into: 1;" in note for note in notes)
    found, _ = read(transfer, check_files=True)
    assert [code for _, code in codes(found)] == ["SOURCE_DENIED"]


def test_a_link_to_itself_and_a_home_are_said(transfer: Path) -> None:
    (transfer / "objects" / "loop").symlink_to("loop")
    _write(transfer / "objects" / "home" / "reelwright.db")
    path = written(transfer / "metadata", "metadata.csv", "filename\nobjects/loop\nobjects/photo.jpg\nobjects\n")
    found, notes = read(path, check_files=True)
    assert codes(found) == [(2, "FILE_MISSING")]
    assert any("left out: objects/home" in note for note in notes)
