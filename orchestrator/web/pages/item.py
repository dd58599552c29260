"""One still or reel: what it is, what was made of it, by whom, and how good it is frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from db import pages, progress
from db.catalog.metrics import METRICS
from db.lineage import Generation, Lineage
from db.progress import ItemRow, JobRow
from db.records import AudioTrack, ReelFacts, deliverables
from db.session import Database
from db.states import ItemKind, Role
from orchestrator.web.auth import VIEWER, Caller
from orchestrator.web.looking import lineage_of
from orchestrator.web.pages.flashes import flash
from orchestrator.web.rendering import render
from orchestrator.web.site import SiteDep

router = APIRouter(dependencies=[VIEWER])
MOST_BELOW = 200
"""Runs of frames below a gate that a page lists."""


@dataclass(frozen=True)
class ItemFacts:
    """An item with its job and all that became of it."""

    job: JobRow
    row: ItemRow
    lineage: Lineage

    @property
    def is_reel(self) -> bool:
        """Whether it has frames."""
        return self.row.kind == ItemKind.REEL

    @property
    def rate(self) -> float:
        """Frames a second; 0 where it is not known."""
        record = self.lineage.record
        return float(record.facts.rate) if record and record.facts else 0.0

    def generation(self, number: int | None) -> Generation | None:
        """Return the accepted result of a generation, the newest where none is named or that one is not there."""
        named = (each for each in self.lineage.generations if each.number == number)
        return next(named, self.lineage.newest)


def item_facts(database: Database, item_id: int) -> ItemFacts:
    """Return an item by its number; raises ``UNKNOWN_ITEM``."""
    job_id, row = pages.item(database, item_id)
    return ItemFacts(progress.job(database, job_id), row, lineage_of(database, item_id))


@router.get("/items/{item_id}")
def show_item(
    request: Request,
    site: SiteDep,
    who: Caller,
    item_id: int,
    frame: Annotated[int, Query(ge=0, le=10**9)] = 0,
    generation: Annotated[int | None, Query(ge=1, le=10**6)] = None,
    beside: Annotated[int | None, Query(ge=1, le=10**6)] = None,
) -> Response:
    """Show an item."""
    facts = item_facts(site.database, item_id)
    shown = facts.generation(generation)
    result = shown.result if shown else None
    below = result.below_gates if result else ()
    return render(
        request, "item.html", item=facts, row=facts.row, job=facts.job, shown=shown, frame=frame, beside=beside,
        source=_source_facts(facts), outputs=deliverables(result.outputs) if result else {},
        scores=_scores(result.scores) if result else [], below=below[:MOST_BELOW], below_count=len(below),
        has_timeline=bool(result and "timeline" in result.outputs),
        attempts=progress.attempts(site.database, facts.job.id, facts.row.external_id), tail=log_tail,
        may_act=who.role >= Role.OPERATOR, flash=flash(request), stream="",
    )  # fmt: skip


def log_tail(message: str) -> tuple[str, str]:
    """Return the first line of what an attempt said, and the rest."""
    first, _, rest = message.partition("\n")
    return first, rest.strip()


def _scores(scores: dict[str, float]) -> list[tuple[str, float, str, str]]:
    """Return name, value, unit and meaning of each score."""
    known = ((name, value, METRICS.get(name)) for name, value in scores.items())
    return [(name, value, spec.unit if spec else "", spec.summary if spec else "") for name, value, spec in known]


def _source_facts(item: ItemFacts) -> list[tuple[str, Any]]:
    """Return what is known of the source, in the order in which people ask."""
    record, result = item.lineage.record, item.lineage.newest
    reel = record.facts if record else None
    if reel is not None:
        rows = _reel_facts(reel)
    else:
        facts = result.result.facts if result else {}
        rows = [(name.replace("_", " ").capitalize(), value) for name, value in facts.items() if _is_plain(value)]
    rows += [(str(name), value) for name, value in item.lineage.extra.items()]
    return [("Source", item.row.uri), *((name, value) for name, value in rows if value not in ("", None))]


def _reel_facts(reel: ReelFacts) -> list[tuple[str, Any]]:
    uneven = ", uneven" if reel.variable_rate else ""
    layout = "one channel" if reel.mono else reel.pixel_format
    return [
        ("Frames", f"{reel.frame_count:,} at {float(reel.rate):g} a second{uneven}"),
        ("Picture", f"{reel.width} × {reel.height}, {reel.depth_bits} bits, {layout}"),
        ("Timecode", reel.timecode),
        ("Sound", _sound(reel.audio)),
        ("Damaged", reel.damaged),
        ("Made of fields", reel.deinterlaced),
        ("Notes", " ".join((*reel.disagreements, *reel.left_out, *reel.notes))),
        ("SHA-256", reel.sha256),
    ]


def _sound(tracks: Sequence[AudioTrack]) -> str:
    return "; ".join(f"{track.codec}, {track.channels} channels, {track.sample_rate_hz} Hz" for track in tracks)


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)
