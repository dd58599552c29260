"""Whether files can be put somewhere: tried before any work, as what a system says of rights is not all there is to it.

Root may write everywhere, and not on a disk that is mounted for reading; ``/proc`` has rights and takes no files; room,
a quota or a disk's number of files may be used up. So a folder is made and a file written, under names that nobody else
has, and both are removed at once.
"""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from tempfile import TemporaryDirectory

from db.errors import DiskFull, InputError, ReelwrightError, lacks_room

_TRIAL_BYTES = 4096
"""A block of most disks: a file without contents would fit on a full one."""
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:/.*")
"""``s3://bucket`` and the like, of which a path keeps one slash."""
_WHY = {
    errno.EROFS: "lies on a disk that may only be read",
    errno.EACCES: "may not be written to by this user",
    errno.EPERM: "may not be written to by this user",
    errno.ENOENT: "takes no files",
    errno.ENAMETOOLONG: "takes no names as long as that",
    errno.ENOSPC: "has no room left",
    errno.EDQUOT: "has no room left for this user",
    errno.EFBIG: "takes no files as large as that",
}


def check_writable(folder: Path, named: str) -> None:
    """Make sure that files can be put into a folder, which need not be there yet; nothing of the trial is left.

    Args:
        folder: The folder.
        named: What names it, for the remedy: ``--out``, ``the setting scratch``.

    Raises:
        InputError: ``PATH_UNUSABLE``, with the folder and what stands in the way.
        DiskFull: There is no room.
    """
    _try(folder, Path("file"), named)


def check_writable_file(path: Path, named: str) -> None:
    """Make sure that a file can be put at a place; its folder need not be there. Raises as :func:`check_writable`."""
    if os.path.isdir(path):
        raise _refusal(path, f"{str(path)!r:.300} is a folder, and a file is to be written", named)
    _try(path.parent, Path(path.name), named)


def _try(folder: Path, name: Path, named: str) -> None:
    if _ADDRESS.fullmatch(str(folder)) and not os.path.lexists(folder.parts[0]):
        raise _refusal(folder, "it is an address, and files are written into folders alone", named)
    place = folder.absolute()
    there = next(each for each in (place, *place.parents) if os.path.lexists(each))
    if not os.path.isdir(there):
        what = "is no folder" if os.path.exists(there) else "is a link that leads nowhere"
        raise _refusal(folder, f"{str(there)!r:.300} {what}", named)
    try:
        with TemporaryDirectory(prefix=".reelwright-", dir=there, ignore_cleanup_errors=True) as trial:
            inside = Path(trial) / place.relative_to(there)
            inside.mkdir(parents=True, exist_ok=True)
            (inside / name).write_bytes(bytes(_TRIAL_BYTES))
    except OSError as error:
        why = f"{str(there)!r:.300} {_WHY.get(error.errno or 0, f'refuses: {error.strerror}')}"
        raise _refusal(folder, why, named, is_full=lacks_room(error)) from error


def _refusal(place: Path, why: str, named: str, *, is_full: bool = False) -> ReelwrightError:
    message = f"Nothing can be written to {str(place)!r:.300}: {why}"
    if is_full:
        return DiskFull(message, remedy=f"Free some space there, or give another place with {named}.")
    return InputError(message, code="PATH_UNUSABLE", remedy=f"Change that, or give another place with {named}.")
