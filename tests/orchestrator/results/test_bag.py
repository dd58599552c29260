"""Bags: ours read by bagit-python, and bags that are damaged, foreign or hostile."""

from __future__ import annotations

import os
from pathlib import Path

import bagit
import pytest

from db.errors import InputError
from db.session import Database
from db.settings import Settings
from db.store import open_store
from db.store.base import Store
from orchestrator.results.bag import BagInfo, check, write_bag
from orchestrator.results.export import Sidecar
from orchestrator.submit import SubmitOptions, submit
from tests.support import papers
from tests.support.finished import finish

INFO = BagInfo("box-1", "Ein Karton\nmit Straße", "Archive of X")


@pytest.fixture
def store(settings: Settings) -> Store:
    return open_store(settings)


@pytest.fixture
def job(settings: Settings, home_database: Database, store: Store, archive: Path) -> int:
    (archive / "m.csv").write_text("id,uri\n100% größer/a,a.jpg\nb,b.png\ngone,c.jpg\n", encoding="utf-8")
    job_id = submit(settings, home_database, archive / "m.csv", SubmitOptions()).job_id
    for number, name in enumerate(("100% größer/a", "b")):
        finish(home_database, job_id, name, {"still": store.put_bytes(f"jobs/1/{number}/s.jpg", name.encode())})
    return job_id


@pytest.fixture
def made(home_database: Database, store: Store, job: int, tmp_path: Path) -> Path:
    folder = tmp_path / "bag"
    write_bag(home_database, store, job, folder, INFO,
              papers=lambda subject, _: [Sidecar(f"metadata/premis/{subject.stem}.xml", b"<x/>"),
                                         Sidecar(f"{subject.stem}.c2pa", b"signed")])  # fmt: skip
    return folder


def test_bagit_python_accepts_a_bag_of_ours(made: Path) -> None:
    bag = papers.valid_bag(made)
    assert bag.version_info == (1, 0)
    assert bag.info["Source-Organization"] == "Archive of X"
    assert bag.info["External-Description"] == "Ein Karton mit Straße"
    assert bag.info["Bag-Software-Agent"].startswith("Reelwright ")
    assert sorted(bag.algorithms) == ["sha256", "sha512"]
    files = sorted(path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file())
    assert {"data/b.jpg", "data/b.c2pa", "metadata/premis/b.xml", "metadata/report.csv"} <= set(files)
    assert {*bag.entries, "tagmanifest-sha256.txt", "tagmanifest-sha512.txt"} == set(files)
    assert list(check(made)) == []


