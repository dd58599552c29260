"""What addresses and bodies say about which items are meant, and where a list goes on. API and pages ask alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from db import pages
from db.bounds import ScoreBound
from db.errors import CODES, InputError, nearest
from db.pages import ItemPage
from db.selection import Selection
from db.session import Database
from db.states import ItemState
from orchestrator.web.cursors import Cursor

MOST_ROWS = 1000
MOST_IDS = 100_000
MOST_TEXT = 200


class SelectionBody(BaseModel):
    """Items that meet every condition given; within one condition, any of its values."""

    model_config = ConfigDict(extra="forbid")

    states: list[ItemState] = Field(default=[], max_length=20)
    codes: list[str] = Field(default=[], max_length=100, description="Error codes.")
    ids: list[str] = Field(default=[], max_length=MOST_IDS, description="Ids of the manifest.")
    text: str = Field("", max_length=MOST_TEXT, description="Part of the id.")
    scores: list[str] = Field(default=[], max_length=20, description="Such as `luma_psnr < 30`; all must hold.")

    def selection(self) -> Selection:
        """Return it as the records understand it; raises ``InputError`` for an unknown code or a wrong bound."""
        return select_items(self.states, self.codes, self.text, self.scores, self.ids)


@dataclass(frozen=True)
class ItemQuestion:
    """Which items of a job, and from where on."""

    selection: Selection
    cursor: Cursor
    limit: int

    def page(self, database: Database, job_id: int) -> ItemPage:
        """Ask for them."""
        return pages.item_page(
            database, job_id, self.selection, after=self.cursor.after, before=self.cursor.before, limit=self.limit
        )

    def neighbors(self, page: ItemPage) -> dict[str, str | None]:
        """Return where the list goes on in either direction, none where it has an end."""
        back = self.cursor.before is not None
        first = page.rows[0].seq if page.rows else None
        last = page.rows[-1].seq if page.rows else None
        ahead = last if page.searched_to is None or back else page.searched_to
        behind = first if page.searched_to is None or not back else page.searched_to
        goes_on, came_from = page.more or back, page.more if back else self.cursor.after is not None
        return {
            "next": str(Cursor(after=ahead)) if goes_on and ahead is not None else None,
            "prev": str(Cursor(before=behind)) if came_from and behind is not None else None,
        }


def ask_items(
    state: Annotated[list[ItemState], Query(max_length=20, description="In any of these states.")] = [],  # noqa: B006
    code: Annotated[list[str], Query(max_length=100, description="With any of these error codes.")] = [],  # noqa: B006
    text: Annotated[str, Query(max_length=MOST_TEXT, description="Whose id contains this.")] = "",
    score: Annotated[list[str], Query(max_length=20, description="Such as `luma_psnr < 30`; all must hold.")] = [],  # noqa: B006
    cursor: Annotated[str, Query(max_length=30, description="`next` or `prev` of an answer.")] = "",
    limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 100,
) -> ItemQuestion:
    """Read an address."""
    return ItemQuestion(select_items(state, code, text, score), Cursor.parse(cursor), limit)


ItemQuestionDep = Annotated[ItemQuestion, Depends(ask_items)]


def select_items(
    states: Sequence[ItemState], codes: Sequence[str], text: str, scores: Sequence[str], ids: Sequence[str] = ()
) -> Selection:
    """Return a selection; raises ``InputError`` for an unknown code or a wrong bound."""
    for code in codes:
        if code not in CODES:
            raise InputError(f"Unknown code {code!r:.60}.{nearest(code, CODES)}", remedy="docs/errors lists them.")
    bounds = tuple(ScoreBound.parse(each) for each in scores if each.strip())
    return Selection(tuple(states), tuple(codes), tuple(ids), text, bounds)
