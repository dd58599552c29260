"""BagIt bags: made by another library, then damaged in every way that comes to mind."""

from __future__ import annotations

import hashlib
import itertools
import os
import time
import unicodedata
from pathlib import Path

import bagit
import pytest

from db import checksums
from db.errors import ManifestError
from db.settings import Settings
from tests.orchestrator.manifest.reading import bury, codes, read, refused, written
from tests.support.humble import as_nobody, open_folder

FETCHING = Settings(max_manifest_line_bytes=4096, allow_fetch=True)


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    """A bag of a photo, a film with its sound, a sequence of six frames, and a document."""
    root = tmp_path / "bag"
    (root / "reel").mkdir(parents=True)
    for name in ("photo.jpg", "film.mkv", "film.wav", "paper.pdf"):
        written(root, name, name)
    for number in range(1, 7):
        written(root, f"reel/f_{number:04d}.dpx", f"frame {number}")
    bagit.make_bag(str(root), {"External-Identifier": "box 7"}, checksums=["sha256", "sha512"])
    return root


def _rewritten(bag: Path, name: str, old: str, new: str) -> None:
    path = bag / name
    path.write_text(path.read_text().replace(old, new))


def _without_tags(bag: Path) -> Path:
    for path in bag.glob("tagmanifest-*"):
        path.unlink()
    return bag


def test_a_bag_is_read_with_all_its_digests(bag: Path) -> None:
    found, notes = read(bag, check_files=True)
    assert codes(found) == []
    film, photo, reel = found
    assert [line.external_id for line in found] == ["data/film.mkv", "data/photo.jpg", "data/reel/f_0001-0006.dpx"]
    assert photo.source is not None
    assert photo.source.checksum == {name: hashlib.new(name, b"photo.jpg").hexdigest() for name in ("sha256", "sha512")}
    assert film.source is not None
    assert film.source.sound == str(bag / "data/film.wav")
    assert film.source.sound_checksum["sha512"] == hashlib.sha512(b"film.wav").hexdigest()
    assert film.extra["bag.external-identifier"] == "box 7"
    listed = checksums.load(reel.listing.encode())
    assert listed["f_0003.dpx"]["sha512"] == hashlib.sha512(b"frame 3").hexdigest()
    assert notes == ["Files of other kinds were passed over: pdf (1)"]


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha224", "sha384", "sha3_256", "blake2b", "blake2s"])
def test_every_algorithm_is_carried(tmp_path: Path, algorithm: str) -> None:
    written(tmp_path, "a.jpg", "a")
    bagit.make_bag(str(tmp_path), checksums=[algorithm])
    ((line,), _) = read(tmp_path, check_files=True)
    assert line.source is not None
    assert line.source.checksum == {algorithm: hashlib.new(algorithm, b"a").hexdigest()}


def test_an_unknown_algorithm_is_passed_over_beside_known_ones_and_refused_alone(bag: Path) -> None:
    _without_tags(bag)
    (bag / "manifest-sha512.txt").rename(bag / "manifest-whirlpool.txt")
    found, notes = read(bag, check_files=True)
    assert codes(found) == []
    assert "whirlpool" in notes[0]
    (bag / "manifest-sha256.txt").unlink()
    assert refused(bag) == "BAD_VALUE"


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("bagit.txt", "", "BAD_HEADER"),
        ("bagit.txt", "BagIt-Version: 7.3\nTag-File-Character-Encoding: UTF-8\n", "BAD_HEADER"),
        ("bagit.txt", "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-16\n", "BAD_HEADER"),
        ("bagit.txt", b"\xef\xbb\xbfBagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n", "BAD_HEADER"),
        ("bagit.txt", b"\xff\xfe", "BAD_HEADER"),
        ("bag-info.txt", "External-Identifier: other\n", "CHECKSUM_MISMATCH"),
        ("tagmanifest-sha256.txt", "0" * 64 + "  gone.txt\n", "FILE_MISSING"),
        ("tagmanifest-sha256.txt", "0" * 64 + "  a\0b.txt\n", "FILE_MISSING"),
        ("tagmanifest-sha256.txt", "0" * 64 + f"  {'n' * 400}\n", "FILE_MISSING"),
        ("tagmanifest-sha256.txt", "0" * 64 + "  ../../etc/passwd\n", "PATH_UNSAFE"),
        ("tagmanifest-sha256.txt", "0" * 63 + "  bagit.txt\n", "BAD_VALUE"),
        ("tagmanifest-sha256.txt", "nothing\n", "BAD_VALUE"),
        ("fetch.txt", "http://host/x.jpg - data/x.jpg\n", "FETCH_REFUSED"),
    ],
)
def test_papers_that_are_wrong_refuse_the_bag(bag: Path, name: str, text: str | bytes, code: str) -> None:
    written(bag, name, text)
    assert refused(bag) == code


