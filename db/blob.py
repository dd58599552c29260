"""What records are made of: their base, exact numbers, and what is said of one object in the store."""

from __future__ import annotations

from fractions import Fraction
from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer


def _rational(value: Any) -> Fraction:
    return value if isinstance(value, Fraction) else Fraction(str(value))


Rational = Annotated[Fraction, BeforeValidator(_rational), PlainSerializer(str, return_type=str)]
"""An exact number, written ``"24000/1001"``."""


class Record(BaseModel):
    """Base of all records: frozen, and tolerant of fields that a newer release wrote."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Blob(Record):
    """One object in the store."""

    key: str
    """Where it lies; the grammar is in ``db.store.keys``."""
    sha256: str
    """Hex digest, computed while it was written."""
    bytes: int
    """Its size."""

    @property
    def name(self) -> str:
        """The last part of the key."""
        return PurePosixPath(self.key).name
