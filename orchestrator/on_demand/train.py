"""Starts a training or a packing of photographs as a process, and follows it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

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
    child = subprocess.Popen([sys.executable, *launcher, *module], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    try:
        for line in child.stdout:
            message = _parse_document(line)
            if message is None:
                continue
            worker_process.check_answer(message)
            yield message
        if child.wait():
            raise WorkError(
                f"The training ended with status {child.returncode}; the same command goes on where it saved"
            )
    finally:
        if child.poll() is None:
            child.terminate()
            child.wait()


def _parse_document(line: str) -> dict[str, Any] | None:
    """Return a line's document; other lines are what libraries print."""
    try:
        document = json.loads(line)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None
