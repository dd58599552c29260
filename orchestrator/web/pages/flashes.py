"""What a page says after something was done: an address names it, and these are all the words there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fastapi import Request

from orchestrator.wording import pluralize

_SAID = {
    "paused": "Paused. Nothing new is started. Finished segments are kept, and those in work begin anew later.",
    "resumed": "The job goes on.",
    "cancelled": "Cancelled. What is finished stays.",
    "priority": "The priority is set.",
    "rerun": "{items} will be done again.",
    "submitted": "The job is submitted.",
    "same": "This manifest was submitted before with the same recipe: this is that job.",
    "registered": "The weights are registered.",
    "removed": "The weights are removed.",
    "verdict": "Noted.",
    "taken_back": "The verdict is taken back.",
    "closed": "The study is closed: nobody is asked any more.",
}
_MOST_DIGITS = 9


@dataclass(frozen=True)
class Flash:
    """One sentence about what was done."""

    text: str
    kind: Literal["", "good"] = "good"


def flash(request: Request) -> Flash | None:
    """Return what an address says was done; none for anything that is not one of our words."""
    said = _SAID.get(request.query_params.get("done", ""))
    if said is None:
        return None
    digits = request.query_params.get("count", "")
    count = int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= _MOST_DIGITS else 0
    return Flash(said.format(items=pluralize(count, "item")))