def test_a_place_that_is_taken_is_left_alone(home_database: Database, store: Store, job: int, tmp_path: Path) -> None:
    (tmp_path / "bag").mkdir()
    (tmp_path / "bag" / "mine.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name in ("bag", "file"):
        with pytest.raises(InputError) as caught:
            write_bag(home_database, store, job, tmp_path / name, INFO)
        assert caught.value.code == "ALREADY_THERE"
    assert (tmp_path / "bag" / "mine.txt").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    write_bag(home_database, store, job, tmp_path / "empty", INFO)
    papers.valid_bag(tmp_path / "empty")


def test_a_bag_that_cannot_be_finished_leaves_nothing(
    home_database: Database, store: Store, job: int, tmp_path: Path
) -> None:
    store.delete("jobs/1/1/")
    with pytest.raises(InputError) as caught:
        write_bag(home_database, store, job, tmp_path / "deep" / "bag", INFO)
    assert caught.value.code == "BLOB_MISSING"
    assert list((tmp_path / "deep").iterdir()) == []


def test_every_damage_is_named(made: Path) -> None:
    (made / "data" / "b.jpg").chmod(0o644)
    (made / "data" / "b.jpg").unlink()
    (made / "data" / "b.jpg").write_bytes(b"c")
    (made / "data" / "b.c2pa").unlink()
    (made / "data" / "more.txt").write_text("more")
    (made / "metadata" / "report.csv").write_text("other")
    found = {(flaw.path, flaw.code) for flaw in check(made)}
    assert found == {
        ("data/b.jpg", "CHECKSUM_MISMATCH"), ("data/b.c2pa", "FILE_MISSING"), ("data/more.txt", "FILE_UNEXPECTED"),
        ("metadata/report.csv", "CHECKSUM_MISMATCH"), ("bag-info.txt", "BAG_INCOMPLETE"),
    }  # fmt: skip
    with pytest.raises(bagit.BagError):
        papers.valid_bag(made)


def test_a_bag_by_somebody_else_is_checked_too(tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "a b.txt").write_text("a")
    (folder / "line\nend.txt").write_text("b")
    bagit.make_bag(str(folder), checksums=["md5", "sha512"])
    assert list(check(folder)) == []
    (folder / "data" / "line\nend.txt").write_text("c")
    assert {flaw.code for flaw in check(folder)} == {"CHECKSUM_MISMATCH"}


@pytest.mark.parametrize(
    "line",
    ["../../etc/passwd", "/etc/passwd", "data/../../x", "~root/x", "data\\..\\x", "data/\0x"],
)  # fmt: skip
def test_no_manifest_leads_out_of_the_bag(made: Path, line: str) -> None:
    with (made / "manifest-sha256.txt").open("a") as file:
        file.write(f"{'0' * 64}  {line}\n")
    assert "PATH_UNSAFE" in {flaw.code for flaw in check(made)}


def test_a_name_that_no_disk_can_hold_is_a_missing_file(made: Path) -> None:
    with (made / "manifest-sha256.txt").open("a") as file:
        file.write(f"{'0' * 64}  data/{'x' * 5000}\n")
    assert "FILE_MISSING" in {flaw.code for flaw in check(made)}


def test_no_link_leads_out_of_the_bag(made: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (made / "data" / "b.jpg").unlink()
    (made / "data" / "b.jpg").symlink_to(tmp_path / "secret")
    flaws = {flaw.path: flaw for flaw in check(made)}
    assert flaws["data/b.jpg"].code == "PATH_UNSAFE"


@pytest.mark.parametrize("declared", ["", "BagIt-Version: 9.0\nTag-File-Character-Encoding: UTF-8\n", "\xff", "x" * 99])
def test_what_is_no_bag_is_refused(made: Path, declared: str) -> None:
    (made / "bagit.txt").write_bytes(declared.encode("latin-1"))
    with pytest.raises(InputError) as caught:
        list(check(made))
    assert caught.value.code == "BAG_INCOMPLETE"
    os.unlink(made / "bagit.txt")
    with pytest.raises(InputError):
        list(check(made))


def test_rubbish_in_a_manifest_is_a_flaw(made: Path) -> None:
    (made / "manifest-sha256.txt").write_text("rubbish\n\n0 x\n")
    assert {flaw.code for flaw in check(made)} >= {"BAG_INCOMPLETE"}
    for path in made.glob("manifest-*.txt"):
        path.unlink()
    assert "FILE_MISSING" in {flaw.code for flaw in check(made)}


@pytest.mark.parametrize("data", [b"x", b"longer than it was"])
def test_a_bag_does_not_certify_a_rotten_file(
    home_database: Database, store: Store, job: int, tmp_path: Path, data: bytes
) -> None:
    blob = store.local_path("jobs/1/1/s.jpg")
    assert blob is not None
    blob.chmod(0o644)
    blob.write_bytes(data)
    with pytest.raises(InputError, match=r"^b: ") as caught:
        write_bag(home_database, store, job, tmp_path / "deep" / "bag", INFO)
    assert caught.value.code == "CHECKSUM_MISMATCH"
    assert list((tmp_path / "deep").iterdir()) == []


def test_what_changes_between_copy_and_manifest_is_found(
    home_database: Database, store: Store, job: int, tmp_path: Path
) -> None:
    def spoil(count: int) -> None:
        for path in tmp_path.glob(".reelwright-*/data/b.jpg"):
            path.write_bytes(b"rotten")

    with pytest.raises(InputError, match=r"^data/b\.jpg: its record says") as caught:
        write_bag(home_database, store, job, tmp_path / "bag", INFO, on_item=spoil)
    assert caught.value.code == "CHECKSUM_MISMATCH"
    assert not (tmp_path / "bag").exists()


def test_a_bag_shares_no_file_with_the_store(made: Path, store: Store) -> None:
    blob = store.local_path("jobs/1/1/s.jpg")
    assert blob is not None
    assert not (made / "data" / "b.jpg").samefile(blob)
    (made / "data" / "b.jpg").chmod(0o644)
    (made / "data" / "b.jpg").write_bytes(b"changed")
    assert blob.read_bytes() == b"b"


@pytest.mark.parametrize("name", [".bag.bag-in-work", "bag.part"])
def test_no_folder_beside_a_bag_is_touched(
    home_database: Database, store: Store, job: int, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "mine.txt").write_text("mine")
    write_bag(home_database, store, job, tmp_path / "bag", INFO)
    assert (tmp_path / name / "mine.txt").read_text() == "mine"
    papers.valid_bag(tmp_path / "bag")


def test_what_came_while_a_bag_was_written_stays(
    home_database: Database, store: Store, job: int, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as caught:
        write_bag(
            home_database, store, job, tmp_path / "bag", INFO,
            on_item=lambda count: (tmp_path / "bag" / str(count)).mkdir(parents=True),
        )  # fmt: skip
    assert caught.value.code == "ALREADY_THERE"
    assert {path.name for path in (tmp_path / "bag").iterdir()} == {"1", "2", "3"}
    assert not list(tmp_path.glob(".reelwright-*"))


def test_no_bag_lies_among_frames(settings: Settings, home_database: Database, store: Store, job: int) -> None:
    reel = settings.home.parent / "archive" / "reel"
    reel.mkdir()
    for number in range(1, 7):
        (reel / f"f_{number}.png").write_bytes(b"frame")
    as_reel = settings.model_copy(update={"numbered": "reel"})
    submit(as_reel, home_database, reel, SubmitOptions())
    with pytest.raises(InputError) as caught:
        write_bag(home_database, store, job, reel / "bag", INFO)
    assert caught.value.code == "OUTPUT_ON_SOURCE"
    assert len(list(reel.iterdir())) == 6
