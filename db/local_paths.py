"""How a path on this machine is written down as text, whatever bytes it has.

Linux calls files by bytes, of which only a slash and a zero may not be in a name. A path that is text, and shows all
that is in it, is written as it is: it begins with a slash, and a per cent sign in it is nothing but itself. Any other
is written as a URL ``file://``, in which every byte is per-cent encoded that RFC 3986 does not call unreserved.
"""

from __future__ import annotations

import re
from urllib.parse import quote_from_bytes, unquote_to_bytes

from db.errors import InputError

FILE = "file://"
_NO_TEXT = r"\x00-\x1f\x7f-\x9f\ud800-\udfff"
_ENCODED = re.compile(f"[%{_NO_TEXT}]")
_OBEYED = re.compile(f"[{_NO_TEXT}]")
_BROKEN = re.compile(r"%(?![0-9A-Fa-f]{2})")
_HERE = ("", "localhost")


def is_text(path: str) -> bool:
    """Whether a path holds neither control characters nor bytes that are no text."""
    return path.isprintable() or _OBEYED.search(path) is None


def spell(path: str) -> str:
    """Return an absolute path as it is written down; one that is spelled already comes back.

    Raises:
        InputError: ``PATH_UNSAFE`` for what no file can be called.
    """
    return path if is_text(path) else FILE + encode(path)


def disk_path(place: str) -> str:
    """Return the path that is meant, with bytes that are no text as Python has them; a plain one comes back.

    Raises:
        InputError: ``BAD_VALUE`` for a URL of another machine or that is none, and as :func:`decode`.
    """
    if not place.startswith(FILE):
        return place
    host, slash, rest = place.removeprefix(FILE).partition("/")
    if host.lower() not in _HERE or not slash:
        raise InputError(f"{place!r:.200}: a file on this machine is file:///PATH, with all of its path")
    if "?" in rest or "#" in rest:
        raise InputError(f"{place!r:.200}: in a URL ? is written %3F, and # is written %23")
    return decode(f"/{rest}")


def encode(text: str) -> str:
    """Return a path, or part of one, per-cent encoded; raises as :func:`spell`."""
    return quote_from_bytes(_to_bytes(text), safe="/")


def decode(text: str) -> str:
    """Return what was per-cent encoded.

    Raises:
        InputError: ``BAD_VALUE`` for a per cent sign that begins no byte, or as :func:`spell`.
    """
    if _BROKEN.search(text):
        raise InputError(f"{text!r:.200}: two hex digits stand behind a per cent sign, which itself is written %25")
    decoded = unquote_to_bytes(_to_bytes(text)).decode(errors="surrogateescape")
    _to_bytes(decoded)
    return decoded


def readable(path: str) -> str:
    """Return a path with nothing per-cent encoded but what is no text, and per cent signs: for people, not for URLs."""
    if is_text(path):
        return path
    return _ENCODED.sub(lambda found: quote_from_bytes(found[0].encode(errors="surrogateescape"), safe=""), path)


def _to_bytes(text: str) -> bytes:
    """Return the bytes by which the system knows a path."""
    try:
        data = text.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        data = b"\0"
    if b"\0" in data:
        raise InputError(f"{text!r:.200}: no file can be called so", code="PATH_UNSAFE")
    return data
