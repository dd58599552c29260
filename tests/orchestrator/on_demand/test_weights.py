"""``reelwright models``: what is known, registered, verified, forgotten; and what is refused."""

from __future__ import annotations

import functools
import hashlib
import http.client
import http.server
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from spandrel.architectures.ESRGAN import ESRGAN

from db import ledger, progress, session
from db.catalog.weights import CARDS
from db.errors import InputError, WorkError
from db.recipe import PinnedFile
from db.session import Database
from db.settings import Settings
from db.store import open_store
from orchestrator import cli, exit_codes
from orchestrator.on_demand import weights, worker_process
from orchestrator.submit import SubmitOptions, submit
from tests.support import servers, tint


def test_what_is_known_can_be_listed_before_there_is_a_home(at_home: Any, settings: Settings) -> None:
    code, found = at_home("models", "list")
    assert code == 0
    assert {row["name"] for row in found} == set(CARDS)
    assert all(row["license"] and (row["shipped"] or row["registered"] is None) for row in found)
    assert {row["name"] for row in found if row["must_accept"]} == {"ct2", "tint-nc"}
    code, shown = at_home("models", "show", "ct2")
    assert (code, shown["must_accept"] != "") == (0, True)
    assert shown in found
    assert shown["megabytes"] == 1853
    assert [file["networks"] for file in shown["files"]] == [[], ["luminance_table"]]
    assert not settings.home.exists()


