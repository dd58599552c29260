"""Work that comes in: dry runs and submissions, which go on in the background and are looked at by their id."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from db.errors import InputError
from orchestrator.manifest import Problem, cells
from orchestrator.on_demand.dry_run import DryRunReport
from orchestrator.web import files, submitting
from orchestrator.web.answers import answer
from orchestrator.web.auth import OPERATOR, VIEWER, Caller
from orchestrator.web.background import Order
from orchestrator.web.site import Site, SiteDep
from orchestrator.web.submitting import PlanOrder, SubmitOrder

router = APIRouter(prefix="/api/v1", tags=["submission"])
OPERATORS = [OPERATOR]


@router.get("/roots", dependencies=[VIEWER])
def list_roots(request: Request, site: SiteDep) -> Response:
    """List the folders and prefixes below which sources may lie, as the server was started with."""
    return answer(request, {"roots": site.settings.source_roots})


@router.post("/jobs", dependencies=OPERATORS, status_code=202)
def submit_manifest(request: Request, site: SiteDep, who: Caller, order: SubmitOrder) -> Response:
    """Submit a manifest. It is read in the background: `Location` says where to look how far it is."""
    return _accept(request, submitting.start(site, who.name, order), "submissions")


@router.get("/submissions/{order_id}", dependencies=OPERATORS)
def show_submission(request: Request, site: SiteDep, order_id: str) -> Response:
    """Show how far a submission is; `result.job_id` is its job when it is done."""
    order = site.background.find(order_id, "submission")
    return answer(request, {**order.facts(), "result": order.result})


@router.post("/plans", dependencies=OPERATORS, status_code=202)
def plan_manifest(request: Request, site: SiteDep, who: Caller, order: PlanOrder) -> Response:
    """Find all problems of a manifest and estimate the work, without making a job of it."""
    return _accept(request, submitting.start(site, who.name, order), "plans")


@router.get("/plans/{order_id}", dependencies=OPERATORS)
def show_plan(request: Request, site: SiteDep, order_id: str) -> Response:
    """Show how far a dry run is and, when it is done, what it found; the problems stand under `problems`."""
    order = site.background.find(order_id, "plan")
    return answer(request, {**order.facts(), "result": plan_facts(order)})


@router.get("/plans/{order_id}/problems", dependencies=OPERATORS)
def list_problems(
    request: Request,
    site: SiteDep,
    order_id: str,
    code: Annotated[str, Query(max_length=60, description="Only those with this code.")] = "",
    first: Annotated[int, Query(ge=0, description="How many to pass over.")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """List the problems that a dry run found, at most 10,000 of them, a page at a time."""
    found = problems_of(site, order_id, code)
    return answer(request, {"problems": found[first : first + limit], "more": len(found) > first + limit})


@router.get("/plans/{order_id}/problems.csv", dependencies=OPERATORS)
def download_problems(request: Request, site: SiteDep, order_id: str) -> Response:
    """Download the problems that a dry run found as a table."""
    return files.send_pieces(_csv_pieces(problems_of(site, order_id)), "problems.csv", "text/csv; charset=utf-8")


@router.delete("/plans/{order_id}", dependencies=OPERATORS)
def cancel_plan(request: Request, site: SiteDep, order_id: str) -> Response:
    """Stop a dry run at its next line."""
    order = site.background.find(order_id, "plan")
    order.stopped.set()
    return answer(request, order.facts())


def plan_facts(order: Order) -> dict[str, object] | None:
    """Return what a dry run found, without its problems; none while it goes on."""
    if not isinstance(order.result, DryRunReport):
        return None
    report = {name: value for name, value in vars(order.result).items() if name != "problems"}
    return {**report, "wall_seconds": order.result.wall_seconds}


def problems_of(site: Site, order_id: str, code: str = "") -> list[Problem]:
    """Return a dry run's problems; raises ``WRONG_STATE`` while it goes on."""
    order = site.background.find(order_id, "plan")
    if not isinstance(order.result, DryRunReport):
        raise InputError(f"The dry run is {order.state}", code="WRONG_STATE")
    return [each for each in order.result.problems if code in ("", each.code)]


def _csv_pieces(problems: list[Problem]) -> Iterator[bytes]:
    yield b"line,code,message,remedy\r\n"
    for each in problems:
        text = io.StringIO()
        csv.writer(text).writerow([each.line, each.code, cells.protect(each.message), cells.protect(each.remedy)])
        yield text.getvalue().encode(errors="backslashreplace")


def _accept(request: Request, order: Order, where: str) -> Response:
    return answer(request, order.facts(), 202, Location=f"/api/v1/{where}/{order.id}")
