"""Pictures of an item for people: which source, which generation's master, and who makes them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

from db import pages
from db.broker import CeleryBroker
from db.errors import InputError
from db.lineage import Generation, Lineage, lineages
from db.records import ItemView, ReelFacts
from db.session import Database
from orchestrator.diagnosis import missing_modules
from orchestrator.on_demand.look import LookWishes, QueuedLooks, ShownPicture
from orchestrator.web.site import Site

Of = Literal["source", "master"]
MOST_WIDTH = 4096


@dataclass(frozen=True)
class LookRequest:
    """What is to be shown."""

    of: Of = "master"
    generation: int | None = None
    """None takes the newest result."""
    frame: int = 0
    region: tuple[int, int, int, int] | None = None
    width: int | None = None
    form: Literal["png", "webp"] = "png"


def lineage_of(database: Database, item_id: int, *, with_work: bool = True) -> Lineage:
    """Return what is known of an item, see ``lineages``; raises ``InputError`` ``UNKNOWN_ITEM``."""
    job_id, item = pages.item(database, item_id)
    for lineage in lineages(database, job_id, external_ids=(item.external_id,), with_work=with_work):
        return lineage
    raise InputError(f"There is no item with the number {item_id}", code="UNKNOWN_ITEM")


def generation_of(lineage: Lineage, number: int | None) -> Generation | None:
    """Return one generation's result, the newest for none; raises ``BAD_VALUE`` for one that has no result."""
    if number is None:
        return lineage.newest
    for generation in lineage.generations:
        if generation.number == number:
            return generation
    have = ", ".join(str(each.number) for each in lineage.generations) or "none"
    raise InputError(f"{lineage.external_id!r:.100} has no result of generation {number}; there are {have}")


def show(site: Site, item_id: int, look: LookRequest) -> ShownPicture:
    """Return a picture that a child process of this machine makes; raises as ``Looks.look``."""
    return show_lineage(site, lineage_of(site.database, item_id, with_work=False), look)


def show_lineage(site: Site, lineage: Lineage, look: LookRequest) -> ShownPicture:
    """Return a picture of an item that was looked up already; raises as :func:`show`."""
    view, wishes = _order(lineage, look)
    return site.looks.look(view, **wishes)


def ask(site: Site, item_id: int, look: LookRequest) -> int:
    """Have a picture made by a worker elsewhere; returns the number to poll it by. Raises as ``QueuedLooks.ask``."""
    view, wishes = _order(lineage_of(site.database, item_id, with_work=False), look)
    return _queued(site).ask(view, **wishes)


def poll(site: Site, look_id: int) -> ShownPicture | None:
    """Return a picture that was asked for, none while it is not there; raises as ``QueuedLooks.poll``."""
    return _queued(site).poll(look_id)


@cache
def can_show_here() -> bool:
    """Whether this machine can touch pixels; asked at every frame, and looked up once."""
    return not missing_modules("worker")


def _queued(site: Site) -> QueuedLooks:
    return QueuedLooks(site.database, CeleryBroker(site.settings), site.store)


def _order(lineage: Lineage, look: LookRequest) -> tuple[ItemView, LookWishes]:
    generation = generation_of(lineage, look.generation)
    if look.of == "master" and generation is None:
        raise InputError(
            f"{lineage.external_id!r:.100} has no result yet", code="NOT_FOUND",
            remedy="Wait until the item is done, or rerun it.",
        )  # fmt: skip
    facts = generation.result.facts if generation else {}
    wishes = LookWishes(
        of=look.of, outputs=generation.result.outputs if generation else {}, sha256=str(facts.get("sha256", "")),
        frame=look.frame, region=look.region, width=look.width, form=look.form,
    )  # fmt: skip
    return _view(lineage, generation), wishes


def _view(lineage: Lineage, generation: Generation | None) -> ItemView:
    """Return an item as it was when a result was made of it; a rerun may know nothing of its reel yet."""
    if lineage.record is None:
        raise InputError(
            f"The line of {lineage.external_id!r:.100} names no source that could be shown", code="FILE_MISSING"
        )
    if lineage.record.facts is not None or generation is None or lineage.record.source.kind != "reel":
        return lineage.record
    known = {name: value for name, value in generation.result.facts.items() if name in ReelFacts.model_fields}
    return lineage.record.model_copy(update={"facts": ReelFacts.model_validate(known)})
