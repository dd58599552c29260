"""Masks that a manifest gives: pictures, films and folders, and what does not fit."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from db.errors import InputError
from db.states import ItemKind
from tests.support.reels import House, film, house, item, moving, probed
from workers.media import given_mask
from workers.media.reel import open_reel
from workers.tasks.restore_still import restore_still


@pytest.fixture
def at(tmp_path: Path) -> House:
    return house(tmp_path)


def _squares(count: int, height: int = 24, width: int = 32) -> list[np.ndarray]:
    """Masks with a square that wanders by a pixel a frame."""
    masks = np.zeros((count, 1, height, width), np.uint8)
    for number in range(count):
        masks[number, 0, 4:8, number : number + 5] = 255
    return list(masks)


def _with_mask(at: House, path: Path, mask: Path):  # type: ignore[no-untyped-def]
    view = item(path)
    return probed(at, view.model_copy(update={"source": view.source.model_copy(update={"mask": str(mask)})}))


def _read(at: House, view, start: int, stop: int) -> np.ndarray:  # type: ignore[no-untyped-def]
    masks = given_mask.read_masks(open_reel(view, at.bench()).mask, (start, stop))
    assert masks is not None
    return np.stack(list(masks))


def test_a_film_of_masks_is_read_by_frame_number(at: House, tmp_path: Path) -> None:
    masks = _squares(12)
    view = _with_mask(at, film(tmp_path / "a.mkv", moving(12), "gray"), film(tmp_path / "m.mkv", masks, "gray"))
    for start, stop in ((0, 12), (5, 6), (7, 12)):
        assert np.array_equal(_read(at, view, start, stop), np.stack(masks[start:stop])[:, 0] > 0)


def test_a_folder_is_taken_in_the_order_of_its_numbers(at: House, tmp_path: Path) -> None:
    folder, masks = tmp_path / "masks", _squares(11)
    folder.mkdir()
    for number, mask in enumerate(masks):
        cv2.imwrite(str(folder / f"mask_{number}.png"), mask[0])
    for name in (".DS_Store", "Thumbs.db"):
        (folder / name).write_bytes(b"left behind")
    view = _with_mask(at, film(tmp_path / "a.mkv", moving(11), "gray"), folder)
    assert np.array_equal(_read(at, view, 0, 11), np.stack(masks)[:, 0] > 0)


def test_one_picture_is_the_mask_of_all_frames(at: House, tmp_path: Path) -> None:
    mask = _squares(1)[0][0]
    cv2.imwrite(str(tmp_path / "m.png"), mask)
    view = _with_mask(at, film(tmp_path / "a.mkv", moving(9), "gray"), tmp_path / "m.png")
    found = _read(at, view, 3, 9)
    assert found.shape == (6, 24, 32)
    assert all(np.array_equal(each, mask > 0) for each in found)


def test_a_clear_layer_marks_what_is_painted_on_it_alone(at: House, tmp_path: Path) -> None:
    mask = _squares(1)[0][0]
    cv2.imwrite(str(tmp_path / "m.png"), np.dstack([np.full((*mask.shape, 3), 255, np.uint8), mask]))
    view = _with_mask(at, film(tmp_path / "a.mkv", moving(2), "gray"), tmp_path / "m.png")
    assert np.array_equal(_read(at, view, 0, 1)[0], mask > 0)


@pytest.mark.parametrize(("count", "size"), [(5, (24, 32)), (12, (24, 34))])
def test_a_mask_that_does_not_fit_is_refused(at: House, tmp_path: Path, count: int, size: tuple[int, int]) -> None:
    path, masks = film(tmp_path / "a.mkv", moving(12), "gray"), _squares(count, *size)
    with pytest.raises(InputError) as caught:
        _with_mask(at, path, film(tmp_path / "m.mkv", masks, "gray"))
    assert caught.value.code == "BAD_MASK"


def test_a_mask_that_is_no_picture_is_refused(at: House, tmp_path: Path) -> None:
    (tmp_path / "m.png").write_bytes(b"no picture at all")
    with pytest.raises(InputError):
        _with_mask(at, film(tmp_path / "a.mkv", moving(3), "gray"), tmp_path / "m.png")


def test_a_still_is_filled_where_its_mask_is_white_and_nowhere_else(at: House, tmp_path: Path) -> None:
    rows, columns = np.mgrid[0:64, 0:80]
    clean = (120 + 60 * np.sin(columns / 9) * np.cos(rows / 7)).astype(np.uint8)
    damaged, mask = clean.copy(), np.zeros_like(clean)
    mask[20:23, 10:60] = 255
    damaged[mask > 0] = 255
    cv2.imwrite(str(tmp_path / "a.png"), damaged)
    cv2.imwrite(str(tmp_path / "m.png"), mask)
    view = item(tmp_path / "a.png", "{recipe: [inpaint: {dilate_px: 0}], outputs: [masks]}", kind=ItemKind.STILL)
    view = view.model_copy(update={"source": view.source.model_copy(update={"mask": str(tmp_path / "m.png")})})
    result = restore_still(view, at.bench())
    made = cv2.imread(str(at.path(result.outputs["still"])), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(made[mask == 0], damaged[mask == 0])
    assert np.abs(made[mask > 0].astype(int) - clean[mask > 0]).mean() < 6
    repaired = cv2.imread(str(at.path(result.outputs["inpaint.mask"])), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(repaired, mask)
    assert result.facts["steps"][0]["places"] == 1


@pytest.mark.parametrize("name", ["readme.txt", "mask_5.md5", "mask_3.png.xml"])
def test_what_is_no_picture_in_a_folder_of_masks_is_named_and_never_passed_over(
    at: House, tmp_path: Path, name: str
) -> None:
    """Left out, a damaged mask would move all behind it by a frame."""
    folder = tmp_path / "masks"
    folder.mkdir()
    for number, mask in enumerate(_squares(3)):
        cv2.imwrite(str(folder / f"mask_{number}.png"), mask[0])
    (folder / name).write_bytes(b"of whom")
    with pytest.raises(InputError, match=f"{name}: it is no picture") as caught:
        _with_mask(at, film(tmp_path / "a.mkv", moving(3), "gray"), folder)
    assert caught.value.code == "BAD_MASK"
