"""One call: array in, array out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from db import session
from db.errors import InputError
from db.settings import Settings
from db.store import open_store
from tests.support import tint
from workers.on_demand.restore_picture import restore

GREY = np.random.default_rng(0).integers(40, 200, (24, 32), np.uint8)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    settings = Settings(home=tmp_path / "home")
    with session.open_database(settings) as database:
        session.upgrade(database)
        tint.register(database, open_store(settings), tmp_path)
    return settings.home


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_grey_goes_in_and_colour_comes_out_in_the_same_type(home: Path, dtype: type) -> None:
    top = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1
    made = restore((GREY / 255 * top).astype(dtype), "colorize", home=home, model="tint")
    assert (made.shape, made.dtype) == ((24, 32, 3), np.dtype(dtype))
    red, _, blue = made.reshape(-1, 3).mean(0) / top
    assert red > blue + 0.02


def test_a_picture_in_colour_is_kept_and_classical_stages_need_no_home() -> None:
    colour = np.random.default_rng(1).integers(0, 255, (24, 32, 3), np.uint8)
    assert restore(colour, "upscale", scale=2).shape == (48, 64, 3)
    assert restore(GREY, "denoise", method="spatial").shape == GREY.shape


@pytest.mark.parametrize(
    ("image", "params", "code"),
    [
        (np.zeros((2, 3, 4), np.uint8), {}, "BAD_VALUE"),
        (np.zeros((2, 3), np.int64), {}, "BAD_VALUE"),
        (np.zeros((0, 3), np.uint8), {}, "BAD_VALUE"),
        (GREY, {"model": "eccv16"}, "MODEL_MISSING"),
        (GREY, {"model": "tnt"}, "UNKNOWN_MODEL"),
        (GREY, {"warmth": 3}, "BAD_PARAMETER"),
    ],
)
def test_what_cannot_be_done_is_said(home: Path, image: np.ndarray, params: dict[str, object], code: str) -> None:
    with pytest.raises(InputError) as caught:
        restore(image, "colorize", home=home, **params)
    assert caught.value.code == code