def test_people_are_told_the_terms_and_what_is_registered(
    settings: Settings, home_database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(*words: str) -> str:
        assert cli.run(["--home", str(settings.home), "models", *words]) == 0
        return capsys.readouterr().out

    assert "registered no" in said("show", "tint")
    pin = tint.register(home_database, open_store(settings), tmp_path)
    shown = said("show", "tint")
    assert f"registered tint.pth, {pin.files[0].bytes / 1000:.1f} kB, sha256 {pin.files[0].sha256}" in shown
    rows = {line.split()[0]: line for line in said("list").splitlines()}
    assert rows["tint"].split()[:3] == ["tint", "tint", "yes"]
    assert "CC BY-NC 4.0" in rows["ct2"]
    assert " no " in rows["ct2"]
    assert "CC BY-NC 4.0, code, weights and table. The licence (CC BY-NC 4.0) allows non-commercial" in said(
        "show", "ct2"
    )
    assert "(optional)" in said("show", "gcp")


@pytest.mark.real_process
def test_weights_are_added_shown_verified_and_removed(at_home: Any, settings: Settings, tmp_path: Path) -> None:
    path = tint.weights(tmp_path)
    code, made = at_home("models", "add", path)
    assert (code, made["card"], made["parameters"]) == (0, "tint", 13)
    (file,) = made["files"]
    blob = settings.home / "store" / file["key"]
    assert blob.read_bytes() == path.read_bytes()
    assert at_home("models", "show", "tint")[1]["registered"]["files"] == [file]
    assert at_home("models", "verify") == (0, [{"card": "tint", "code": None, "message": None}])
    assert at_home("models", "remove", "tint") == (0, {"card": "tint", "files_deleted": 1})
    assert not blob.exists()
    code, refused = at_home("models", "remove", "tint")
    assert (code, refused["error"]["code"]) == (exit_codes.BAD_INPUT, "MODEL_MISSING")


def test_a_network_that_only_spandrel_reads_is_registered_under_a_label(
    at_home: Any, settings: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "RealESRGAN_x2plus.pth"
    network = ESRGAN(in_nc=3, out_nc=3, num_filters=8, num_blocks=1, scale=2)
    torch.save({"params_ema": network.state_dict()}, path)
    name = "spandrel-x2:realesrgan-x2plus"
    code, made = at_home("models", "add", path, "--licence", "BSD-3-Clause")
    assert (code, made["card"], made["license"]) == (0, name, "BSD-3-Clause")
    assert "--as spandrel-x2:LABEL" in made["notes"][0]
    shown = at_home("models", "show", name)[1]
    assert (shown["license"], shown["model"]) == ("BSD-3-Clause", "spandrel_upscaler")
    assert at_home("models", "verify", name) == (0, [{"card": name, "code": None, "message": None}])
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.fromarray(np.full((20, 30), 90, np.uint8)).save(photos / "a.png")
    (tmp_path / "r.yaml").write_text(f"- upscale: {{method: network, weights: '{name}'}}")
    code, planned = at_home("plan", photos, "--recipe", tmp_path / "r.yaml")
    assert (code, planned["problem_count"]) == (0, 0)
    code, refused = at_home("models", "add", path, "--as", "spandrel-x4:mine")
    assert (code, refused["error"]["code"]) == (exit_codes.BAD_INPUT, "BAD_CHECKPOINT")
    (tmp_path / "r.yaml").write_text("- denoise: {method: network, weights: 'spandrel-x2:realesrgan-x2plus'}")
    code, refused = at_home("plan", photos, "--recipe", tmp_path / "r.yaml")
    assert code == exit_codes.BAD_INPUT
    assert "takes out no noise" in refused["error"]["message"]


def test_the_terms_of_published_weights_are_on_their_card(at_home: Any, tmp_path: Path) -> None:
    code, refused = at_home("models", "add", tint.weights(tmp_path), "--licence", "mine")
    assert (code, refused["error"]["code"]) == (exit_codes.BAD_INPUT, "BAD_VALUE")
    assert "are on its card" in refused["error"]["message"]


def test_a_file_that_changed_in_the_store_is_found_out(
    at_home: Any, settings: Settings, home_database: Database, tmp_path: Path
) -> None:
    (file,) = tint.register(home_database, open_store(settings), tmp_path).files
    blob = settings.home / "store" / file.key
    assert blob.stat().st_mode & 0o777 == 0o444
    blob.chmod(0o644)
    blob.write_bytes(b"x" * file.bytes)
    code, found = at_home("models", "verify")
    assert (code, found[0]["card"], found[0]["code"]) == (1, "tint", "CHECKSUM_MISMATCH")
    blob.unlink()
    assert [row["code"] for row in at_home("models", "verify", "tint")[1]] == ["BLOB_MISSING"]


def test_verifying_what_is_not_registered_says_so_and_goes_on(at_home: Any, home_database: Database) -> None:
    code, found = at_home("models", "verify", "tint", "tnit")
    assert (code, [row["code"] for row in found]) == (1, ["MODEL_MISSING", "UNKNOWN_MODEL"])
    assert at_home("models", "verify") == (0, [])


def test_a_file_that_is_no_longer_what_its_card_says_is_found_out(
    at_home: Any, settings: Settings, home_database: Database, tmp_path: Path
) -> None:
    """As when a release corrects a card: the digest is right, the keys are not."""
    torch.save({"old.weight": torch.zeros(1)}, tmp_path / "tint.pth")
    digest = hashlib.sha256((tmp_path / "tint.pth").read_bytes()).hexdigest()
    blob = open_store(settings).put(f"weights/{digest}/tint.pth", tmp_path / "tint.pth")
    file = PinnedFile(key=blob.key, sha256=digest, bytes=blob.bytes)
    ledger.add_weights(home_database, ledger.NewWeights("tint", (file,), "here", license_accepted=False))
    code, found = at_home("models", "verify")
    assert (code, found[0]["code"]) == (1, "BAD_CHECKPOINT")
    assert "1 are unknown (old.weight)" in found[0]["message"]


def test_a_file_that_an_unfinished_job_pins_stays_in_the_store(
    at_home: Any, settings: Settings, home_database: Database, archive: Path, tmp_path: Path
) -> None:
    (file,) = tint.register(home_database, open_store(settings), tmp_path).files
    (archive / "colour.yaml").write_text("- colorize: {model: tint}")
    job = submit(settings, home_database, archive / "m.csv", SubmitOptions(recipe=str(archive / "colour.yaml"))).job_id
    assert at_home("models", "remove", "tint")[1]["files_deleted"] == 0
    assert (settings.home / "store" / file.key).exists()
    tint.register(home_database, open_store(settings), tmp_path)
    ledger.cancel_job(home_database, job)
    assert at_home("models", "remove", "tint")[1]["files_deleted"] == 1
    assert not (settings.home / "store" / file.key).exists()


def test_a_folder_is_taken_whole_and_an_equals_sign_may_be_part_of_a_path(at_home: Any, tmp_path: Path) -> None:
    tint.weights(tmp_path / "epoch=7")
    code, made = at_home("models", "add", tmp_path / "epoch=7")
    assert (code, made["card"]) == (0, "tint")


@pytest.mark.parametrize("option", ["--accept-license", "--accept-licence"])
def test_terms_that_must_be_accepted_are_not_passed_over(
    at_home: Any, settings: Settings, home_database: Database, tmp_path: Path, option: str
) -> None:
    path = tint.weights(tmp_path).rename(tmp_path / "tint_nc.pth")
    code, refused = at_home("models", "add", path)
    assert (code, refused["error"]["code"]) == (exit_codes.BAD_INPUT, "LICENCE_NOT_ACCEPTED")
    assert "Not for money. CC BY-NC 4.0" in refused["error"]["message"]
    assert progress.weights(home_database) == {}
    code, made = at_home("models", "add", path, "--card", "tint-nc", option)
    assert (code, made["license"]) == (0, "CC BY-NC 4.0")
    assert progress.weights(home_database)["tint-nc"].license_accepted
    assert at_home("models", "add", "gone.pth", "--card", "ct2")[1]["error"]["code"] == "LICENCE_NOT_ACCEPTED"
    with pytest.raises(InputError, match=r"^ct2: The licence \(CC BY-NC 4\.0\) allows non-commercial") as caught:
        weights.check_terms(CARDS["ct2"], accepted=False)
    assert caught.value.code == "LICENCE_NOT_ACCEPTED"
    weights.check_terms(CARDS["ct2"], accepted=True)
    weights.check_terms(CARDS["eccv16"], accepted=False)


@pytest.mark.parametrize(
    ("source", "code"),
    [("gone.pth", "FILE_MISSING"), ("http://localhost/w.pth", "PATH_UNSAFE"), ("file:///etc/passwd", "PATH_UNSAFE"),
     ("ftp://localhost/w.pth", "PATH_UNSAFE"), ("G=http://localhost/w.pth?a=b", "PATH_UNSAFE"),
     ("G=ftp://" + "a" * 300, "PATH_UNSAFE")],
)  # fmt: skip
def test_places_that_are_not_read_are_refused(at_home: Any, source: str, code: str) -> None:
    left, refused = at_home("models", "add", source)
    assert (left, refused["error"]["code"]) == (exit_codes.BAD_INPUT, code)


def test_a_file_that_holds_something_else_is_refused_by_name(at_home: Any, tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_text("<html>not found</html>")
    left, refused = at_home("models", "add", tmp_path / "w.pth")
    assert (left, refused["error"]["code"]) == (exit_codes.BAD_INPUT, "BAD_CHECKPOINT")
    assert at_home("models", "show", "tnit")[1]["error"]["code"] == "UNKNOWN_MODEL"


def test_the_same_file_under_two_cards_is_kept_once_and_until_both_are_gone(
    settings: Settings, home_database: Database, tmp_path: Path
) -> None:
    store = open_store(settings)
    tint.register(home_database, store, tmp_path)
    path = str(tmp_path / "tint.pth")
    weights.add(settings, home_database, store, [path], name="tint-nc", accept_license=True)
    assert len(list(store.keys("weights/"))) == 1
    assert weights.remove(home_database, store, "tint") == 0
    assert weights.remove(home_database, store, "tint-nc") == 1
    assert list(store.keys("weights/")) == []


@pytest.mark.real_process
def test_models_are_put_side_by_side_from_the_command_line(at_home: Any, settings: Settings, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(40, 200, (48, 60), np.uint8)).save(photo)
    words = ("compare", photo, "--models", "tint, identity", "--out", tmp_path / "sheet.png", "--height", 64)
    code, refused = at_home(*words)
    assert (code, refused["error"]["code"]) == (exit_codes.BAD_INPUT, "MODEL_MISSING")
    settings.home.mkdir()
    with session.open_database(settings) as database:
        session.upgrade(database)
        tint.register(database, open_store(settings), tmp_path)
    code, made = at_home(*words)
    assert (code, made["rows"], made["notes"]) == (0, 1, [])
    assert (tmp_path / "sheet.png").exists()
    assert (tmp_path / "sheet.html").exists()


def test_unknown_weights_are_answered_with_the_nearest(settings: Settings, home_database: Database) -> None:
    with pytest.raises(InputError, match="ddcolor-tiny"):
        weights.add(settings, home_database, open_store(settings), ["w.pth"], name="ddcolor-tiy")


class Plainly(urllib.request.HTTPSHandler):
    """Fetches ``https`` addresses without encryption: what is asked and answered is the same."""

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(http.client.HTTPConnection, request)  # type: ignore[arg-type]


class Site(http.server.SimpleHTTPRequestHandler):
    """A folder, and addresses that misbehave."""

    def do_GET(self) -> None:
        if self.path == "/short.pth":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"x" * 10)
        elif self.path == "/away.pth":
            self.send_response(302)
            self.send_header("Location", f"http://{self.headers['Host']}/elsewhere.pth")
            self.end_headers()
        elif self.path == "/noise.pth":
            self.wfile.write(b"SSH-2.0-OpenSSH\r\n")
        else:
            super().do_GET()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server of the folder ``site``."""
    opener = urllib.request.build_opener(Plainly, urllib.request.ProxyHandler({}))
    monkeypatch.setattr(urllib.request, "_opener", opener)
    (tmp_path / "site").mkdir()
    handler = functools.partial(Site, directory=str(tmp_path / "site"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_system_is_fetched_from_addresses_that_end_in_one_name(
    at_home: Any, tmp_path: Path, site: str, settings: Settings, home_database: Database
) -> None:
    tint.weights(tmp_path / "site" / "one").rename(tmp_path / "site" / "one" / "w.bin")
    (tmp_path / "site" / "two").mkdir()
    (tmp_path / "site" / "two" / "w.bin").write_text("[1, 2]")
    words = (f"{site}/one/w.bin?download=true", f"table={site}/two/w.bin", "--card", "tint-table")
    code, made = at_home("models", "add", *words)
    assert (code, [file["networks"] for file in made["files"]]) == (0, [["table"], []])
    assert len(made["notes"]) == 1
    stored = [(settings.home / "store" / file["key"]).read_bytes() for file in made["files"]]
    assert stored == [(tmp_path / "site" / place / "w.bin").read_bytes() for place in ("two", "one")]
    assert progress.weights(home_database)["tint-table"].source == ", ".join(words[:2])
    assert at_home("models", "verify") == (0, [{"card": "tint-table", "code": None, "message": None}])
    assert list(settings.scratch_folder.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "code", "said"),
    [
        ("gone.pth", "FILE_MISSING", "404"),
        ("short.pth", "FILE_MISSING", "broke off 990 bytes before its end"),
        ("away.pth", "PATH_UNSAFE", "leads away from https"),
        ("noise.pth", "FILE_MISSING", "SSH"),
        ("with space.pth", "FILE_MISSING", "control characters"),
        ("large.pth", "TOO_LARGE", "more than 5 bytes"),
    ],
)
def test_what_cannot_be_fetched_is_said_with_its_address(
    at_home: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, site: str, path: str, code: str, said: str
) -> None:
    monkeypatch.setattr(weights, "MAX_BYTES", 5 if path == "large.pth" else weights.MAX_BYTES)
    for name in ("large.pth", "elsewhere.pth"):
        (tmp_path / "site" / name).write_bytes(b"123456")
    left, refused = at_home("models", "add", f"{site}/{path}")
    assert (left, refused["error"]["code"]) == (exit_codes.BAD_INPUT, code)
    assert said in refused["error"]["message"]
    assert site in refused["error"]["message"]


def test_weights_come_from_s3_and_are_kept_and_verified_there(tmp_path: Path, s3: servers.S3) -> None:
    settings = Settings(home=tmp_path / "home", store_uri="s3://weights-kept/archive", **s3.settings)
    settings.home.mkdir()
    store = open_store(settings)
    store.put("elsewhere/tint.pth", tint.weights(tmp_path))
    moved: list[int] = []
    with session.open_database(settings) as database:
        session.upgrade(database)
        source = "s3://weights-kept/archive/elsewhere/tint.pth"
        made = weights.add(settings, database, store, [source], moved=moved.append)
        (key,) = store.keys("weights/")
        assert key == made.files[0].key
        assert sum(moved) >= 2 * made.files[0].bytes
        assert list(weights.verify(settings, database, store, [])) == [("tint", None)]
        assert weights.remove(database, store, "tint") == 1
    assert list(store.keys("weights/")) == []


@pytest.mark.real_process
def test_a_process_that_dies_on_its_errand_is_no_answer(settings: Settings) -> None:
    with pytest.raises(WorkError, match="ended with status 2"):
        worker_process.run(settings.model_copy(update={"device": "abacus"}), "weights", {})
