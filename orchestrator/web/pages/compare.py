"""Original and results of one item upon each other."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from db.errors import InputError
from orchestrator.web.auth import VIEWER
from orchestrator.web.looking import MOST_WIDTH
from orchestrator.web.pages.item import ItemFacts, item_facts
from orchestrator.web.rendering import render
from orchestrator.web.site import SiteDep

router = APIRouter(dependencies=[VIEWER])
MOST_VARIANTS = 8


@router.get("/items/{item_id}/compare")
def compare(
    request: Request, site: SiteDep, item_id: int, frame: Annotated[int, Query(ge=0, le=10**9)] = 0
) -> Response:
    """Show an item before and after, and after each generation."""
    item = item_facts(site.database, item_id)
    if item.lineage.newest is None:
        raise InputError(
            f"Nothing was made of item {item_id} yet", code="NOT_FOUND", remedy="Look again when it is done."
        )
    access = "access" in item.lineage.newest.result.outputs
    return render(
        request, "compare.html", item=item, row=item.row, job=item.job, frame=frame, layers=layers(item), access=access
    )


def layers(item: ItemFacts) -> list[tuple[str, str]]:
    """Return name and address of each picture; of a reel with frame 0, in whose place scripts put another."""
    path = f"/api/v1/items/{item.row.id}/frames/0?form=png{_width(item)}"
    newest = item.lineage.generations[-MOST_VARIANTS:]
    word = "Restored" if len(newest) == 1 else "Generation {}"
    made = [(word.format(each.number), f"{path}&of=master&generation={each.number}") for each in reversed(newest)]
    return [("Original", f"{path}&of=source"), *made]


def _width(item: ItemFacts) -> str:
    """Return how pictures are made smaller, where their own size is more than is shown."""
    result = item.lineage.newest
    width = result.result.facts.get("width", 0) if result else 0
    recipe = item.row.recipe or item.job.recipe
    return f"&width={MOST_WIDTH}" if int(width) * recipe.scale > MOST_WIDTH else ""
