"""Which networks are known, whose they are, and which are registered here."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from db.catalog.architectures import ARCHITECTURES, Card
from db.progress import WeightsRow
from db.states import Role
from orchestrator.on_demand import weights
from orchestrator.web.api.models import RegisterOrder, start_registering
from orchestrator.web.auth import ADMIN, VIEWER, Caller
from orchestrator.web.pages.flashes import flash
from orchestrator.web.rendering import render
from orchestrator.web.site import SiteDep

router = APIRouter(dependencies=[VIEWER])
MOST_FILES = 20


@router.get("/models")
def show_models(request: Request, site: SiteDep, who: Caller) -> Response:
    """Show all cards, the ones that recipes can use now first."""
    cards = sorted(weights.list_cards(site.database), key=lambda pair: pair[1] is None)
    rows = [(card, row, ARCHITECTURES[card.architecture], _bytes(card, row)) for card, row in cards]
    return render(
        request, "models.html", rows=rows, flash=flash(request), stream="", may_add=who.role >= Role.ADMIN,
        names=[card.name for card, _ in cards if not card.shipped],
    )  # fmt: skip


@router.post("/models", dependencies=[ADMIN])
def register(
    site: SiteDep,
    who: Caller,
    upload: Annotated[list[str], Form(min_length=1, max_length=MOST_FILES)],
    card: Annotated[str, Form(max_length=200)] = "",
    accept_license: Annotated[bool, Form()] = False,
    license_text: Annotated[str, Form(max_length=2000)] = "",
) -> Response:
    """Begin to register weights that were sent before, and lead to how far that is."""
    order = RegisterOrder(
        uploads=upload, card=card or None, accept_license=accept_license, license=license_text or None
    )
    return RedirectResponse(f"/models/registrations/{start_registering(site, who.name, order).id}", 303)


@router.get("/models/registrations/{order_id}", dependencies=[ADMIN])
def show_registration(request: Request, site: SiteDep, order_id: str) -> Response:
    """Show how far a registration is; when it is done, lead to the list."""
    order = site.background.find(order_id, "weights")
    if order.state == "done":
        return RedirectResponse("/models?done=registered", 303)
    return render(request, "registration.html", order=order)


@router.post("/models/remove", dependencies=[ADMIN])
def remove(site: SiteDep, name: Annotated[str, Form(max_length=200)]) -> Response:
    """Forget registered weights."""
    weights.remove(site.database, site.store, name)
    return RedirectResponse("/models?done=removed", 303)


def _bytes(card: Card, row: WeightsRow | None) -> int:
    return sum(file.bytes for file in row.files) if row else card.megabytes * 10**6
