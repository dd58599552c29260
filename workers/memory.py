"""What a process of ours may take of the machine's memory, so that Python says when it runs out and not the kernel.

Linux holds a process to it itself: ``RLIMIT_DATA`` counts what it can write to and shares with nobody. The address
space (``RLIMIT_AS``) would be of no use: PyTorch and FFmpeg map gigabytes of libraries, and CUDA reserves far more than
a machine has. Where CUDA is at work, or the system is another, a thread looks at what is resident instead, and ends the
process with a status that says why.
"""

from __future__ import annotations

import os
import resource
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # networks come by here, and are imported without the house
    from db.settings import Settings

_LOOK_SECONDS = 0.2
_CV2_NO_MEMORY = -4
_ROOM_BYTES = 1 << 30
"""No honest header makes a library ask for so much at once where the picture's own size was found to fit."""


def keep_to_limit(settings: Settings) -> None:
    """Hold this process to ``worker_memory_mb``; 0 sets no limit, since whoever starts workers gives them a share."""
    if not settings.worker_memory_mb:
        return
    limit_bytes = settings.worker_memory_mb * 10**6
    if sys.platform == "linux" and not _may_use_cuda(settings):
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        soft = limit_bytes if hard == resource.RLIM_INFINITY else min(hard, limit_bytes)
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
    else:
        threading.Thread(target=_watch, args=(limit_bytes,), name="memory-watch", daemon=True).start()


@contextmanager
def limit_growth(growth_bytes: int) -> Iterator[None]:
    """Let this process take so much more memory and no more, where the system can be told so."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = _data_bytes() + growth_bytes if sys.platform == "linux" else resource.RLIM_INFINITY
    bounds = [each for each in (soft, hard, wanted) if each != resource.RLIM_INFINITY] or [resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min(bounds), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def shortage(message: str) -> str:
    """Return a message that says for what there was no memory, with the limit that this process is held to."""
    soft, _ = resource.getrlimit(resource.RLIMIT_DATA)
    if soft == resource.RLIM_INFINITY:
        return message
    return f"{message}; a worker may take {soft / 1e9:.1f} GB (worker_memory_mb)"


@contextmanager
def translate_memory_errors() -> Iterator[None]:
    """Turn every library's way of saying that memory ran out into one. Loads none of them.

    Raises:
        OutOfMemoryError: Some allocation inside failed.
    """
    from db.errors import OutOfMemoryError

    try:
        yield
    except _suspects() as error:
        if not _is_out_of_memory(error):
            raise
        raise OutOfMemoryError(shortage("Memory ran out: " + " ".join(str(error).split())[:200])) from error


def _suspects() -> tuple[type[Exception], ...]:
    return (MemoryError, RuntimeError, *_classes("cv2", "error"))


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, _classes("cv2", "error")):
        return getattr(error, "code", None) == _CV2_NO_MEMORY or "Insufficient memory" in str(error)
    # torch's CPU allocator has no class of its own for it.
    return isinstance(error, (MemoryError, *_classes("torch", "OutOfMemoryError"))) or any(
        sign in str(error) for sign in ("can't allocate memory", "bad_alloc", "bad allocation")
    )


def _classes(library: str, name: str) -> tuple[type[Exception], ...]:
    """Return a library's class of errors; none where it is not loaded, or not yet, so that it has raised nothing."""
    found = getattr(sys.modules.get(library), name, None)
    return () if found is None else (found,)


def has_room() -> bool:
    """Whether this process could take a gigabyte more: then a library that got no memory asked for a senseless size."""
    import psutil

    soft, _ = resource.getrlimit(resource.RLIMIT_DATA)
    left = soft - _data_bytes() if soft != resource.RLIM_INFINITY else _ROOM_BYTES
    return min(left, int(psutil.virtual_memory().available)) >= _ROOM_BYTES


def _may_use_cuda(settings: Settings) -> bool:
    return settings.device.startswith(("auto", "cuda")) and Path("/proc/driver/nvidia/gpus").is_dir()


def _data_bytes() -> int:
    """Bytes of what the kernel counts against ``RLIMIT_DATA``."""
    status = Path("/proc/self/statm")
    return int(status.read_text(encoding="ascii").split()[5]) * resource.getpagesize() if status.exists() else 0


def _watch(limit_bytes: int) -> None:
    import psutil  # where it is lacking, whoever is started says that the worker extra is

    from db.child_process import EXIT_OUT_OF_MEMORY

    process = psutil.Process()
    while process.memory_info().rss <= limit_bytes:
        time.sleep(_LOOK_SECONDS)
    print(f"OUT_OF_MEMORY: more than {limit_bytes / 1e9:.1f} GB (worker_memory_mb)", file=sys.stderr)  # noqa: T201
    os._exit(EXIT_OUT_OF_MEMORY)