def test_a_bag_without_payload_or_manifest_is_refused(bag: Path) -> None:
    _without_tags(bag)
    (bag / "data").rename(bag / "elsewhere")
    assert refused(bag) == "BAG_INCOMPLETE"
    (bag / "elsewhere").rename(bag / "data")
    for path in bag.glob("manifest-*"):
        path.unlink()
    assert refused(bag) == "BAG_INCOMPLETE"


def test_files_too_many_and_too_few_are_reported(bag: Path) -> None:
    written(bag, "data/extra.jpg", "x")
    written(bag, "data/extra.txt", "x")
    written(bag, "data/reel/f_0007.dpx", "x")
    for name in ("photo.jpg", "paper.pdf", "reel/f_0003.dpx"):
        (bag / "data" / name).unlink()
    found, notes = read(bag, check_files=True)
    said = {line.external_id: [each.code for each in line.problems] for line in found}
    assert said == {
        "line-1": ["BAG_INCOMPLETE"],
        "data/extra.jpg": ["FILE_UNEXPECTED"],
        "data/film.mkv": [],
        "data/photo.jpg": ["FILE_MISSING"],
        "data/reel/f_0001-0007.dpx": ["FILE_UNEXPECTED", "SEQUENCE_GAP"],
    }
    assert "listed and not there: 1" in notes[0]
    assert "there and not listed: 1" in notes[1]
    unlooked, _ = read(bag, check_files=False)
    assert codes(unlooked) == []
    assert [line.external_id for line in unlooked][-1] == "data/reel/f_0001-0006.dpx"


@pytest.mark.parametrize("oxum", ["3.1", "x", "1" * 30 + ".1"])
def test_the_payloads_size_is_compared(bag: Path, oxum: str) -> None:
    _without_tags(bag)
    written(bag, "bag-info.txt", f"Payload-Oxum: {oxum}\nExternal-Description: a\n  b\nnonsense\n")
    found, _ = read(bag, check_files=True)
    assert codes(found) == [(1, "BAG_INCOMPLETE" if oxum == "3.1" else "BAD_VALUE")]
    assert found[1].extra["bag.external-description"] == "a b"


@pytest.mark.parametrize(
    "path", ["../x.jpg", "data/../../x.jpg", "/etc/x.jpg", "~/x.jpg", "x.jpg", "data/../x.jpg", "data"]
)
def test_paths_out_of_the_payload_are_unsafe(bag: Path, path: str) -> None:
    _without_tags(bag)
    with (bag / "manifest-sha256.txt").open("a") as file:
        file.write(f"{'0' * 64}  {path}\n")
    found, _ = read(bag, check_files=True)
    assert [code for _, code in codes(found)] == ["PATH_UNSAFE"]


def test_a_link_out_of_the_bag_is_unsafe(bag: Path) -> None:
    (bag / "data/photo.jpg").unlink()
    (bag / "data/photo.jpg").symlink_to(written(bag.parent, "out.jpg", "photo.jpg"))
    found, _ = read(bag, check_files=True)
    assert "PATH_UNSAFE" in [code for _, code in codes(found)]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *itertools.product(
            ["bag-info.txt", "manifest-sha256.txt", "tagmanifest-sha256.txt", "fetch.txt"], ["link", "pipe", "folder"]
        ),
        ("bagit.txt", "link"),  # as anything but a file it makes no bag
    ],
)
def test_papers_are_files_of_the_bag_and_nothing_else(bag: Path, name: str, kind: str) -> None:
    """What stands in a paper is told to whoever sent the bag: it must not be any file of this machine."""
    (bag / name).unlink(missing_ok=True)
    if kind == "link":
        (bag / name).symlink_to(written(bag.parent, "secret", "secret words\n"))
    elif kind == "pipe":
        os.mkfifo(bag / name)
    else:
        (bag / name).mkdir()
    with pytest.raises(ManifestError) as caught:
        read(bag, FETCHING, check_files=True)
    assert caught.value.code == "PATH_UNSAFE"
    assert "secret words" not in caught.value.message


def test_encoded_names_are_decoded(tmp_path: Path) -> None:
    for name in ("100%.jpg", "a%20b.jpg", "line\nend.jpg"):
        written(tmp_path, name, "x")
    bagit.make_bag(str(tmp_path), checksums=["sha256"])
    text = (tmp_path / "manifest-sha256.txt").read_text()
    assert "line%0Aend" in text
    _without_tags(tmp_path)
    written(tmp_path, "bagit.txt", "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n")
    written(tmp_path, "manifest-sha256.txt", text.replace("100%.jpg", "100%25.jpg").replace("a%20b", "a%2520b"))
    found, _ = read(tmp_path, check_files=True)
    assert codes(found) == []
    assert sorted(line.external_id for line in found) == ["./data/line%0Aend.jpg", "data/100%.jpg", "data/a%20b.jpg"]


def test_what_is_to_be_fetched_is_left_out_when_that_is_allowed(bag: Path) -> None:
    written(bag, "fetch.txt", "http://host/1 8 data/photo.jpg\nhttp://h/2 - data/film.mkv\nbroken\nx - ../y.jpg\n")
    (bag / "data/photo.jpg").unlink()
    found, notes = read(bag, FETCHING, check_files=True)
    assert codes(found) == [(3, "BAD_VALUE"), (4, "PATH_UNSAFE")]
    assert [line.external_id for line in found[2:]] == ["data/film.mkv", "data/reel/f_0001-0006.dpx"]
    assert notes[0] == "Files that would have to be fetched were passed over: 1"


