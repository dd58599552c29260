"""The weights that come with Reelwright: files in ``db/weights``, each with a card in JSON.

They need no registering. A recipe pins them by digest like others; submission puts the file into the store, so that a
worker of another release works with what was pinned.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from db.blob import Blob
from db.catalog.weights import CARDS

FOLDER = Path(__file__).parents[1] / "weights"


def names() -> list[str]:
    """Names of the cards whose files are in this installation."""
    return [name for name, card in CARDS.items() if card.shipped and _path(name).is_file()]


def blob(name: str) -> Blob:
    """Return where a shipped file lies in a store once it has been put there, with its digest and size."""
    path = _path(name)
    digest = _sha256(path)
    return Blob(key=f"weights/{digest}/{path.name}", sha256=digest, bytes=path.stat().st_size)


def path_of(sha256: str) -> Path | None:
    """Return the shipped file that has a digest, or none."""
    return next((_path(name) for name in names() if _sha256(_path(name)) == sha256), None)


def facts(name: str) -> dict[str, Any]:
    """Return what is written about shipped weights: recipe, data and terms, figures, digest."""
    path = _path(name).with_suffix(".json")
    card_facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return card_facts


def _path(name: str) -> Path:
    return FOLDER / f"{name}.safetensors"


@cache
def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
