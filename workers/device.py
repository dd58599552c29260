"""The machine under the tensors: which device, made deterministic, and its signature."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from db.errors import InputError
from workers import machine
from workers.memory import translate_memory_errors as translate_memory_errors


def open_device(name: str) -> str:
    """Return the torch device for a setting; ``auto`` takes CUDA, then MPS, then the CPU.

    Raises:
        InputError: The device that was asked for is not there.
    """
    if name == "auto":
        return "cuda:0" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if not _is_available(name):
        raise InputError(f"Device {name!r} is not on this machine", code="BAD_SETTING", remedy="Use `auto` or `cpu`.")
    return "cuda:0" if name == "cuda" else name


def make_deterministic(device: str) -> None:
    """Make this process compute the same bits every time: one thread, exact float32, no search for fast kernels."""
    torch.set_num_threads(1)
    machine.settle_opencv()
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    if device.startswith("cuda"):
        torch.cuda.set_device(device)


def upload(array: NDArray[Any], device: str) -> torch.Tensor:
    """Return an array as a tensor on a device; on the CPU it shares the array's memory.

    CUDA takes it from pinned memory in a stream of its own, so that what is being computed goes on meanwhile; it has
    arrived when this returns, and whoever calls is a thread that reads ahead.
    """
    tensor = torch.from_numpy(array)
    return _send(tensor.pin_memory() if device.startswith("cuda") else tensor, device)


def _send(tensor: torch.Tensor, device: str) -> torch.Tensor:
    """Return a tensor on a device; for CUDA it lies in pinned memory."""
    if not device.startswith("cuda"):
        return tensor.to(device)
    stream = _upload_stream(device)
    with torch.cuda.stream(stream):
        there = tensor.to(device, non_blocking=True)
    stream.synchronize()
    # The memory is the stream's: only so is it not given out again while what computes with it still runs.
    there.record_stream(torch.cuda.default_stream(device))
    return there


def stack(arrays: Sequence[NDArray[Any]], device: str) -> torch.Tensor:
    """Return arrays of one shape as a tensor ``(T, …)`` on a device, as :func:`upload` does; copied once on the way."""
    kind = torch.from_numpy(np.empty(0, arrays[0].dtype)).dtype
    stacked = torch.empty((len(arrays), *arrays[0].shape), dtype=kind, pin_memory=device.startswith("cuda"))
    for target, array in zip(stacked.numpy(), arrays, strict=True):
        target[:] = array
    return _send(stacked, device)


def download(tensor: torch.Tensor) -> NDArray[Any]:
    """Return a tensor as an array in main memory, which it shares where it lies there already."""
    array: NDArray[Any] = tensor.cpu().numpy()
    return array


def versions() -> dict[str, str]:
    """Return the installed release of every library that can change a bit of the output."""
    # torch's own version also names the build, and builds differ in their kernels.
    return machine.releases() | {"torch": str(torch.__version__)}


def signature(device: str) -> str:
    """Return 16 hex digits; two workers with the same ones give bit-identical frames."""
    facts = {
        "device": _device_model(device),
        "cpu": machine.processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "versions": versions(),
        "dtype": "float32",
        "threads": torch.get_num_threads(),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


@cache
def _upload_stream(device: str) -> torch.cuda.Stream:
    """Return one stream for all: memory is kept apart for each."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def _is_available(name: str) -> bool:
    kind, _, index = name.partition(":")
    if kind == "cuda":
        return int(index or 0) < torch.cuda.device_count()
    return kind == "cpu" or (kind == "mps" and torch.backends.mps.is_available())


def _device_model(device: str) -> str:
    if device.startswith("cuda"):
        major, minor = torch.cuda.get_device_capability(device)
        return f"{torch.cuda.get_device_name(device)} {major}.{minor} CUDA {torch.version.cuda}"
    return device
