"""The items of a job, those that failed of them, and starting them again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, Query, Request
from starlette.responses import Response

from db import pages, progress
from db import recipe as recipes
from db.errors import CODES, InputError
from db.pages import ItemPage
from db.progress import ItemRow, ProgressRow
from db.selection import Selection
from db.session import Database
from db.states import JOB_OVER, ItemState, Role
from orchestrator.rerun import rerun
from orchestrator.web.answers import error_facts
from orchestrator.web.auth import OPERATOR, VIEWER, Caller
from orchestrator.web.cursors import Cursor
from orchestrator.web.pages.flashes import flash
from orchestrator.web.pages.jobs import go_back
from orchestrator.web.questions import MOST_TEXT, ItemQuestion, select_items
from orchestrator.web.rendering import render
from orchestrator.web.site import Site, SiteDep

router = APIRouter(dependencies=[VIEWER])
ON_A_PAGE = 100
MOST_CHOSEN = 1000
MOST_SCORE = 100
FAILED = (ItemState.FAILED, ItemState.QUARANTINED)
Number = Annotated[int, Query(ge=0, le=2**62)]


@dataclass(frozen=True)
class Filter:
    """What the form above a list of items says: as it was typed, and what it means."""

    states: tuple[ItemState, ...]
    codes: tuple[str, ...]
    text: str
    score: str

    @property
    def any(self) -> bool:
        """Whether it says anything."""
        return bool(self.states or self.codes or self.text or self.score)

    def selection(self) -> Selection:
        """Return which items it means; raises ``InputError`` for an unknown code or a wrong bound."""
        return select_items(self.states, self.codes, self.text, [self.score])

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Names and values by which an address says the same."""
        lists = [("state", state.value) for state in self.states] + [("code", code) for code in self.codes]
        return lists + [(name, value) for name, value in (("text", self.text), ("score", self.score)) if value]


def read_filter(
    state: Annotated[list[ItemState], Query(max_length=20)] = [],  # noqa: B006 # FastAPI copies it
    code: Annotated[list[str], Query(max_length=100)] = [],  # noqa: B006
    text: Annotated[str, Query(max_length=MOST_TEXT)] = "",
    score: Annotated[str, Query(max_length=MOST_SCORE)] = "",
) -> Filter:
    """Read an address; what a form leaves empty says nothing."""
    return Filter(tuple(state), tuple(each for each in code if each), text, score.strip())


FilterDep = Annotated[Filter, Depends(read_filter)]


@dataclass(frozen=True)
class CodeCount:
    """One code, and how many items of a job have it."""

    name: str
    count: int
    example: ItemRow | None

    @property
    def meaning(self) -> str:
        """What it says."""
        return CODES[self.name].meaning if self.name in CODES else "A code of another release."

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return CODES[self.name].remedy if self.name in CODES else ""


@router.get("/jobs/{job_id}")
def show_items(
    request: Request, site: SiteDep, who: Caller, job_id: int, chosen: FilterDep,
    cursor: Annotated[str, Query(max_length=30)] = "",
) -> Response:  # fmt: skip
    """Show a job and its items."""
    return _show(request, site, who.role, job_id, chosen, cursor, failed_page=False)


@router.get("/jobs/{job_id}/failed")
def show_failed(
    request: Request, site: SiteDep, who: Caller, job_id: int, chosen: FilterDep,
    cursor: Annotated[str, Query(max_length=30)] = "",
) -> Response:  # fmt: skip
    """Show what failed in a job, by cause and one by one."""
    failed = chosen if chosen.states else Filter(FAILED, chosen.codes, chosen.text, chosen.score)
    return _show(request, site, who.role, job_id, failed, cursor, failed_page=True)


@router.get("/jobs/{job_id}/rerun", dependencies=[OPERATOR])
def ask_rerun(
    request: Request, site: SiteDep, job_id: int, chosen: FilterDep,
    item: Annotated[list[Number], Query(max_length=MOST_CHOSEN)] = [], of: str = "matching",  # noqa: B006
) -> Response:  # fmt: skip
    """Say how many items would be started again, and ask."""
    job, database = progress.job(site.database, job_id), site.database
    if of == "chosen":
        ids = pages.external_ids(database, job_id, item)
        count = pages.finished_count(database, job_id, Selection(external_ids=ids)) if ids else 0
        pairs = [("item", str(each)) for each in item]
        said = f"You chose {len(ids)}."
    else:
        count, pairs = pages.finished_count(database, job_id, chosen.selection()), chosen.pairs
        said = "All that match the filter." if chosen.any else "All items of the job."
        pairs = pairs or [("state", state.value) for state in _FINISHED]
    return render(request, "rerun.html", job=job, count=count, pairs=pairs, said=said, recipes=recipes.names())


