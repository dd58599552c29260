"""The tests' own colorizer (``tests/support/plugin/reelwright_tint.py``): its weights as a file, and registered."""

from __future__ import annotations

from pathlib import Path

import torch

from db import ledger
from db.catalog.stages import STAGES
from db.recipe import Pin, PinnedFile, Step
from db.session import Database
from db.store.base import Store
from workers import models
from workers.models.checkpoints import loading


def weights(folder: Path, warmth: float = 0.5) -> Path:
    """Write the file: a is ``40 * warmth * light``, b half of it."""
    network = models.build("tint")
    with torch.no_grad():
        network.state_dict()["0.weight"].copy_(torch.tensor([warmth, warmth / 2]).view(2, 1, 1, 1))
        network.state_dict()["0.bias"].zero_()
    path = folder / "tint.pth"
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({"params": network.state_dict()}, path)
    return path


def pin(store: Store, folder: Path, warmth: float = 0.5) -> Pin:
    """Put the file into a store; returns what a job would pin."""
    digest = loading.file_sha256(weights(folder, warmth))
    blob = store.put(f"weights/{digest}/tint.pth", folder / "tint.pth")
    file = PinnedFile(**blob.model_dump())
    return Pin(card="tint", architecture="tint", build="tint", files=(file,))


def register(database: Database, store: Store, folder: Path, warmth: float = 0.5) -> Pin:
    """Put the file into a store and write it down."""
    made = pin(store, folder, warmth)
    ledger.add_weights(database, ledger.NewWeights("tint", made.files, "the tests", license_accepted=False))
    return made


def step(made: Pin, **params: object) -> Step:
    """A step that colours with it."""
    checked = STAGES["colorize"].params(model="tint", **params)
    return Step(stage="colorize", params=checked.model_dump(mode="json"), pins=(made,))
