"""Bounds of scores: one spelling, for recipes that ask for them and for lists that are narrowed by them."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from db.errors import InputError

Relation = Literal["<", "<=", ">", ">="]

_BOUND = re.compile(r"\s*([a-z][a-z0-9_]{0,60})\s*(<=|>=|<|>)\s*(-?\d{1,12}(?:\.\d{1,12})?)\s*", re.ASCII)
_COMPARED: Mapping[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


@dataclass(frozen=True)
class ScoreBound:
    """A condition on a score."""

    metric: str
    relation: Relation
    value: float

    @classmethod
    def parse(cls, text: str) -> ScoreBound:
        """Read ``luma_psnr < 30``; raises ``InputError`` ``BAD_VALUE``."""
        found = _BOUND.fullmatch(text)
        if found is None:
            raise InputError(f"{text!r:.80} is no bound of a score, such as 'luma_psnr < 30'")
        return cls(found[1], found[2], float(found[3]))  # type: ignore[arg-type] # the pattern has no other

    @property
    def wants_more(self) -> bool:
        """Whether larger values meet it sooner."""
        return self.relation in (">", ">=")

    @property
    def condition(self) -> str:
        """What it asks, as it is written behind the metric: ``>= 30``."""
        return f"{self.relation} {self.value:.12f}".rstrip("0").rstrip(".")

    def is_met_by(self, values: Any) -> Any:
        """Whether a score meets it; of an array of scores, or a column of them, the same thing of each."""
        return _COMPARED[self.relation](values, self.value)
