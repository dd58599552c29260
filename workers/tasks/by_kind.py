"""Which function does a task of which kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from db.records import Assignment, ItemResult, TaskResult
from db.states import TaskKind
from workers.tasks import assemble, inspect, merge, probe, read_back, restore
from workers.workbench import Workbench

WORK: Mapping[TaskKind, Callable[[Assignment, Workbench], TaskResult | ItemResult]] = MappingProxyType(
    {
        TaskKind.PROBE: probe.probe,
        TaskKind.INSPECT: inspect.inspect,
        TaskKind.MERGE: merge.merge,
        TaskKind.RESTORE: restore.restore_segment,
        TaskKind.READ_BACK: read_back.read_back,
        TaskKind.ASSEMBLE: assemble.assemble,
    }
)
"""Of a reel's tasks; stills are restored one by one by ``restore_still.restore_still``."""
