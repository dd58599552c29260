"""Intervals of a study's ranking: how often they hold the strengths with which votes were made up."""

from __future__ import annotations

from pathlib import Path

from benchmarks.rows import ResultRow
from orchestrator.judging.davidson import RESAMPLES
from tests.support.voters import LEAST, MOST, RATERS, VOTES, coverage

STUDIES = 200


def run(folder: Path) -> list[ResultRow]:
    share, half = coverage(STUDIES, RESAMPLES)
    shown = f"{100 * share:.1f} % (half an interval {half:.2f} on average)"
    what = f"study, intervals of 95 % that hold the truth, {STUDIES} studies of {RATERS} raters × {VOTES} votes"
    return [ResultRow(what, shown, f"{100 * LEAST:.0f}–{100 * MOST:.0f} %", LEAST <= share <= MOST)]
