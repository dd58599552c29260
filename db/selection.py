"""Which items are meant: the one form of "all that match", for pages that show them and for what is done to them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import ColumnElement, select

from db.errors import InputError
from db.states import ItemState
from db.tables import Item, ItemScore

_BOUND = re.compile(r"\s*([a-z][a-z0-9_]{0,60})\s*(<=|>=|<|>)\s*(-?\d{1,12}(?:\.\d{1,12})?)\s*", re.ASCII)


@dataclass(frozen=True)
class ScoreBound:
    """A condition on an item's score in its newest result; an item without that score does not meet it."""

    metric: str
    relation: Literal["<", "<=", ">", ">="]
    value: float

    @classmethod
    def parse(cls, text: str) -> ScoreBound:
        """Read ``luma_psnr < 30``; raises ``InputError`` ``BAD_VALUE``."""
        found = _BOUND.fullmatch(text)
        if found is None:
            raise InputError(f"{text!r:.80} is no bound of a score, such as 'luma_psnr < 30'")
        return cls(found[1], found[2], float(found[3]))  # type: ignore[arg-type] # the pattern has no other

    def condition(self) -> ColumnElement[bool]:
        """Return it for a row of scores."""
        value = ItemScore.value
        compared = {"<": value < self.value, "<=": value <= self.value, ">": value > self.value,
                    ">=": value >= self.value}[self.relation]  # fmt: skip
        return (ItemScore.metric == self.metric) & compared


@dataclass(frozen=True)
class Selection:
    """Items that meet every condition given; within one condition, any of its values."""

    states: tuple[ItemState, ...] = ()
    codes: tuple[str, ...] = ()
    external_ids: tuple[str, ...] = ()
    text: str = ""
    """Part of the id, in either letter case; empty for any."""
    scores: tuple[ScoreBound, ...] = ()
    """Each of them must hold."""

    @property
    def is_empty(self) -> bool:
        """Whether it has no condition."""
        return self == Selection()

    def looks_into_items(self) -> bool:
        """Whether no index leads to what is meant, so that items must be looked through."""
        return bool(self.text or self.scores)

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
            met = select(ItemScore.item_id).where(ItemScore.item_id == Item.id, bound.condition())
            conditions.append(met.exists())
        return conditions
