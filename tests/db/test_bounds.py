from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.bounds import ScoreBound
from db.errors import InputError


@pytest.mark.parametrize(
    ("relation", "met"), [("<", [True, False, False]), ("<=", [True, True, False]), (">", [False, False, True]),
                          (">=", [False, True, True])],
)  # fmt: skip
def test_a_bound_is_met_by_numbers_and_by_arrays(relation: str, met: list[bool]) -> None:
    bound = ScoreBound.parse(f"luma_psnr {relation} 30")
    assert [bound.is_met_by(value) for value in (29, 30, 31)] == met
    assert bound.is_met_by(np.array([29, 30, 31])).tolist() == met
    assert not bound.is_met_by(np.nan)


@given(
    st.sampled_from(["<", "<=", ">", ">="]),
    st.decimals(-999_999_999_999, 999_999_999_999, places=12).map("{:f}".format),
)
def test_a_bound_reads_back_as_it_is_written(relation: str, value: str) -> None:
    bound = ScoreBound.parse(f" flicker{relation} {value} ")
    assert ScoreBound.parse(f"flicker {bound.condition}") == bound


@pytest.mark.parametrize(("text", "condition"), [("a>=30.0", ">= 30"), ("a <0.020", "< 0.02"), ("a> -100", "> -100")])
def test_a_bound_is_written_as_a_person_writes_it(text: str, condition: str) -> None:
    assert ScoreBound.parse(text).condition == condition


@pytest.mark.parametrize("text", ["a = 3", "a < nan", "a < 1e9", "a < ٣", "A < 3", "a < 1234567890123"])
def test_what_is_no_bound_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="no bound"):
        ScoreBound.parse(text)
