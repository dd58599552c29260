"""Who may come in, who is told what, and who did what: for administrators."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from db import administration
from db.ledger import access, webhooks
from db.states import Role, WebhookEvent
from orchestrator.web import deliveries
from orchestrator.web.answers import answer
from orchestrator.web.auth import ADMIN
from orchestrator.web.cursors import Cursor
from orchestrator.web.site import SiteDep

router = APIRouter(prefix="/api/v1", tags=["administration"], dependencies=[ADMIN])
_DAY_SECONDS = 24 * 3600.0
PlaceQuery = Annotated[str, Query(max_length=30)]
LimitQuery = Annotated[int, Query(ge=1, le=1000)]


class TokenOrder(BaseModel):
    """A new token."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=100, description="Whose it is; a name is given once and never again.")
    role: Role = Field(Role.VIEWER, description="What it may do.")
    days: int | None = Field(None, ge=1, le=36_500, description="Days until it ends; if omitted, never.")


class WebhookOrder(BaseModel):
    """A new webhook."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(min_length=1, max_length=2000, description="An https address that leads to the public network.")
    events: list[WebhookEvent] = Field(min_length=1, max_length=10)


class WebhookChange(BaseModel):
    """What may be changed of a webhook."""

    model_config = ConfigDict(extra="forbid")

    disabled: bool


@router.get("/tokens")
def list_tokens(request: Request, site: SiteDep) -> Response:
    """List all tokens, without their secrets."""
    return answer(request, {"tokens": administration.tokens(site.database)})


@router.post("/tokens", status_code=201)
def make_token(request: Request, site: SiteDep, order: TokenOrder) -> Response:
    """Make a token; its secret is in this answer alone."""
    expires_at = None if order.days is None else time.time() + order.days * _DAY_SECONDS
    secret = access.add_token(site.database, order.name, order.role, expires_at)
    facts = {"name": order.name, "role": order.role, "expires_at": expires_at, "token": secret}
    return answer(request, facts, 201)


@router.delete("/tokens/{name}")
def revoke_token(request: Request, site: SiteDep, name: str) -> Response:
    """End a token for good, and the sessions that it opened."""
    access.revoke_token(site.database, name)
    return answer(request, {"name": name, "revoked": True})


@router.get("/webhooks")
def list_webhooks(request: Request, site: SiteDep) -> Response:
    """List all webhooks, without their secrets."""
    return answer(request, {"webhooks": administration.webhooks(site.database)})


@router.post("/webhooks", status_code=201)
def make_webhook(request: Request, site: SiteDep, order: WebhookOrder) -> Response:
    """Have an address told how jobs end; the secret that signs the messages is in this answer alone."""
    deliveries.check_url(order.url, site.settings)
    return answer(request, webhooks.add_webhook(site.database, order.url, order.events), 201)


@router.patch("/webhooks/{webhook_id}")
def change_webhook(request: Request, site: SiteDep, webhook_id: int, change: WebhookChange) -> Response:
    """Tell a webhook nothing more, or go on."""
    webhooks.switch_webhook(site.database, webhook_id, disabled=change.disabled)
    return answer(request, {"id": webhook_id, "disabled": change.disabled})


@router.delete("/webhooks/{webhook_id}")
def remove_webhook(request: Request, site: SiteDep, webhook_id: int) -> Response:
    """Forget a webhook and its messages."""
    webhooks.remove_webhook(site.database, webhook_id)
    return answer(request, {"id": webhook_id, "removed": True})


@router.get("/webhooks/{webhook_id}/deliveries")
def list_deliveries(
    request: Request, site: SiteDep, webhook_id: int, cursor: PlaceQuery = "", limit: LimitQuery = 100
) -> Response:
    """List the messages to a webhook, newest first."""
    page = administration.delivery_page(site.database, webhook_id, before_id=Cursor.parse(cursor).before, limit=limit)
    following = str(Cursor(before=page.rows[-1].id)) if page.more else None
    return answer(request, {"deliveries": page.rows, "next": following})


@router.get("/audit")
def list_deeds(request: Request, site: SiteDep, cursor: PlaceQuery = "", limit: LimitQuery = 100) -> Response:
    """List who did what, newest first."""
    page = administration.audit_page(site.database, before_id=Cursor.parse(cursor).before, limit=limit)
    following = str(Cursor(before=page.rows[-1].id)) if page.more else None
    return answer(request, {"deeds": page.rows, "next": following})
