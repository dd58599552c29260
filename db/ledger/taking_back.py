"""A step is taken back after the fact: for a range of frames, a region or as a whole, as the item's next generation.

A reel keeps what is known of it, and all frames that the step had no part in are taken over from the result before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, select, update

from db.catalog.stages import STAGES, Exemption
from db.errors import InputError, nearest
from db.ledger.assignments import item_view
from db.ledger.control import restart
from db.ledger.counting import add_delta
from db.ledger.job_states import lock_job, move_job
from db.recipe import Recipe, Step
from db.records import EarlierResult, ItemResult, ItemView, read_column
from db.session import Database
from db.states import JOB_OVER, ItemKind, ItemState, JobState
from db.tables import Item, Job, Result


def take_back(
    db: Database, job_id: int, external_ids: Sequence[str], stage: str, exemption: Exemption, *, bundle_stills: int = 32
) -> int:
    """Start finished items again with a step left out; returns how many.

    Args:
        db: The database.
        job_id: The job.
        external_ids: The items, all of which must be done.
        stage: The stage whose steps are left out.
        exemption: Where; the whole of every frame unless it says otherwise.
        bundle_stills: Stills of one bundle at most.

    Raises:
        InputError: ``UNKNOWN_JOB``; ``NOTHING_SELECTED``: an item is not done; ``WRONG_STATE``: the job takes in its
            manifest; ``BAD_PARAMETER``: a recipe has no such step, or frames lie outside a reel.
    """
    with db.write() as connection:
        state = lock_job(connection, job_id)
        if state is JobState.INGESTING:
            raise InputError(f"Job {job_id} is {state}", code="WRONG_STATE")
        rows = _done_items(connection, job_id, external_ids)
        job = connection.execute(select(Job.recipe_json, Job.options_json).where(Job.id == job_id)).one()
        changed = [_exempt(item_view(row, *job), stage, exemption) for row in rows]
        if state in JOB_OVER:
            move_job(db, connection, job_id, JobState.RUNNING, finished_at=None)
        for row, item in zip(rows, changed, strict=True):
            connection.execute(update(Item).where(Item.id == row.id).values(recipe_json=item.recipe.model_dump_json()))
            if _goes_on(row, item):
                _restart_reel(db, connection, row, item, stage, exemption)
        anew = [row for row, item in zip(rows, changed, strict=True) if not _goes_on(row, item)]
        if anew:
            restart(connection, job_id, anew, None, bundle_stills)
        return len(rows)


def _goes_on(row: Row[Any], item: ItemView) -> bool:
    """Whether an item goes on from what is known of it: a reel whose frames can still be read by that."""
    return row.kind == ItemKind.REEL and not (item.facts and item.facts.mezzanine_pruned)


def _done_items(connection: Connection, job_id: int, external_ids: Sequence[str]) -> Sequence[Row[Any]]:
    if not external_ids:
        raise InputError("No item was named", code="NOTHING_SELECTED", remedy="Name each by --item.")
    named = (Item.job_id == job_id, Item.external_id.in_(external_ids))
    rows = connection.execute(select(Item.__table__).where(*named).order_by(Item.seq)).all()
    if missing := sorted(set(external_ids) - {row.external_id for row in rows}):
        raise InputError(
            f"Job {job_id} has no item {', '.join(missing):.300}", code="NOTHING_SELECTED",
            remedy=f"`reelwright status {job_id}` lists its items.",
        )  # fmt: skip
    if live := [f"{row.external_id} is {row.state}" for row in rows if row.state != ItemState.DONE]:
        raise InputError(
            f"Only what is done can be taken back: {', '.join(live):.300}", code="NOTHING_SELECTED",
            remedy=f"Wait until it is done: `reelwright watch {job_id}`; what failed is begun anew by `rerun` alone.",
        )  # fmt: skip
    return rows


def _exempt(item: ItemView, stage: str, exemption: Exemption) -> ItemView:
    """Return the item with a recipe that leaves the stage's steps out where the exemption says."""
    recipe = item.recipe
    if stage not in {step.stage for step in recipe.steps}:
        hint = nearest(stage, [step.stage for step in recipe.steps])
        raise InputError(f"{item.external_id}: its recipe has no step {stage!r:.60}.{hint}", code="BAD_PARAMETER")
    spec = STAGES[stage]
    steps = tuple(_exempt_step(step, exemption) if step.stage == stage else step for step in recipe.steps)
    if spec.done_by_probe or (exemption.region and any(spec.scale(step.params) != 1 for step in steps)):
        raise InputError(f"{stage} is done to a whole reel: rerun with another recipe", code="BAD_PARAMETER")
    _check_place(item, exemption)
    return item.model_copy(update={"recipe": recipe.model_copy(update={"steps": steps})})


def _exempt_step(step: Step, exemption: Exemption) -> Step:
    exemptions = [each.model_dump(mode="json") for each in (*step.exemptions, exemption)]
    return step.model_copy(update={"params": step.params | {"exemptions": exemptions}})


def _check_place(item: ItemView, exemption: Exemption) -> None:
    """Refuse frames and regions that the item has not, so far as that is known here."""
    count = item.facts.frame_count if item.facts else 1
    if exemption.frames is not None and not 0 <= exemption.frames[0] < exemption.frames[1] <= count:
        raise InputError(f"{item.external_id}: it has the frames 0 to {count - 1}", code="BAD_PARAMETER")
    if exemption.region is not None and item.facts is not None:
        left, top, width, height = exemption.region
        if left + width > item.facts.width or top + height > item.facts.height:
            size = f"{item.facts.width} x {item.facts.height}"
            raise InputError(f"{item.external_id}: the region leaves the picture, {size}", code="BAD_PARAMETER")


def _restart_reel(
    db: Database, connection: Connection, row: Row[Any], item: ItemView, stage: str, exemption: Exemption
) -> None:
    """Let the planner go on behind what is known of the reel already; nothing of its source is looked at again."""
    base = _base(connection, row, item, stage, exemption)
    connection.execute(
        update(Item)
        .where(Item.id == row.id)
        .values(
            state=ItemState.RUNNING,
            generation=row.generation + 1,
            base_json=base.model_dump_json() if base else None,
            plan_due_at=db.now,
            frames_done=0,
        )
    )
    add_delta(connection, row.job_id, items_done=-1, items_running=1, frames_done=-row.frames_done)


def _base(
    connection: Connection, row: Row[Any], item: ItemView, stage: str, exemption: Exemption
) -> EarlierResult | None:
    """Return what of the present result stays: frames that no window of a later step reaches from those that change."""
    if exemption.frames is None or "sequence" in item.recipe.outputs:
        return None
    accepted = select(Result.result_json).where(Result.item_id == row.id, Result.generation == row.generation)
    result = read_column(ItemResult, connection.scalar(accepted), f"item {row.id}'s result")
    reach = _radius_after(item.recipe, stage)
    first, last = exemption.frames
    count = item.facts.frame_count if item.facts else last
    return EarlierResult(
        generation=row.generation, outputs=result.outputs, frames=(max(0, first - reach), min(count, last + reach))
    )


def _radius_after(recipe: Recipe, stage: str) -> int:
    """Return how far a change of the stage's first step reaches through the steps behind it."""
    first = next(number for number, step in enumerate(recipe.steps) if step.stage == stage)
    return sum(step.temporal_radius for step in recipe.steps[first + 1 :])
