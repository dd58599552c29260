"""Memory that was freed and will be asked for again stays with the process: :func:`keep_buffers`, :func:`keep_freed`.

All threads share one arena. In those that the C library makes for more threads large pictures find no room: each is
taken from the system anew, which cost a fifth of the work on HD film.

The C library of Linux takes large blocks from the system one by one, gives each back as soon as it is freed, and the
system clears every page again at the first touch. Work in strips or frame by frame does that at every turn, for a third
to a half of its time, and work on cells of HD film for a tenth; so every worker keeps some. A network does it at every
layer of every picture, with larger blocks, for 7 to 48 % of its time. Kept, memory grows to the most that was needed at
once, and by up to two fifths more for the gaps; :func:`trim` returns what is free between two pieces of work.
"""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""Parameters of ``mallopt`` in glibc's ``malloc.h``."""
_BUFFER_BYTES, _BUFFERS_BYTES = 1 << 25, 1 << 27
_CELL_BYTES, _CELLS_BYTES = 1 << 28, 1 << 29
_ROOM_FOR_CELLS_BYTES = 6 * 10**9
"""A process that may take as much loses nothing by the gaps that large blocks leave when they are kept."""
_LAYER_BYTES, _LAYERS_BYTES = 1 << 30, 2**31 - 1


def keep_buffers(limit_bytes: int = 0) -> None:
    """Keep up to 128 MiB of free memory; blocks of more than 32 MiB still come from the system one by one.

    Where the process may take many gigabytes, ``limit_bytes``, it keeps up to 512 MiB, of blocks of up to 256 MiB: a
    cell of eight HD frames is one of 143 MiB. On systems with another C library nothing happens.
    """
    if limit_bytes < _ROOM_FOR_CELLS_BYTES:
        _keep(_BUFFER_BYTES, _BUFFERS_BYTES)
    else:
        _keep(_CELL_BYTES, _CELLS_BYTES)


def keep_freed() -> None:
    """Keep up to 2 GiB of free memory; blocks of more than 1 GiB still come from the system one by one.

    On systems with another C library nothing happens.
    """
    _keep(_LAYER_BYTES, _LAYERS_BYTES)


def _keep(block_bytes: int, all_bytes: int) -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, block_bytes)
        mallopt(_TRIM_THRESHOLD, all_bytes)
        mallopt(_ARENA_MAX, 1)


def trim() -> None:
    """Return free memory to the system, so that another process can have it while this one waits."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)
