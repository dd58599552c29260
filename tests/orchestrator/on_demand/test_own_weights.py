"""Weights that come with Reelwright, and such as somebody trained: who may take which name, and where the files go."""

from __future__ import annotations

import hashlib
import json
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from db import ledger, progress
from db.catalog import shipped, trained
from db.catalog.weights import CARDS, card, find
from db.errors import InputError, RecipeError
from db.recipe import parse
from db.session import Database
from db.settings import Settings
from db.store import open_store
from orchestrator import cli, exit_codes, weight_pins
from orchestrator.on_demand import weights, worker_process
from orchestrator.submit import SubmitOptions, submit
from tests.support import placeholders
from workers import models as networks
from workers.on_demand.restore_picture import restore

SHIPPED = sorted(name for name, each in CARDS.items() if each.shipped)


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with random weights for every shipped card."""
    folder = tmp_path / "shipped"
    for name in SHIPPED:
        placeholders.weights(folder / f"{name}.safetensors", name)
    (folder / "reelwright-denoise.json").write_text(json.dumps({"data": "Noise.", "figures": {"psnr": 30}, "x": []}))
    monkeypatch.setattr(shipped, "FOLDER", folder)
    return folder


@pytest.mark.parametrize("name", shipped.names())
def test_what_ships_is_what_its_card_says(name: str) -> None:
    facts = shipped.facts(name)
    said = trained.from_document(facts)
    assert facts["sha256"] == shipped.blob(name).sha256
    assert said.data
    assert said.figures
    network = networks.load(shipped.FOLDER / f"{name}.safetensors", card(name).build)
    assert all(bool(torch.isfinite(value).all()) for value in network.state_dict().values())


def test_an_installation_without_the_file_says_so(
    home_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    assert progress.weights_at_hand(home_database) == progress.weights_at_hand(None) == {}
    with pytest.raises(RecipeError, match="reelwright-color") as caught:
        weight_pins.pin_weights(parse("- colorize", "r"), {})
    assert "Install Reelwright again" in caught.value.remedy


def test_a_job_takes_shipped_weights_without_registering_and_leaves_them_in_the_store(
    settings: Settings, home_database: Database, archive: Path, stand_in: Path
) -> None:
    lines = [{"id": "plain", "uri": "a.jpg"}, {"id": "colour", "uri": "b.png", "recipe": [{"colorize": {}}]}]
    (archive / "m.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (archive / "r.yaml").write_text("- upscale: {method: network}")
    job = submit(settings, home_database, archive / "m.jsonl", SubmitOptions(recipe=str(archive / "r.yaml"))).job_id
    (pin,) = progress.job(home_database, job).recipe.steps[0].pins
    assert (pin.card, pin.build) == ("reelwright-upscale-x2", "subpixel-cnn")
    store = open_store(settings)
    kept = {key.rpartition("/")[2] for key in store.keys("weights/")}
    assert kept == {"reelwright-upscale-x2.safetensors", "reelwright-color.safetensors"}
    store.check(pin.files[0])
    assert progress.weights(home_database) == {}
    # The same again is the same job, even where many ask at once.
    threads = [
        threading.Thread(target=weight_pins.Deposits(settings).put, args=(progress.job(home_database, job).recipe,))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (
        submit(settings, home_database, archive / "m.jsonl", SubmitOptions(recipe=str(archive / "r.yaml"))).job_id
        == job
    )


def test_weights_of_another_release_are_taken_from_the_store(
    settings: Settings, home_database: Database, stand_in: Path, tmp_path: Path
) -> None:
    from workers.models.checkpoints import registered

    recipe = weight_pins.pin_weights(parse("- denoise", "r"), progress.weights_at_hand(None))
    weight_pins.Deposits(settings).put(recipe)
    (pin,) = recipe.steps[0].pins
    before = registered._fetch_file(pin.files[0], open_store(settings), settings, lambda: None)
    assert before == stand_in / "reelwright-denoise.safetensors"
    placeholders.weights(before, "folded-cnn", seed=1)
    shipped._sha256.cache_clear()
    after = registered._fetch_file(pin.files[0], open_store(settings), settings, lambda: None)
    assert hashlib.sha256(after.read_bytes()).hexdigest() == pin.files[0].sha256
    assert after.is_relative_to(settings.home)
    shipped._sha256.cache_clear()


def test_networks_of_every_kind_are_put_side_by_side(stand_in: Path) -> None:
    names = ("lite_unet", "reelwright-color", "reelwright-denoise", "reelwright-upscale-x2")
    columns = weight_pins.compare_columns(names, None)
    assert [recipe.steps[0].stage for _, recipe in columns] == ["colorize", "colorize", "denoise", "upscale"]
    assert [recipe.steps[0].pins[0].card for _, recipe in columns] == [names[1], *names[1:]]


def test_a_notebook_needs_no_home_for_shipped_weights(stand_in: Path, tmp_path: Path) -> None:
    grey = (torch.rand(24, 32) * 255).to(torch.uint8).numpy()
    assert restore(grey, "upscale", home=tmp_path / "none", method="network").shape == (48, 64)
    assert restore(grey, "denoise", home=tmp_path / "none").shape == (24, 32)
    assert restore(grey, "colorize", home=tmp_path / "none").shape == (24, 32, 3)


def test_shipped_weights_are_listed(at_home: Any, stand_in: Path) -> None:
    code, found = at_home("models", "list")
    assert code == 0
    row = {each["name"]: each for each in found}["reelwright-denoise"]
    assert (row["shipped"], row["registered"]["shipped"], row["registered"]["card"]) == (True, True, row["name"])
    assert {each["name"] for each in found if each["shipped"]} == set(SHIPPED)


def test_shipped_weights_are_verified_by_name(
    settings: Settings, home_database: Database, stand_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    asked: list[Any] = []
    monkeypatch.setattr(
        worker_process, "run", lambda _, what, order: asked.append((what, order["files"], order["card"]))
    )
    store = open_store(settings)
    assert list(weights.verify(settings, home_database, store, [])) == []
    assert list(weights.verify(settings, home_database, store, ["reelwright-color"])) == [("reelwright-color", None)]
    assert asked == [("weights", [str(stand_in / "reelwright-color.safetensors")], "reelwright-color")]


def test_people_are_told_what_ships(
    settings: Settings, home_database: Database, stand_in: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(*words: str) -> str:
        assert cli.run(["--home", str(settings.home), "models", *words]) == 0
        return capsys.readouterr().out

    shown = said("show", "reelwright-denoise")
    assert "shipped    reelwright-denoise.safetensors" in shown
    assert "data       Noise." in shown
    assert "figure     psnr 30" in shown
    rows = {line.split()[0]: line.split() for line in said("list").splitlines()}
    assert rows["reelwright-denoise"][:3] == ["reelwright-denoise", "folded_cnn", "shipped"]


def test_nobody_takes_the_name_of_shipped_weights(at_home: Any, home_database: Database, tmp_path: Path) -> None:
    path = placeholders.weights(tmp_path / "own.safetensors", "folded-cnn")
    for words in (("models", "add", path), ("models", "add", path, "--card", "reelwright-denoise")):
        code, refused = at_home(*words)
        assert (code, refused["error"]["code"]) == (exit_codes.BAD_INPUT, "BAD_VALUE")
        assert "--as folded-cnn:LABEL" in refused["error"]["remedy"]
    assert at_home("models", "remove", "reelwright-denoise")[0] == exit_codes.BAD_INPUT
    assert progress.weights(home_database) == {}


SAID = {
    "card": "lite-unet:birds",
    "summary": "Birds of the \x1b[31mgarden",
    "licence": "CC0",
    "data": "My photos.",
    "figures": {"psnr": 24.5},
    "figures_before": {"psnr": 1},
    "recipe": {"steps": 100, "device": "cpu", "rate": 1e-3, "gpu": None},
}


@pytest.mark.parametrize("folder", [False, True])
def test_trained_weights_say_themselves_what_they_are(
    at_home: Any, settings: Settings, home_database: Database, tmp_path: Path, folder: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    path = placeholders.weights(tmp_path / "made" / "lite-unet.birds.safetensors", "lite-unet", **SAID)
    path.with_suffix(".json").write_text("{}")
    code, made = at_home("models", "add", path.parent if folder else path)
    assert (code, made["card"], made["license"]) == (0, "lite-unet:birds", "CC0")
    row = progress.weights(home_database)["lite-unet:birds"]
    assert row.trained is not None
    assert (row.trained.summary, row.trained.figures) == ("Birds of the [31mgarden", {"psnr": 24.5})
    assert row.trained.recipe == {"steps": 100, "device": "cpu", "rate": 1e-3, "gpu": None}
    listed = {each["name"]: each for each in at_home("models", "list")[1]}
    assert listed["lite-unet:birds"]["registered"]["trained"]["figures"] == {"psnr": 24.5}
    assert cli.run(["--home", str(settings.home), "models", "show", "lite-unet:birds"]) == 0
    assert "Birds of the [31mgarden" in capsys.readouterr().out
    assert at_home("models", "verify", "lite-unet:birds")[0] == 0
    pinned = weight_pins.pin_weights(
        parse('- colorize: {model: "lite-unet:birds"}', "r"), progress.weights(home_database)
    )
    assert pinned.steps[0].pins[0].build == "lite-unet"
    assert at_home("models", "remove", "lite-unet:birds")[0] == 0


def test_any_file_is_named_by_hand_and_two_labels_stand_side_by_side(
    at_home: Any, home_database: Database, tmp_path: Path
) -> None:
    path = placeholders.weights(tmp_path / "w.safetensors", "folded-cnn")
    assert at_home("models", "add", path, "--as", "folded-cnn:film-grain")[1]["card"] == "folded-cnn:film-grain"
    assert at_home("models", "add", path, "--as", "reelwright-denoise:b")[1]["card"] == "reelwright-denoise:b"
    assert list(progress.weights(home_database)) == ["folded-cnn:film-grain", "reelwright-denoise:b"]
    code, refused = at_home("models", "add", path, "--as", "subpixel-cnn:no")
    assert (code, refused["error"]["code"]) == (exit_codes.BAD_INPUT, "BAD_CHECKPOINT")
    code, refused = at_home("models", "add", path, "--as", "folded-cn:no")
    assert refused["error"]["code"] == "UNKNOWN_MODEL"
    assert "'folded-cnn'" in refused["error"]["message"]


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ("[" * 100_000, "at most"),
        ("[" * 50_000, "no JSON"),
        ("{", "no JSON"),
        ('"text"', "not usable"),
        ('{"figures": {"psnr": NaN}}', "figures.psnr"),
        ('{"figures": {"psnr": "high"}}', "figures.psnr"),
        ('{"licence": 5}', "licence"),
        (json.dumps({"summary": "x" * 3000}), "summary"),
        (json.dumps({"figures": {str(number): 1 for number in range(100)}}), "figures"),
        (json.dumps({"recipe": {"a": [1]}}), "recipe"),
    ],
)
def test_what_a_file_says_of_itself_is_measured_first(said: str, word: str) -> None:
    with pytest.raises(InputError, match=word) as caught:
        trained.read(said)
    assert caught.value.code == "BAD_CHECKPOINT"
    assert caught.value.message.isprintable()


def test_a_file_that_claims_published_or_shipped_weights_is_known_by_its_keys_alone(
    at_home: Any, home_database: Database, tmp_path: Path
) -> None:
    path = placeholders.weights(tmp_path / "w.safetensors", "folded-cnn", card="ddcolor-large")
    assert at_home("models", "add", path)[1]["error"]["code"] == "BAD_VALUE"
    path = placeholders.weights(tmp_path / "w.safetensors", "folded-cnn", card="lite-unet:lie")
    assert at_home("models", "add", path)[1]["error"]["code"] == "BAD_CHECKPOINT"


@pytest.mark.parametrize("name", ["ddcolor-tiny:", "ddcolor-tiny:A", "ddcolor-tiny:-a", "ddcolor-tiny:" + "a" * 41,
                                  "a:b:c", "nothing:a", ":a", "ddcolor-tiny:a\n"])  # fmt: skip
def test_names_that_are_no_tags_are_no_cards(name: str) -> None:
    assert find(name) is None
    with pytest.raises(InputError) as caught:
        card(name)
    assert caught.value.code == "UNKNOWN_MODEL"


def test_a_tag_is_its_bases_network_and_nobody_elses_terms() -> None:
    tagged = card("deoldify-video:family")
    assert (tagged.build, tagged.architecture, tagged.defaults) == (
        "deoldify-stable",
        "deoldify",
        (("render_factor", 21),),
    )
    assert tagged.files[0].sha256_prefix == card("eccv16:x").files[0].sha256_prefix == ""
    assert not card("lite-unet:x").shipped
    assert card("ct2:x").accept
    assert [file.networks for file in card("gcp:x").files] == [file.networks for file in card("gcp").files]
    assert parse('- colorize: {model: "ddcolor-tiny:birds", input_size: 256}', "r").steps[0].cards() == (
        "ddcolor-tiny:birds",
    )


def test_records_of_trained_weights_survive_a_round_trip(home_database: Database) -> None:
    said = trained.from_document(SAID)
    ledger.add_weights(home_database, ledger.NewWeights("lite-unet:birds", (), "here", False, said))
    assert progress.weights(home_database)["lite-unet:birds"].trained == said
    assert progress.weights(home_database)["lite-unet:birds"].license == "CC0"
