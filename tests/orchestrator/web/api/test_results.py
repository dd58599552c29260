"""All results of a job in one download: what the command line writes, byte for byte, or an answer that breaks off."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from db.records import Blob
from db.session import Database
from db.settings import Settings
from db.store import open_store
from orchestrator.results import bag
from tests.orchestrator.web.conftest import Live
from tests.support.finished import finish
from tests.support.visitor import Visitor

TAR = "/api/v1/jobs/{}/results.tar"


def store_blob(settings: Settings, folder: Path, name: str, data: bytes) -> Blob:
    path = folder / "made.bin"
    path.write_bytes(data)
    return open_store(settings).put(f"job/1/item/1/{name}", path)


def sequence(frames: int) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for number in range(frames):
            entry = tarfile.TarInfo(f"f_{number:04d}.png")
            entry.size = 700
            tar.addfile(entry, io.BytesIO(bytes([number]) * 700))
    return made.getvalue()


@pytest.fixture
def finished(settings: Settings, home_database: Database, job_id: int, tmp_path: Path) -> int:
    """Two items with outputs: a still whose colour was invented, and a reel with a film and the files of a sequence."""
    still = store_blob(settings, tmp_path, "still.png", b"still" * 1000)
    finish(home_database, job_id, "one", {"still": still}, {"invented_color": True})
    names = {"master.mkv": b"m" * (3 << 20), "scores.csv": b"frame\n", "sequence-000000.tar": sequence(3)}
    blobs = {name.partition(".")[0]: store_blob(settings, tmp_path, name, data) for name, data in names.items()}
    finish(home_database, job_id, "reel", blobs)
    return job_id


def members(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert all(each.isfile() and not each.name.startswith("/") for each in tar)
        return {each.name: tar.extractfile(each).read() for each in tar}  # type: ignore[union-attr]


def written(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def reel(viewer: Visitor, external_id: str = "reel") -> int:
    items = json.loads(viewer.get("/api/v1/jobs/1/items").text)["items"]
    return next(int(each["id"]) for each in items if each["external_id"] == external_id)


@pytest.mark.parametrize("premis", [False, True])
def test_one_download_is_what_the_command_line_writes(
    viewer: Visitor, at_home: Any, finished: int, tmp_path: Path, premis: bool
) -> None:
    out = tmp_path / "out"
    code, _ = at_home("get", finished, "--out", out, *(["--premis"] if premis else []))
    page = viewer.get(f"{TAR.format(finished)}?premis={premis}")
    assert (code, page.status) == (0, 200)
    assert members(page.content) == written(out)
    assert len(written(out)) == (6 + 5 if premis else 6)


def test_a_bag_is_the_bag_of_the_command_line(
    viewer: Visitor, at_home: Any, finished: int, settings: Settings, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    at_home("get", finished, "--bag", "--organization", "Box & Co", "--out", out)
    page = viewer.get(f"{TAR.format(finished)}?bag=true&organization=Box+%26+Co")
    got = members(page.content)
    top = f"job-{finished}-bag/"
    assert {name.removeprefix(top) for name in got} == set(written(out))
    payload = {name.removeprefix(top): data for name, data in got.items() if name.startswith(f"{top}data/")}
    assert payload == {name: data for name, data in written(out).items() if name.startswith("data/")}
    assert b"Source-Organization: Box & Co" in got[f"{top}bag-info.txt"]
    with tarfile.open(fileobj=io.BytesIO(page.content)) as tar:
        tar.extractall(tmp_path / "unpacked", filter="data")
    assert list(bag.check(tmp_path / "unpacked" / top)) == []
    assert [path.name for path in settings.scratch_folder.iterdir() if "bag" in path.name] == []


def test_a_bag_without_room_is_refused(
    viewer: Visitor, finished: int, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10**9))
    page = viewer.get(f"{TAR.format(finished)}?bag=true")
    assert page.status == 503
    assert "NO_SPACE" in page.text
    assert [path.name for path in settings.scratch_folder.iterdir() if "bag" in path.name] == []


def test_a_bag_of_a_damaged_file_is_refused_and_nothing_left(
    viewer: Visitor, finished: int, settings: Settings
) -> None:
    damage(settings)
    page = viewer.get(f"{TAR.format(finished)}?bag=true")
    assert "CHECKSUM_MISMATCH" in page.text
    assert page.status == 422
    assert [path.name for path in settings.scratch_folder.iterdir() if "bag" in path.name] == []


def damage(settings: Settings) -> None:
    path = open_store(settings).local_path("job/1/item/1/master.mkv")
    assert path is not None
    path.chmod(0o600)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("what", ["results.tar", "outputs/master"])
def test_a_damaged_file_breaks_the_answer_off(
    live: Live, viewer: Visitor, finished: int, settings: Settings, what: str
) -> None:
    token = viewer.token
    path = TAR.format(finished) if what == "results.tar" else f"/api/v1/items/{reel(viewer)}/{what}"
    request = f"GET {path} HTTP/1.1\r\nHost: HOST\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    whole = live.ask(request)
    damage(settings)
    broken = live.ask(request)
    assert whole.startswith(b"HTTP/1.1 200")
    assert broken.startswith(b"HTTP/1.1 200")
    assert len(broken) < len(whole)
    if what == "results.tar":
        assert whole.endswith(b"0\r\n\r\n")
        assert not broken.endswith(b"0\r\n\r\n")


def test_a_file_that_is_gone_is_said_where_it_is_asked_for(viewer: Visitor, finished: int, settings: Settings) -> None:
    path = open_store(settings).local_path("job/1/item/1/still.png")
    assert path is not None
    path.unlink()
    assert viewer.get(f"/api/v1/items/{reel(viewer, 'one')}/outputs/still").status == 404


@pytest.mark.parametrize(
    "name",
    ["..%2fmaster", "master.mkv", "sequence-000000", "", "master%00", "%2fetc%2fpasswd", "x" * 300],
)
def test_an_output_is_one_of_its_item_and_no_path(viewer: Visitor, finished: int, name: str) -> None:
    expected = 200 if name == "sequence-000000" else 404
    answer = viewer.get(f"/api/v1/items/{reel(viewer)}/outputs/{name}")
    assert answer.status == expected
    assert "backup" not in answer.text


@pytest.mark.parametrize("number", ["0", "-1", "99999999999999999999999", "1e3", "x", "%00", "1.0", "٣"])
def test_a_number_that_nothing_has_is_not_found(viewer: Visitor, number: str) -> None:
    below = ("", "/items", "/failures", "/results.tar", "/report.csv", "/events", "/failures/codes")
    paths = (*(f"jobs/{{}}{each}" for each in below), "items/{}", "items/{}/attempts", "items/{}/outputs/x", "looks/{}")
    for path in paths:
        assert viewer.get(f"/api/v1/{path.format(number)}").status in {404, 422}, path
    for path in ("jobs/{}", "items/{}", "photo/{}"):
        assert viewer.get(f"/{path.format(number)}").status in {404, 422}, path


def test_a_film_can_be_sought_in(viewer: Visitor, finished: int) -> None:
    page = viewer.get(f"/api/v1/items/{reel(viewer)}/outputs/master", Range="bytes=0-")
    assert (page.status, len(page.content)) == (206, 3 << 20)
    head = viewer.ask("HEAD", f"/api/v1/items/{reel(viewer)}/outputs/master")
    assert (head.status, head.headers["Content-Length"], head.content) == (200, str(3 << 20), b"")


def test_nothing_that_is_downloaded_is_shown(viewer: Visitor, finished: int) -> None:
    item = f"items/{reel(viewer, 'one')}"
    for path in (f"jobs/{finished}/report.csv", f"jobs/{finished}/results.tar", f"{item}/outputs/still"):
        assert viewer.get(f"/api/v1/{path}").headers["Content-Disposition"].startswith("attachment;")
