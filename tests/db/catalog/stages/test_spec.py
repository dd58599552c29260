"""Parameters of stages: each does something, or is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from db.catalog.stages import AS_WRITTEN, STAGES

OTHER = {
    "radius": 3, "weights": "spandrel:scunet", "double_rate": True, "sensitivity": 1.5, "least_contrast": 0.1,
    "largest_px": 50, "polarity": "dark", "widest_px": 3, "keep_detail": True,
}  # fmt: skip
"""A value that is not the default."""
UPSCALER = "spandrel-x4:realesrgan-x4plus"


def _cases() -> Iterator[tuple[str, str, str, str, bool]]:
    """Yield stage, parameter, what chooses, its value, and whether the parameter is used then."""
    for spec in STAGES.values():
        for name, (chooser, used_with) in spec.params.USED_WITH.items():
            values = get_args(spec.params.model_fields[chooser].annotation)
            assert set(used_with) < set(values)
            yield from ((spec.name, name, chooser, value, value in used_with) for value in values)


CASES = list(_cases())


def _given(stage: str, name: str) -> Any:
    return UPSCALER if (stage, name) == ("upscale", "weights") else OTHER[name]


def test_the_table_is_about_all_stages_that_have_methods() -> None:
    choosing = {spec.name for spec in STAGES.values() if spec.params.model_fields.keys() & {"method", "mask"}} - {
        "inpaint"
    }  # there method and weights go together
    assert {stage for stage, *_ in CASES} == choosing


@pytest.mark.parametrize(("stage", "name", "chooser", "value", "used"), CASES)
def test_a_parameter_is_used_or_refused(stage: str, name: str, chooser: str, value: str, used: bool) -> None:
    params = STAGES[stage].params
    given = {chooser: value, name: _given(stage, name)}
    if used:
        assert getattr(params.model_validate(given, context=AS_WRITTEN), name) == given[name]
    else:
        with pytest.raises(ValidationError, match=f"{chooser} {value} does not use {name}"):
            params.model_validate(given, context=AS_WRITTEN)
        assert getattr(params.model_validate(given), name) == given[name]  # in a job that took it it stays
    default = {chooser: value, name: params.model_fields[name].default}
    params.model_validate(default, context=AS_WRITTEN)  # as stored steps have it


def test_naming_weights_asks_for_the_network() -> None:
    params = STAGES["upscale"].params.model_validate({"weights": UPSCALER}).model_dump()
    assert (params["method"], params["scale"]) == ("network", 4)
    assert STAGES["upscale"].weights(params) == (UPSCALER,)
    assert STAGES["upscale"].params.model_validate(params).model_dump() == params


@pytest.mark.parametrize(
    ("variants", "refused"),
    [
        ([{"shot": 2, "method": "temporal"}], ""),
        ([{"shot": 2, "strength": 0.5}], "method spatial does not use radius"),
        ([{"shot": 2, "method": "temporal"}, {"shot": 3, "method": "spatial", "radius": 4}], "does not use radius"),
    ],
)
def test_what_some_variant_uses_is_not_refused(variants: list[dict[str, Any]], refused: str) -> None:
    document = {"method": "spatial", "radius": 3, "variants": variants}
    if not refused:
        STAGES["denoise"].params.model_validate(document, context=AS_WRITTEN)
        return
    with pytest.raises(ValidationError, match=refused):
        STAGES["denoise"].params.model_validate(document, context=AS_WRITTEN)


@pytest.mark.parametrize("more", [{"sampling": "greedy", "seed": 3}])
def test_a_seed_is_refused_where_nothing_is_drawn(more: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="greedy does not use seed"):
        STAGES["colorize"].params.model_validate({"model": "coltran", **more}, context=AS_WRITTEN)


def test_an_amount_needs_a_direction() -> None:
    with pytest.raises(ValidationError, match="without direction"):
        STAGES["colorize"].params.model_validate({"model": "gcp", "imagenet_class": 3, "amount": 4}, context=AS_WRITTEN)
