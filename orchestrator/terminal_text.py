"""How text of unknown origin is spelled so that no terminal obeys it."""

from __future__ import annotations

import re

_OBEYED = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def visible(text: str) -> str:
    """Return ``text`` with every character spelled out that is not plainly printable: controls, direction marks."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def has_control_characters(text: str) -> bool:
    """Whether ``text`` holds control characters, or bytes that are no text."""
    return not text.isprintable() and _OBEYED.search(text) is not None
