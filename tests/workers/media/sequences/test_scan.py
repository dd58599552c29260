"""What the look through a sequence says of what its files hold beside the frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from db.records import Source
from db.settings import Settings
from db.states import ItemKind
from tests.support import sequences
from workers.media.index import ReelScan
from workers.media.local import LocalFolder
from workers.media.sequences.scan import scan_sequence


def _scan(folder: Path, suffix: str) -> ReelScan:
    source = Source(uri=str(folder), kind=ItemKind.REEL, sequence=sequences.numbered(suffix, 1, 3))
    scratch = folder / "scratch"
    scratch.mkdir()
    return scan_sequence(LocalFolder(folder, None, scratch), source, Settings(home=folder), lambda: None)


@pytest.mark.parametrize(("least", "is_told"), [(255, False), (0, True)])
def test_transparency_that_the_master_does_not_hold_is_told_of(tmp_path: Path, least: int, is_told: bool) -> None:
    for number in range(1, 4):
        samples = sequences.samples(number, 4, 8)
        samples[..., 3] = np.maximum(samples[..., 3], least)
        Image.fromarray(samples).save(tmp_path / f"f_{number:04d}.png")
    assert bool(_scan(tmp_path, ".png").left_out) == is_told


@pytest.mark.parametrize("pages", [1, 2])
def test_pictures_behind_the_first_of_each_file_are_told_of(tmp_path: Path, pages: int) -> None:
    for number in range(1, 4):
        with tifffile.TiffWriter(tmp_path / f"f_{number:04d}.tif") as file:
            for page in range(pages):
                file.write(sequences.samples(number + page, 3, 8), photometric="rgb", metadata=None)
    notes = _scan(tmp_path, ".tif").notes
    assert any("holds 2 pictures" in note for note in notes) == (pages == 2)
