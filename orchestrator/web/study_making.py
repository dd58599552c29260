"""Pictures for a study: every variant of every motif, at one size and in one form, under names that tell nothing.

They stay in the store, under ``studies/``, as long as the study does.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from math import comb
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from db import pages, progress
from db.errors import InputError, TransientError, WorkError
from db.ledger.studying import (
    MOST_ITEM,
    MOST_QUESTION,
    MOST_TRIALS,
    MOST_VARIANTS,
    NewStudy,
    StudyItem,
    StudyVariant,
    open_study,
)
from db.lineage import Lineage, lineages
from db.selection import Selection
from db.states import ItemKind, ItemState
from orchestrator.terminal_text import visible
from orchestrator.web import looking
from orchestrator.web.background import Order
from orchestrator.web.looking import LookRequest, Of
from orchestrator.web.site import Site

LEAST_WIDTH, MOST_WIDTH = 200, 2000
MOST_MOTIFS = 200
MOST_FRAMES = 10
MOST_TOLD = 50
"""Motifs that were left out, and of which it is told why."""
_AT_ONCE = 200
_MOST_LOOKED_AT = 20_000
"""Items of the first job of which it is asked whether the others have them too."""


def _check_printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("is not one line of printable characters")
    return text


_Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1), AfterValidator(_check_printable)]


class VariantOrder(BaseModel):
    """One of the ways that are compared."""

    model_config = ConfigDict(extra="forbid")

    name: _Line = Field(max_length=100, description="For who reads the ranking; raters never see it.")
    job_id: int = Field(ge=1, lt=2**63)
    generation: int | None = Field(None, ge=1, description="If omitted, the newest result.")
    of: Of = Field("master", description="The source, to compare with leaving it alone, or what was made of it.")


class StudyOrder(BaseModel):
    """A study that is to be opened."""

    model_config = ConfigDict(extra="forbid")

    name: _Line = Field(max_length=200)
    question: _Line = Field("Which picture looks better?", max_length=MOST_QUESTION)
    variants: list[VariantOrder] = Field(min_length=2, max_length=MOST_VARIANTS)
    ids: list[str] = Field(default=[], max_length=MOST_MOTIFS, description="Items; if omitted, those that all have.")
    width: int = Field(1000, ge=LEAST_WIDTH, le=MOST_WIDTH, description="Of every picture, in pixels.")
    frames: int = Field(1, ge=1, le=MOST_FRAMES, description="Frames of each reel, evenly spread.")
    motifs: int = Field(50, ge=1, le=MOST_MOTIFS, description="Items at most, where none are named.")
    seed: int | None = Field(None, ge=0, lt=2**63, description="Of the drawing; if omitted, drawn too.")
    repeat_share: float = Field(0.1, ge=0, le=1)
    identical_share: float = Field(0.05, ge=0, le=1)


@dataclass(frozen=True)
class MissingMotif:
    """A motif that the study does without."""

    item: str
    why: str


@dataclass(frozen=True)
class MadeStudy:
    """A study that was opened just now."""

    id: int
    link: str
    """The secret of the link for raters, kept nowhere else."""
    trials: int
    motifs: int
    left_out: tuple[MissingMotif, ...]
    """The first :data:`MOST_TOLD` of them."""
    left_out_count: int


@dataclass
class _Making:
    """What is made for one study."""

    site: Site
    order: StudyOrder
    folder: str
    items: list[StudyItem] = field(default_factory=list)
    left_out: list[MissingMotif] = field(default_factory=list)


def check(site: Site, order: StudyOrder) -> None:
    """Say at once what would be wrong.

    Raises:
        InputError: ``BAD_VALUE``, ``UNKNOWN_JOB``, or ``WORKER_EXTRA_MISSING`` where no picture can be made.
    """
    if not looking.can_show_here():
        raise InputError("Pictures for a study are made on the server's own machine", code="WORKER_EXTRA_MISSING")
    for variant in order.variants:
        progress.job(site.database, variant.job_id)
    if len({variant.name for variant in order.variants}) < len(order.variants):
        raise InputError("variants: each needs a name of its own")
    shown = [variant.model_dump(exclude={"name"}) for variant in order.variants]
    if any(shown.count(each) > 1 for each in shown):
        raise InputError("variants: two of them show the same pictures; pairs of equals come of themselves")


def start(site: Site, who: str, order: StudyOrder) -> Order:
    """Begin to make a study in the background; :func:`check` comes before. Raises as ``Background.start``."""
    return site.background.start("study", who, lambda report: make(site, who, order, report), order.name)


def make(site: Site, who: str, order: StudyOrder, report: Order) -> MadeStudy:
    """Make all pictures, then open the study; what of an item cannot be shown in every variant is left out.

    Whatever ends this before the study is open takes its pictures along.

    Raises:
        InputError: ``NOTHING_SELECTED`` when no item is left.
    """
    making = _Making(site, order, f"studies/{secrets.token_hex(16)}")
    try:
        ids = list(dict.fromkeys(order.ids)) or list(_common_ids(site, order))
        for number, external_id in enumerate(ids):
            report.advance(number, len(ids))
            _add_motifs(making, external_id)
        report.advance(len(ids), len(ids))
        return _open(making, who)
    except BaseException:
        site.store.delete(f"{making.folder}/")
        raise


def _open(making: _Making, who: str) -> MadeStudy:
    order, left_out = making.order, making.left_out
    if not making.items:
        why = f": {left_out[0].item}: {left_out[0].why}" if left_out else ""
        raise InputError(f"No item can be shown in all variants{why}"[:500], code="NOTHING_SELECTED")
    variants = [StudyVariant(each.name, each.model_dump(exclude={"name"})) for each in order.variants]
    seed = secrets.randbelow(2**63) if order.seed is None else order.seed
    shares = (order.repeat_share, order.identical_share)
    opened = open_study(
        making.site.database, NewStudy(order.name, order.question, variants, making.items, who, seed, *shares)
    )
    told = tuple(left_out[:MOST_TOLD])
    return MadeStudy(opened.id, opened.link, opened.trials, len(making.items), told, len(left_out))


def _common_ids(site: Site, order: StudyOrder) -> Iterator[str]:
    """Yield ids of items that are done in the first variant's job and are there in all others."""
    first, *others = dict.fromkeys(variant.job_id for variant in order.variants)
    there = (
        external_id
        for external_id in islice(_done_ids(site, first), _MOST_LOOKED_AT)
        if all(any(progress.items(site.database, job, external_ids=(external_id,))) for job in others)
    )
    yield from islice(there, order.motifs)


