"""An outside package with one stage that goes wrong on purpose: it comes in by the same door as a user's own."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from reelwright import StageParams, StageSpec

if TYPE_CHECKING:
    import torch

    from reelwright import Clip, Reel


class TrapParams(StageParams):
    """Where the trap lies and what it does."""

    frame: int = Field(-1, description="The frame that springs it.")
    action: Literal["kill", "kill_once", "crash", "wait", "memory", "fault", "nothing"] = Field(
        "nothing", description="What it does."
    )
    flag: str = Field("", description="A file: `kill_once` makes it, `wait` waits until it is there.")
    seconds: float = Field(0.0, description="Pause for every frame.")
    radius: int = Field(0, description="Frames before and after that are asked for.")


SPEC = StageSpec(
    name="trap",
    summary="Goes wrong on purpose.",
    params=TrapParams,
    order=99,
    module="reelwright_trap",
    temporal_radius=lambda params: int(params["radius"]),
    reference="The tests.",
)


def restore(window: Clip, start: int, stop: int, params: TrapParams, reel: Reel) -> torch.Tensor:
    """Give the frames back as they came, unless the trap springs."""
    for number in range(start, stop):
        time.sleep(params.seconds)
        if window.sources[number - window.start] == params.frame:
            spring(params)
    return window.part(start, stop).frames


def spring(params: TrapParams) -> None:
    flag = Path(params.flag)
    if params.action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if params.action == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if params.action == "kill_once" and not flag.exists():
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if params.action == "wait":
        flag.with_suffix(".reached").touch()
        while not flag.exists():
            time.sleep(0.02)
    if params.action == "memory":
        raise MemoryError("a trap")
    if params.action == "fault":
        raise RuntimeError("a trap")
