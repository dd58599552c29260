"""Starts a training or a packing of photographs as a process, and follows it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from db.child_process import ChildProcess
from db.errors import WorkError
from orchestrator.on_demand import worker_process


def stream_training(arguments: Sequence[str], *, processes: int = 1) -> Iterator[dict[str, Any]]:
    """Run ``python -m workers.training`` and yield what it says, one document after the other.

    Args:
        arguments: The command and its options, as that module takes them.
        processes: How many train together, one a GPU.

    Raises:
        InputError: What the training found wrong, under its own code.
        WorkError: The process died; what it saved last is kept.
    """
    module = ["-m", "workers.training", "--json", *arguments]
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if processes > 1 else []
    with ChildProcess([*launcher, *module]) as child:
        for message in child.stream():
            worker_process.check_answer(message)
            yield message
        status = child.wait()
    if status:
        raise WorkError(f"The training ended with status {status}; the same command goes on where it saved")
