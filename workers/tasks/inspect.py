"""Measures the frames of one segment for the reel profile."""

from __future__ import annotations

import numpy as np
import torch

from db.records import Assignment, TaskResult
from workers.media import index, reel
from workers.ops import exposure
from workers.workbench import Workbench


def inspect(assignment: Assignment, bench: Workbench) -> TaskResult:
    """Measure the frames ``[start_frame, stop_frame)`` as they came in, each by itself.

    Returns:
        ``values``: an npz blob with ``exposure`` (N, K) float64, one row a frame.

    Raises:
        InputError: The source cannot be read, or is not the one that was probed.
    """
    source_reel = reel.open_reel(assignment.reel, bench)
    rows = []
    for _, picture in reel.pictures(source_reel, assignment.start_frame, assignment.stop_frame):
        rows.append(exposure.measure(torch.from_numpy(picture[None])))
        bench.advance(1)
    values = index.pack(exposure=np.concatenate(rows))
    return TaskResult(outputs={"values": bench.put_bytes("values.npz", values)}, frames=len(rows))
