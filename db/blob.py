"""What a record says of one object in the store."""

from __future__ import annotations

from pathlib import PurePosixPath

from pydantic import BaseModel, ConfigDict


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
