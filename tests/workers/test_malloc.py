"""Freed memory stays with a process that asked for it, and goes back when it says so."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

_SCRIPT = """
import resource
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from workers import malloc

def faults(count, numbers=8_000_000):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(count):
        np.ones(numbers)  # 64 MB: a layer of a network, or a cell of frames
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

malloc.keep_buffers(5 * 10**9)
faults(1, 2_000_000)
buffers = faults(4, 2_000_000)  # 16 MB: a few strips of a picture
with ThreadPoolExecutor(1) as crew:
    aside = crew.submit(faults, 4, 2_000_000).result()
without = faults(4)
KEEP
faults(1)
kept, held = faults(4), resident()
malloc.trim()
print(buffers, aside, without, kept, held - resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told to keep memory")
@pytest.mark.parametrize("keep", ["malloc.keep_freed()", "malloc.keep_buffers(8 * 10**9)"])
def test_memory_is_kept_and_given_back(keep: str) -> None:
    script = _SCRIPT.replace("KEEP", keep)
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    buffers, aside, without, kept, returned = map(int, said.split())
    assert buffers * 20 < without
    assert aside * 20 < without
    assert kept * 20 < without
    assert returned > 50_000_000
