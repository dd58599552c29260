"""Who works, on what, and what waits for somebody who could."""

from __future__ import annotations

from collections import defaultdict

from fastapi import APIRouter, Request
from starlette.responses import Response

from db import pages, progress
from db.pages import TaskInHand
from orchestrator.web.auth import VIEWER
from orchestrator.web.rendering import render
from orchestrator.web.site import SiteDep

router = APIRouter(dependencies=[VIEWER])


@router.get("/workers")
def show_workers(request: Request, site: SiteDep) -> Response:
    """Show the workers that were seen within a day, and what they have in hand."""
    silent = site.settings.lease_seconds
    rows = [(row, _state(row.state, row.heartbeat_age_seconds, silent)) for row in progress.workers(site.database)]
    in_hand: dict[str, list[TaskInHand]] = defaultdict(list)
    for task in pages.tasks_in_hand(site.database):
        in_hand[task.worker].append(task)
    stranded = pages.stranded_tasks(site.database, silent)
    live = sum(state == "live" for _, state in rows)
    return render(
        request, "workers.html", rows=rows, in_hand=in_hand, stranded=stranded, live=live, waits_for=site.waits_for
    )


def _state(state: str, age_seconds: float, silent_seconds: float) -> str:
    """Return how a worker stands: one that left in order, one that lives, or one that is not heard any more."""
    if state != "live":
        return state
    return "live" if age_seconds <= silent_seconds else "silent"
