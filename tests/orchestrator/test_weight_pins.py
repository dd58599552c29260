"""A job names the files that it runs with, and nothing of that touches recipes without networks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from db import ledger, progress
from db.errors import RecipeError
from db.recipe import PinnedFile, Recipe, parse, resolve
from db.session import Database
from db.settings import Settings
from orchestrator import weight_pins
from orchestrator.on_demand.dry_run import dry_run
from orchestrator.submit import SubmitOptions, submit

COLOUR = "- colorize: {model: tint}"


def register(database: Database, digest: str = "a" * 64) -> None:
    file = PinnedFile(key=f"weights/{digest}/tint.pth", sha256=digest, bytes=1)
    ledger.add_weights(database, ledger.NewWeights("tint", (file,), "here", license_accepted=False))


def test_recipes_without_networks_are_spelled_as_before() -> None:
    """The literal holds the spelling: an archive that is submitted again finds its job."""
    text = resolve("conservation").model_dump_json()
    assert "pins" not in text
    assert weight_pins.pin_weights(resolve("conservation"), {}) == resolve("conservation")
    assert resolve("conservation").fingerprint() == CONSERVATION


CONSERVATION = "7f8a0b4540db656231dea7037f4fb89dfc51104e18599adf7db597c52960b95c"


def test_the_fingerprint_says_which_weights(home_database: Database) -> None:
    register(home_database)
    first = weight_pins.pin_weights(parse(COLOUR, "r"), progress.weights(home_database))
    register(home_database, "b" * 64)
    second = weight_pins.pin_weights(parse(COLOUR, "r"), progress.weights(home_database))
    assert len({first.fingerprint(), second.fingerprint(), parse(COLOUR, "r").fingerprint()}) == 3
    assert Recipe.model_validate_json(first.model_dump_json()) == first


def test_weights_that_are_not_registered_are_named_with_where_to_get_them(home_database: Database) -> None:
    register(home_database)
    with pytest.raises(RecipeError, match=r"ddcolor-tiny are not registered\. Registered here: tint") as caught:
        weight_pins.pin_weights(parse("- colorize: {weights: ddcolor-tiny}", "r"), progress.weights(home_database))
    assert caught.value.code == "MODEL_MISSING"
    assert "ddcolor_paper_tiny.pth" in caught.value.remedy


def test_a_step_without_effect_needs_no_weights() -> None:
    recipe = parse("- colorize: {model: ddcolor, strength: 0}", "r")
    assert weight_pins.pin_weights(recipe, {}) == recipe


def test_a_line_that_lacks_its_weights_fails_and_the_others_go_on(
    settings: Settings, home_database: Database, archive: Path
) -> None:
    own = [{"colorize": {"model": "ddcolor"}}]
    lines = [{"id": "plain", "uri": "a.jpg"}, {"id": "colour", "uri": "b.png", "recipe": own}]
    (archive / "m.jsonl").write_text("\n".join(map(json.dumps, lines)))
    made = submit(settings, home_database, archive / "m.jsonl", SubmitOptions())
    (failure,) = progress.failures(home_database, made.job_id)
    assert (failure.external_id, failure.code) == ("colour", "MODEL_MISSING")
    states = {row.external_id: row.state.value for row in progress.items(home_database, made.job_id)}
    assert states == {"plain": "pending", "colour": "failed"}


def test_a_job_whose_own_recipe_lacks_weights_is_not_made(
    settings: Settings, home_database: Database, archive: Path
) -> None:
    (archive / "colour.yaml").write_text(COLOUR)
    with pytest.raises(RecipeError) as caught:
        submit(settings, home_database, archive / "m.csv", SubmitOptions(recipe=str(archive / "colour.yaml")))
    assert caught.value.code == "MODEL_MISSING"
    assert progress.jobs(home_database) == []


def test_a_job_stays_the_same_until_other_weights_are_registered(
    settings: Settings, home_database: Database, archive: Path
) -> None:
    (archive / "colour.yaml").write_text(COLOUR)
    options = SubmitOptions(recipe=str(archive / "colour.yaml"))
    register(home_database)
    first = submit(settings, home_database, archive / "m.csv", options)
    assert submit(settings, home_database, archive / "m.csv", options).job_id == first.job_id
    register(home_database, "b" * 64)
    assert submit(settings, home_database, archive / "m.csv", options).job_id != first.job_id
    assert progress.job(home_database, first.job_id).recipe.steps[0].pins[0].files[0].sha256 == "a" * 64


def test_the_dry_run_says_that_weights_are_missing(settings: Settings, archive: Path) -> None:
    (archive / "colour.yaml").write_text(COLOUR)
    found = dry_run(settings, archive / "m.csv", recipe=str(archive / "colour.yaml"), probe=False)
    assert found.problems_by_code["MODEL_MISSING"] == 1
