"""Stages, metrics and recipes: what can be done, and whether a recipe is right."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from db import progress
from db import recipe as recipes
from db.catalog.metrics import METRICS
from db.catalog.stages import STAGES
from db.errors import RecipeError
from db.recipe import Recipe
from orchestrator import weight_pins
from orchestrator.catalogue import find_stage, metric_facts, stage_facts
from orchestrator.web.answers import answer
from orchestrator.web.auth import VIEWER
from orchestrator.web.site import Site, SiteDep

router = APIRouter(prefix="/api/v1", tags=["stages and recipes"], dependencies=[VIEWER])


class RecipeText(BaseModel):
    """A recipe as somebody writes it."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(max_length=recipes.MAX_CHARS, description="YAML, or JSON.")
    name: str = Field("web", min_length=1, max_length=100)


@router.get("/stages")
def list_stages(request: Request) -> Response:
    """List the stages in their working order."""
    specs = sorted(STAGES.values(), key=lambda spec: spec.order)
    return answer(request, {"stages": [{"name": spec.name, "summary": spec.summary} for spec in specs]})


@router.get("/stages/{name}")
def show_stage(request: Request, name: str) -> Response:
    """Show a stage with its parameters, as JSON Schema's properties."""
    return answer(request, stage_facts(find_stage(name)))


@router.get("/metrics")
def list_metrics(request: Request) -> Response:
    """List the metrics with their conventions."""
    return answer(request, {"metrics": [metric_facts(spec) for spec in METRICS.values()]})


@router.get("/recipes")
def list_recipes(request: Request) -> Response:
    """List the shipped recipes."""
    shipped = [recipes.resolve(name) for name in recipes.names()]
    return answer(request, {"recipes": [recipe_facts(recipe) for recipe in shipped], "default": recipes.DEFAULT})


@router.post("/recipes/check")
def check_recipe(request: Request, site: SiteDep, given: RecipeText) -> Response:
    """Read a recipe and say what is wrong with it, weights that are not registered too. Nothing is kept."""
    return answer(request, check_text(site, given.text, given.name))


def check_text(site: Site, text: str, name: str = "web") -> dict[str, object]:
    """Return a recipe read from its text, with everything written out and what it lacks.

    Raises:
        RecipeError: It is wrong; the message names the step.
    """
    recipe = recipes.parse(text, name)
    lacking = ""
    try:
        weight_pins.pin_weights(recipe, progress.weights_at_hand(site.database))
    except RecipeError as error:
        lacking = f"{error.message}. {error.remedy}"
    return recipe_facts(recipe) | {"lacking": lacking}


def recipe_facts(recipe: Recipe) -> dict[str, object]:
    """Return what is told of a recipe: its name, its document, and its digest."""
    return {"name": recipe.name, "document": recipe.document(), "fingerprint": recipe.fingerprint()}
