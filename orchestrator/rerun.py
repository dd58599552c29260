"""Starting items again; what another recipe needs is pinned and put into the store first."""

from __future__ import annotations

from db import ledger
from db.recipe import Recipe
from db.selection import Selection
from db.session import Database
from db.settings import Settings
from orchestrator.weight_pins import Deposits, available_weights, pin_weights


def rerun(
    settings: Settings,
    database: Database,
    job_id: int,
    selection: Selection,
    recipe: Recipe | None = None,
    *,
    expect: int | None = None,
) -> int:
    """Start the selected items again as their next generation; returns how many.

    Args:
        settings: How many stills travel together, and where the store is.
        database: Where the job is.
        job_id: The job.
        selection: Which items; without conditions, all that failed, are in quarantine or were cancelled.
        recipe: What is done to them from now on; none leaves each its own.
        expect: How many somebody saw them to be; none takes whatever there is.

    Raises:
        InputError: As ``ledger.rerun`` does.
        RecipeError: ``MODEL_MISSING``.
    """
    if recipe is not None:
        recipe = pin_weights(recipe, available_weights(recipe, database))
        Deposits(settings).put(recipe)
    return ledger.rerun(database, job_id, selection, recipe=recipe, bundle_stills=settings.bundle_stills, expect=expect)
