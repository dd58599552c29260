from __future__ import annotations

import pytest
from scipy import stats

from orchestrator.judging import student


@pytest.mark.parametrize(
    ("degrees", "tabulated"),
    [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (5, 2.571), (10, 2.228), (11, 2.201), (30, 2.042), (120, 1.980)],
)
def test_quantiles_are_those_of_the_tables(degrees: int, tabulated: float) -> None:
    assert student.quantile(0.95, degrees) == pytest.approx(tabulated, abs=0.0005)


def test_quantiles_agree_with_scipy_for_any_share() -> None:
    for degrees in (1, 2, 7, 8, 199, 200):
        for share in (0.1, 0.5, 0.9, 0.95, 0.999):
            expected = stats.t.ppf((1 + share) / 2, degrees)
            assert student.quantile(share, degrees) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("count", "total"), [(0, 1), (0, 10), (3, 10), (10, 10), (250, 1000)])
def test_intervals_of_shares_are_wilsons(count: int, total: int) -> None:
    expected = stats.binomtest(count, total).proportion_ci(0.95, method="wilson")
    assert student.share_interval(count, total) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_of_nothing_there_is_no_interval() -> None:
    assert student.share_interval(0, 0) is None
