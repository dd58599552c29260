"""What a job needs besides its rows: which registered weights a recipe runs with, and what goes into the store.

Submission, rerun and the preview use it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from db import checksums, progress
from db import recipe as recipes
from db.blob import Blob
from db.catalog import shipped
from db.catalog.architectures import ARCHITECTURES
from db.catalog.weights import Card, card, find, is_tag
from db.errors import RecipeError
from db.progress import WeightsRow
from db.recipe import Recipe, Step
from db.session import Database
from db.settings import Settings
from db.store import open_store
from db.store.base import Store


def pin_weights(recipe: Recipe, registered: Mapping[str, WeightsRow]) -> Recipe:
    """Return the recipe with the files of all weights that its steps need.

    Raises:
        RecipeError: ``MODEL_MISSING`` when some are not registered.
    """
    if not recipe.needs_weights:
        return recipe
    return recipe.model_copy(update={"steps": tuple(_pin_step(step, registered, recipe.name) for step in recipe.steps)})


def available_weights(recipe: Recipe, database: Database) -> dict[str, WeightsRow]:
    """Return what is shipped or registered; nothing is asked where the recipe needs nothing."""
    return progress.weights_at_hand(database) if recipe.needs_weights else {}


class Deposits:
    """Puts what jobs need into the store: shipped weights, for workers of other releases, and lists of digests.

    Done again, or by several at once, it writes the same bytes under the same key. The store is opened when there is
    something to put.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings, self._done = settings, set[str]()
        self._opened: Store | None = None

    def put(self, recipe: Recipe) -> None:
        """Make sure that the recipe's files are in the store, once for each."""
        for file in (file for step in recipe.steps for pin in step.pins for file in pin.files):
            path = None if file.sha256 in self._done else shipped.path_of(file.sha256)
            self._done.add(file.sha256)
            if path is None:
                continue
            if self._store().size(file.key) != file.bytes:
                self._store().put(file.key, path)

    def put_listing(self, text: str) -> Blob:
        """Store the list of digests of a sequence's files; see ``db.checksums``."""
        data = text.encode(errors="surrogateescape")
        blob = checksums.parse_listing(f"{hashlib.sha256(data).hexdigest()}:{len(data)}")
        return blob if self._store().size(blob.key) == blob.bytes else self._store().put_bytes(blob.key, data)

    def _store(self) -> Store:
        if self._opened is None:
            self._opened = open_store(self._settings)
        return self._opened


def _pin_step(step: Step, registered: Mapping[str, WeightsRow], recipe_name: str) -> Step:
    pins = tuple(_weights_row(name, registered, recipe_name).pin for name in step.cards())
    return step.model_copy(update={"pins": pins})


def _weights_row(name: str, registered: Mapping[str, WeightsRow], recipe_name: str) -> WeightsRow:
    if name in registered:
        return registered[name]
    names = [each for each, row in registered.items() if not row.shipped]
    has = f"Registered here: {', '.join(names)}." if names else "Nothing is registered here yet."
    weights_card = card(name)
    file_names = ", ".join(file.name for file in weights_card.files if not file.optional)
    remedy = f"Get {file_names} ({weights_card.published}), then "
    remedy += f"`reelwright models add FILE{f' --as {name}' if is_tag(name) else ''}`."
    if weights_card.shipped:
        remedy = "This installation lacks their file. Install Reelwright again."
    message = f"Recipe {recipe_name}: the weights {name} are not registered. {has}"
    raise RecipeError(message, code="MODEL_MISSING", remedy=remedy)


def compare_columns(names: Sequence[str], database: Database | None) -> list[tuple[str, Recipe]]:
    """Return for each model, weights, shipped recipe or recipe file a title and a pinned recipe, for comparing.

    Raises:
        RecipeError: ``UNKNOWN_MODEL`` or ``MODEL_MISSING``.
    """
    registered = progress.weights_at_hand(database)
    return [(name, pin_weights(_recipe_of(name), registered)) for name in names]


def single_step(chosen: Card, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the step of a recipe in which weights do what they are for, to every picture."""
    stage, parameters = {
        "denoiser": ("denoise", {"method": "network"}),
        "upscaler": ("upscale", {"method": "network"}),
        "face restorer": ("face", {}),
        "inpainter": ("inpaint", {"method": "network"}),
    }.get(ARCHITECTURES[chosen.architecture].task, ("colorize", {"already_colored": "recolor"}))
    return {stage: {"weights": chosen.name, **parameters, **options}}


def _recipe_of(name: str) -> Recipe:
    if name in recipes.names() or PurePath(name).suffix in {".yaml", ".yml", ".json"}:
        return recipes.resolve(name)
    weights_card = find(name)
    step = (
        single_step(weights_card, {}) if weights_card else {"colorize": {"model": name, "already_colored": "recolor"}}
    )
    return recipes.from_document([step], name)
