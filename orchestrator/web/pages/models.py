"""Which networks are known, whose they are, and which are registered here."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from db.catalog.architectures import ARCHITECTURES, Card
from db.progress import WeightsRow
from db.states import Role
from orchestrator.on_demand import weights
from orchestrator.web.auth import ADMIN, VIEWER, Caller
from orchestrator.web.pages.flashes import flash
from orchestrator.web.rendering import render
from orchestrator.web.site import SiteDep

router = APIRouter(dependencies=[VIEWER])


@router.get("/models")
def show_models(request: Request, site: SiteDep, who: Caller) -> Response:
    """Show all cards, the ones that recipes can use now first."""
    cards = sorted(weights.list_cards(site.database), key=lambda pair: pair[1] is None)
    rows = [(card, row, ARCHITECTURES[card.architecture], _bytes(card, row)) for card, row in cards]
    return render(
        request, "models.html", rows=rows, flash=flash(request), stream="", may_add=who.role >= Role.ADMIN,
        names=[card.name for card, _ in cards if not card.shipped],
    )  # fmt: skip


@router.post("/models/remove", dependencies=[ADMIN])
def remove(site: SiteDep, name: Annotated[str, Form(max_length=200)]) -> Response:
    """Forget registered weights."""
    weights.remove(site.database, site.store, name)
    return RedirectResponse("/models?done=removed", 303)


def _bytes(card: Card, row: WeightsRow | None) -> int:
    return sum(file.bytes for file in row.files) if row else card.megabytes * 10**6
