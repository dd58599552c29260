"""Comparisons of models and evaluations by references, made in the background by a child process."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from db.errors import InputError
from orchestrator import weight_pins
from orchestrator.diagnosis import missing_modules
from orchestrator.on_demand import evaluate as evaluation
from orchestrator.on_demand import worker_process
from orchestrator.on_demand.evaluate import EvaluateRequest
from orchestrator.web import files
from orchestrator.web.answers import answer
from orchestrator.web.auth import OPERATOR, Caller
from orchestrator.web.background import Order
from orchestrator.web.site import Site, SiteDep
from orchestrator.web.submitting import place_below

router = APIRouter(prefix="/api/v1", tags=["comparisons and evaluations"], dependencies=[OPERATOR])
_PATHS = (".yaml", ".yml", ".json")


class ComparisonOrder(BaseModel):
    """Photos and films, and the models that they are shown through."""

    model_config = ConfigDict(extra="forbid")

    uploads: list[str] = Field(min_length=1, max_length=24, description="Ids of uploads.")
    models: list[str] = Field(min_length=1, max_length=16, description="Names of models, weights or shipped recipes.")
    frames: int = Field(3, ge=1, le=24, description="Frames of each film, evenly spread.")
    height: int = Field(320, ge=64, le=2048, description="Height of a picture on the sheet, in pixels.")


class EvaluationOrder(BaseModel):
    """What is judged, and by which references."""

    model_config = ConfigDict(extra="forbid")

    subject: str = Field(max_length=200, description="Name of registered weights, or number of a job.")
    root: str = Field(max_length=4000, description="One of the server's roots.")
    references: str = Field(max_length=4000, description="A folder, pattern, manifest or file below the root.")
    inputs: str | None = Field(None, max_length=4000, description="What the model is given, below the same root.")
    metrics: list[str] = Field(default=[], max_length=40)
    noise: float | None = Field(None, ge=0, le=255)
    seed: int = Field(0, ge=0, lt=2**31)
    size: int | None = Field(None, ge=16, le=4096)
    limit: int | None = Field(None, ge=1, le=1_000_000)


@router.post("/comparisons", status_code=202)
def compare_models(request: Request, site: SiteDep, who: Caller, order: ComparisonOrder) -> Response:
    """Show the same pictures through several models on one sheet."""
    _require_pixels()
    _refuse_paths(order.models)
    columns = weight_pins.compare_columns(order.models, site.database)
    document = {
        "sources": [str(site.uploads.path(each)) for each in order.uploads],
        "columns": [{"title": title, "recipe": recipe.model_dump(mode="json")} for title, recipe in columns],
        "frames": order.frames,
        "height_px": order.height,
    }
    begun = site.background.start("comparison", who.name, lambda report: _compare(site, document, report))
    return answer(request, begun.facts(), 202, Location=f"/api/v1/comparisons/{begun.id}")


@router.get("/comparisons/{order_id}")
def show_comparison(request: Request, site: SiteDep, order_id: str) -> Response:
    """Show how far a comparison is; when it is done, `sheet.png` is there."""
    order = site.background.find(order_id, "comparison")
    result = order.result and {"rows": order.result["rows"], "notes": order.result["notes"]}
    return answer(request, {**order.facts(), "result": result})


@router.get("/comparisons/{order_id}/sheet.png")
def download_sheet(request: Request, site: SiteDep, order_id: str) -> Response:
    """Download the sheet of a comparison."""
    order = site.background.find(order_id, "comparison")
    if order.result is None:
        raise InputError(f"The comparison is {order.state}", code="WRONG_STATE")
    return files.send_pieces([Path(order.result["png"]).read_bytes()], "comparison.png", "image/png")


@router.post("/evaluations", status_code=202)
def evaluate_subject(request: Request, site: SiteDep, who: Caller, order: EvaluationOrder) -> Response:
    """Judge a model or a job by references that lie below one of the server's roots."""
    _require_pixels()
    if not order.subject.isdecimal():
        evaluation.resolve(order.subject)
    wish = EvaluateRequest(
        order.subject, place_below(site, order.root, order.references),
        place_below(site, order.root, order.inputs) if order.inputs else None,
        tuple(order.metrics), {}, order.size, order.noise, order.seed, order.limit, None,
    )  # fmt: skip

    def judge(report: Order) -> dict[str, Any]:
        return evaluation.evaluate(site.settings, site.database, wish, moved=report.advance)

    begun = site.background.start("evaluation", who.name, judge, order.subject)
    return answer(request, begun.facts(), 202, Location=f"/api/v1/evaluations/{begun.id}")


@router.get("/evaluations/{order_id}")
def show_evaluation(request: Request, site: SiteDep, order_id: str) -> Response:
    """Show how far an evaluation is, and every figure with its convention when it is done."""
    order = site.background.find(order_id, "evaluation")
    return answer(request, {**order.facts(), "result": order.result})


def _compare(site: Site, document: dict[str, Any], order: Order) -> dict[str, Any]:
    folder = site.settings.home.resolve() / "uploads" / f"sheet-{order.id}"
    folder.mkdir(mode=0o700, parents=True)
    try:
        return worker_process.run(site.settings, "compare", document | {"out": str(folder / "sheet.png")})
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _require_pixels() -> None:
    lacking = missing_modules("worker")
    if lacking:
        raise InputError(f"Nothing is compared here without {', '.join(lacking)}", code="WORKER_EXTRA_MISSING")


def _refuse_paths(names: list[str]) -> None:
    """Refuse recipes by path: a caller may name what is known, and no file of this machine."""
    for name in names:
        if "/" in name or name.lower().endswith(_PATHS):
            raise InputError(f"{name!r:.100} is no name of a model or shipped recipe", code="UNKNOWN_MODEL")
