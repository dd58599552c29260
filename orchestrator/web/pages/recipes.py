"""What the recipe's editor shows: a recipe as text, and its steps with all that each may be told."""

from __future__ import annotations

from importlib import resources
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from starlette.responses import Response

from db import recipe as recipes
from db.catalog.stages import STAGES
from db.errors import InputError
from db.recipe import Recipe, Step
from orchestrator.web.answers import answer, error_facts
from orchestrator.web.auth import OPERATOR

router = APIRouter(dependencies=[OPERATOR])
NAME = "own recipe"
"""What a recipe is called that was written on a page."""


@router.post("/recipes/read")
def read_recipe(
    request: Request,
    text: Annotated[str, Form(max_length=recipes.MAX_CHARS)] = "",
    name: Annotated[str, Form(max_length=100)] = "",
) -> Response:
    """Check a recipe, by its text or by the name of a shipped one, and take it apart for the editor.

    That it is wrong is an answer like others: somebody is at writing it.
    """
    try:
        text = shipped_text(name) if name else text
        return answer(request, {"text": text, **_parts(recipes.parse(text, NAME))})
    except InputError as error:
        return answer(request, {"error": error_facts(error)})


def shipped_text(name: str) -> str:
    """Return a shipped recipe as it was written; raises ``InputError`` ``UNKNOWN_RECIPE``."""
    if name not in recipes.names():
        raise InputError(f"There is no shipped recipe {name!r:.80}", code="UNKNOWN_RECIPE")
    return resources.files("db").joinpath("recipes", f"{name}.yaml").read_text(encoding="utf-8")


def _parts(recipe: Recipe) -> dict[str, Any]:
    document = recipe.document()
    del document["recipe"]
    return {"steps": [_step(step) for step in recipe.steps], "rest": document}


def _step(step: Step) -> dict[str, Any]:
    """Return a step, what differs from its defaults, and the schema of each of its parameters."""
    spec = STAGES[step.stage]
    fields = spec.params.model_json_schema()["properties"]
    params = {name: value for name, value in step.params.items() if value != fields.get(name, {}).get("default")}
    return {"stage": step.stage, "summary": spec.summary, "params": params, "fields": fields}
