"""One line of the table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ResultRow:
    what: str
    measured: str
    bar: str
    met: bool


def at_least(what: str, value: float, bar: float, unit: str = "", detail: str = "") -> ResultRow:
    """A row for a figure that should be large."""
    return ResultRow(what, f"{value:,.2f}{unit}{f' ({detail})' if detail else ''}", f"≥ {bar:,g}{unit}", value >= bar)


def at_most(what: str, value: float, bar: float, unit: str = "", detail: str = "") -> ResultRow:
    """A row for a figure that should be small."""
    return ResultRow(what, f"{value:,.2f}{unit}{f' ({detail})' if detail else ''}", f"≤ {bar:,g}{unit}", value <= bar)
