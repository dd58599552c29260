"""Pictures for a study: every variant of every motif, at one width and in one form, under names that tell nothing."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from itertools import islice

from pydantic import BaseModel, ConfigDict, Field

from db import pages, progress
from db.errors import InputError, ReelwrightError
from db.ledger.studying import NewStudy, OpenedStudy, StudyItem, StudyVariant, open_study
from db.lineage import Lineage, lineages
from db.selection import Selection
from db.states import ItemKind, ItemState
from orchestrator.web import looking
from orchestrator.web.background import Order
from orchestrator.web.looking import LookRequest, Of
from orchestrator.web.site import Site

LEAST_WIDTH, MOST_WIDTH = 200, 2000
MOST_MOTIFS = 200


class VariantOrder(BaseModel):
    """One of the ways that are compared."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=100, description="For who reads the ranking; raters never see it.")
    job_id: int = Field(ge=1)
    generation: int | None = Field(None, ge=1, description="If omitted, the newest result.")
    of: Of = Field("master", description="The source, to compare with leaving it alone, or what was made of it.")


class StudyOrder(BaseModel):
    """A study that is to be opened."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=200)
    question: str = Field("Which picture looks better?", min_length=1, max_length=500)
    variants: list[VariantOrder] = Field(min_length=2, max_length=20)
    ids: list[str] = Field(default=[], max_length=MOST_MOTIFS, description="Items; if omitted, those that all have.")
    width: int = Field(1000, ge=LEAST_WIDTH, le=MOST_WIDTH, description="Of every picture, in pixels.")
    frames: int = Field(1, ge=1, le=10, description="Frames of each reel, evenly spread.")
    motifs: int = Field(50, ge=1, le=MOST_MOTIFS, description="Items at most, where none are named.")
    seed: int | None = Field(None, ge=0, lt=2**63, description="Of the drawing; if omitted, drawn too.")
    repeat_share: float = Field(0.1, ge=0, le=1)
    identical_share: float = Field(0.05, ge=0, le=1)


def check(site: Site, order: StudyOrder) -> None:
    """Say at once what would be wrong; raises ``InputError``."""
    for variant in order.variants:
        progress.job(site.database, variant.job_id)
    if len({variant.name for variant in order.variants}) < len(order.variants):
        raise InputError("variants: each needs a name of its own")


def make(site: Site, who: str, order: StudyOrder, report: Order) -> OpenedStudy:
    """Make all pictures, then open the study; what of an item cannot be shown in every variant is left out.

    Raises:
        InputError: ``NOTHING_SELECTED`` when no item is left.
    """
    ids = order.ids or list(_common_ids(site, order))
    folder = f"studies/{secrets.token_hex(16)}"
    items: list[StudyItem] = []
    for number, external_id in enumerate(ids):
        report.advance(number, len(ids))
        items.extend(_motifs(site, order, external_id, folder))
    if not items:
        raise InputError("No item can be shown in all variants", code="NOTHING_SELECTED")
    variants = [StudyVariant(each.name, each.model_dump(exclude={"name"})) for each in order.variants]
    seed = secrets.randbelow(2**63) if order.seed is None else order.seed
    return open_study(
        site.database,
        NewStudy(order.name, order.question, variants, items, who, seed, order.repeat_share, order.identical_share),
    )


def _common_ids(site: Site, order: StudyOrder) -> Iterator[str]:
    """Yield ids of items that are done in the first variant's job and are there in all others."""
    first, *others = dict.fromkeys(variant.job_id for variant in order.variants)
    page = pages.item_page(site.database, first, Selection(states=(ItemState.DONE,)), limit=MOST_MOTIFS)
    there = (
        row.external_id
        for row in page.rows
        if all(any(progress.items(site.database, job, external_ids=(row.external_id,))) for job in others)
    )
    yield from islice(there, order.motifs)


def _motifs(site: Site, order: StudyOrder, external_id: str, folder: str) -> list[StudyItem]:
    """Return an item's motifs: a still is one, of a reel each frame that is taken."""
    found = [_lineage(site, variant.job_id, external_id) for variant in order.variants]
    if any(lineage is None for lineage in found):
        return []
    known = [lineage for lineage in found if lineage is not None]
    motifs = []
    for frame in _frames(known, order.frames):
        pictures = _pictures(site, order, known, frame, folder)
        if pictures:
            shown = (
                external_id
                if known[0].record and known[0].record.source.kind == ItemKind.STILL
                else f"{external_id} #{frame}"
            )
            motifs.append(StudyItem(shown, pictures))
    return motifs


def _lineage(site: Site, job_id: int, external_id: str) -> Lineage | None:
    return next(lineages(site.database, job_id, external_ids=(external_id,)), None)


def _frames(known: Sequence[Lineage], count: int) -> list[int]:
    record = known[0].record
    frames = record.facts.frame_count if record and record.facts else 1
    return sorted({(2 * place + 1) * frames // (2 * count) for place in range(count)} if frames > 1 else {0})


def _pictures(site: Site, order: StudyOrder, known: Sequence[Lineage], frame: int, folder: str) -> dict[str, str]:
    """Return a key for each variant, none at all where one cannot be shown or has another shape."""
    made, sizes = {}, set()
    for variant, lineage in zip(order.variants, known, strict=True):
        look = LookRequest(variant.of, variant.generation, frame, None, order.width, "webp")
        try:
            picture = looking.show_lineage(site, lineage, look)
        except ReelwrightError:
            return {}
        sizes.add((picture.width, picture.height))
        key = f"{folder}/{secrets.token_hex(16)}.webp"
        site.store.put_bytes(key, picture.data)
        made[variant.name] = key
    return made if len(sizes) == 1 else {}
