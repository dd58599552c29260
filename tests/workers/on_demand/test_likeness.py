"""How alike neighbouring pictures are."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from db.settings import Settings
from workers.on_demand.likeness import compare_pairs

HEIGHT, WIDTH = 150, 200


def _scene(seed: int, size: tuple[int, int] = (HEIGHT, WIDTH)) -> NDArray[np.float32]:
    """A picture of large and small shapes, with a margin to move in."""
    rng = np.random.default_rng(seed)
    sizes = [(side * 3 // 4, side) for side in (6, 12, 24)]
    layers = [
        cv2.resize(rng.standard_normal(shape), (size[1] + 40, size[0] + 40), interpolation=cv2.INTER_CUBIC)
        for shape in sizes
    ]
    scene = np.sum(layers, axis=0)
    return np.asarray(128 + 100 * scene / np.abs(scene).max(), np.float32)


def _film(folder: Path, suffix: str, *, grain: float = 12.0, unsteady_px: int = 2) -> list[Path]:
    """An old film: it moves, flickers, is unsteady and has grain."""
    scene, rng, paths = _scene(0), np.random.default_rng(1), []
    for number in range(8):
        y, x = rng.integers(10 - unsteady_px, 11 + unsteady_px, 2)
        x += 2 * number
        frame = scene[y : y + HEIGHT, x : x + WIDTH] * rng.uniform(0.8, 1.0)
        frame = frame + grain * rng.standard_normal((HEIGHT, WIDTH))
        paths.append(_written(folder / f"f{number:03d}{suffix}", frame))
    return paths


def _written(path: Path, picture: NDArray[np.floating]) -> Path:
    assert cv2.imwrite(str(path), picture.clip(0, 255).astype(np.uint8))
    return path


def _compared(paths: list[Path]) -> dict[str, list[float]]:
    return compare_pairs({"uris": [str(path) for path in paths], "roots": [str(paths[0].parent)]}, Settings())


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".bmp", ".webp"])
def test_frames_are_alike_though_they_move_flicker_and_have_grain(tmp_path: Path, suffix: str) -> None:
    found = _compared(_film(tmp_path, suffix))
    assert found["sizes"] == [[WIDTH, HEIGHT]] * 8
    assert len(found["likeness"]) == 4
    assert np.median(found["likeness"]) > 0.6


@pytest.mark.parametrize("border", ["none", "mount"])
def test_prints_are_not_alike_even_in_like_mounts(tmp_path: Path, border: str) -> None:
    paths = []
    for number in range(8):
        picture = _scene(100 + number)[:HEIGHT, :WIDTH]
        if border == "mount":
            picture = np.pad(picture[15:-15, 20:-20], ((15, 15), (20, 20)), constant_values=250)
        paths.append(_written(tmp_path / f"scan{number}.png", picture))
    assert np.median(_compared(paths)["likeness"]) < 0.35


def test_leader_is_like_leader_and_not_like_a_picture(tmp_path: Path) -> None:
    black = [_written(tmp_path / f"b{number}.png", np.full((HEIGHT, WIDTH), 5.0 + number)) for number in range(2)]
    scene = _written(tmp_path / "s.png", _scene(0)[:HEIGHT, :WIDTH])
    assert _compared(black)["likeness"] == [1.0]
    assert abs(_compared([black[0], scene])["likeness"][0]) < 0.1


def test_what_cannot_be_read_is_left_out_with_its_pair(tmp_path: Path) -> None:
    good = _film(tmp_path, ".png")
    (tmp_path / "cut.png").write_bytes(good[0].read_bytes()[:60])
    (tmp_path / "none.png").write_bytes(b"x")
    outside = tmp_path.parent / "outside.png"
    outside.write_bytes(good[0].read_bytes())
    paths = [good[0], tmp_path / "cut.png", tmp_path / "none.png", good[1], good[2], outside, good[3], good[4]]
    found = _compared(paths)
    assert len(found["likeness"]) == 1
    assert len(found["sizes"]) == 5


def test_a_frame_that_is_cut_off_makes_no_prints_of_its_film(tmp_path: Path) -> None:
    paths = _film(tmp_path, ".png")
    for path in paths[2:5:2]:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    found = _compared(paths)
    assert len(found["likeness"]) == 2
    assert min(found["likeness"]) > 0.6
    assert len(found["sizes"]) == 8
    assert len(_compared(paths[2:6])["likeness"]) == 2  # where no pair is whole, what is there is compared


def test_colour_and_depth_do_not_matter(tmp_path: Path) -> None:
    scene = _scene(3)[:HEIGHT, :WIDTH]
    deep = np.stack([scene * 250, scene * 200, scene * 150], axis=2).clip(0, 65535).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "a.tif"), deep)
    cv2.imwrite(str(tmp_path / "b.tif"), np.roll(deep, 2, axis=1))
    assert _compared([tmp_path / "a.tif", tmp_path / "b.tif"])["likeness"][0] > 0.8


def test_what_exif_says_of_camera_and_time_is_told(tmp_path: Path) -> None:
    paths = _film(tmp_path, ".jpg")
    for number, path in enumerate(paths[:6]):
        exif = Image.Exif()
        exif[0x010F], exif[0x0110] = "Maker", f"Model {number // 4}"
        exif.get_ifd(0x8769)[0x9003] = f"2020:05:01 12:{number:02d}:00" if number != 3 else "never"
        Image.open(path).save(path, exif=exif)
    found = compare_pairs({"uris": [str(path) for path in paths], "roots": [str(tmp_path)]}, Settings())
    assert found["cameras"] == ["Maker Model 0", "Maker Model 1"]
    assert found["apart_seconds"] == [60, 60]
    paths[0].write_bytes(paths[0].read_bytes().replace(b"Exif", b"Exjf"))
    assert len(_compared(paths)["likeness"]) == 4
