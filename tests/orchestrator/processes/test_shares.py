"""What of a machine each worker process is given."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from db.settings import Settings
from orchestrator.processes import shares


def share(slots: int, set_mb: int = 0) -> int:
    return shares.worker_memory_mb(Settings(slots=slots, worker_memory_mb=set_mb))


def test_workers_share_four_fifths_of_the_memory() -> None:
    most = shares.machine_memory() * 4 // 5 // 10**6
    assert share(1) == most
    assert share(2) in (most // 2, min(most, 2000))


def test_a_share_is_never_too_small_for_a_network_and_never_more_than_there_is() -> None:
    most = shares.machine_memory() * 4 // 5 // 10**6
    assert share(256) == min(most, 2000)
    assert share(256, set_mb=1600) == 1600


def test_a_worker_has_its_share_of_the_cores_for_codecs() -> None:
    cores = len(os.sched_getaffinity(0))
    assert shares.codec_threads(Settings(slots=1)) == min(16, cores)
    assert shares.codec_threads(Settings(slots=cores)) == 1
    assert shares.codec_threads(Settings(slots=256)) == 1
    assert shares.codec_threads(Settings(slots=1, codec_threads=3)) == 3


@pytest.mark.parametrize(
    ("own", "limit"),
    [
        ("0::/", "sys/fs/cgroup/memory.max"),
        ("0::/system.slice/reelwright.service", "sys/fs/cgroup/system.slice/reelwright.service/memory.max"),
        ("0::/system.slice/reelwright.service", "sys/fs/cgroup/system.slice/memory.max"),
        ("9:cpu:/a\n4:memory:/docker/x", "sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes"),
        ("9:cpu:/a\n4:memory:/docker/x", "sys/fs/cgroup/memory/memory.limit_in_bytes"),
    ],
)
def test_a_container_has_no_more_than_its_own_limit(tmp_path: Path, own: str, limit: str) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(f"{own}\n")
    (tmp_path / limit).parent.mkdir(parents=True)
    (tmp_path / limit).write_text("max\n")
    assert shares.machine_memory(tmp_path) == shares.machine_memory(tmp_path / "nothing")
    (tmp_path / limit).write_text("1000000000\n")
    assert shares.machine_memory(tmp_path) == 10**9
