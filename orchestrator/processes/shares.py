"""What each worker process of this machine gets of it: how many there are, and each one's cores, memory and device."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from db.settings import Settings

_MOST_CODEC_THREADS = 16
_LEAST_SHARE = 2 * 10**9
"""Bytes."""


def slot_count(settings: Settings) -> int:
    """Worker processes to run here: as set, else one a GPU, else one a core that this process may use."""
    if settings.slots:
        return settings.slots
    if settings.device in {"auto", "cuda"} and gpu_count():
        return gpu_count()
    return _core_count()


def codec_threads(settings: Settings) -> int:
    """Threads for decoding, and as many for encoding and for what is done to single frames, in each worker here.

    As set, else its share of the cores: one where each core has a worker, many where a worker has a GPU.
    """
    return settings.codec_threads or max(1, min(_MOST_CODEC_THREADS, _core_count() // slot_count(settings)))


def worker_memory_mb(settings: Settings) -> int:
    """Memory that each worker process here may take, in MB: as set, else its share of four fifths of the machine's.

    Where that is less than a network needs beside what PyTorch takes by itself, it is 2 GB: not all workers need the
    most at the same moment, and fewer ``slots`` are for a person to choose.
    """
    most = machine_memory() * 4 // 5
    return settings.worker_memory_mb or min(most, max(most // slot_count(settings), _LEAST_SHARE)) // 10**6


def machine_memory(root: Path = Path("/")) -> int:
    """Memory of this machine in bytes, or of the container, whose own limit is less (control groups 1 and 2)."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in _memory_limits(root):
        try:
            limits.append(int(path.read_text(encoding="ascii")))
        except (OSError, ValueError):  # there is none of this kind, or it says "max"
            continue
    return min(limits)


def _memory_limits(root: Path) -> Iterator[Path]:
    groups, own = root / "sys/fs/cgroup", root / "proc/self/cgroup"
    lines = own.read_text(encoding="utf-8").splitlines() if own.exists() else []
    for _, controllers, inside in (line.split(":", 2) for line in lines):
        kind, name = ("memory", "memory.limit_in_bytes") if controllers == "memory" else ("", "memory.max")
        folder = PurePosixPath(inside.lstrip("/"))
        if controllers in ("", "memory"):
            # In a container the group's own name may lead nowhere: its limit is then at the root.
            yield from (groups / kind / each / name for each in (folder, *folder.parents))


def gpu_count() -> int:
    """NVIDIA GPUs that the driver shows, found without importing torch."""
    folder = Path("/proc/driver/nvidia/gpus")
    return sum(1 for _ in folder.iterdir()) if folder.is_dir() else 0


def _core_count() -> int:
    """Cores that this process may use."""
    return max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def device_of(settings: Settings, number: int) -> str:
    """Return the device setting of worker ``number``: workers take a machine's GPUs in turn."""
    if settings.device in {"auto", "cuda"} and gpu_count() > 1:
        return f"cuda:{number % gpu_count()}"
    return settings.device
