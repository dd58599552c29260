"""How text of unknown origin is spelled so that no terminal obeys it."""

from __future__ import annotations

import json
import re
from typing import Any

from db.local_paths import is_text, readable

_MARKS = re.compile("[\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
"""What shows nothing itself, and turns round or breaks what is shown behind it. Joiners are letters of some scripts."""


def visible(text: str) -> str:
    """Return ``text`` with every character spelled out that is not plainly printable: controls, direction marks."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def visible_path(path: str) -> str:
    """Return a path as ``visible``, with bytes that are no text per-cent encoded, as ids and addresses have them."""
    return visible(readable(path))


def json_text(value: Any, *, indent: int | None = None) -> str:
    """Return JSON in which every character that is not plainly printable is escaped, so that it can be shown too."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    if text.isprintable():
        return text
    # What JSON demands is escaped already; the line feeds that are left indent.
    return "".join(char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in text)


def has_control_characters(text: str) -> bool:
    """Whether ``text`` holds control characters, or bytes that are no text."""
    return not is_text(text)


def has_marks(text: str) -> bool:
    """Whether ``text`` holds marks that change how the rest of it is shown, and are not seen themselves."""
    return not text.isprintable() and _MARKS.search(text) is not None
