"""The machine as it is known while torch is still on its way: its processor, and what is installed."""

from __future__ import annotations

import platform
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import cv2

_PACKAGES = (
    "reelwright", "torch", "torchvision", "spandrel", "numpy", "opencv-python-headless", "pillow", "av", "OpenImageIO",
)  # fmt: skip
"""Everything that computes or decodes a sample: another release of ours may round otherwise, too."""
_LOADED_LATER = ("torch", "pyarrow")
"""What a worker that probes does without."""


def check_installed() -> None:
    """Make sure that what is loaded later is there, so that no work is begun without it.

    Raises:
        ModuleNotFoundError: It is not, and the worker extra is not installed.
    """
    for name in _LOADED_LATER:
        if find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def releases() -> dict[str, str]:
    """Return the installed release of every library that can change a bit of the output, without their builds."""
    return {package: metadata.version(package) for package in _PACKAGES}


def settle_opencv() -> None:
    """Make OpenCV compute the same bits every time, in this process: with one thread, on the processor."""
    cv2.setNumThreads(1)
    cv2.ocl.setUseOpenCL(False)


def processor() -> str:
    """Return the processor's model."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    return " ".join(
        next((line.split(":", 1)[1] for line in lines if line.startswith("model name")), platform.machine()).split()
    )