def _done_ids(site: Site, job_id: int) -> Iterator[str]:
    after: int | None = None
    while True:
        page = pages.item_page(site.database, job_id, Selection(states=(ItemState.DONE,)), after=after, limit=_AT_ONCE)
        yield from (row.external_id for row in page.rows)
        if not page.more or not page.rows:
            return
        after = page.rows[-1].seq


def _add_motifs(making: _Making, external_id: str) -> None:
    """Add an item's motifs: a still is one, of a reel each frame that is taken."""
    order = making.order
    found = [_lineage(making.site, variant.job_id, external_id) for variant in order.variants]
    known = [lineage for lineage in found if lineage is not None]
    if len(known) < len(found):
        making.left_out.append(MissingMotif(external_id, "not in every job"))
        return
    for frame in _frames(known[0], order.frames):
        shown = visible(external_id if _is_still(known[0]) else f"{external_id} #{frame}")[:MOST_ITEM]
        try:
            pictures = _pictures(making, known, frame)
        except TransientError:
            raise
        except (InputError, WorkError) as error:
            making.left_out.append(MissingMotif(shown, error.message))
            continue
        making.items.append(StudyItem(shown, _store_pictures(making, pictures)))
        if len(making.items) * comb(len(order.variants), 2) > MOST_TRIALS:
            raise InputError(f"variants, frames, motifs: together more than {MOST_TRIALS} pairs; take fewer")


def _lineage(site: Site, job_id: int, external_id: str) -> Lineage | None:
    return next(lineages(site.database, job_id, external_ids=(external_id,), with_work=False), None)


def _is_still(lineage: Lineage) -> bool:
    return lineage.record is not None and lineage.record.source.kind == ItemKind.STILL


def _frames(lineage: Lineage, count: int) -> list[int]:
    """Return numbers of frames in the middle of equal parts of a reel; of a still its first page."""
    if _is_still(lineage):
        return [0]
    record, newest = lineage.record, lineage.newest
    known = record.facts.frame_count if record and record.facts else 0
    frames = known or int(newest.result.facts.get("frame_count", 1) if newest else 1)
    return sorted({(2 * place + 1) * frames // (2 * count) for place in range(count)})


def _pictures(making: _Making, known: Sequence[Lineage], frame: int) -> dict[str, bytes]:
    """Return a picture for each variant, equal in size and length; raises ``InputError`` or ``WorkError``."""
    made, sizes = {}, set()
    for variant, lineage in zip(making.order.variants, known, strict=True):
        look = LookRequest(variant.of, variant.generation, frame, None, making.order.width, "webp")
        picture = looking.show_lineage(making.site, lineage, look)
        sizes.add((picture.width, picture.height))
        made[variant.name] = picture.data
    if len(sizes) > 1:
        raise InputError("its pictures have different shapes in the variants")
    return pad(made)


def _store_pictures(making: _Making, pictures: dict[str, bytes]) -> dict[str, str]:
    keys = {name: f"{making.folder}/{secrets.token_hex(16)}.webp" for name in pictures}
    for name, data in pictures.items():
        making.site.store.put_bytes(keys[name], data)
    return keys


def pad(pictures: dict[str, bytes]) -> dict[str, bytes]:
    """Make WebP pictures equally long, for a smoother one is shorter: each gets a chunk that readers pass over.

    What it holds is random, so that no packing on the way brings the difference back.
    """
    length = max(len(data) for data in pictures.values())
    return {name: _with_chunk(data, length - len(data)) for name, data in pictures.items()}


def _with_chunk(data: bytes, size: int) -> bytes:
    """Return a RIFF file with one more chunk at its end; lengths are even (RFC 9649)."""
    body = data[8:] + b"JUNK" + size.to_bytes(4, "little") + secrets.token_bytes(size)
    return b"RIFF" + len(body).to_bytes(4, "little") + body