def test_manifests_that_contradict_one_another_are_named(bag: Path) -> None:
    _without_tags(bag)
    lines = (bag / "manifest-sha512.txt").read_text().splitlines(keepends=True)
    written(bag, "manifest-sha512.txt", "".join(line for line in lines if "photo" not in line))
    with (bag / "manifest-sha256.txt").open("a") as file:
        file.write(f"{'0' * 64}  data/film.mkv\nnonsense\n{'0' * 9}  data/x.jpg\n")
    found, _ = read(bag, check_files=True)
    assert [code for _, code in codes(found)] == ["BAD_VALUE"] * 3
    _rewritten(bag, "bagit.txt", "0.97", "1.0")
    found, _ = read(bag, check_files=True)
    assert sorted(code for _, code in codes(found)) == ["BAD_VALUE"] * 3 + ["BAG_INCOMPLETE"]


@pytest.mark.parametrize("name", ["café.jpg", "dossiér/a.jpg"])
def test_a_name_in_another_unicode_form_is_the_same_file(tmp_path: Path, name: str) -> None:
    (tmp_path / unicodedata.normalize("NFC", name)).parent.mkdir(exist_ok=True)
    written(tmp_path, unicodedata.normalize("NFC", name), "x")
    bagit.make_bag(str(tmp_path), checksums=["sha256"])
    _without_tags(tmp_path)
    text = (tmp_path / "manifest-sha256.txt").read_text()
    written(tmp_path, "manifest-sha256.txt", unicodedata.normalize("NFD", text))
    (line,), notes = read(tmp_path, check_files=True)
    assert line.problems == ()
    assert line.external_id == unicodedata.normalize("NFC", f"data/{name}")
    assert line.source is not None
    assert line.source.checksum
    assert "Unicode form" in notes[0]


def test_two_names_that_differ_in_their_unicode_form_alone_clash(tmp_path: Path) -> None:
    for form in ("NFC", "NFD"):
        written(tmp_path, unicodedata.normalize(form, "café.jpg"), "x")
    bagit.make_bag(str(tmp_path), checksums=["sha256"])
    found, _ = read(tmp_path, check_files=True)
    assert [code for _, code in codes(found)] == ["UNICODE_CLASH"]


@pytest.mark.parametrize(
    "space", ["\n" * 60_000, "\n" * 1_000_000, " \t" * 500_000, "\r\n" * 30_000, " " * 2000 + "\n"]
)
def test_a_declaration_of_blanks_is_refused_at_once(bag: Path, space: str) -> None:
    (bag / "bagit.txt").write_text(f"BagIt-Version: 1.0{space}Tag-File-Character-Encoding: UTF-8\nX")
    before = time.process_time()
    assert refused(bag) == "BAD_HEADER"
    assert time.process_time() - before < 2


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r", " \t\n", "\n\n"])
def test_a_declaration_may_end_its_lines_as_it_likes(bag: Path, ends: str) -> None:
    _without_tags(bag)
    between = ends if ends != "\n\n" else "\n"
    (bag / "bagit.txt").write_bytes(f"BagIt-Version: 0.97{between}Tag-File-Character-Encoding: UTF-8{ends}".encode())
    assert codes(read(bag)[0]) == []


def test_of_a_description_without_end_only_the_start_is_read(bag: Path) -> None:
    _without_tags(bag)
    (bag / "bag-info.txt").write_text("External-Identifier: box 9\n" + "".join(f"L{n}: x\n" for n in range(100_000)))
    found, notes = read(bag)
    assert {line.extra["bag.external-identifier"] for line in found} == {"box 9"}
    assert any("bag-info.txt was read up to line" in note for note in notes)


def test_a_part_of_the_payload_that_cannot_be_listed_is_a_problem(bag: Path) -> None:
    _without_tags(bag)
    bury(bag / "data", "lost.jpg")
    found, _ = read(bag, check_files=True)
    assert [code for _, code in codes(found)] == ["SOURCE_DENIED"]


def test_a_folder_of_the_payload_that_may_be_listed_and_not_entered_is_named() -> None:
    with open_folder() as root:
        (root / "reel").mkdir()
        for number in range(1, 7):
            written(root, f"reel/f_{number:04d}.dpx", f"frame {number}")
        written(root, "photo.jpg", "photo")
        bagit.make_bag(str(root), {}, checksums=["sha256"])
        for path in (root, *root.rglob("*")):
            path.chmod(0o755)
        (root / "data" / "reel").chmod(0o644)
        with as_nobody():
            found, _ = read(root, check_files=True)
    messages = [each.message for line in found for each in line.problems if each.code == "SOURCE_DENIED"]
    assert messages == ["The folder 'data/reel' cannot be looked into: Permission denied"]
