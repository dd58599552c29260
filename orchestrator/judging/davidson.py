"""Davidson's model: how strong each variant is, from pairs of which one won or neither.

R. R. Davidson, On extending the Bradley-Terry model to accommodate ties in paired comparison experiments, JASA 65
(1970). With strengths s and a tie parameter t, the logarithms of what speaks for "first", "second" and "tie" are s₁, s₂
and t + (s₁ + s₂)/2. The likelihood is concave, so Newton's method finds its one maximum. A weak normal prior keeps a
variant that won always, or never, at a finite strength.

Votes of one rater resemble one another, so raters are what intervals resample, not votes; and there are few of them, so
the quantile is Student's.
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import stdev
from typing import Literal

from db.errors import InputError
from orchestrator.judging import student

PairOutcome = Literal["first", "second", "tie"]
PRIOR_DEVIATION = 3.0
"""Of strengths and of the tie parameter: twenty to one is nothing unusual."""
RESAMPLES = 300
SHARE = 0.95
_CLOSE = 1e-10
_MOST_STEPS = 100
_Matrix = list[list[float]]


@dataclass(frozen=True)
class Comparison:
    """What one rater said of one pair."""

    rater: str
    first: str
    second: str
    outcome: PairOutcome


@dataclass(frozen=True)
class Standing:
    """How one variant did."""

    name: str
    strength: float
    """Logarithm of its odds against a variant of middling strength, ties aside; all sum up to 0."""
    low: float | None
    high: float | None
    """The interval of 95 %; none where one rater alone judged."""
    wins: int
    ties: int
    losses: int


@dataclass(frozen=True)
class Ranking:
    """All variants, the strongest first."""

    standings: tuple[Standing, ...]
    tie_parameter: float
    """Logarithm: two equals tie ``exp(t)`` times as often as the one wins."""
    raters: int
    comparisons: int


class _Tally:
    """Wins and ties by pair of variants, as sums over raters."""

    def __init__(self, names: Sequence[str]) -> None:
        self.numbers = {name: number for number, name in enumerate(names)}
        self.counts: dict[tuple[int, int], list[int]] = defaultdict(lambda: [0, 0, 0])

    def add(self, comparison: Comparison) -> None:
        first, second = self.numbers[comparison.first], self.numbers[comparison.second]
        outcome = {"first": 0, "second": 1, "tie": 2}[comparison.outcome]
        if first > second:
            first, second, outcome = second, first, (1, 0, 2)[outcome]
        self.counts[first, second][outcome] += 1

    def merge(self, other: _Tally, times: int) -> None:
        for pair, counts in other.counts.items():
            mine = self.counts[pair]
            for place, count in enumerate(counts):
                mine[place] += times * count

    def is_connected(self) -> bool:
        reached, ahead = {0}, [0]
        while ahead:
            here = ahead.pop()
            near = {other for pair in self.counts if here in pair for other in pair} - reached
            reached |= near
            ahead += near
        return len(reached) == len(self.numbers)


def ranking(
    comparisons: Iterable[Comparison], variants: Iterable[str], seed: int, *, resamples: int = RESAMPLES
) -> Ranking:
    """Rank variants by what raters said of pairs of them.

    Args:
        comparisons: Pairs of two different variants.
        variants: All that are ranked.
        seed: For the resampling: the same votes and seed give the same intervals.
        resamples: How many times raters are drawn anew.

    Raises:
        InputError: ``RANKING_IMPOSSIBLE`` where two variants were compared neither directly nor by way of others.
    """
    rows, names = list(comparisons), sorted(set(variants))
    by_rater: dict[str, _Tally] = defaultdict(lambda: _Tally(names))
    whole = _Tally(names)
    for row in rows:
        by_rater[row.rater].add(row)
        whole.add(row)
    if len(names) < 2 or not whole.is_connected():
        raise InputError(f"{len(rows)} votes do not tie {len(names)} variants together", code="RANKING_IMPOSSIBLE")
    values = _fit(whole, [0.0] * (len(names) + 1))
    halves = _half_widths([by_rater[rater] for rater in sorted(by_rater)], names, values, seed, resamples)
    results = _results(rows)
    standings = [
        Standing(name, value, None if half is None else value - half, None if half is None else value + half,
                 *(results[name, what] for what in ("won", "tied", "lost")))
        for name, value, half in zip(names, values[:-1], halves, strict=True)
    ]  # fmt: skip
    standings.sort(key=lambda standing: -standing.strength)
    return Ranking(tuple(standings), values[-1], len(by_rater), len(rows))


def _results(rows: Iterable[Comparison]) -> Mapping[tuple[str, str], int]:
    results: Counter[tuple[str, str]] = Counter()
    for row in rows:
        words = {"first": ("won", "lost"), "second": ("lost", "won"), "tie": ("tied", "tied")}[row.outcome]
        results.update(zip((row.first, row.second), words, strict=True))
    return results


def _half_widths(
    tallies: Sequence[_Tally], names: Sequence[str], values: Sequence[float], seed: int, resamples: int
) -> list[float | None]:
    """Return half the width of each strength's interval: raters are drawn anew, as many as there are."""
    count = len(tallies)
    if count < 2:
        return [None] * len(names)
    chance = random.Random(seed)
    drawn: list[list[float]] = []
    for _ in range(resamples):
        tally = _Tally(names)
        for number, times in Counter(chance.choices(range(count), k=count)).items():
            tally.merge(tallies[number], times)
        if tally.is_connected():  # of others the prior alone would speak
            drawn.append(_fit(tally, values))
    if len(drawn) < 2:
        return [None] * len(names)
    # Drawn from themselves, raters differ less than they do; so much less.
    factor = student.quantile(SHARE, count - 1) * math.sqrt(count / (count - 1))
    return [factor * stdev(each[number] for each in drawn) for number in range(len(names))]


