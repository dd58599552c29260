"""Where the members of a tar shard lie, so that they are read in place.

Nothing is unpacked, links are passed over, and what a member is called stays a name: it can do no harm.
"""

from __future__ import annotations

import tarfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path, PurePath


@dataclass(frozen=True)
class Member:
    """A regular file inside a shard."""

    name: str
    """As the shard has it: not to be trusted as a path."""
    start: int
    count: int
    """Bytes."""


def members(shard: Path, suffixes: Collection[str]) -> list[Member]:
    """Return the members whose suffix is one of ``suffixes``, small letters, in order.

    Raises:
        ValueError: The file is no tar shard, cannot be read, or is cut off.
    """
    try:
        with tarfile.open(shard, "r:") as archive:
            entries = [each for each in archive if each.isreg() and PurePath(each.name).suffix.lower() in suffixes]
        size = shard.stat().st_size
    except (OSError, tarfile.TarError, ValueError) as error:
        raise ValueError(str(error)) from error
    if any(each.offset_data + each.size > size for each in entries):
        raise ValueError("it is cut off")
    return [Member(each.name, each.offset_data, each.size) for each in entries]
