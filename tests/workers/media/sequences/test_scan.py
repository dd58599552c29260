"""What the look through a sequence says of what its files hold beside the frames."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio
import pytest
import tifffile
from PIL import Image

from db.errors import InputError
from db.records import Source
from db.settings import Settings
from db.states import ItemKind
from tests.support import sequences
from tests.support.humble import as_nobody, open_folder
from tests.workers.media.stills.test_dpx import made as dpx_made
from workers.media.index import ReelScan
from workers.media.local import LocalFolder
from workers.media.sequences.faults import check_files
from workers.media.sequences.files import source_frames
from workers.media.sequences.scan import scan_sequence


def _source(folder: Path, suffix: str, last: int = 3, **more: Any) -> Source:
    return Source(uri=str(folder), kind=ItemKind.REEL, sequence=sequences.numbered(suffix, 1, last), **more)


def _scan(folder: Path, suffix: str, last: int = 3, **more: Any) -> ReelScan:
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    place = LocalFolder(folder, None, scratch)
    return scan_sequence(place, _source(folder, suffix, last, **more), Settings(home=folder), lambda: None)


def _refusal(folder: Path, suffix: str, last: int, **more: Any) -> InputError:
    with pytest.raises(InputError) as caught:
        _scan(folder, suffix, last, **more)
    return caught.value


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


# -- frames that are no good


def _frames(folder: Path, numbers: range, size: tuple[int, int] = (24, 32), channels: int = 3, bits: int = 8) -> None:
    for number in numbers:
        sequences.write(folder / f"f_{number:04d}.png", sequences.samples(number, channels, bits, *size))


def _spoil(folder: Path) -> None:
    """Frames 1 to 40, of which 16 are spoiled in all ways."""
    _frames(folder, range(1, 41))
    _frames(folder, range(20, 22), (12, 16))
    _frames(folder, range(23, 24), channels=1)
    _frames(folder, range(25, 27), bits=16)
    for number in (*range(5, 9), 10):
        path = folder / f"f_{number:04d}.png"
        path.write_bytes(path.read_bytes()[:200])
    for number in (12, 30, 31):
        (folder / f"f_{number:04d}.png").write_bytes(b"")
    for number in (35, 40):
        (folder / f"f_{number:04d}.png").write_bytes(b"This is no picture at all.")
    (folder / "f_0038.png").unlink()
    (folder / "f_0038.png").mkdir()


def test_all_frames_that_are_no_good_are_named_with_their_numbers(tmp_path: Path) -> None:
    _spoil(tmp_path)
    error = _refusal(tmp_path, ".png", 40, missing="hold")
    assert "15 of 40 frames cannot be used: 5-8, 10 (TRUNCATED); 12, 30-31 (ZERO_BYTE); " in error.message
    assert "20-21 (MIXED_GEOMETRY: 16x12 pixels, the first has 32x24); 23, 25-26 (MIXED_GEOMETRY: " in error.message
    assert "35, 40 (UNKNOWN_FORMAT). First: " in error.message
    assert (error.code, "f_0005.png" in error.message) == ("TRUNCATED", True)


def test_damage_that_is_accepted_is_named_too_and_what_does_not_fit_is_not_damage(tmp_path: Path) -> None:
    _spoil(tmp_path)
    error = _refusal(tmp_path, ".png", 40, missing="hold", accept_damaged=True)
    assert "5 of 40 frames cannot be used: 20-21 (MIXED_GEOMETRY" in error.message
    _frames(tmp_path, range(20, 27))
    scan = _scan(tmp_path, ".png", 40, missing="hold", accept_damaged=True)
    told = "frames 5-8, 10 (TRUNCATED); 12, 30-31 (ZERO_BYTE); 35, 40 (UNKNOWN_FORMAT) cannot be decoded"
    assert scan.damage.startswith(told)
    assert "SEQUENCE_GAP: the sequence lacks 38;" in scan.notes[0]


def test_one_bad_frame_is_told_in_its_own_words(tmp_path: Path) -> None:
    _frames(tmp_path, range(1, 6))
    (tmp_path / "f_0004.png").write_bytes(b"")
    error = _refusal(tmp_path, ".png", 5)
    assert (error.code, error.message) == ("ZERO_BYTE", f"{tmp_path}/f_0004.png: the file is empty")


def test_a_long_sequence_of_bad_frames_is_told_in_few_words(tmp_path: Path) -> None:
    _frames(tmp_path, range(1, 2))
    for number in range(2, 400):
        (tmp_path / f"f_{number:04d}.png").write_bytes(b"" if number % 2 else b"This is no picture at all.")
    error = _refusal(tmp_path, ".png", 399)
    assert "398 of 399 frames cannot be used: 2, 4, 6, 8, " in error.message
    assert "and 179 more ranges (UNKNOWN_FORMAT); 3, 5, " in error.message
    assert len(error.message) < 800


def test_numbers_that_go_in_steps_are_ranges_too(tmp_path: Path) -> None:
    _frames(tmp_path, range(1, 42, 2))
    for number in (11, 13, 15, 21):
        (tmp_path / f"f_{number:04d}.png").write_bytes(b"")
    numbers = sequences.numbered(".png", 1, 41).model_copy(update={"step": 2})
    with pytest.raises(InputError, match=r"4 of 21 frames cannot be used: 11-15, 21 \(ZERO_BYTE\)"):
        scan_sequence(
            LocalFolder(tmp_path, None, tmp_path), _source(tmp_path, ".png").model_copy(update={"sequence": numbers}),
            Settings(home=tmp_path), lambda: None,
        )  # fmt: skip


def test_files_are_checked_without_being_read(tmp_path: Path) -> None:
    _spoil(tmp_path)
    outside = tmp_path.parent / f"{tmp_path.name}-outside.png"
    outside.write_bytes(b"secret")
    (tmp_path / "f_0002.png").unlink()
    (tmp_path / "f_0002.png").symlink_to(outside)
    (tmp_path / "f_0003.png").unlink()
    os.mkfifo(tmp_path / "f_0003.png")
    source = _source(tmp_path, ".png", 40, missing="hold")
    folder = LocalFolder(tmp_path, (f"{tmp_path}/",), tmp_path)
    with pytest.raises(InputError) as caught:
        check_files(folder, source, source_frames(folder, source))
    assert "4 of 40 frames cannot be used: 2 (PATH_UNSAFE); 12, 30-31 (ZERO_BYTE)" in caught.value.message


def test_files_that_may_not_be_read_are_all_named() -> None:
    with open_folder() as root:
        _frames(root, range(1, 9))
        (root / "f_0002.png").write_bytes(b"")
        for number in (4, 5, 7):
            (root / f"f_{number:04d}.png").chmod(0)
        source, place = _source(root, ".png", 8), LocalFolder(root, None, root)
        named = r"4 of 8 frames cannot be used: 2 \(ZERO_BYTE\); 4-5, 7 \(SOURCE_DENIED\)"
        with as_nobody(), pytest.raises(InputError, match=named):
            check_files(place, source, source_frames(place, source))
        with as_nobody(), pytest.raises(InputError, match=named):
            _scan(root, ".png", 8)
        (root / "f_0002.png").write_bytes((root / "f_0001.png").read_bytes())
        with as_nobody(), pytest.raises(InputError, match=r"3 of 8 .*: 4-5, 7 \(SOURCE_DENIED\)") as caught:
            _scan(root, ".png", 8, accept_damaged=True)
        assert caught.value.code == "SOURCE_DENIED"


# -- rates


def _dpx(folder: Path, rates: list[tuple[float, float]]) -> None:
    for number, (film, television) in enumerate(rates, 1):
        dpx_made(folder / f"f_{number:04d}.dpx", film_rate=film, video_rate=television)


NONE = 0.0
"""What a header holds where nobody filled it in."""


@pytest.mark.parametrize(
    ("rate", "taken", "told"),
    [
        ((18.0, NONE), 18, ""), ((NONE, 25.0), 25, ""), ((24.0, 24.0), 24, ""),
        ((NONE, NONE), 24, "The files give no frame rate; 24 frames per second were taken. The field fps decides."),
        ((1e30, NONE), 24, "cannot be: 1e+30 in its film part; 24 frames"),
        ((-1.0, 25.0), 25, "-1 in its film part; 25"),
        ((float("nan"), float("inf")), 24, "cannot be: inf in its television part; 24 frames"),
        ((float("nan"), 25.0), 25, ""), ((float("-inf"), -1e9), 24, "-inf in its film part, -1e+09 in its television"),
    ],
)  # fmt: skip
def test_a_rate_that_is_none_is_told_with_the_one_that_was_taken(
    tmp_path: Path, rate: tuple[float, float], taken: int, told: str
) -> None:
    _dpx(tmp_path, [rate] * 3)
    scan = _scan(tmp_path, ".dpx")
    assert (scan.rate, scan.disagreements) == (taken, ())
    assert [told in note for note in scan.notes if "frame rate" in note] == ([True] if told else [])
    ruled = _scan(tmp_path, ".dpx", fps=Fraction(16))
    assert (ruled.rate, [note for note in ruled.notes if "frame rate" in note]) == (16, [])


def test_rates_that_change_along_the_sequence_are_told_with_their_frames(tmp_path: Path) -> None:
    _dpx(tmp_path, [(18.0, NONE)] * 3 + [(24.0, NONE)] * 2 + [(NONE, NONE)] + [(18.0, NONE)])
    scan = _scan(tmp_path, ".dpx", 7)
    (told,) = scan.disagreements
    assert "FPS_CONFLICT: the headers of the frames give different rates: 1-3, 7 (18); 4-5 (24); 6 (none); 18" in told
    assert _scan(tmp_path, ".dpx", 7, fps=Fraction(16)).disagreements == ()


@pytest.mark.parametrize(
    ("rate", "told"),
    [((24, 1), ""), ((0, 1), "0/1; 24"), ((24, 0), "24/0; 24"), ((-24, 1), "-24/1"), ((9999, 1), "9999")],
)
def test_exr_may_say_a_rate_that_cannot_be(tmp_path: Path, rate: tuple[int, int], told: str) -> None:
    for number in range(1, 4):
        pixels = sequences.samples(number, 3, 8).astype(np.float32)
        sequences.write(
            tmp_path / f"f_{number:04d}.exr", pixels, FramesPerSecond=(oiio.TypeRational, [rate[0], rate[1]])
        )
    notes = [note for note in _scan(tmp_path, ".exr").notes if "frame rate" in note]
    assert [told in note for note in notes] == ([True] if told else [])