def _fit(tally: _Tally, start: Sequence[float]) -> list[float]:
    """Return the strengths, which sum up to 0, and behind them the tie parameter."""
    values = list(start)
    height = _height(tally, values)
    for _ in range(_MOST_STEPS):
        step = _solve(*_slope(tally, values))
        length = 1.0
        while True:
            moved = [value + length * part for value, part in zip(values, step, strict=True)]
            moved_height = _height(tally, moved)
            if moved_height >= height - _CLOSE or length < _CLOSE:
                break
            length /= 2
        values, height = moved, moved_height
        if max(map(abs, step)) < _CLOSE**0.5:
            break
    return values


def _chances(first: float, second: float, tie: float) -> tuple[float, float, float]:
    """Return how likely each outcome of a pair is."""
    speaks = (first, second, tie + (first + second) / 2)
    most = max(speaks)
    weights = [math.exp(each - most) for each in speaks]
    total = sum(weights)
    return weights[0] / total, weights[1] / total, weights[2] / total


def _height(tally: _Tally, values: Sequence[float]) -> float:
    """Return the logarithm of likelihood and prior, but for a constant."""
    height = -sum(value * value for value in values) / (2 * PRIOR_DEVIATION**2)
    for (first, second), counts in tally.counts.items():
        for count, chance in zip(counts, _chances(values[first], values[second], values[-1]), strict=True):
            height += count * math.log(max(chance, 1e-300))
    return height


def _slope(tally: _Tally, values: Sequence[float]) -> tuple[_Matrix, list[float]]:
    """Return the negated second derivatives, and the first ones."""
    size, tie = len(values), len(values) - 1
    matrix = [[float(row == column) / PRIOR_DEVIATION**2 for column in range(size)] for row in range(size)]
    slope = [-value / PRIOR_DEVIATION**2 for value in values]
    for (first, second), counts in tally.counts.items():
        chances = _chances(values[first], values[second], values[tie])
        total = sum(counts)
        # Each outcome moves three values by so much.
        moves = {first: (1.0, 0.0, 0.5), second: (0.0, 1.0, 0.5), tie: (0.0, 0.0, 1.0)}
        means = {at: sum(p * move for p, move in zip(chances, moves[at], strict=True)) for at in moves}
        for row, by in moves.items():
            slope[row] += sum(count * move for count, move in zip(counts, by, strict=True)) - total * means[row]
            for column, other in moves.items():
                both = sum(p * one * two for p, one, two in zip(chances, by, other, strict=True))
                matrix[row][column] += total * (both - means[row] * means[column])
    return matrix, slope


def _solve(matrix: _Matrix, right: Sequence[float]) -> list[float]:
    """Solve equations with a symmetric, positive definite matrix, by Cholesky's factors."""
    size = len(right)
    lower: _Matrix = [[0.0] * size for _ in range(size)]
    for row in range(size):
        for column in range(row + 1):
            rest = matrix[row][column] - sum(lower[row][k] * lower[column][k] for k in range(column))
            lower[row][column] = math.sqrt(rest) if row == column else rest / lower[column][column]
    values = list(right)
    for row in range(size):
        values[row] = (values[row] - sum(lower[row][k] * values[k] for k in range(row))) / lower[row][row]
    for row in reversed(range(size)):
        above = sum(lower[k][row] * values[k] for k in range(row + 1, size))
        values[row] = (values[row] - above) / lower[row][row]
    return values