@router.post("/jobs/{job_id}/rerun", dependencies=[OPERATOR])
def rerun_items(
    site: SiteDep, job_id: int, expect: Annotated[int, Form(ge=0)],
    state: Annotated[list[ItemState], Form(max_length=20)] = [],  # noqa: B006
    code: Annotated[list[str], Form(max_length=100)] = [],  # noqa: B006
    text: Annotated[str, Form(max_length=MOST_TEXT)] = "",
    score: Annotated[str, Form(max_length=MOST_SCORE)] = "",
    item: Annotated[list[int], Form(max_length=MOST_CHOSEN)] = [],  # noqa: B006
    recipe: Annotated[str, Form(max_length=100)] = "",
) -> Response:  # fmt: skip
    """Start items again, as many as somebody saw and no others."""
    ids = pages.external_ids(site.database, job_id, item) if item else ()
    selection = select_items(state, code, text, [score], ids)
    if recipe and recipe not in recipes.names():
        raise InputError(f"There is no shipped recipe {recipe!r:.80}", code="UNKNOWN_RECIPE")
    named = recipes.resolve(recipe) if recipe else None
    count = rerun(site.settings, site.database, job_id, selection, named, expect=expect)
    return go_back(job_id, "", "rerun", count)


_FINISHED = (ItemState.DONE, ItemState.FAILED, ItemState.QUARANTINED, ItemState.CANCELLED)


def _show(
    request: Request, site: Site, role: Role, job_id: int, chosen: Filter, cursor: str, *, failed_page: bool
) -> Response:
    database = site.database
    job, counts = progress.job(database, job_id), progress.progress(database, job_id)
    is_over = job.state in JOB_OVER
    return render(
        request, "job.html", job=job, counts=counts, is_over=is_over, failed_page=failed_page, chosen=chosen,
        states=_state_counts(counts), codes=_codes(database, job_id, counts, examples=failed_page),
        failed_states=[state.value for state in FAILED], may_act=role >= Role.OPERATOR, flash=flash(request),
        waits_for="" if is_over else progress.outage(database, job_id) or site.waits_for,
        stream="" if is_over else f"/api/v1/jobs/{job_id}/events",
        live_url=f"{request.url.path}?{urlencode([*chosen.pairs, ('cursor', cursor)])}",
        **_list(database, job_id, chosen, cursor, request.url.path),
    )  # fmt: skip


def _list(database: Database, job_id: int, chosen: Filter, cursor: str, path: str) -> dict[str, Any]:
    """Return the rows that a list shows and where it goes on; what cannot be asked is told above an empty one."""
    fault, page, links = None, ItemPage((), False), {}
    try:
        question = ItemQuestion(chosen.selection(), Cursor.parse(cursor), ON_A_PAGE)
        page = question.page(database, job_id)
        links = question.neighbors(page)
    except InputError as error:
        fault = error_facts(error)

    def address(place: str | None) -> str:
        return "" if place is None else f"{path}?{urlencode([*chosen.pairs, ('cursor', place)])}"

    return {
        "rows": page.rows, "searched_to": page.searched_to, "fault": fault,
        "first_url": f"{path}?{urlencode(chosen.pairs)}" if cursor else "",
        "earlier_url": address(links.get("prev")), "later_url": address(links.get("next")),
    }  # fmt: skip


def _state_counts(counts: ProgressRow) -> list[tuple[str, int]]:
    return [(state.value, getattr(counts, f"items_{state.value}")) for state in ItemState]


def _codes(database: Database, job_id: int, counts: ProgressRow, *, examples: bool) -> list[CodeCount]:
    if not counts.items_failed + counts.items_quarantined + counts.items_cancelled:
        return []
    return [
        CodeCount(name, count, _example(database, job_id, name) if examples else None)
        for name, count in pages.code_counts(database, job_id).items()
    ]


def _example(database: Database, job_id: int, code: str) -> ItemRow | None:
    rows = pages.item_page(database, job_id, Selection(codes=(code,)), limit=1).rows
    return rows[0] if rows else None
