from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from db.errors import InputError
from db.states import ItemKind
from tests.support.reels import House, house, item, moving
from workers.tasks.restore_still import restore_still

ALL_STEPS = """
- deflicker: {window: 7}
- denoise: {method: temporal, radius: 2, strength: 0.7}
- color_enhance: {}
- upscale: {scale: 2}
"""


@pytest.fixture
def at(tmp_path: Path) -> House:
    return house(tmp_path)


def _still(at: House, path: Path, recipe: str = "[]", **more: Any) -> Any:
    return restore_still(item(path, recipe, kind=ItemKind.STILL, **more), at.bench())


def test_a_still_keeps_format_profile_and_exif_and_stands_upright(at: House, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a street"
    picture = Image.fromarray(np.moveaxis(moving(1, 16, 24, channels=3)[0], 0, 2).copy())
    picture.save(tmp_path / "a.jpg", exif=exif, icc_profile=b"not looked into", quality=100, subsampling=0)
    result = _still(at, tmp_path / "a.jpg")
    with Image.open(at.path(result.outputs["still"])) as made:
        assert (made.format, made.size) == ("JPEG", (16, 24))
        assert made.info["icc_profile"] == b"not looked into"
        assert made.getexif()[0x010E] == "a street"
        assert 0x0112 not in made.getexif()
        turned = np.asarray(picture.transpose(Image.Transpose.ROTATE_270), np.float64)
        assert np.abs(np.asarray(made) - turned).mean() < 8
    assert result.facts["width"] == 16
    assert "luma_psnr" in result.scores


LOSSLESS = [
    (name, mode)
    for name in ("a.png", "a.tif", "a.bmp", "a.webp", "a.jp2")
    for mode in ("L", "RGB", "RGBA")
    if (name, mode) not in {("a.webp", "L"), ("a.bmp", "RGBA")}  # those formats have no such pictures
]


@pytest.mark.parametrize(("name", "mode"), LOSSLESS)
def test_lossless_stills_come_back_as_they_were(at: House, tmp_path: Path, name: str, mode: str) -> None:
    samples = np.moveaxis(moving(1, 20, 30, channels=max(1, len(mode.replace("L", ""))))[0], 0, 2)
    picture = Image.fromarray(np.ascontiguousarray(samples[..., 0] if mode == "L" else samples))
    options = {"lossless": True, "exact": True} if name == "a.webp" else {}
    picture.save(tmp_path / name, **options)
    made = at.path(_still(at, tmp_path / name).outputs["still"])
    assert made.suffix == Path(name).suffix
    with Image.open(made) as opened:
        assert np.array_equal(np.asarray(opened), np.asarray(picture))


def test_a_palette_becomes_rgb_and_a_fax_page_grey(at: House, tmp_path: Path) -> None:
    samples = moving(1, 16, 16)[0][0]
    Image.fromarray(samples).convert("P").save(tmp_path / "p.png")
    Image.fromarray(samples).convert("1").save(tmp_path / "f.tif", compression="group4")
    with Image.open(at.path(_still(at, tmp_path / "p.png").outputs["still"])) as made:
        assert made.mode == "RGB"
    with Image.open(at.path(_still(at, tmp_path / "f.tif").outputs["still"])) as made:
        assert made.mode == "L"
        assert set(np.unique(np.asarray(made))) == {0, 255}


def test_sixteen_bits_stay_sixteen(at: House, tmp_path: Path) -> None:
    samples = moving(1, 16, 16, bits=16)[0][0]
    Image.fromarray(samples).save(tmp_path / "a.png")
    with Image.open(at.path(_still(at, tmp_path / "a.png").outputs["still"])) as made:
        assert np.array_equal(np.asarray(made), samples)


def test_alpha_goes_along_and_is_enlarged_with_the_picture(at: House, tmp_path: Path) -> None:
    samples = np.moveaxis(moving(1, 16, 16, channels=4)[0], 0, 2).copy()
    samples[..., 3] = 77
    Image.fromarray(samples).save(tmp_path / "a.png")
    with Image.open(at.path(_still(at, tmp_path / "a.png", "[{upscale: {scale: 2}}]").outputs["still"])) as made:
        assert (made.mode, made.size) == ("RGBA", (32, 32))
        assert set(np.unique(np.asarray(made)[..., 3])) == {77}


def test_every_step_runs_on_a_still(at: House, tmp_path: Path) -> None:
    Image.fromarray(moving(1, 32, 32)[0][0]).save(tmp_path / "a.png")
    with Image.open(at.path(_still(at, tmp_path / "a.png", ALL_STEPS).outputs["still"])) as made:
        assert (made.mode, made.size) == ("L", (64, 64))


def test_pages_and_cmyk_are_noted(at: House, tmp_path: Path) -> None:
    grey, *others = (Image.fromarray(frame[0]) for frame in moving(3))
    grey.save(tmp_path / "pages.gif", save_all=True, append_images=others)
    assert "2 more pages" in _still(at, tmp_path / "pages.gif").notes[0]
    grey.convert("CMYK").save(tmp_path / "c.jpg")
    assert "CMYK" in _still(at, tmp_path / "c.jpg").notes[0]


def test_hostile_exif_costs_a_note(at: House, tmp_path: Path) -> None:
    picture = Image.fromarray(moving(1)[0][0])
    rubbish = [b"II*\0\xff\xff\xff\xff", bytes(range(256)), b"MM\0*\0\0\0\x08" + b"\xff" * 99]
    for number, exif in enumerate(b"Exif\0\0" + part for part in rubbish):
        picture.save(tmp_path / f"{number}.jpg", exif=exif)
        assert _still(at, tmp_path / f"{number}.jpg").outputs["still"].bytes > 0


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.bmp", "a.webp", "a.jp2"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_half_a_still_is_refused(at: House, tmp_path: Path, name: str, share: float) -> None:
    path = tmp_path / name
    Image.fromarray(np.moveaxis(moving(1, 64, 64, channels=3)[0], 0, 2).copy()).save(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(InputError) as caught:
        _still(at, path)
    assert caught.value.code in {"TRUNCATED", "BAD_HEADER"}
    assert str(path) in caught.value.message


def test_a_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((100, 100), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(InputError) as caught:
        _still(house(tmp_path, max_pixels=9999), tmp_path / "a.png")
    assert caught.value.code == "TOO_LARGE"
    with pytest.raises(InputError) as caught:
        _still(house(tmp_path, max_still_bytes=20), tmp_path / "a.png")
    assert caught.value.code == "TOO_LARGE"


def test_a_still_is_checked_against_its_checksum(at: House, tmp_path: Path) -> None:
    Image.fromarray(moving(1)[0][0]).save(tmp_path / "a.png")
    with pytest.raises(InputError) as caught:
        _still(at, tmp_path / "a.png", checksum={"sha1": "0" * 40})
    assert caught.value.code == "CHECKSUM_MISMATCH"
