"""The ranking finds what was planted, says how sure it is, and says nothing where nothing can be said."""

from __future__ import annotations

import math
import random
from itertools import combinations

import pytest
from scipy import optimize

from db.errors import InputError
from orchestrator.judging import davidson
from orchestrator.judging.davidson import Comparison, PairOutcome, ranking
from tests.support.voters import LEAST, MOST, coverage, made_up_votes


def votes(*counts: tuple[str, str, int, int, int], rater: str = "r") -> list[Comparison]:
    """Comparisons of pairs: so often the first won, the second, and neither."""
    outcomes: tuple[PairOutcome, ...] = ("first", "second", "tie")
    return [
        Comparison(rater, first, second, outcome)
        for first, second, *numbers in counts
        for outcome, number in zip(outcomes, numbers, strict=True)
        for _ in range(number)
    ]


def strengths(rows: list[Comparison], names: str) -> dict[str, float]:
    return {standing.name: standing.strength for standing in ranking(rows, names, 1).standings}


def test_two_variants_differ_by_the_logarithm_of_their_odds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without ties and prior the model is Bradley's and Terry's, where this is arithmetic."""
    monkeypatch.setattr(davidson, "PRIOR_DEVIATION", 1e4)
    found = strengths(votes(("a", "b", 30, 10, 0)), "ab")
    assert found["a"] - found["b"] == pytest.approx(math.log(3), abs=1e-4)
    assert found["a"] + found["b"] == pytest.approx(0, abs=1e-5)


def test_ties_are_as_frequent_as_the_tie_parameter_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(davidson, "PRIOR_DEVIATION", 1e4)
    found = ranking(votes(("a", "b", 20, 20, 40)), "ab", 1)
    assert found.tie_parameter == pytest.approx(math.log(2), abs=1e-4)
    assert [standing.strength for standing in found.standings] == pytest.approx([0, 0], abs=1e-5)


def test_strengths_are_where_another_optimizer_finds_them() -> None:
    names, chance = "abcd", random.Random(3)
    table = [(first, second, *(chance.randrange(9) for _ in range(3))) for first, second in combinations(names, 2)]

    def cost(values: list[float]) -> float:
        own, total = dict(zip(names, values[:4], strict=True)), sum(value * value for value in values) / 18
        for first, second, won, lost, tied in table:
            one, two = math.exp(own[first]), math.exp(own[second])
            none = math.exp(values[4]) * math.sqrt(one * two)
            whole = one + two + none
            total -= won * math.log(one / whole) + lost * math.log(two / whole) + tied * math.log(none / whole)
        return total

    expected = optimize.minimize(cost, [0.0] * 5, method="BFGS", options={"gtol": 1e-8}).x
    found = ranking(votes(*table), names, 1)
    by_name = {standing.name: standing.strength for standing in found.standings}
    assert [by_name[name] for name in names] == pytest.approx(expected[:4], abs=1e-5)
    assert found.tie_parameter == pytest.approx(expected[4], abs=1e-5)


def test_who_won_always_is_strong_but_not_infinitely_so() -> None:
    found = strengths(votes(("a", "b", 1000, 0, 0)), "ab")
    assert 2 < found["a"] < 10


def test_it_does_not_matter_which_of_a_pair_is_named_first() -> None:
    one = strengths(votes(("a", "b", 7, 2, 1), ("c", "b", 4, 5, 0)), "abc")
    other = strengths(votes(("b", "a", 2, 7, 1), ("b", "c", 5, 4, 0)), "abc")
    assert one == pytest.approx(other)


def test_results_are_counted_and_the_strongest_comes_first() -> None:
    first, second = ranking(votes(("a", "b", 2, 5, 3)), "ab", 1).standings
    assert (first.name, first.wins, first.ties, first.losses) == ("b", 5, 3, 2)
    assert (second.name, second.wins, second.ties, second.losses) == ("a", 2, 3, 5)


@pytest.mark.parametrize(
    ("rows", "names"),
    [
        ([], "ab"),
        ([], ""),
        (votes(("a", "b", 1, 1, 0)), "abc"),
        (votes(("a", "b", 3, 1, 0), ("c", "d", 2, 2, 2)), "abcd"),
    ],
)
def test_what_was_not_compared_is_not_ranked(rows: list[Comparison], names: str) -> None:
    with pytest.raises(InputError) as impossible:
        ranking(rows, names, 1)
    assert impossible.value.code == "RANKING_IMPOSSIBLE"


def test_one_rater_alone_gives_no_interval() -> None:
    assert {standing.low for standing in ranking(votes(("a", "b", 5, 3, 1)), "ab", 1).standings} == {None}


def test_intervals_are_those_of_the_seed_and_of_nothing_else() -> None:
    rows = list(made_up_votes(random.Random(1), {"a": 0.5, "b": -0.5}, 5, 10))
    shuffled = random.Random(2).sample(rows, len(rows))
    assert ranking(rows, "ab", 7) == ranking(shuffled, "ba", 7)
    assert ranking(rows, "ab", 7) != ranking(rows, "ab", 8)


def test_raters_who_contradict_one_another_make_intervals_wide() -> None:
    """Votes are as many and fall the same way; what differs is whether raters agree."""
    agreed = [row for rater in range(6) for row in votes(("a", "b", 6, 6, 0), rater=f"r{rater}")]
    split = []
    for rater in range(6):
        split += votes(("a", "b", 12 * (rater % 2), 12 * (1 - rater % 2), 0), rater=f"r{rater}")
    (one, _), (other, _) = ranking(agreed, "ab", 1).standings, ranking(split, "ab", 1).standings
    assert one.strength == pytest.approx(other.strength, abs=1e-9)
    assert one.high is not None
    assert other.high is not None
    assert one.high - one.strength == pytest.approx(0, abs=1e-6)
    assert other.high - other.strength > 0.5


def test_intervals_hold_the_planted_strengths_as_often_as_they_claim() -> None:
    share, half = coverage(50, 60)
    assert LEAST <= share <= MOST
    assert 0.2 < half < 0.5
