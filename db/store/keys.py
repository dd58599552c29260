"""Grammar of the store's keys. Anybody may import this.

``jobs/<job>/items/<item>/g<generation>/<kind>[-<start>-<stop>]/t<task>-a<attempt>-<boot>/<name>``: every attempt writes
under a prefix of its own, so a superseded attempt can never touch what was accepted.
"""

from __future__ import annotations

import re

from db.errors import InputError

_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")
MAX_CHARS = 512


def check(key: str) -> str:
    """Return ``key`` if it is of the allowed form.

    Raises:
        InputError: ``KEY_UNSAFE`` for anything else: a key may come from a row, and a row may have been tampered with.
    """
    if len(key) > MAX_CHARS or not all(_PART.match(part) for part in key.split("/")):
        raise InputError(f"The key {key[:80]!r} is not allowed", code="KEY_UNSAFE")
    return key


def attempt_prefix(
    job_id: int, item_id: int | None, generation: int, kind: str, frames: tuple[int, int] | None, task: str
) -> str:
    """Return the prefix of one attempt, without a trailing slash; ``task`` is ``t<task>-a<attempt>-<boot>``."""
    owner = f"items/{item_id}" if item_id is not None else "bundles"
    span = f"-{frames[0]}-{frames[1]}" if frames else ""
    return check(f"jobs/{job_id}/{owner}/g{generation}/{kind}{span}/{task}")


def safe_name(text: str) -> str:
    """Turn any text into one key part that people still recognise: other characters become ``_``."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", text).lstrip("._-")[:96]
    return name or "item"
