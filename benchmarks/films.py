"""Films that benchmarks restore: drawn, so that there is nothing to be fetched and nothing to be licensed."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np


@dataclass(frozen=True)
class Film:
    """A film to restore."""

    name: str
    size: tuple[int, int]
    """Height and width."""
    pixel_format: str
    codec: str
    frames: int


GREY = Film("grey 640×480", (480, 640), "gray", "ffv1", 768)
HD = Film("HD 1440×1080 4:2:0", (1080, 1440), "yuv420p", "libx264", 256)


def make_film(folder: Path, film: Film) -> Path:
    """Write a film of drifting waves with grain, flicker and, where it has colour, some."""
    path = folder / f"{film.codec}-{film.frames}.mkv"
    rng, (height, width) = np.random.default_rng(1), film.size
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    grain = [rng.normal(0, 3, film.size).astype(np.float32) for _ in range(7)]
    with av.open(str(path), "w") as out:
        options = {"level": "3", "g": "1"} if film.codec == "ffv1" else {"crf": "16", "preset": "veryfast", "g": "24"}
        stream = out.add_stream(film.codec, rate=Fraction(24), options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, film.pixel_format
        for number in range(film.frames):
            wave = 120 + 60 * np.sin((columns + 3 * number) / 40) * np.cos(rows / 30) + 4 * np.sin(number * 2.1)
            luma = np.clip(wave + grain[number % 7], 16, 235).astype(np.uint8)
            if film.pixel_format == "gray":
                frame = av.VideoFrame.from_ndarray(luma, format="gray")
            else:
                chroma = np.full((height // 2, width), 128, np.uint8) + (luma[::2] // 16)
                frame = av.VideoFrame.from_ndarray(np.concatenate([luma, chroma]), format="yuv420p")
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path
