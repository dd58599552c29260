"""A job of photos that were made twice, without anybody having worked: as they are, then blurred."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from db.records import Blob
from db.session import Database
from db.settings import Settings
from db.store import open_store
from orchestrator.submit import SubmitOptions, submit
from tests.support.finished import finish

SIZE = (64, 48)
PHOTOS = ("a", "b", "tall", "gone", "once")
"""The second result of one has another shape, the file of one is gone since, one was made once."""


def photo_job(folder: Path, settings: Settings, database: Database, name: str = "Box 7") -> int:
    """Return the number of such a job."""
    folder.mkdir()
    for seed, each in enumerate(PHOTOS):
        _photo(seed).save(folder / f"{each}.png")
    (folder / "m.csv").write_text("id,uri\n" + "".join(f"{each},{each}.png\n" for each in PHOTOS))
    job_id = submit(settings, database, folder / "m.csv", SubmitOptions(recipe="identity", name=name)).job_id
    for seed, each in enumerate(PHOTOS):
        for generation, picture in enumerate(_results(each, _photo(seed)), 1):
            outputs = {"still": _blob(settings, f"jobs/{job_id}/{each}/g{generation}.png", picture)}
            finish(database, job_id, each, outputs, generation=generation)
    (folder / "gone.png").unlink()
    return job_id


def _photo(seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (SIZE[1], SIZE[0], 3), np.uint8)
    return Image.fromarray(noise)


def _results(name: str, made: Image.Image) -> list[Image.Image]:
    soft = made.filter(ImageFilter.GaussianBlur(2))
    if name == "tall":
        soft = soft.resize((SIZE[0], 2 * SIZE[1]))
    return [made] if name == "once" else [made, soft]


def _blob(settings: Settings, key: str, picture: Image.Image) -> Blob:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return open_store(settings).put_bytes(key, file.getvalue())


def sharpness(data: bytes) -> float:
    """How much neighbouring pixels of a picture differ, in code values."""
    with Image.open(io.BytesIO(data)) as opened:
        pixels = np.asarray(opened.convert("L"), int)
    return float(np.abs(np.diff(pixels, axis=1)).mean())
