"""What goes wrong in training, for people."""

from __future__ import annotations


class TrainingError(Exception):
    """Training cannot begin or go on."""

    def __init__(self, message: str, *, code: str, remedy: str = "") -> None:
        """Take what is wrong and where, the code by which ``docs/errors.md`` knows it, and what to do."""
        super().__init__(message)
        self.message, self.code, self.remedy = message, code, remedy

    def __str__(self) -> str:
        return f"{self.code}: {self.message} {self.remedy}".strip()
