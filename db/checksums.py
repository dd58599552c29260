"""Digests that manifests give: the algorithms, and lists of the digests of a sequence's files.

A list is text, a line a digest: ``ALGORITHM HEX NAME``. In a line that begins with a backslash the name is per-cent
encoded, as it holds a line end. It is a blob in the store, because a reel may have a hundred
thousand files and its record must stay small.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from db.blob import Blob
from db.errors import InputError
from db.local_paths import decode, encode

HEX_CHARS = {
    "md5": 32, "sha1": 40, "sha224": 56, "sha256": 64, "sha384": 96, "sha512": 128,
    "sha3_224": 56, "sha3_256": 64, "sha3_384": 96, "sha3_512": 128, "blake2b": 128, "blake2s": 64,
}  # fmt: skip
"""Algorithms by the names that ``hashlib`` has for them, and the hex digits of their digests."""
_PLAIN = {
    **{name.replace("_", ""): name for name in HEX_CHARS},
    **{f"sha2{bits}": f"sha{bits}" for bits in (224, 256, 384, 512)},
    **{"blake2b512": "blake2b", "blake2s256": "blake2s"},
}
_HEX = re.compile(r"[0-9a-f]+")
_FOLDER = "listings"

Digests = Mapping[str, str]
"""Algorithm to hex digest, of one file."""


def algorithm(name: str) -> str | None:
    """Return the table's name for an algorithm however it is spelled: ``SHA-256``, ``sha3-256``; none when unknown."""
    return _PLAIN.get(re.sub(r"[^a-z0-9]", "", name.lower()))


def is_digest(text: str, name: str) -> bool:
    """Whether ``text`` is a digest of the algorithm in lower-case hex digits."""
    return len(text) == HEX_CHARS[name] and _HEX.fullmatch(text) is not None


def algorithm_by_length(text: str) -> str | None:
    """Return the algorithm that a digest without a name most likely is of: the oldest whose digests are so long."""
    return next((name for name, chars in HEX_CHARS.items() if chars == len(text)), None)


def dump(files: Iterable[tuple[str, Digests]]) -> str:
    """Return the list of files' digests; a name is a file's in the folder of its sequence."""
    return "".join(_line(name, digest, file) for file, digests in files for name, digest in digests.items())


def _line(name: str, digest: str, file: str) -> str:
    return f"\\{name} {digest} {encode(file)}\n" if "\n" in file else f"{name} {digest} {file}\n"


def load(text: bytes) -> dict[str, dict[str, str]]:
    """Return what a list says, by the files' names.

    Raises:
        InputError: It is no such list.
    """
    listing: dict[str, dict[str, str]] = {}
    for line in text.decode(errors="surrogateescape").split("\n"):
        name, _, rest = line.removeprefix("\\").partition(" ")
        digest, _, file = rest.partition(" ")
        file = decode(file) if line.startswith("\\") else file
        if file and name in HEX_CHARS and is_digest(digest, name):
            listing.setdefault(file, {})[name] = digest
        elif line:
            raise InputError(f"{line!r:.80} is no line of a list of digests")
    return listing


def format_digests(digests: Digests) -> str:
    """Return a file's digests as one text: ``md5:… sha256:…``."""
    return " ".join(f"{name}:{digest}" for name, digest in digests.items())


def parse_digests(text: str) -> dict[str, str]:
    """Return the digests of such a text.

    Raises:
        InputError: It is none.
    """
    digests = {}
    for part in text.split():
        name, _, digest = part.partition(":")
        algorithm_name = algorithm(name)
        if algorithm_name is None or not is_digest(digest.lower(), algorithm_name):
            raise InputError(f"{part!r:.100} is no digest with its algorithm, such as md5:d41d8cd9…")
        digests[algorithm_name] = digest.lower()
    return digests


def key(sha256: str) -> str:
    """Return the store's key of a list with that digest: the same list lies there once."""
    return f"{_FOLDER}/{sha256}"


def format_listing(blob: Blob) -> str:
    """Return how a manifest's field ``listing`` names a list: ``SHA256:BYTES``."""
    return f"{blob.sha256}:{blob.bytes}"


def parse_listing(text: str) -> Blob:
    """Return the list that a field ``listing`` names.

    Raises:
        InputError: The text is not of the form.
    """
    sha256, _, size = text.strip().partition(":")
    if not is_digest(sha256, "sha256") or not re.fullmatch(r"\d{1,12}", size):
        raise InputError(f"{text!r:.100} does not name a list of digests, as a report does: SHA256:BYTES")
    return Blob(key=key(sha256), sha256=sha256, bytes=int(size))
