"""Real scans and photographs, in and out again."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio
import pytest
from PIL import Image

from db.errors import InputError
from db.records import Sequence
from db.states import ItemKind
from tests.support import sequences
from tests.support.reels import House, house, item, whole_life
from workers.media.stills import dpx
from workers.tasks.restore_still import restore_still

EMPTY = "{recipe: [], outputs: [sequence]}"
ELSEWHERE = "{recipe: [{denoise: {method: spatial, shots: [[900, 901]]}}], outputs: [sequence]}"
REELS = {
    "odd/dpx_10bit": Sequence(prefix="reel1_", suffix=".dpx", padding=7, start=86400, end=86405),
    "film_old/seq_chinese_579x340": Sequence(prefix="", suffix=".png", start=100, end=122, step=2),
    "film_old/seq_silent_640x480": Sequence(prefix="", suffix=".png", start=1100, end=1115),
}


MEDIA = Path(__file__).parents[3] / "shared" / "media"

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not MEDIA.is_dir(), reason="no shared media beside the checkout"),
]


@pytest.fixture
def at(tmp_path: Path) -> House:
    return house(tmp_path)


@pytest.mark.parametrize("name", REELS)
@pytest.mark.parametrize("recipe", [EMPTY, ELSEWHERE])
def test_a_real_sequence_comes_out_as_it_went_in(at: House, tmp_path: Path, name: str, recipe: str) -> None:
    folder = MEDIA / name
    _, result = whole_life(
        at, item(folder, recipe, sequence=REELS[name], fps=Fraction(18) if recipe != EMPTY else None)
    )
    made = sequences.files(at, result)
    assert set(made) == {path.name for path in folder.iterdir()}
    for file, body in made.items():
        (tmp_path / file).write_bytes(body)
        assert np.array_equal(sequences.read(tmp_path / file), sequences.read(folder / file))
        assert body == (folder / file).read_bytes() or recipe != EMPTY


def test_ffmpegs_dpx_is_read_as_openimageio_reads_it() -> None:
    path = MEDIA / "odd/dpx_10bit/reel1_0086400.dpx"
    assert np.array_equal(dpx.read(path)[1], sequences.read(path, 10))


def test_real_holes_are_named_or_held(at: House) -> None:
    sequence = Sequence(prefix="frame_", suffix=".png", padding=4, start=1, end=9)
    with pytest.raises(InputError, match=r"lacks 3, 6-8"):
        whole_life(at, item(MEDIA / "odd/seq_gaps", EMPTY, sequence=sequence))
    _, result = whole_life(at, item(MEDIA / "odd/seq_gaps", EMPTY, sequence=sequence, missing="hold"))
    assert len(sequences.files(at, result)) == 9


def _still(at: House, path: Path) -> tuple[Path, Any]:
    result = restore_still(item(path, "[]", kind=ItemKind.STILL), at.bench())
    return at.path(result.outputs["still"]), result


@pytest.mark.parametrize(
    "name", ["gray16.png", "gray16_lzw.tif", "rgb16_zip.tif", "rgba.png", "photo.bmp", "photo.jp2", "gray8.pgm"]
)
def test_real_lossless_stills_come_back_to_the_bit(at: House, name: str) -> None:
    path = MEDIA / "odd/images" / name
    made, result = _still(at, path)
    assert made.suffix == path.suffix
    assert np.array_equal(sequences.read(made), sequences.read(path))
    assert not result.notes


def test_three_unlike_pages_come_back(at: House) -> None:
    path = MEDIA / "odd/images/multipage_3.tif"
    made, result = _still(at, path)
    assert result.facts["pages"] == 3
    for page in range(3):
        ours, theirs = (oiio.ImageBuf(str(file), page, 0) for file in (made, path))
        assert np.array_equal(ours.get_pixels(oiio.UINT16), theirs.get_pixels(oiio.UINT16))


@pytest.mark.parametrize("name", ["exif_landscape_3", "exif_landscape_6", "exif_landscape_8", "exif_portrait_5"])
def test_real_photographs_stand_upright(at: House, name: str) -> None:
    made, _ = _still(at, MEDIA / "odd/images" / f"{name}.jpg")
    with Image.open(made) as opened:
        assert (opened.width > opened.height) == ("landscape" in name)
        assert opened.getexif().get(0x0112, 1) == 1
