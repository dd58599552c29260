"""The API's description: FastAPI's own, with the role that each route asks for."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import iter_route_contexts

from db.states import Role
from orchestrator.web.auth import Needs

DESCRIPTION = (
    "Everything that the command line can do, for programs. A token of `reelwright tokens add` goes into the header "
    '`Authorization: Bearer`. Errors are `{"error": {code, message, remedy}}`. docs/api.md explains all of it.'
)


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document; ``x-role`` is the least role that may ask."""
    document = get_openapi(title="Reelwright", version="1", description=DESCRIPTION, routes=app.routes)
    for context in iter_route_contexts(app.routes):
        for method in context.methods or ():
            facts = document["paths"].get(context.path, {}).get(method.lower())
            if facts is not None:
                role = _least_role(context.dependant)
                facts["x-role"] = role.value if role else None
                facts.get("responses", {}).pop("422", None)  # every error has one form, which the description tells
    document.get("components", {}).get("schemas", {}).pop("HTTPValidationError", None)
    document.get("components", {}).get("schemas", {}).pop("ValidationError", None)
    return document


def _least_role(dependant: Dependant) -> Role | None:
    roles = [each.call.role for each in dependant.dependencies if isinstance(each.call, Needs)]
    roles += [role for each in dependant.dependencies if (role := _least_role(each)) is not None]
    return max(roles, key=lambda role: role.rank) if roles else None
