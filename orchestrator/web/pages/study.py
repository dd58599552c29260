"""Studies: what is asked about which variants, the link for raters, and what their votes come to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from pydantic import BaseModel, Field, ValidationError
from starlette.responses import RedirectResponse, Response

from db import pages, studies
from db.errors import InputError
from db.ledger import studying
from db.states import Role, StudyState
from orchestrator.judging.davidson import Ranking, Standing
from orchestrator.judging.study_report import study_report
from orchestrator.web import study_making
from orchestrator.web.answers import error_facts
from orchestrator.web.auth import OPERATOR, VIEWER, Caller
from orchestrator.web.background import Order
from orchestrator.web.pages.flashes import flash
from orchestrator.web.rendering import render
from orchestrator.web.site import Site, SiteDep
from orchestrator.web.study_making import MadeStudy, StudyOrder

router = APIRouter(dependencies=[VIEWER])
ON_A_PAGE = 50
ROWS = 6
"""Variants that the form has room for."""
_MOST_TEXT = 500
_Texts = Annotated[list[str], Field(max_length=ROWS)]


class StudyForm(BaseModel):
    """The form of a new study, as it was typed."""

    name: str = Field("", max_length=_MOST_TEXT)
    question: str = Field("Which picture looks better?", max_length=_MOST_TEXT)
    variant: _Texts = []
    job: _Texts = []
    of: _Texts = []
    generation: _Texts = []
    motifs: str = Field("50", max_length=20)
    frames: str = Field("1", max_length=20)
    width: str = Field("1000", max_length=20)

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Return name, job, side and generation of each line of the table, empty ones too."""
        columns = (self.variant, self.job, self.of, self.generation)
        filled = [[*column, *[""] * (ROWS - len(column))] for column in columns]
        return list(zip(*filled, strict=True))

    def order(self) -> StudyOrder:
        """Return what is asked for; raises ``InputError``."""
        variants = [_variant(*row) for row in self.rows() if row[0].strip() or row[1].strip()]
        numbers = {name: getattr(self, name) for name in ("motifs", "frames", "width")}
        try:
            return StudyOrder.model_validate(
                {"name": self.name, "question": self.question, "variants": variants, **numbers}
            )
        except ValidationError as error:
            first = error.errors()[0]
            where = " ".join(str(part + 1 if isinstance(part, int) else part) for part in first["loc"])
            raise InputError(f"{where}: {first['msg']}") from error


@dataclass(frozen=True)
class Bar:
    """Where one variant's strength and its interval lie on the common scale, in percent of its length."""

    standing: Standing
    at: float
    low: float
    high: float


@router.get("/studies")
def list_studies(
    request: Request, site: SiteDep, who: Caller, before: Annotated[int | None, Query(ge=0, le=2**62)] = None
) -> Response:
    """List studies, newest first."""
    page = studies.study_page(site.database, before_id=before, limit=ON_A_PAGE)
    rows = [(row, studies.counts(site.database, row.id)) for row in page.rows]
    may_act = who.role >= Role.OPERATOR
    return render(request, "studies.html", rows=rows, more=page.more, before=before, may_act=may_act)


@router.get("/studies/new", dependencies=[OPERATOR])
def ask_for_study(
    request: Request, site: SiteDep, job: Annotated[int | None, Query(ge=1, le=2**62)] = None
) -> Response:
    """Ask what is to be compared."""
    number = str(job or "")
    return _show_form(request, site, StudyForm(job=[number, number], of=["source", "master"]))


@router.post("/studies", dependencies=[OPERATOR])
def open_study(request: Request, site: SiteDep, who: Caller, form: Annotated[StudyForm, Form()]) -> Response:
    """Begin to make the pictures of a study, and lead to how far that is."""
    try:
        order = form.order()
        study_making.check(site, order)
    except InputError as error:
        return _show_form(request, site, form, error)
    started = study_making.start(site, who.name, order)
    return RedirectResponse(f"/studies/openings/{started.id}", 303)


@router.get("/studies/openings/{order_id}", dependencies=[OPERATOR])
def show_opening(request: Request, site: SiteDep, order_id: str) -> Response:
    """Show how far the pictures of a study are."""
    return _show_opening(request, site.background.find(order_id, "study"), "")


@router.post("/studies/openings/{order_id}/link", dependencies=[OPERATOR])
def show_link(request: Request, site: SiteDep, order_id: str) -> Response:
    """Show the link for raters, this once, and forget it."""
    order = site.background.find(order_id, "study")
    made = order.result
    shown = isinstance(made, MadeStudy) and made.link
    if not shown or not site.background.put_result(order, replace(made, link="")):
        raise InputError(
            "The link of this study was shown already, and is kept nowhere", code="NOT_FOUND",
            remedy="Ask whoever saw it, or close the study and open another.",
        )  # fmt: skip
    return _show_opening(request, order, f"{site.address.url}/rate/{shown}")


@router.get("/studies/{study_id}", dependencies=[OPERATOR])
def show_study(request: Request, site: SiteDep, study_id: int) -> Response:
    """Show how far a study is and what its votes come to."""
    report = study_report(site.database, study_id)
    return render(
        request, "study.html", report=report, study=report.study, counts=report.counts, flash=flash(request),
        bars=bars(report.ranking) if report.ranking else [], is_open=report.study.state is StudyState.OPEN,
    )  # fmt: skip


@router.post("/studies/{study_id}/close", dependencies=[OPERATOR])
def close_study(site: SiteDep, who: Caller, study_id: int) -> Response:
    """Ask nobody any more."""
    studying.close_study(site.database, study_id, who.name)
    return RedirectResponse(f"/studies/{study_id}?done=closed", 303)


def bars(ranking: Ranking) -> list[Bar]:
    """Return where strengths and intervals lie between the lowest and the highest of them all."""
    spans = [
        (each, each.strength if each.low is None else each.low, each.strength if each.high is None else each.high)
        for each in ranking.standings
    ]
    least, most = min(low for _, low, _ in spans), max(high for _, _, high in spans)

    def place(value: float) -> float:
        """Keep away from both ends, where a dot would be cut off."""
        return 4 + 92 * (value - least) / (most - least) if most > least else 50.0

    return [Bar(each, place(each.strength), place(low), place(high)) for each, low, high in spans]


def _variant(name: str, job: str, of: str, generation: str) -> dict[str, Any]:
    """Return one variant; one that nobody named is called by where it comes from."""
    where = f"job {job.strip()}{f', generation {generation.strip()}' if generation.strip() else ''}"
    shown = name.strip() or (f"source of {where}" if of == "source" else where)
    return {"name": shown, "job_id": job.strip(), "of": of or "master", "generation": generation.strip() or None}


def _show_form(request: Request, site: Site, form: StudyForm, fault: InputError | None = None) -> Response:
    jobs = pages.job_page(site.database, limit=ON_A_PAGE).rows
    return render(
        request, "study_new.html", 422 if fault else 200, form=form, jobs=jobs, limits=study_making,
        fault=error_facts(fault) if fault else None,
    )  # fmt: skip


def _show_opening(request: Request, order: Order, link: str) -> Response:
    made = order.result if isinstance(order.result, MadeStudy) else None
    return render(request, "study_opening.html", order=order, made=made, link=link)
