"""What programs can ask for: made of the same description that the API gives out."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from orchestrator.web.auth import VIEWER
from orchestrator.web.rendering import render

router = APIRouter(dependencies=[VIEWER])
_METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True)
class RouteFacts:
    """One thing that can be asked for."""

    method: str
    path: str
    summary: str
    description: str
    parameters: tuple[tuple[str, str, str, bool], ...]
    """Name, kind, meaning, and whether it must be given."""
    body: tuple[tuple[str, str, str, bool], ...]
    """The same, of a JSON body."""


@router.get("/api")
def show_reference(request: Request) -> Response:
    """Show all routes of the API."""
    document = request.app.openapi()
    by_tag: dict[str, list[RouteFacts]] = defaultdict(list)
    for path, methods in document["paths"].items():
        for method in _METHODS:
            if method in methods:
                route = methods[method]
                by_tag[(route.get("tags") or ["other"])[0]].append(_route(document, method, path, route))
    return render(request, "reference.html", by_tag=by_tag, title=document["info"]["title"])


def _route(document: dict[str, Any], method: str, path: str, route: dict[str, Any]) -> RouteFacts:
    # A docstring's first paragraph says what a route does; FastAPI's summary repeats the function's name.
    said, _, more = route.get("description", route.get("summary", "")).partition("\n\n")
    parameters = [
        (
            each["name"],
            _kind(document, each.get("schema", {})),
            each.get("description", ""),
            each.get("required", False),
        )
        for each in route.get("parameters", [])
    ]
    return RouteFacts(method.upper(), path, said, more, tuple(parameters), tuple(_body(document, route)))


def _body(document: dict[str, Any], route: dict[str, Any]) -> list[tuple[str, str, str, bool]]:
    content = route.get("requestBody", {}).get("content", {})
    first: dict[str, Any] = next(iter(content.values()), {})
    schema = _resolve(document, first.get("schema", {}))
    must = schema.get("required", [])
    fields = schema.get("properties", {})
    return [
        (name, _kind(document, field), field.get("description", ""), name in must) for name, field in fields.items()
    ]


def _resolve(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref", "")
    found: dict[str, Any] = document["components"]["schemas"][reference.rpartition("/")[2]] if reference else schema
    return found


def _kind(document: dict[str, Any], schema: dict[str, Any]) -> str:
    """Return in words what a value is."""
    schema = _resolve(document, schema)
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_kind(document, each) for each in schema["anyOf"]))
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if schema.get("type") == "array":
        return f"list of {_kind(document, schema.get('items', {}))}"
    return str(schema.get("type", "any"))
