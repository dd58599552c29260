"""Networks: what is known and registered; an administrator registers more from files that were sent."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from db.catalog.weights import card
from orchestrator.catalogue import model_facts
from orchestrator.on_demand import weights
from orchestrator.web.answers import answer
from orchestrator.web.auth import ADMIN, VIEWER, Caller
from orchestrator.web.background import Order
from orchestrator.web.site import Site, SiteDep

router = APIRouter(prefix="/api/v1", tags=["models"], dependencies=[VIEWER])


class RegisterOrder(BaseModel):
    """Files of weights, and whose they are."""

    model_config = ConfigDict(extra="forbid")

    uploads: list[str] = Field(min_length=1, max_length=20, description="Ids of uploads.")
    card: str | None = Field(
        None, max_length=200, description="Name of the weights, or BASE:LABEL for your own; if omitted, recognised."
    )
    accept_license: bool = Field(False, description="Whether you accept the terms of the weights.")
    license: str | None = Field(None, max_length=2000, description="Terms of weights with a label.")


@router.get("/models")
def list_models(request: Request, site: SiteDep) -> Response:
    """List the known weights, and which are registered here."""
    return answer(request, {"models": [model_facts(each, row) for each, row in weights.list_cards(site.database)]})


@router.get("/models/{name}")
def show_model(request: Request, site: SiteDep, name: str) -> Response:
    """Show what is known about some weights."""
    rows = {each.name: row for each, row in weights.list_cards(site.database)}
    return answer(request, model_facts(card(name), rows.get(card(name).name)))


@router.post("/models", dependencies=[ADMIN], status_code=202)
def register_weights(request: Request, site: SiteDep, who: Caller, order: RegisterOrder) -> Response:
    """Register weights from uploads, in the background: they are loaded completely first."""
    begun = start_registering(site, who.name, order)
    return answer(request, begun.facts(), 202, Location=f"/api/v1/registrations/{begun.id}")


@router.get("/registrations/{order_id}", dependencies=[ADMIN])
def show_registration(request: Request, site: SiteDep, order_id: str) -> Response:
    """Show how far a registration or a verification of weights is."""
    order = site.background.find(order_id, "weights")
    return answer(request, {**order.facts(), "result": order.result})


@router.post("/models/verify", dependencies=[ADMIN], status_code=202)
def verify_weights(request: Request, site: SiteDep, who: Caller) -> Response:
    """Read all registered weights back and compare their digests, in the background."""
    begun = site.background.start("weights", who.name, lambda order: _verify(site, order), "verify")
    return answer(request, begun.facts(), 202, Location=f"/api/v1/registrations/{begun.id}")


@router.delete("/models/{name}", dependencies=[ADMIN])
def remove_weights(request: Request, site: SiteDep, name: str) -> Response:
    """Remove registered weights; files are kept while a job that has not ended needs them."""
    count = weights.remove(site.database, site.store, name)
    return answer(request, {"card": name, "files_deleted": count})


def start_registering(site: Site, who: str, order: RegisterOrder) -> Order:
    """Begin to register uploads; raises ``InputError`` for what can be told at once."""
    if order.card:
        weights.check_terms(card(order.card), order.accept_license)
    paths = [str(site.uploads.path(each)) for each in order.uploads]

    def register(progress: Order) -> Any:
        registration = weights.add(
            site.settings, site.database, site.store, paths, name=order.card or None,
            accept_license=order.accept_license, license_text=order.license,
        )  # fmt: skip
        for each in order.uploads:
            site.uploads.remove(each)
        return registration

    return site.background.start("weights", who, register, order.card or "")


def _verify(site: Site, order: Order) -> list[dict[str, Any]]:
    found = weights.verify(site.settings, site.database, site.store, ())
    return [{"card": name, "code": error and error.code, "message": error and error.message} for name, error in found]
