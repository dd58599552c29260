"""What a training says of the weights that it made.

It comes with the file, from whoever sent it: every part is measured before it is kept or shown.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import AfterValidator, AliasChoices, Field, ValidationError

from db.blob import Record
from db.errors import InputError

KEY = "reelwright"
"""Under this name the JSON stands among a safetensors file's metadata."""
MAX_BYTES = 64_000
_MAX_FACTS = 64


def _one_line(text: str) -> str:
    """Take out line ends and whatever else could steer a terminal."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())


Text = Annotated[str, Field(max_length=2000), AfterValidator(_one_line)]
Word = Annotated[str, Field(max_length=80), AfterValidator(_one_line)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class Trained(Record):
    """A training's own words on its weights; all of it may be lacking."""

    card: Word = ""
    """Name that the weights want, ``BASE:LABEL``."""
    summary: Text = ""
    license: Text = Field("", validation_alias=AliasChoices("license", "licence"))
    data: Text = ""
    """What they were trained on, and under which terms."""
    figures: dict[Word, Number] = Field(default_factory=dict, max_length=_MAX_FACTS)
    """What was measured at the end, by name."""
    recipe: dict[Word, bool | int | Number | Text | None] = Field(default_factory=dict, max_length=_MAX_FACTS)
    """Steps, rates, seed and whatever else repeats the training."""


def read(text: str) -> Trained:
    """Check what stands in a file.

    Raises:
        InputError: ``BAD_CHECKPOINT``.
    """
    if len(text) > MAX_BYTES:
        raise InputError(f"{len(text):,} characters are said of the weights, at most {MAX_BYTES:,} are read",
                         code="BAD_CHECKPOINT")  # fmt: skip
    try:
        return from_document(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise InputError(f"What is said of the weights is no JSON ({error})", code="BAD_CHECKPOINT") from error


def from_document(document: Any) -> Trained:
    """Check an already read document; raises as :func:`read`."""
    try:
        return Trained.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part)[:80] for part in first["loc"])
        message = _one_line(f"What is said of the weights is not usable: {where}: {first['msg']}")
        raise InputError(message, code="BAD_CHECKPOINT") from error
