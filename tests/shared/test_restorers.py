"""Published denoisers and upscalers give their papers' figures, from the file that a user registers to the stage."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from db.recipe import Pin
from tests.support import placeholders
from tests.support.damage import clip, step
from tests.support.reels import House, house
from workers import models, stages
from workers.frames import STILL
from workers.on_demand import inspect_weights
from workers.ops import likeness
from workers.ops.resample import Bytes

pytestmark = pytest.mark.shared
SHARED = Path(__file__).parents[3] / "shared"
WEIGHTS, MEDIA = SHARED / "weights", SHARED / "media" / "benchmarks"
FILES = {"dncnn-25": "dncnn_25.pth", "dctlsa-x2": "dctlsa_x2.pt", "dctlsa-x4": "dctlsa_x4.pt"}


@pytest.fixture
def at(tmp_path: Path) -> House:
    if not WEIGHTS.is_dir():
        pytest.skip("published weights are not here")
    return house(tmp_path)


def pinned(at: House, name: str) -> Pin:
    return placeholders.pin_file(at.store, WEIGHTS / FILES[name], name)


def restored(at: House, stage: str, made: Pin, picture: NDArray[np.float32]) -> Bytes:
    """What a job makes of one picture ``(H, W, C)`` 0..1, rounded to 8 bits."""
    chosen = step(stage, method="network", weights=made.card).model_copy(update={"pins": (made,)})
    frames = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None]
    out = stages.apply(chosen, clip(frames), 0, 1, STILL, at.bench())
    return np.rint(out[0].permute(1, 2, 0).clamp(0, 1).numpy() * 255).astype(np.uint8)


@pytest.mark.parametrize(("name", "file"), FILES.items())
def test_a_published_file_is_recognised_and_says_its_digest(at: House, name: str, file: str, tmp_path: Path) -> None:
    found = inspect_weights.examine([str(WEIGHTS / file)], None, tmp_path)
    assert (found["card"], found["trained"], found["notes"]) == (name, None, [])
    plain = tmp_path / "renamed.bin"
    plain.write_bytes((WEIGHTS / file).read_bytes())
    assert inspect_weights.examine([str(plain)], None, tmp_path)["card"] == name


def test_dncnn_gives_its_figure_on_set12(at: House) -> None:
    made, found = pinned(at, "dncnn-25"), []
    for path in sorted((MEDIA / "set12").glob("*.png")):
        clean = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        noise = np.random.default_rng(0).normal(0, 25 / 255, clean.shape)
        noisy = (clean / 255 + noise).astype(np.float32)[..., None]
        found.append(likeness.psnr(restored(at, "denoise", made, noisy)[..., 0], clean))
    assert len(found) == 12
    assert np.mean(found) == pytest.approx(30.436, abs=0.03)


@pytest.mark.parametrize(("scale", "figure"), [(2, 38.25), (4, 32.53)])
def test_dctlsa_gives_its_figure_on_set5(at: House, scale: int, figure: float) -> None:
    made, found = pinned(at, f"dctlsa-x{scale}"), []
    for path in sorted((MEDIA / "set5_sr").glob("*_HR.png")):
        large = cv2.imread(str(path))[..., ::-1]
        small = cv2.imread(str(path).replace("HR", f"x{scale}_LR"))[..., ::-1].astype(np.float32) / 255
        mine = restored(at, "upscale", made, small)
        found.append(likeness.luma_psnr(mine, large[: mine.shape[0], : mine.shape[1]], crop=scale))
    assert len(found) == 5
    assert np.mean(found) == pytest.approx(figure, abs=0.02)


def test_what_lies_beyond_a_tiles_surroundings_changes_no_level(at: House) -> None:
    network = models.load(WEIGHTS / FILES["dctlsa-x4"], "dctlsa-x4")
    picture = cv2.imread(str(MEDIA / "set12" / "08.png"))[:256, :288, ::-1].astype(np.float32) / 255
    planes = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None]
    with torch.inference_mode():
        whole, part = network(planes), network(planes[..., :160])
    # Its left edge sees a little of the right one, wherever that is; from the cut on, 64 pixels are taken.
    inner = slice(64 * 4, (160 - 64) * 4)
    assert float((whole[..., inner] - part[..., inner]).abs().max()) < 0.5 / 255
