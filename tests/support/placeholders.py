"""Files that stand in for weights: random numbers, complete and strict, for whoever looks at nothing but the path."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file

from db import ledger
from db.catalog import trained
from db.catalog.weights import card
from db.recipe import Pin, PinnedFile
from db.session import Database
from db.store.base import Store
from workers import models
from workers.models.checkpoints import loading


def weights(path: Path, name: str, seed: int = 0, **said: object) -> Path:
    """Write weights for the network of a card; what is ``said`` of them goes into the file."""
    torch.manual_seed(seed)
    network = models.build(name)
    state = {key: value.contiguous().clone() for key, value in network.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(state, path, metadata={trained.KEY: json.dumps(said)} if said else None)
    return path


def views(shapes: Mapping[str, tuple[int, ...]], number: float = 0) -> dict[str, torch.Tensor]:
    """Return a state of these keys and shapes that takes little room: all see the numbers of the largest."""
    numbers = torch.full((max(map(math.prod, shapes.values())),), number, dtype=torch.float16)
    return {key: numbers[: math.prod(shape)].view(shape) for key, shape in shapes.items()}


def pin(store: Store, folder: Path, name: str, seed: int = 0) -> Pin:
    """Put weights into a store; returns what a job would pin."""
    path = weights(folder / f"{name.replace(':', '.')}.safetensors", name, seed)
    return pin_file(store, path, name)


def register(database: Database, store: Store, folder: Path, name: str) -> Pin:
    """Put weights into a store and write them down."""
    made = pin(store, folder, name)
    ledger.add_weights(database, ledger.NewWeights(name, made.files, "the tests", license_accepted=False))
    return made


def pin_file(store: Store, path: Path, name: str) -> Pin:
    """Put a file into a store; returns what a job would pin."""
    blob = store.put(f"weights/{loading.file_sha256(path)}/{path.name}", path)
    facts = card(name)
    return Pin(card=name, architecture=facts.architecture, build=facts.build, files=(PinnedFile(**blob.model_dump()),))
