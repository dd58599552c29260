"""Reads files of weights without trusting them: nothing in a file is ever run. ``workers.models`` imports this.

Safetensors hold nothing but numbers. PyTorch's own files are pickles, which can name any function to be called; they
are read by PyTorch's unpickler that knows tensors alone. Optimizer objects, which some published files carry beside the
weights, are replaced by stand-ins that do nothing.
"""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from db.errors import InputError

MAX_BYTES = 8_000_000_000
"""No published colorizer is a quarter as large."""
WRAPPERS = ("params", "params_ema", "model", "state_dict", "net_g", "net")
"""Keys under which training programs put the weights."""
_PREFIXES = ("module.", "model.")
_SAFETENSORS_MAX_HEADER = 100_000_000

State = dict[str, Tensor]


class _Inert:
    """Stands in for an optimizer's class or function: takes anything, does nothing."""

    def __new__(cls, *_: Any, **__: Any) -> _Inert:
        return object.__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __setstate__(self, _: Any) -> None: ...


_OPTIMIZER_NAMES = ("functools.partial", "torch.optim.adam.Adam", "torch.optim.adamw.AdamW", "torch.optim.sgd.SGD")


def read(path: Path) -> dict[str, State]:
    """Return all sets of weights in a file by the key that they stood under; ``""`` for weights at the top.

    ``module.`` and the like, which a wrapper put before every key, are taken off.

    Raises:
        InputError: ``FILE_MISSING``, ``TOO_LARGE``, ``UNSAFE_CHECKPOINT`` when it names code to be run,
            ``BAD_CHECKPOINT`` when it is no file of weights or is cut off.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such file of weights", code="FILE_MISSING")
    if path.stat().st_size > MAX_BYTES:
        message = f"{path}: {path.stat().st_size:,} bytes; no known weights are larger than {MAX_BYTES:,}"
        raise InputError(message, code="TOO_LARGE", remedy="Check that it is a file of weights.")
    found = _sets(_safetensors(path) if _is_safetensors(path) else _pickled(path))
    if not found:
        raise _bad(path, "there are no tensors in it")
    return found


def _sets(document: Any) -> dict[str, State]:
    """Find the dictionaries of tensors in what a file holds: the whole, or one level down."""
    if isinstance(document, Tensor):
        return {"": {"": document}}
    if not isinstance(document, Mapping):
        return {}
    top = _tensors(document)
    inner = {str(key): _tensors(value) for key, value in document.items() if isinstance(value, Mapping)}
    sets = {key: _unprefixed(state) for key, state in inner.items() if state}
    return {"": _unprefixed(top)} | sets if top else sets


def _tensors(mapping: Mapping[Any, Any]) -> State:
    return {str(key): value for key, value in mapping.items() if isinstance(value, Tensor)}


def _unprefixed(state: State) -> State:
    for prefix in _PREFIXES:
        if state and all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def _is_safetensors(path: Path) -> bool:
    if path.suffix == ".safetensors":
        return True
    with path.open("rb") as file:
        head = file.read(9)
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") < _SAFETENSORS_MAX_HEADER


def _safetensors(path: Path) -> State:
    try:
        loaded: State = load_file(path)
        return loaded
    except (SafetensorError, ValueError, OSError) as error:
        raise _bad(path, " ".join(str(error).split())[:200]) from error


def _pickled(path: Path) -> Any:
    zipped = zipfile.is_zipfile(path)
    if zipped:
        _refuse_inflation(path)
        _refuse_code(path)
    stand_ins: list[Any] = [(_Inert, name) for name in _OPTIMIZER_NAMES]
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(stand_ins):
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped or None)
    except pickle.UnpicklingError as error:
        said = " ".join(str(error).split())
        if "Unsupported global" in said or "Unsupported class" in said or "Unsupported operand" in said:
            raise _unsafe(path, _named_in(said)) from error
        raise _bad(path, f"it is no file of weights ({said[:160]})") from error
    except (RuntimeError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError, OSError,
            ModuleNotFoundError, UnicodeDecodeError, OverflowError, MemoryError) as error:  # fmt: skip
        raise _bad(path, f"it is no file of weights, or is cut off ({' '.join(str(error).split())[:160]})") from error


def _refuse_inflation(path: Path) -> None:
    """PyTorch stores tensors as they are; a file that unfolds to many times its size is an attack."""
    with zipfile.ZipFile(path) as archive:
        unfolded = sum(entry.file_size for entry in archive.infolist())
    if unfolded > MAX_BYTES or unfolded > 4 * path.stat().st_size + 1_000_000:
        raise InputError(f"{path}: {unfolded:,} bytes would come out of it", code="TOO_LARGE",
                         remedy="It is not as PyTorch writes weights. Take it from its authors.")  # fmt: skip


def _refuse_code(path: Path) -> None:
    """Name everything that a pickle would call, before anything is loaded."""
    try:
        named = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception as error:  # whatever a torn pickle makes of its reader
        raise _bad(path, f"it is no file of weights, or is cut off ({' '.join(str(error).split())[:160]})") from error
    others = sorted(set(named) - set(_OPTIMIZER_NAMES))
    if others:
        raise _unsafe(path, ", ".join(others[:5]))


def _named_in(said: str) -> str:
    _, _, rest = said.partition("GLOBAL ")
    return rest.split(" ", 1)[0] or "an object that is no tensor"


def _bad(path: Path, what: str) -> InputError:
    return InputError(f"{path}: {what}", code="BAD_CHECKPOINT")


def _unsafe(path: Path, names: str) -> InputError:
    return InputError(f"{path}: it names {names}, which is no part of weights", code="UNSAFE_CHECKPOINT")
