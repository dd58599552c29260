"""From a manifest to a job in three steps: choose it, see its problems and its cost, say what is done to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from db import recipe as recipes
from db.catalog.stages import STAGES
from db.errors import CODES, InputError
from orchestrator.on_demand.dry_run import DryRunReport
from orchestrator.submit import Submission
from orchestrator.web import submitting
from orchestrator.web.auth import OPERATOR, Caller
from orchestrator.web.background import Order
from orchestrator.web.pages.recipes import NAME, shipped_text
from orchestrator.web.pages.sending import SentFile, take_file
from orchestrator.web.rendering import render
from orchestrator.web.site import Site, SiteDep
from orchestrator.web.submitting import MOST_NAME, MOST_PLACE, MOST_PRIORITY, PlanOrder, SubmitOrder
from orchestrator.web.uploads import MOST_BYTES

router = APIRouter(dependencies=[OPERATOR])
ON_A_PAGE = 50


@dataclass(frozen=True)
class Chosen:
    """What somebody chose on the first page; kept beside the dry run, for the second."""

    upload: str
    root: str
    place: str
    recipe: str
    """Name of a shipped one, or a text; empty for the manifest's own."""

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest, as an order takes it; a root is none where it is empty."""
        return {"upload": self.upload, "root": self.root or None, "place": self.place}

    @property
    def text(self) -> str:
        """The recipe as text: what the editor begins with."""
        name = self.recipe or recipes.DEFAULT
        return shipped_text(name) if name in recipes.names() else self.recipe


@router.get("/submit")
def choose_manifest(request: Request, site: SiteDep) -> Response:
    """Ask for a manifest."""
    return render(request, "submit.html", roots=site.settings.source_roots, recipes=recipes.names())


@router.post("/submit", max_body_size=MOST_BYTES["manifest"])
async def plan(
    site: SiteDep,
    who: Caller,
    upload: Annotated[str, Form(max_length=64)] = "",
    root: Annotated[str, Form(max_length=MOST_PLACE)] = "",
    place: Annotated[str, Form(max_length=MOST_PLACE)] = "",
    recipe: Annotated[str, Form(max_length=recipes.MAX_CHARS)] = "",
    probe: Annotated[bool, Form()] = False,
    file: SentFile = None,
) -> Response:
    """Begin a dry run of a manifest, and lead to what it finds."""
    upload_id = await take_file(site, "manifest", upload, file)
    place = "" if upload_id else place
    roots = site.settings.source_roots
    if place and not root and len(roots) == 1:
        root = roots[0]
    chosen = Chosen(upload_id, root, place, recipe)
    order = PlanOrder(**chosen.manifest, recipe=_document(recipe), probe=probe)
    started = await run_in_threadpool(submitting.start, site, who.name, order)
    started.given = chosen
    return RedirectResponse(f"/submit/{started.id}", 303)


@router.get("/submit/{order_id}")
def show_plan(
    request: Request,
    site: SiteDep,
    order_id: str,
    code: Annotated[str, Query(max_length=60)] = "",
    first: Annotated[int, Query(ge=0, le=10**6)] = 0,
) -> Response:
    """Show how far a dry run is; when it is done, what it found, and the recipe's editor."""
    order, chosen = _find_plan(site, order_id)
    report = order.result if isinstance(order.result, DryRunReport) else None
    found = [each for each in report.problems if code in ("", each.code)] if report else []
    return render(
        request, "plan.html", order=order, report=report, chosen=chosen, meanings=CODES, code=code, first=first,
        problems=found[first : first + ON_A_PAGE], more=len(found) > first + ON_A_PAGE, on_a_page=ON_A_PAGE,
        names=recipes.names(), stages=list(STAGES.values()),
    )  # fmt: skip


@router.post("/submit/{order_id}")
def submit(
    site: SiteDep,
    who: Caller,
    order_id: str,
    recipe: Annotated[str, Form(max_length=recipes.MAX_CHARS)],
    name: Annotated[str, Form(max_length=MOST_NAME)] = "",
    priority: Annotated[int, Form(ge=-MOST_PRIORITY, le=MOST_PRIORITY)] = 0,
    strict: Annotated[bool, Form()] = False,
    new: Annotated[bool, Form()] = False,
) -> Response:
    """Begin a submission, and lead to where its progress is shown."""
    _, chosen = _find_plan(site, order_id)
    order = SubmitOrder(
        **chosen.manifest, recipe=_document(recipe), name=name, priority=priority, strict=strict, new=new
    )
    started = submitting.start(site, who.name, order)
    return RedirectResponse(f"/submissions/{started.id}", 303)


@router.get("/submissions/{order_id}")
def show_submission(request: Request, site: SiteDep, order_id: str) -> Response:
    """Show how far a submission is; when it is done, lead to its job."""
    order = site.background.find(order_id, "submission")
    if isinstance(order.result, Submission):
        said = "submitted" if order.result.created else "same"
        return RedirectResponse(f"/jobs/{order.result.job_id}?done={said}", 303)
    return render(request, "submission.html", order=order)


def _find_plan(site: Site, order_id: str) -> tuple[Order, Chosen]:
    """Return a dry run that was begun on the first page; raises ``InputError`` ``NOT_FOUND``."""
    order = site.background.find(order_id, "plan")
    if not isinstance(order.given, Chosen):
        raise InputError("This dry run was asked for by a program", code="NOT_FOUND")
    return order, order.given


def _document(text: str) -> Any:
    """Return what an order takes: nothing, the name of a shipped recipe, or the document that a text is.

    Raises:
        RecipeError: The text is no recipe.
    """
    if not text.strip():
        return None
    return text if text in recipes.names() else recipes.parse(text, NAME).document()
