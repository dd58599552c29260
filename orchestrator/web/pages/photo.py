"""One old photo: sent, restored, laid upon its original."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from db import pages, progress
from db.catalog.weights import card
from db.errors import InputError
from db.recipe import Recipe
from db.selection import Selection
from db.states import ITEM_OVER
from orchestrator.submit import Submission
from orchestrator.web import submitting
from orchestrator.web.auth import OPERATOR, VIEWER, Caller
from orchestrator.web.pages.compare import layers
from orchestrator.web.pages.item import item_facts
from orchestrator.web.pages.sending import SentFile, take_file
from orchestrator.web.rendering import render
from orchestrator.web.site import SiteDep
from orchestrator.web.submitting import SubmitOrder
from orchestrator.web.uploads import MOST_BYTES

router = APIRouter(dependencies=[VIEWER])
PRIORITY = 1000
"""Somebody sits and waits: before whatever else there is."""
STEPS: dict[str, tuple[str, dict[str, Any]]] = {
    "denoise": ("Take out noise", {"method": "network", "strength": 0.6}),
    "colorize": ("Give it colour", {}),
    "face": ("Make soft faces clearer", {}),
    "color_enhance": ("Enhance contrast and colour", {"contrast": 0.3, "white_balance": 0, "saturation": 1}),
}
"""What may be done to a photo: in words, and as the recipe ``old-photo`` does it."""


@router.get("/photo")
def choose_photo(request: Request, who: Caller) -> Response:
    """Ask for a photo and what is done to it."""
    return render(request, "photo.html", steps=STEPS, fault=None)


@router.post("/photo", dependencies=[OPERATOR], max_body_size=MOST_BYTES["photo"] + 100_000)
async def restore(
    site: SiteDep,
    who: Caller,
    step: Annotated[list[str], Form(max_length=len(STEPS))] = [],  # noqa: B006 # FastAPI copies it
    upload: Annotated[str, Form(max_length=64)] = "",
    file: SentFile = None,
) -> Response:
    """Make a job of one photo."""
    wanted = list(dict.fromkeys(name for name in step if name in STEPS))
    upload_id = await take_file(site, "photo", upload, file)
    if not upload_id or not wanted:
        raise InputError("A photo is needed, and at least one step", remedy="Choose both, then send it again.")
    recipe = {"recipe": [{name: STEPS[name][1]} for name in wanted]}
    order = SubmitOrder(upload=upload_id, recipe=recipe, priority=PRIORITY)
    started = await run_in_threadpool(submitting.start, site, who.name, order)
    return RedirectResponse(f"/photo/sent/{started.id}", 303)


@router.get("/photo/sent/{order_id}", dependencies=[OPERATOR])
def wait_for_job(request: Request, site: SiteDep, order_id: str) -> Response:
    """Lead to the photo's page as soon as there is a job."""
    order = site.background.find(order_id, "submission")
    if isinstance(order.result, Submission):
        return RedirectResponse(f"/photo/{order.result.job_id}", 303)
    return render(request, "submission.html", order=order)


@router.get("/photo/{job_id}")
def show_photo(request: Request, site: SiteDep, job_id: int) -> Response:
    """Show a photo before and after, or how far it is."""
    job = progress.job(site.database, job_id)
    rows = pages.item_page(site.database, job_id, Selection(), limit=1).rows
    if not rows:
        raise InputError(f"Job {job_id} has no photo", code="NOT_FOUND", remedy="See its page for what it has.")
    item = item_facts(site.database, rows[0].id)
    silent = site.settings.lease_seconds
    at_work = any(row.state == "live" and row.heartbeat_age_seconds < silent for row in progress.workers(site.database))
    waits = item.row.state not in ITEM_OVER
    return render(
        request, "photo_result.html", item=item, row=item.row, job=job, waits=waits, at_work=at_work, frame=0,
        layers=layers(item) if item.lineage.newest else [], models=_models(job.recipe),
        steps=[STEPS[step.stage][0] if step.stage in STEPS else step.stage for step in job.recipe.steps],
    )  # fmt: skip


def _models(recipe: Recipe) -> list[tuple[str, str, str]]:
    """Return name, what it is, and licence of each network that a recipe runs with."""
    cards = [card(pin.card) for step in recipe.steps for pin in step.pins]
    return [(each.name, each.summary, each.license) for each in cards]
