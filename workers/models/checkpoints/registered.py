"""Networks of pinned weights: found by digest in package or store, kept on this machine, loaded once a process."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import nn

from db import progress
from db import settings as settings_module
from db.catalog import shipped
from db.catalog.architectures import ARCHITECTURES
from db.catalog.weights import card, find
from db.errors import InputError
from db.recipe import Pin, PinnedFile
from db.session import open_database
from db.settings import Settings
from db.store import open_store
from db.store.base import Store
from workers import device as devices
from workers import malloc
from workers.models.checkpoints import loading
from workers.workbench import Workbench

_MAX_NETWORKS = 3
"""Networks that stay in memory: those of one recipe, and one to compare with."""
_networks: OrderedDict[tuple[str, ...], nn.Module] = OrderedDict()


def network(pin: Pin, bench: Workbench) -> nn.Module:
    """Return the network of pinned weights on the bench's device, from memory where it is there already.

    Raises:
        InputError: ``BLOB_MISSING``, ``CHECKSUM_MISMATCH`` or ``BAD_CHECKPOINT``.
    """
    name = (pin.build, bench.device, *(file.sha256 for file in pin.files))
    if name not in _networks:
        while len(_networks) >= _MAX_NETWORKS:
            _networks.popitem(last=False)
        _networks[name] = _load(pin, bench.store, bench.settings, bench.device, bench.advance)
        bench.advance()
    _networks.move_to_end(name)
    return _networks[name]


def load(
    what: str | Path | Sequence[Path] | loading.FilesByNetwork, name: str | None = None, *, sha256: str | None = None
) -> nn.Module:
    """Return a network of a card that is shipped or registered in this machine's home, or of files, on the CPU.

    Args:
        what: The card's name, or what :func:`loading.load` takes.
        name: Of files: what to build; if omitted, it is recognised by the keys.
        sha256: Of a file: the digest that it must have.

    Raises:
        InputError: ``MODEL_MISSING``, or as :func:`loading.load`.
    """
    if isinstance(what, str) and find(what) and not os.path.exists(what):
        return network_from_home(what)
    return loading.load(what, name, sha256=sha256)


def network_from_home(name: str) -> nn.Module:
    """Return the network of weights that are shipped, or registered in the home that the settings name, on the CPU.

    Raises:
        InputError: ``MODEL_MISSING``, or as :func:`network`.
    """
    settings = settings_module.load()
    return _load(pin_from_home(name, settings), open_store(settings), settings, "cpu", lambda: None)


def pin_from_home(name: str, settings: Settings) -> Pin:
    """Return the pin of shipped or registered weights.

    Raises:
        InputError: ``MODEL_MISSING``.
    """
    with nullcontext() if settings.lacks_database else open_database(settings) as database:
        weights = progress.weights_at_hand(database).get(card(name).name)
    if weights is None:
        raise InputError(f"The weights {name} are not registered in {settings.home}", code="MODEL_MISSING")
    return weights.pin


def _load(pin: Pin, store: Store, settings: Settings, device: str, moved: Callable[[], None]) -> nn.Module:
    files: dict[str, Path] = {}
    for file in pin.files:
        path = _fetch_file(file, store, settings, moved)
        files |= dict.fromkeys(file.networks or ("",), path)
    with devices.translate_memory_errors():
        return move_to_device(loading.load_files(card(pin.card), files), device)


def move_to_device(network: nn.Module, device: str) -> nn.Module:
    """Bring a network to a device, its kernels laid out as they run fastest there, and have this process keep memory.

    Channels last is what convolutions want, on tensor cores above all; a network of attention gains nothing by it.
    """
    malloc.keep_freed()
    layout = torch.channels_last if ARCHITECTURES[str(network.architecture)].channels_last else torch.preserve_format
    return network.to(device).to(memory_format=layout)


def _fetch_file(file: PinnedFile, store: Store, settings: Settings, moved: Callable[[], None]) -> Path:
    """Return a file with the pinned digest: a shipped one, the store's own where that is a folder, else a kept copy."""
    package_path = shipped.path_of(file.sha256)
    if package_path is not None:
        return package_path
    local_path = store.local_path(file.key)
    if local_path is not None:
        store.check(file, moved=lambda count: moved())
        return local_path
    cache_path = settings.weights_folder / file.sha256 / file.name
    if not (cache_path.exists() and loading.file_sha256(cache_path) == file.sha256):
        cache_path.parent.mkdir(parents=True, exist_ok=True)
        # Several workers of this machine may fetch the same file at once: each its own copy, the last one stays.
        download = cache_path.with_name(f"{os.getpid()}-{cache_path.name}")
        try:
            store.get(file, download, moved=lambda count: moved())
            download.replace(cache_path)
        finally:
            download.unlink(missing_ok=True)
    return cache_path
