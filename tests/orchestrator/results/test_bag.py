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
