"""Reads files of weights without trusting them: nothing in a file is ever run.

Safetensors hold nothing but numbers. PyTorch's own files are pickles, which can name any function to be called; they
are read by PyTorch's unpickler that knows tensors alone. Optimizer objects, which some published files carry beside the
weights, are replaced by stand-ins that do nothing.
"""

from __future__ import annotations

import io
import os
import pickle
import pickletools
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from db.catalog import trained
from db.errors import InputError
from workers.models.parts.storage import has_storage

MAX_BYTES = 8_000_000_000
"""No published colorizer is a quarter as large."""
MAX_TENSORS = 20_000
"""No published file has a quarter as many. Each costs a kilobyte and more before it holds one number."""
WRAPPERS = ("params", "params_ema", "model", "state_dict", "net_g", "net")
"""Keys under which training programs put the weights."""
_PREFIXES = ("module.", "model.")
_SAFETENSORS_MAX_HEADER = 4_000_000
"""Bytes: MAX_TENSORS entries of 200."""
_PICKLE_MAX_BYTES = 32_000_000
"""Of the pickle in an archive, which names the tensors and holds none of their numbers."""

State = dict[str, Tensor]


class _Inert:
    """Stands in for an optimizer's class or function: takes anything, does nothing."""

    def __new__(cls, *_: Any, **__: Any) -> _Inert:
        return object.__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __setstate__(self, _: Any) -> None: ...


_SHOWN = 5
_PICKLES = 4
"""PyTorch's older form is a row of pickles; the fourth is the document."""
_OF_TENSORS = re.compile(
    r"collections\.OrderedDict|torch\._utils\._rebuild\w+|torch(\.storage)?\.\w+Storage|torch\.Size"
)
_INERT = ("functools.partial", "torch.optim.adam.Adam", "torch.optim.adamw.AdamW", "torch.optim.sgd.SGD")
_STAND_INS: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(_INERT, _Inert),
    # What an optimizer keeps its state in.
    "builtins.dict": dict,
    "collections.defaultdict": lambda *_: {},
}


def read(path: Path) -> dict[str, State]:
    """Return all sets of weights in a file by the key that they stood under; ``""`` for weights at the top.

    ``module.`` and the like, which a wrapper put before every key, are taken off.

    Raises:
        InputError: ``FILE_MISSING``, ``TOO_LARGE``, ``UNSAFE_CHECKPOINT`` when it names code to be run,
            ``BAD_CHECKPOINT`` when it is no file of weights or is cut off.
    """
    if not os.path.isfile(path):  # unlike pathlib's, it takes any name
        raise InputError(f"{path}: there is no such file of weights", code="FILE_MISSING")
    if path.stat().st_size > MAX_BYTES:
        message = f"{path}: {path.stat().st_size:,} bytes; no known weights are larger than {MAX_BYTES:,}"
        raise InputError(message, code="TOO_LARGE", remedy="Check that it is a file of weights.")
    sets = _weight_sets(_read_safetensors(path) if _is_safetensors(path) else _read_pickle(path))
    if not sets:
        raise _bad_checkpoint(path, "there are no tensors in it")
    _check_extent(path, sets)
    return sets


def _check_extent(path: Path, sets: Mapping[str, State]) -> None:
    """Refuse more tensors than any network has, and such as unfold from a few numbers to many.

    Raises:
        InputError: ``TOO_LARGE`` or ``BAD_CHECKPOINT``.
    """
    _check_count(path, sum(map(len, sets.values())))
    for name, value in (item for state in sets.values() for item in state.items()):
        if has_storage(value) and value.nbytes > value.untyped_storage().nbytes():
            there = value.untyped_storage().nbytes()
            what = f"{name:.80} has {value.numel():,} numbers, of which {there:,} bytes are there"
            raise _bad_checkpoint(path, what)


def _check_count(path: Path, count: int) -> None:
    if count > MAX_TENSORS:
        message = f"{path}: {count:,} tensors; no known weights have more than {MAX_TENSORS:,}"
        raise InputError(message, code="TOO_LARGE", remedy="Check that it is a file of weights.")


def metadata_text(path: Path) -> str | None:
    """Return what a safetensors file's own metadata says under Reelwright's key, unchecked; none for other files.

    Raises:
        InputError: ``BAD_CHECKPOINT``.
    """
    if not _is_safetensors(path):
        return None
    _check_header(path)
    try:
        with safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get(trained.KEY)
    except (SafetensorError, ValueError, OSError) as error:
        raise _bad_checkpoint(path, _one_line(error)) from error
    return text if isinstance(text, str) else None


def _weight_sets(document: Any) -> dict[str, State]:
    """Find the dictionaries of tensors in what a file holds: the whole, or one level down."""
    if isinstance(document, Tensor):
        return {"": {"": document}}
    if not isinstance(document, Mapping):
        return {}
    top = _tensors(document)
    inner = {str(key): _tensors(value) for key, value in document.items() if isinstance(value, Mapping)}
    sets = {key: _strip_prefixes(state) for key, state in inner.items() if state}
    return {"": _strip_prefixes(top)} | sets if top else sets


def _tensors(mapping: Mapping[Any, Any]) -> State:
    return {str(key): value for key, value in mapping.items() if isinstance(value, Tensor)}


