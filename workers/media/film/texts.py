"""Texts that stand in a film, cleaned once where they come in: a terminal, a player or a shell may get to see them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from av.stream import Stream

_MOST_CHARS = 4096
_MOST_NAME_CHARS = 200
_MOST_TAGS = 200
_TIMECODE = re.compile(r"[0-2]\d:[0-5]\d:[0-5]\d[:;.]\d\d", re.ASCII)
_TYPE = re.compile(r"[\w.+-]{1,100}/[\w.+-]{1,100}", re.ASCII)


def plain(text: str, most_chars: int = _MOST_CHARS) -> str:
    """Return a text in one line without what is not seen: no escapes, no marks that turn round what is shown."""
    return "".join(char if char.isprintable() else " " for char in text[:most_chars]).strip()


def tags(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return a container's, stream's or chapter's tags that say something, their names as plain as their values."""
    clean = ((plain(name), plain(value)) for name, value in list(metadata.items())[:_MOST_TAGS])
    return {name: value for name, value in clean if name and value}


def names_of(track: Stream) -> dict[str, str]:
    """Return a track's language and title, where it has them."""
    return {name: value for name, value in tags(track.metadata).items() if name in ("language", "title")}


def file_name(name: str) -> str:
    """Return the last part of an attachment's name, which is a file's and no path; empty where nothing is left."""
    return plain(re.split(r"[/\\]", name)[-1]).lstrip(".")[-_MOST_NAME_CHARS:]


def mime_type(text: str) -> str:
    """Return the type of an attachment; of bytes of any kind where it is none."""
    return text if _TYPE.fullmatch(text) else "application/octet-stream"


def timecode(text: str) -> str:
    """Return a timecode as it stands, or nothing for any other text."""
    return text if _TIMECODE.fullmatch(text) else ""
