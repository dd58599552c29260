"""Fixes which registered weights a recipe runs with. Submission, rerun and the preview use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from db import progress
from db import recipe as recipes
from db.catalog.weights import CARDS
from db.errors import RecipeError
from db.progress import WeightsRow
from db.recipe import Recipe, Step
from db.session import Database


def needs_weights(recipe: Recipe) -> bool:
    """Whether any step runs with weights."""
    return any(step.cards() for step in recipe.steps)


def pinned(recipe: Recipe, registered: Mapping[str, WeightsRow]) -> Recipe:
    """Return the recipe with the files of all weights that its steps need.

    Raises:
        RecipeError: ``MODEL_MISSING`` when some are not registered.
    """
    if not needs_weights(recipe):
        return recipe
    return recipe.model_copy(update={"steps": tuple(_pinned(step, registered, recipe.name) for step in recipe.steps)})


def registered_for(recipe: Recipe, database: Database) -> dict[str, WeightsRow]:
    """Return what is registered; the records are not asked where the recipe needs nothing."""
    return progress.weights(database) if needs_weights(recipe) else {}


def _pinned(step: Step, registered: Mapping[str, WeightsRow], recipe_name: str) -> Step:
    pins = tuple(_row(name, registered, recipe_name).pin for name in step.cards())
    return step.model_copy(update={"pins": pins})


def _row(name: str, registered: Mapping[str, WeightsRow], recipe_name: str) -> WeightsRow:
    if name in registered:
        return registered[name]
    has = f"Registered here: {', '.join(registered)}." if registered else "Nothing is registered here yet."
    files = ", ".join(file.name for file in CARDS[name].files if not file.optional)
    raise RecipeError(
        f"Recipe {recipe_name}: the weights {name} are not registered. {has}",
        code="MODEL_MISSING",
        remedy=f"Get {files} ({CARDS[name].published}), then `reelwright models add FILE`.",
    )


def columns(names: Sequence[str], database: Database | None) -> list[tuple[str, Recipe]]:
    """Return for each model, weights or shipped recipe a title and a pinned recipe, for comparing.

    Raises:
        RecipeError: ``UNKNOWN_MODEL`` or ``MODEL_MISSING``.
    """
    registered = progress.weights(database) if database is not None else {}
    return [(name, pinned(_recipe_of(name), registered)) for name in names]


def _recipe_of(name: str) -> Recipe:
    if name in recipes.names():
        return recipes.resolve(name)
    return recipes.from_document([{"colorize": {"model": name, "already_coloured": "recolor"}}], name)
