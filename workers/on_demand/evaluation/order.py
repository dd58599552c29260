"""What is to be evaluated: the order that ``reelwright evaluate`` sends. ``workers.on_demand.evaluation`` reads it."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from db.recipe import Pin
from db.records import Blob, Record


class Output(Record):
    """One finished output of a job."""

    id: str
    blob: Blob


class EvaluateOrder(Record):
    """What is judged, by which references, and how. One of ``model``, ``made`` and ``outputs`` says what.

    Outputs that a model has made are judged as the model's own: then both are given.
    """

    references: str
    """A folder, a pattern with one star, a manifest, a shard or one file."""
    inputs: str | None = None
    """What the model is given, in the same forms; none makes it of the references."""
    model: Pin | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of the model."""
    made: str | None = None
    """Finished pictures, in the same forms as the references."""
    outputs: tuple[Output, ...] | None = None
    """A job's outputs."""
    metrics: tuple[str, ...] | None = None
    """Names; none takes what is usual for the task."""
    judges: dict[str, Pin] = Field(default_factory=dict)
    """Registered judges, by card."""
    size_px: int | None = None
    """Side of the square to which references are brought first; none leaves them as they are."""
    noise: float | None = None
    """Standard deviation, of 255, of the Gaussian noise that is added to the references; none adds none."""
    seed: int = 0
    limit: int | None = None
    """References that are taken, evenly spread; none takes all."""
    out: str | None = None
    """A ``.json`` or ``.parquet`` file with every picture's values."""
    prepare: str | None = None
    """A folder into which the references are written as PNG, at their size, and what the model is given where that is
    not the references; nothing else is done."""
