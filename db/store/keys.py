"""Grammar of the store's keys.

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


def item_folder(job_id: int, item_id: int) -> str:
    """Return the prefix of all that an item left, without a trailing slash."""
    return check(f"jobs/{job_id}/items/{item_id}")


def item_prefix(job_id: int, item_id: int, generation: int) -> str:
    """Return the prefix of all that one generation of an item left, without a trailing slash."""
    return check(f"{item_folder(job_id, item_id)}/g{generation}")


def attempt_prefix(
    job_id: int, item_id: int | None, generation: int, kind: str, frames: tuple[int, int] | None, attempt: str
) -> str:
    """Return the prefix of one attempt, without a trailing slash; ``attempt`` is ``t<task>-a<attempt>-<boot>``.

    A bundle has no item; its stills have prefixes of their own, as if each had been leased alone.
    """
    owner = item_prefix(job_id, item_id, generation) if item_id is not None else f"jobs/{job_id}/bundles"
    span = f"-{frames[0]}-{frames[1]}" if frames else ""
    return check(f"{owner}/{kind}{span}/{attempt}")


def safe_name(text: str) -> str:
    """Turn any text into one key part that people still recognise: other characters become ``_``."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", text).lstrip("._-")[:96]
    return name or "item"
