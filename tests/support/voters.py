"""Votes of raters who are made up: how strong each variant is is known, so a ranking can be held against it."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from itertools import combinations

from orchestrator.judging.davidson import Comparison, Ranking, ranking

RATERS, VOTES = 12, 40
STRENGTHS = {"a": 0.9, "b": 0.3, "c": -0.2, "d": -1.0}
DIFFERENCE = 0.4
"""Deviation of one rater's strengths from those of all; raters who are all alike are no raters."""
LEAST, MOST = 0.90, 0.98


def coverage(studies: int, resamples: int) -> tuple[float, float]:
    """Share of intervals that hold the planted strength, and half their mean width."""
    held, halves = [], []
    for seed in range(studies):
        for standing in made_up_ranking(seed, resamples).standings:
            assert standing.low is not None
            assert standing.high is not None
            held.append(standing.low <= STRENGTHS[standing.name] <= standing.high)
            halves.append((standing.high - standing.low) / 2)
    return sum(held) / len(held), sum(halves) / len(halves)


def made_up_ranking(seed: int, resamples: int) -> Ranking:
    return ranking(made_up_votes(random.Random(seed), STRENGTHS, RATERS, VOTES), STRENGTHS, seed, resamples=resamples)


def made_up_votes(
    chance: random.Random, strengths: Mapping[str, float], raters: int, votes: int, difference: float = DIFFERENCE
) -> Iterator[Comparison]:
    """Votes of raters who differ, of whom each sees all pairs about as often."""
    pairs = list(combinations(strengths, 2))
    for rater in range(raters):
        own = {name: strength + chance.gauss(0, difference) for name, strength in strengths.items()}
        ties = math.exp(chance.gauss(0, 0.5))
        seen = [pair for _ in range(votes // len(pairs) + 1) for pair in chance.sample(pairs, len(pairs))][:votes]
        for first, second in seen:
            odds = math.exp(own[first]), math.exp(own[second])
            weights = (*odds, ties * math.sqrt(odds[0] * odds[1]))
            yield Comparison(f"r{rater}", first, second, chance.choices(("first", "second", "tie"), weights)[0])
