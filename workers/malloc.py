"""Memory that was freed and will be asked for again stays with the process: :func:`keep_freed`.

The C library of Linux takes large blocks from the system one by one, gives each back as soon as it is freed, and the
system clears every page again at the first touch. A network does that at every layer of every picture, for 7 to 48 % of
its time. Kept, memory grows to the most that was needed at once, and by up to two fifths more for the gaps;
:func:`trim` returns what is free between two pieces of work. Stages without networks gain nothing by it.
"""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Parameters of ``mallopt`` in glibc's ``malloc.h``."""
_MMAP_FROM_BYTES = 1 << 30
_FREE_AT_MOST_BYTES = 2**31 - 1


def keep_freed() -> None:
    """Keep up to 2 GiB of free memory; blocks of more than 1 GiB still come from the system one by one.

    On systems with another C library nothing happens.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _MMAP_FROM_BYTES)
        mallopt(_TRIM_THRESHOLD, _FREE_AT_MOST_BYTES)


def trim() -> None:
    """Return free memory to the system, so that another process can have it while this one waits."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)