def _strip_prefixes(state: State) -> State:
    for prefix in _PREFIXES:
        if state and all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def _is_safetensors(path: Path) -> bool:
    if path.suffix == ".safetensors":
        return True
    try:
        with path.open("rb") as file:
            head = file.read(9)
    except OSError as error:
        raise _bad_checkpoint(path, f"it cannot be read ({error.strerror})") from error
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size


def _check_header(path: Path) -> None:
    """Refuse a header that is longer than those of weights, before its library makes an object of each entry."""
    with suppress(OSError), path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if _SAFETENSORS_MAX_HEADER < size < path.stat().st_size:
            message = f"{path}: a header of {size:,} bytes; no known weights have more than {_SAFETENSORS_MAX_HEADER:,}"
            raise InputError(message, code="TOO_LARGE", remedy="Check that it is a file of weights.")


def _read_safetensors(path: Path) -> State:
    _check_header(path)
    try:
        state: State = load_file(path)
        return state
    except (SafetensorError, ValueError, OSError) as error:
        raise _bad_checkpoint(path, " ".join(str(error).split())[:200]) from error


def _read_pickle(path: Path) -> Any:
    try:
        return _unpickle(path)
    except InputError:
        raise
    except pickle.UnpicklingError as error:
        others = _foreign_calls(path)
        if others:
            raise _unsafe_checkpoint(path, others) from error
        raise _bad_checkpoint(path, "it is no file of weights") from error
    except Exception as error:  # whatever damage makes of readers that trust what they read
        raise _bad_checkpoint(path, f"it is no file of weights, or is damaged ({_one_line(error)})") from error


def _unpickle(path: Path) -> Any:
    zipped = zipfile.is_zipfile(path)
    memory_map = None
    if zipped:
        memory_map = _is_stored_plainly(path)
        # Everything that the pickle would call is named before anything of it is loaded.
        others = set(torch.serialization.get_unsafe_globals_in_checkpoint(path)) - _STAND_INS.keys()
        if others:
            raise _unsafe_checkpoint(path, sorted(others))
    stand_ins: list[Any] = [(stand_in, name) for name, stand_in in _STAND_INS.items()]
    with warnings.catch_warnings(), torch.serialization.safe_globals(stand_ins):
        warnings.simplefilter("ignore")
        return torch.load(path, map_location="cpu", weights_only=True, mmap=memory_map)


def _is_stored_plainly(path: Path) -> bool:
    """Whether tensors lie in an archive as they are, as PyTorch writes them; somebody may have packed it anew.

    Raises:
        InputError: ``TOO_LARGE`` when it unfolds to many times its size: that is an attack.
    """
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    _check_count(path, sum("/data/" in entry.filename for entry in entries))
    total_bytes = sum(entry.file_size for entry in entries)
    if total_bytes > MAX_BYTES or total_bytes > 4 * path.stat().st_size + 1_000_000:
        remedy = "It is not as PyTorch writes weights. Take it from its authors."
        raise InputError(f"{path}: {total_bytes:,} bytes would come out of it", code="TOO_LARGE", remedy=remedy)
    if any(entry.filename.endswith("data.pkl") and entry.file_size > _PICKLE_MAX_BYTES for entry in entries):
        raise _bad_checkpoint(path, f"what names its tensors has more than {_PICKLE_MAX_BYTES:,} bytes")
    return all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)


def _foreign_calls(path: Path) -> list[str]:
    """List what a file's pickles would call besides making tensors; nothing is called to find out."""
    names: set[str] = set()
    with warnings.catch_warnings(), suppress(ValueError, IndexError, OverflowError, MemoryError, zipfile.BadZipFile):
        warnings.simplefilter("ignore")
        with _open_pickles(path) as file:
            for _ in range(_PICKLES):
                for name in _pickle_calls(file):  # until it is no pickle any more
                    names.add(name)
    return sorted(name for name in names if name not in _STAND_INS and not _OF_TENSORS.fullmatch(name))


@contextmanager
def _open_pickles(path: Path) -> Iterator[IO[bytes]]:
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            yield file
        return
    with zipfile.ZipFile(path) as archive:
        name = next((name for name in archive.namelist() if name.endswith("data.pkl")), "")
        with archive.open(name) if name else io.BytesIO() as file:
            yield file


def _pickle_calls(file: IO[bytes]) -> Iterator[str]:
    """Yield the dotted names that one pickle looks up."""
    texts: list[str] = []
    for opcode, argument, _ in pickletools.genops(file):
        if opcode.name in {"GLOBAL", "INST"}:
            yield str(argument).replace(" ", ".")
        elif opcode.name == "STACK_GLOBAL":
            yield ".".join(texts[-2:])
        elif isinstance(argument, str):
            texts = [*texts[-1:], argument]


def _bad_checkpoint(path: Path, what: str) -> InputError:
    return InputError(f"{path}: {what}", code="BAD_CHECKPOINT")


def _unsafe_checkpoint(path: Path, names: Sequence[str]) -> InputError:
    shown = ", ".join(names[:_SHOWN])
    return InputError(f"{path}: it names {shown}, which is no part of weights", code="UNSAFE_CHECKPOINT")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
