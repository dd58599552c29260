"""Small sets of pictures and files of judges, to evaluate with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision import models as vision

from db.recipe import Pin, PinnedFile
from db.store.base import Store
from tests.support import placeholders
from workers.models import squeezenet


def picture(seed: int, height: int = 40, width: int = 48) -> np.ndarray:
    """Soft colours ``(H, W, 3)``."""
    chance = np.random.default_rng(seed)
    small = chance.integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def folder(path: Path, count: int = 3, **size: int) -> Path:
    """Write ``p0.png`` and so on."""
    path.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.fromarray(picture(number, **size)).save(path / f"p{number}.png")
    return path


def judge(store: Store, folder: Path, name: str) -> Pin:
    """Put a judge with random weights into a store, in the form that it is published in."""
    if name in {"lpips-alex", "squeezenet"}:
        torch.manual_seed(0)
        network = squeezenet.build("squeezenet") if name == "squeezenet" else vision.alexnet(weights=None)
        path = folder / f"{name}.pth"
        torch.save(network.state_dict(), path)
        return placeholders.pin_file(store, path, name)
    if name == "niqe":
        pin = placeholders.pin_file(store, niqe(folder / "niqe_pris_params.npz"), name)
        files = tuple(PinnedFile(**{**file.model_dump(), "networks": ("pristine",)}) for file in pin.files)
        return pin.model_copy(update={"files": files})
    return placeholders.pin(store, folder, name)


def niqe(path: Path) -> Path:
    """Write a table in the published form: made-up numbers."""
    reach = np.arange(-3, 4)
    row = np.exp(-(reach**2) / (2 * (7 / 6) ** 2))
    window = np.outer(row, row) / row.sum() ** 2
    np.savez(path, mu_pris_param=np.ones((1, 36)), cov_pris_param=np.eye(36), gaussian_window=window)
    return path
