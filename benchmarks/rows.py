"""One line of the table, and the table."""

from __future__ import annotations

from collections.abc import Iterable
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


def told(what: str, value: float, unit: str = "", detail: str = "") -> ResultRow:
    """A row for a figure without a bar."""
    return ResultRow(what, f"{value:,.2f}{unit}{f' ({detail})' if detail else ''}", "–", True)


def missed(rows: Iterable[ResultRow]) -> list[ResultRow]:
    """The rows that do not meet their bar; a figure that is not a number meets none."""
    return [row for row in rows if not row.met]


def table(rows: Iterable[ResultRow]) -> str:
    """The rows as a table of Markdown."""
    lines = ["| what | measured | bar | met |", "|---|---|---|---|"]
    for row in rows:
        met = "–" if row.bar == "–" else "yes" if row.met else "no"
        lines.append(f"| {row.what} | {row.measured} | {row.bar} | {met} |")
    return "\n".join(lines)
