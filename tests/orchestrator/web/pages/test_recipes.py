"""What the recipe's editor is told."""

from __future__ import annotations

import json

import pytest

from db import recipe as recipes
from tests.support.visitor import Visitor


def test_a_recipe_is_taken_apart_into_steps_with_what_differs_from_defaults(operator: Visitor) -> None:
    text = "recipe:\n  - denoise: {strength: 0.5}\n  - deflicker\noutputs: [master, scores]\n"
    told = json.loads(operator.send("/recipes/read", [("text", text)]).text)
    assert [(step["stage"], step["params"]) for step in told["steps"]] == [
        ("denoise", {"strength": 0.5}),
        ("deflicker", {}),
    ]
    assert told["rest"]["outputs"] == ["master", "scores"]
    assert told["steps"][0]["fields"]["strength"]["maximum"] == 1


@pytest.mark.parametrize("name", recipes.names())
def test_a_shipped_recipe_is_given_as_it_was_written(operator: Visitor, name: str) -> None:
    told = json.loads(operator.send("/recipes/read", [("name", name)]).text)
    assert recipes.parse(told["text"], name) == recipes.resolve(name)


def test_what_is_wrong_is_told(operator: Visitor) -> None:
    told = json.loads(operator.send("/recipes/read", [("text", "recipe: [{denoize: {}}]")]).text)
    assert told["error"]["code"] == "UNKNOWN_STAGE"
    assert "Did you mean 'denoise'?" in told["error"]["message"]


@pytest.mark.parametrize("name", ["/etc/passwd", "../old-photo", "nonsense"])
def test_no_file_of_the_machine_is_read(operator: Visitor, name: str) -> None:
    told = json.loads(operator.send("/recipes/read", [("name", name)]).text)
    assert told["error"]["code"] == "UNKNOWN_RECIPE"
