"""Records that rows hold: what earlier releases wrote is read, and what JSON cannot hold is not written."""

from __future__ import annotations

import math

import pytest

from db.records import ItemResult


def test_a_row_in_which_a_score_was_no_number_is_read_without_it() -> None:
    result = ItemResult.model_validate_json('{"outputs": {}, "scores": {"luma_ssim": null, "luma_psnr": 31.5}}')
    assert result.scores == {"luma_psnr": 31.5}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_no_number_is_never_written(value: float) -> None:
    result = ItemResult(outputs={}, scores={"luma_ssim": value, "luma_psnr": 31.5})
    assert ItemResult.model_validate_json(result.model_dump_json()).scores == {"luma_psnr": 31.5}
