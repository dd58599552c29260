"""Which items are meant: the one form of "all that match", for pages that show them and for what is done to them.

And what a statement asks for that several rooms ask alike: the newest result, workers that live.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, ScalarSelect, func, select
from sqlalchemy.orm import InstrumentedAttribute, aliased

from db.bounds import ScoreBound
from db.states import ITEM_OVER, ItemState, WorkerState
from db.tables import Item, ItemScore, Result, Worker

_OTHER = aliased(Result)


@dataclass(frozen=True)
class Selection:
    """Items that meet every condition given; within one condition, any of its values."""

    states: tuple[ItemState, ...] = ()
    codes: tuple[str, ...] = ()
    external_ids: tuple[str, ...] = ()
    text: str = ""
    """Part of the id, in either letter case; empty for any."""
    scores: tuple[ScoreBound, ...] = ()
    """Each of them must hold for the newest result; an item without that score does not meet it."""

    @property
    def is_empty(self) -> bool:
        """Whether it has no condition."""
        return self == Selection()

    def looks_into_items(self) -> bool:
        """Whether no index leads to what is meant, so that items must be looked through."""
        return bool(self.text or self.scores)

    def conditions_to_rerun(self) -> list[ColumnElement[bool]]:
        """Return what must hold of a row that is meant and can be started again: it is over, and names a source."""
        return [Item.source_json.is_not(None), Item.state.in_(ITEM_OVER), *self.conditions()]

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return what must hold of a row of items; ids are the caller's, who asks for them in chunks."""
        conditions: list[ColumnElement[bool]] = []
        if self.states:
            conditions.append(Item.state.in_(self.states))
        if self.codes:
            conditions.append(Item.error_code.in_(self.codes))
        if self.text:
            conditions.append(Item.external_id.icontains(self.text, autoescape=True))
        for bound in self.scores:
            met = select(ItemScore.item_id).where(ItemScore.item_id == Item.id, score_condition(bound))
            conditions.append(met.exists())
        return conditions


def score_condition(bound: ScoreBound) -> ColumnElement[bool]:
    """Return a bound as what must hold of a row of scores."""
    compared: ColumnElement[bool] = bound.is_met_by(ItemScore.value)
    return (ItemScore.metric == bound.metric) & compared


def newest_generation(item_id: InstrumentedAttribute[int]) -> ScalarSelect[int]:
    """Return the newest generation of which an item has a result, for a statement in which ``item_id`` stands.

    An index leads there, item by item. A list of all items' newest would be made for every page of one job.
    """
    return select(func.max(_OTHER.generation)).where(_OTHER.item_id == item_id).scalar_subquery()


def lives(now: ColumnElement[float], silent_seconds: float) -> ColumnElement[bool]:
    """Return that a worker lives: it has not left, and has beaten within so many seconds before ``now``."""
    return (Worker.state == WorkerState.LIVE) & (Worker.heartbeat_at > now - silent_seconds)
