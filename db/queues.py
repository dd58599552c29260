"""The names of the message queues, spelled once."""

from __future__ import annotations

LIGHT = "light"
"""Queue of probes, which any worker may do."""
FINISH = "finish"
"""Queue of merges and assemblies: beside the others, so that the first reel is whole before the last is restored."""
RESTORE = "restore"
"""Queue of tasks that compute and are bound to no compute signature: bundles of stills."""


def restore_queue(signature: str) -> str:
    """Return the queue of those tasks that compute and are bound to a compute signature."""
    return f"{RESTORE}-{signature}"
