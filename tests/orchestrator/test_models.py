"""``reelwright models``: what is known, registered, verified, forgotten; and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from db import progress
from db.catalog.weights import CARDS
from db.errors import InputError
from db.session import Database
from db.settings import Settings
from db.store import open_store
from orchestrator import cli, models
from tests.support import tint


@pytest.fixture
def at_home(settings: Settings, capsys: pytest.CaptureFixture[str]) -> Any:
    def command(*words: object) -> tuple[int, Any]:
        code = cli.run(["--home", str(settings.home), "--json", *map(str, words)])
        return code, json.loads(capsys.readouterr().out)

    return command


def test_what_is_known_can_be_listed_before_there_is_a_home(at_home: Any, settings: Settings) -> None:
    code, found = at_home("models", "list")
    assert code == 0
    assert {row["name"] for row in found} == set(CARDS)
    assert all(row["registered"] is None and row["licence"] for row in found)
    code, shown = at_home("models", "show", "ct2")
    assert (code, shown["must_accept"] != "") == (0, True)
    assert not settings.home.exists()


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
    assert (code, refused["error"]["code"]) == (cli.BAD_INPUT, "MODEL_MISSING")


def test_a_file_that_changed_in_the_store_is_found_out(at_home: Any, settings: Settings, tmp_path: Path) -> None:
    file = at_home("models", "add", tint.weights(tmp_path))[1]["files"][0]
    blob = settings.home / "store" / file["key"]
    blob.chmod(0o644)
    blob.write_bytes(b"x" * file["bytes"])
    code, found = at_home("models", "verify")
    assert (code, found[0]["code"]) == (1, "CHECKSUM_MISMATCH")


def test_a_file_is_given_to_a_network_by_name_and_a_folder_holds_a_system(at_home: Any, tmp_path: Path) -> None:
    weights = tint.weights(tmp_path)
    renamed = weights.rename(tmp_path / "epoch=7.bin")
    code, made = at_home("models", "add", renamed, "--card", "tint")
    assert (code, made["card"]) == (0, "tint")
    folder = tmp_path / "folder"
    tint.weights(folder)
    assert at_home("models", "add", folder)[1]["card"] == "tint"


def test_terms_that_must_be_accepted_are_not_passed_over(
    at_home: Any, settings: Settings, home_database: Database, tmp_path: Path
) -> None:
    path = tint.weights(tmp_path)
    code, refused = at_home("models", "add", path, "--card", "tint-nc")
    assert (code, refused["error"]["code"]) == (cli.BAD_INPUT, "LICENCE_NOT_ACCEPTED")
    assert "Not for money. CC BY-NC 4.0" in refused["error"]["message"]
    assert progress.weights(home_database) == {}
    code, made = at_home("models", "add", path, "--card", "tint-nc", "--accept-licence")
    assert (code, made["licence"]) == (0, "CC BY-NC 4.0")
    assert progress.weights(home_database)["tint-nc"].licence_accepted
    assert CARDS["ct2"].accept


@pytest.mark.parametrize(
    ("source", "code"),
    [("gone.pth", "FILE_MISSING"), ("http://localhost/w.pth", "PATH_UNSAFE"), ("file:///etc/passwd", "PATH_UNSAFE"),
     ("ftp://localhost/w.pth", "PATH_UNSAFE")],
)  # fmt: skip
def test_places_that_are_not_read_are_refused(at_home: Any, source: str, code: str) -> None:
    left, refused = at_home("models", "add", source)
    assert (left, refused["error"]["code"]) == (cli.BAD_INPUT, code)


def test_a_file_that_holds_something_else_is_refused_by_name(at_home: Any, tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_text("<html>not found</html>")
    left, refused = at_home("models", "add", tmp_path / "w.pth")
    assert (left, refused["error"]["code"]) == (cli.BAD_INPUT, "BAD_CHECKPOINT")
    assert at_home("models", "show", "tnit")[1]["error"]["code"] == "UNKNOWN_MODEL"


def test_the_same_file_under_two_cards_is_kept_once_and_until_both_are_gone(
    settings: Settings, home_database: Database, tmp_path: Path
) -> None:
    store, path = open_store(settings), str(tint.weights(tmp_path))
    models.add(settings, home_database, store, [path])
    models.add(settings, home_database, store, [path], name="tint-nc", accept_licence=True)
    assert len(list(store.keys("weights/"))) == 1
    assert models.remove(home_database, store, "tint") == 0
    assert models.remove(home_database, store, "tint-nc") == 1
    assert list(store.keys("weights/")) == []


def test_models_are_put_side_by_side_from_the_command_line(at_home: Any, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(40, 200, (48, 60), np.uint8)).save(photo)
    words = ("compare", photo, "--models", "tint, identity", "--out", tmp_path / "sheet.png", "--height", 64)
    code, refused = at_home(*words)
    assert (code, refused["error"]["code"]) == (cli.BAD_INPUT, "MODEL_MISSING")
    at_home("models", "add", tint.weights(tmp_path))
    code, made = at_home(*words)
    assert (code, made["rows"], made["notes"]) == (0, 1, [])
    assert (tmp_path / "sheet.png").exists()
    assert (tmp_path / "sheet.html").exists()


def test_unknown_weights_are_answered_with_the_nearest(settings: Settings, home_database: Database) -> None:
    with pytest.raises(InputError, match="ddcolor-tiny"):
        models.add(settings, home_database, open_store(settings), ["w.pth"], name="ddcolor-tiy")
