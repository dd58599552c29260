"""A process is held to its memory, and says so when it meets the limit."""

from __future__ import annotations

import subprocess
import sys

import av.error
import pytest

from db.child_process import EXIT_OUT_OF_MEMORY
from db.errors import InputError, OutOfMemoryError
from workers import memory
from workers.media.errors import reading

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts what a process may write to")

_LIMITED = """
import numpy as np, torch
from db.errors import OutOfMemoryError
from db.settings import Settings
from workers import device, memory
memory.keep_to_limit(Settings(worker_memory_mb=1500))
for ask in (lambda: bytearray(2 * 10**9), lambda: np.ones(2 * 10**8), lambda: torch.ones(4 * 10**8)):
    try:
        with device.translate_memory_errors():
            ask()
        print("got it")
    except OutOfMemoryError as error:
        print(error.code, error.message)
print(len(bytearray(10**8)))
"""
_GROWING = """
from workers import memory
try:
    with memory.limit_growth(100 << 20):
        bytearray(1 << 30)
except MemoryError as error:
    print(type(error).__name__)
print(len(bytearray(1 << 28)))
"""
_WATCHED = """
import psutil
from workers import memory
memory._watch(psutil.Process().memory_info().rss - 1)
"""


def run(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=100, check=False)


@linux_only
def test_every_library_is_refused_what_is_beyond_the_limit_and_the_process_lives() -> None:
    *refused, lived = run(_LIMITED).stdout.splitlines()
    assert len(refused) == 3
    for line in refused:
        assert line.startswith("OUT_OF_MEMORY")
        assert line.endswith("a worker may take 1.5 GB (worker_memory_mb)")
    assert lived == str(10**8)


def test_where_the_system_does_not_hold_it_a_process_leaves_with_a_status_that_says_why() -> None:
    left = run(_WATCHED)
    assert left.returncode == EXIT_OUT_OF_MEMORY
    assert "worker_memory_mb" in left.stderr


@linux_only
def test_growth_is_limited_for_a_while() -> None:
    """In a process of its own: one that freed a gigabyte before has it at hand."""
    refused, lived = run(_GROWING).stdout.splitlines()
    assert (refused, lived) == ("MemoryError", str(1 << 28))


def _read_what_lies() -> None:
    with reading("a.mov"):
        raise av.error.MemoryError(12, "Cannot allocate memory")


def test_a_file_that_asks_ffmpeg_for_a_senseless_amount_is_at_fault_while_there_is_room() -> None:
    with pytest.raises(InputError, match=r"a\.mov: asks for more memory") as caught:
        _read_what_lies()
    assert caught.value.code == "CORRUPT"


@linux_only
def test_without_room_the_machine_is_too_small() -> None:
    with pytest.raises(OutOfMemoryError, match="worker_memory_mb"), memory.limit_growth(100 << 20):
        _read_what_lies()
    with pytest.raises(OutOfMemoryError), reading("a.png"):
        raise MemoryError  # Python's own: nobody asked for more than it needed
