"""Small photographs, made up: folders, manifests and shards of them."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


def picture(number: int, height: int = 72, width: int = 96) -> Picture:
    """Soft stripes of colour under a bright patch, another for each number; RGB."""
    rng = np.random.default_rng(number)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    waves = [np.sin((x * rng.uniform(-1, 1) + y * rng.uniform(-1, 1)) / rng.uniform(3, 9)) for _ in range(3)]
    planes = np.stack(waves, axis=2) * 50 + rng.uniform(80, 170, 3)
    top, left = rng.integers(height // 2), rng.integers(width // 2)
    planes[top : top + height // 4, left : left + width // 4] += 60
    return np.clip(planes, 0, 255).astype(np.uint8)


def encoded(shown: Picture) -> bytes:
    return cv2.imencode(".png", cv2.cvtColor(shown, cv2.COLOR_RGB2BGR))[1].tobytes()


def folder(where: Path, count: int, **size: int) -> Path:
    where.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (where / f"{number:03d}.png").write_bytes(encoded(picture(number, **size)))
    return where


def shard(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path
