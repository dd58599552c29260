"""Files that a person wants to register: which card they are of, and what is said about them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from db.errors import InputError
from tests.support import placeholders, tint
from workers.models.checkpoints import loading
from workers.on_demand.inspect_weights import examine


def system(folder: Path) -> tuple[Path, Path]:
    """Weights and the table that belongs to them, under names of their own."""
    (folder / "t.json").write_text(json.dumps([1, 2]))
    return tint.weights(folder).rename(folder / "epoch=7.bin"), folder / "t.json"


def test_a_file_is_described_by_digest_size_and_parameters(tmp_path: Path) -> None:
    path = tint.weights(tmp_path / "given")
    found = examine([str(path)], None, tmp_path)
    digest = loading.file_sha256(path)
    assert found["card"] == "tint"
    assert found["files"] == [
        {"path": str(path), "networks": [], "sha256": digest, "bytes": path.stat().st_size},
    ]
    assert found["parameters"] == 13
    assert found["notes"] == []
    assert examine([str(tmp_path / "given")], None, tmp_path) == found


def test_keys_that_fit_several_cards_are_said_to(tmp_path: Path) -> None:
    path = tint.weights(tmp_path).rename(tmp_path / "renamed.pth")
    (note,) = examine([str(path)], None, tmp_path)["notes"]
    assert "tint-nc" in note
    assert examine([str(path)], "tint-nc", tmp_path)["notes"] == []


@pytest.mark.parametrize("name", ["tint-table", None])
def test_files_under_other_names_are_given_to_their_networks(tmp_path: Path, name: str | None) -> None:
    weights, table = system(tmp_path)
    if name is None:  # then one of them must be known by its name
        weights = weights.rename(tmp_path / "tint_main.pth")
    found = examine([str(weights), f"table={table}"], name, tmp_path)
    assert found["card"] == "tint-table"
    assert {file["path"]: file["networks"] for file in found["files"]} == {str(weights): [], str(table): ["table"]}
    assert found["notes"] == [f"{weights.name} is not the published file: its sha256 does not begin 1234."]


def test_a_system_is_known_by_its_networks_names(tmp_path: Path) -> None:
    paths = {}
    for name, shapes in loading._key_shapes("instcolorization").items():
        paths[name] = tmp_path / f"{name}.bin"
        torch.save(placeholders.views(shapes), paths[name])
    found = examine([f"{name}={path}" for name, path in paths.items()], None, tmp_path)
    assert found["card"] == "instcolorization"
    assert [file["networks"] for file in found["files"]] == [["G"], ["GF"], ["GComp"]]


@pytest.mark.parametrize(
    ("given", "card", "code"),
    [
        ([], None, "FILE_MISSING"),
        (["gone.pth"], None, "FILE_MISSING"),
        (["gone.pth"], "tint", "FILE_MISSING"),
        (["G=gone.pth"], None, "FILE_MISSING"),
        (["a" * 300], None, "FILE_MISSING"),
        (["."], None, "FILE_MISSING"),
        (["H={}"], None, "BAD_CHECKPOINT"),
        (["H={}"], "tint", "BAD_CHECKPOINT"),
        (["{}", "{}.json"], None, "BAD_CHECKPOINT"),
        (["{}"], "tnit", "UNKNOWN_MODEL"),
        (["{}"], "tint-table", "BAD_CHECKPOINT"),
        (["{}"], "eccv16", "BAD_CHECKPOINT"),
    ],
)
def test_what_cannot_be_registered_is_refused_with_a_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: list[str], card: str | None, code: str
) -> None:
    path = tint.weights(tmp_path)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    with pytest.raises(InputError) as caught:
        examine([each.format(path) for each in given], card, tmp_path)
    assert caught.value.code == code
    assert caught.value.remedy
