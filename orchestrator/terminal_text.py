"""How text of unknown origin is spelled so that no terminal obeys it."""

from __future__ import annotations

import re

_OBEYED = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_MARKS = re.compile("[\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
"""What shows nothing itself, and turns round or breaks what is shown behind it. Joiners are letters of some scripts."""


def visible(text: str) -> str:
    """Return ``text`` with every character spelled out that is not plainly printable: controls, direction marks."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def has_control_characters(text: str) -> bool:
    """Whether ``text`` holds control characters, or bytes that are no text."""
    return not text.isprintable() and _OBEYED.search(text) is not None


def has_marks(text: str) -> bool:
    """Whether ``text`` holds marks that change how the rest of it is shown, and are not seen themselves."""
    return not text.isprintable() and _MARKS.search(text) is not None
