"""What the catalogues say to programs: stages, metrics, models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from db.catalog.metrics import MetricSpec
from db.catalog.stages import STAGES, StageSpec
from db.catalog.weights import Card
from db.errors import RecipeError, nearest

if TYPE_CHECKING:
    from db.progress import WeightsRow


def find_stage(name: str) -> StageSpec:
    """Return a stage by its name; raises ``RecipeError`` ``UNKNOWN_STAGE``."""
    if name not in STAGES:
        raise RecipeError(f"No stage {name!r:.60}.{nearest(name, STAGES)}", code="UNKNOWN_STAGE")
    return STAGES[name]


def stage_facts(spec: StageSpec) -> dict[str, Any]:
    """Return what is known of a stage; ``parameters`` is a JSON schema's properties."""
    schema = spec.params.model_json_schema()
    return {
        "name": spec.name,
        "summary": spec.summary,
        "source": spec.reference,
        "parameters": schema["properties"],
    }


def metric_facts(spec: MetricSpec) -> dict[str, Any]:
    """Return what is known of a metric."""
    names = (
        "name", "summary", "convention", "unit", "low", "high", "higher_is_better", "compares", "reduces", "taken_by",
        "judge", "aliases",
    )  # fmt: skip
    return {name: getattr(spec, name) for name in names}


def model_facts(weights_card: Card, row: WeightsRow | None) -> dict[str, Any]:
    """Return what is known of weights, and whether they are registered here."""
    facts: dict[str, Any] = {
        "name": weights_card.name,
        "model": weights_card.architecture,
        "summary": weights_card.summary,
        "license": row.license if row else weights_card.license,
        "shipped": weights_card.shipped,
    }
    facts |= {
        "must_accept": weights_card.accept,
        "published": weights_card.published,
        "megabytes": weights_card.megabytes,
    }
    return {**facts, "files": list(weights_card.files), "registered": row}
