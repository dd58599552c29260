"""Image sequences of every kind through the whole life of a reel, and out again as what they were."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import OpenImageIO as oiio
import pytest
from PIL import Image

from db.errors import InputError
from db.local_paths import spell
from db.recipe import Recipe
from db.records import ItemResult, ItemView, Sequence, Substitute
from tests.support import reels, sequences, tint
from tests.support.reels import House, house, planes_of, whole_life
from tests.support.sequences import numbered
from tests.workers.media.stills.test_dpx import made as dpx_made
from workers.media.stills import dpx

SEQUENCE = "{recipe: [%s], outputs: [sequence]}"
# A step that has an effect on no frame of these reels: files are then written anew, not copied.
ELSEWHERE = "{denoise: {method: spatial, shots: [[900, 901]]}}"

KINDS: list[tuple[str, int, int]] = [
    *(("dpx", bits, channels) for bits in (10, 12, 16) for channels in (1, 3)),
    *(("tif", bits, channels) for bits in (8, 12, 16) for channels in (1, 3)),
    *(("png", bits, channels) for bits in (8, 16) for channels in (1, 3)),
    ("jp2", 8, 3), ("jp2", 16, 3), ("jp2", 16, 1), ("pgm", 16, 1), ("ppm", 8, 3),
]  # fmt: skip


def item(folder: Path, recipe: str, **more: Any) -> ItemView:
    """A reel whose batch grid allows any cut."""
    return reels.item(folder, recipe, **{"batch_frames": 1, **more})


@pytest.fixture
def at(tmp_path: Path) -> House:
    return house(tmp_path)


def _made(folder: Path, suffix: str, bits: int, channels: int, numbers: Any, **attributes: Any) -> dict[str, bytes]:
    folder.mkdir()
    for number in numbers:
        samples = sequences.samples(number, channels, bits, 36, 40)
        stretched = bits if 8 < bits < 16 else 0
        sequences.write(folder / f"f_{number:04d}.{suffix}", samples, stretched, **attributes)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def _life(at: House, folder: Path, recipe: str, segment_frames: int = 4, **more: Any) -> ItemResult:
    return whole_life(at, item(folder, recipe, **more), segment_frames)[1]


def _written(at: House, result: ItemResult, to: Path) -> list[Path]:
    to.mkdir(exist_ok=True)
    for name, body in sequences.files(at, result).items():
        (to / name).write_bytes(body)
    return sorted(to.iterdir())


@pytest.mark.parametrize(("suffix", "bits", "channels"), KINDS)
def test_an_empty_recipe_gives_back_every_file(
    at: House, tmp_path: Path, suffix: str, bits: int, channels: int
) -> None:
    source = _made(tmp_path / "in", suffix, bits, channels, range(98, 103))
    sequence = numbered(f".{suffix}", 98, 102)
    result = _life(at, tmp_path / "in", SEQUENCE % "", 2, sequence=sequence)
    assert sequences.files(at, result) == source
    assert any("byte for byte" in note for note in result.notes)
    master = planes_of(at.path(result.outputs["master"]))
    expected = sequences.samples(98, channels, bits, 36, 40)
    assert np.array_equal(_colours(master[0], expected), expected)


@pytest.mark.parametrize(("suffix", "bits", "channels"), KINDS)
def test_files_that_are_written_anew_hold_the_same_samples(
    at: House, tmp_path: Path, suffix: str, bits: int, channels: int
) -> None:
    _made(tmp_path / "in", suffix, bits, channels, range(98, 101))
    made = []
    for cut in (1, 3):
        result = _life(at, tmp_path / "in", SEQUENCE % ELSEWHERE, cut, sequence=numbered(f".{suffix}", 98, 100))
        made.append(sequences.files(at, result))
    assert made[0] == made[1]
    for number, path in enumerate(_written(at, result, tmp_path / "out"), 98):
        assert path.name == f"f_{number:04d}.{suffix}"
        stretched = bits if suffix in {"dpx", "tif"} and 8 < bits < 16 else 0
        assert np.array_equal(sequences.read(path, stretched), sequences.samples(number, channels, bits, 36, 40))
        if stretched:
            assert sequences.attribute(path, "oiio:BitsPerSample") == bits


def _colours(planes: list[np.ndarray], like: np.ndarray) -> np.ndarray:
    """Samples of a decoded master as ``(H, W, C)``."""
    if len(planes) == 1 and like.shape[2] == 3:
        return planes[0].reshape(len(like), -1, 4)[..., 2::-1]
    ordered = planes if len(planes) == 1 else [planes[2], planes[0], planes[1]]
    return np.stack(ordered, axis=2)


@pytest.mark.parametrize("kind", [np.float16, np.float32])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("steps", ["", ELSEWHERE])
def test_floating_point_comes_back_to_the_bit(at: House, tmp_path: Path, kind: Any, channels: int, steps: str) -> None:
    (tmp_path / "in").mkdir()
    for number in range(3):
        pixels = sequences.floats(number, channels, kind)
        code = (oiio.TypeDesc("timecode"), [0x01000000 + number, 0])
        rate = (oiio.TypeRational, [24000, 1001])
        sequences.write(
            tmp_path / "in" / f"f_{number:04d}.exr", pixels, smpte__TimeCode=code, FramesPerSecond=rate, project="x"
        )
    item_, result = whole_life(at, item(tmp_path / "in", SEQUENCE % steps, sequence=numbered(".exr", 0, 2)), 2)
    assert item_.facts is not None
    assert (item_.facts.rate, item_.facts.timecode) == (Fraction(24000, 1001), "01:00:00:00")
    assert item_.facts.depth_bits == 8 * np.dtype(kind).itemsize
    assert any("floating point" in note for note in result.notes)
    for number, path in enumerate(_written(at, result, tmp_path / "out")):
        found = sequences.read(path)
        assert found.dtype == kind
        assert found.tobytes() == sequences.floats(number, channels, kind).tobytes()
        assert sequences.attribute(path, "smpte:TimeCode")[0] == 0x01000000 + number
        assert sequences.attribute(path, "project") == "x"
    master = planes_of(at.path(result.outputs["master"]))
    assert master[0][0].dtype == np.uint16


def test_exr_counts_its_timecode_on_over_holes_and_by_the_manifest(at: House, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in (0, 2):
        code = (oiio.TypeDesc("timecode"), [0x01000000 + number, 7])
        rate = (oiio.TypeRational, [24, 1])
        pixels = sequences.floats(number, 1, np.float16)
        path = tmp_path / "in" / f"f_{number:04d}.exr"
        sequences.write(path, pixels, smpte__TimeCode=code, FramesPerSecond=rate)
    for more, first, rate in (
        ({}, 0x01000000, (24, 1)),
        ({"timecode": "10:00:00:16", "fps": Fraction(18)}, 0x10000016, (18, 1)),
    ):
        it = item(tmp_path / "in", SEQUENCE % "", sequence=numbered(".exr", 0, 2), missing="hold", **more)
        item_, result = whole_life(at, it, 1)
        assert item_.facts is not None
        assert [("FPS_CONFLICT" in text) for text in item_.facts.disagreements[:1]] == [True] * bool(more)
        found = [sequences.attribute(path, "smpte:TimeCode") for path in _written(at, result, tmp_path / "out")]
        expected = [first, first + 1, first + 2] if not more else [first, 0x10000017, 0x10000100]
        assert found == [(code, 7) for code in expected]
        assert tuple(sequences.attribute(tmp_path / "out" / "f_0001.exr", "FramesPerSecond")) == rate


def test_a_network_leaves_lights_brighter_than_white_as_bright_as_they_were(at: House, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    level = np.full((32, 40, 1), 0.2, np.float16)
    level[:, 20:] = 6
    for number in range(2):
        sequences.write(tmp_path / "in" / f"f_{number:04d}.exr", level)
    steps = (tint.step(tint.pin(at.store, tmp_path / "weights")),)
    recipe = Recipe(name="tinted", steps=steps, outputs=("master", "sequence"))
    it = item(tmp_path / "in", "[]", sequence=numbered(".exr", 0, 1)).model_copy(update={"recipe": recipe})
    for path in _written(at, whole_life(at, it)[1], tmp_path / "out"):
        found = sequences.read(path).astype(float)
        assert found.shape == (32, 40, 3)
        assert np.abs(found[:, 22:] - 6).max() < 0.02
        assert np.ptp(found[:, :18].mean(axis=(0, 1))) > 0.01


def test_numbers_that_are_no_numbers_are_refused(at: House, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(2):
        pixels = sequences.floats(number, 1, np.float16)
        pixels[3, 3, 0] = np.nan if number else 0
        sequences.write(tmp_path / "in" / f"f_{number:04d}.exr", pixels)
    with pytest.raises(InputError, match=r"f_0001\.exr.*no numbers") as caught:
        _life(at, tmp_path / "in", "[]", sequence=numbered(".exr", 0, 1))
    assert caught.value.code == "CORRUPT"


# -- DPX


def _scan(folder: Path, numbers: Any, transfer: int = 1, channels: int = 3, **fields: Any) -> None:
    folder.mkdir()
    for number in numbers:
        known = {"creator": b"scanner 7", "project": b"reel 12", "keycode_prefix": b"123456", "transfer": transfer,
                 "low_code": 95, "high_code": 685, "film_rate": 16.0, "video_rate": 16.0, "frame_position": number,
                 "timecode": 0x01000000 + number % 10, "file_name": f"f_{number:04d}.dpx".encode()}  # fmt: skip
        samples = sequences.samples(number, channels, 10)
        dpx_made(folder / f"f_{number:04d}.dpx", ">", samples, b"end", **{**known, **fields})


def _heads(paths: list[Path]) -> list[dpx.DpxHeader]:
    return [dpx.header(path) for path in paths]


def test_log_is_shown_as_light_and_stored_as_it_was(at: House, tmp_path: Path) -> None:
    _scan(tmp_path / "in", range(4))
    item_, result = whole_life(at, item(tmp_path / "in", SEQUENCE % ELSEWHERE, sequence=numbered(".dpx", 0, 3)), 2)
    assert item_.facts is not None
    assert (item_.facts.transfer, item_.facts.rate, item_.facts.timecode) == ("log", 16, "01:00:00:00")
    for number, path in enumerate(_written(at, result, tmp_path / "out")):
        # A step was there, so the file is written anew; nothing changed, so it is the same one.
        assert path.read_bytes() == (tmp_path / "in" / path.name).read_bytes()
        assert np.array_equal(sequences.read(path, 10), sequences.samples(number, 3, 10))


def test_the_manifest_overrides_rate_timecode_and_transfer_in_every_header(at: House, tmp_path: Path) -> None:
    _scan(tmp_path / "in", range(8, 13), transfer=0)
    more = {"fps": Fraction(18), "timecode": "10:00:00:16", "transfer": "linear"}
    it = item(tmp_path / "in", SEQUENCE % "", sequence=numbered(".dpx", 8, 12), **more)
    item_, result = whole_life(at, it, 3)
    assert item_.facts is not None
    (rate, code) = item_.facts.disagreements
    assert "FPS_CONFLICT: the header says 16 frames per second, the manifest 18" in rate
    assert "01:00:00:08" in code
    assert (item_.facts.rate, item_.facts.timecode, item_.facts.transfer) == (18, "10:00:00:16", "linear")
    paths = _written(at, result, tmp_path / "out")
    assert [head.timecode for head in _heads(paths)] == [
        "10:00:00:16", "10:00:00:17", "10:00:01:00", "10:00:01:01", "10:00:01:02",
    ]  # fmt: skip
    for head, number, path in zip(_heads(paths), range(8, 13), paths, strict=True):
        assert (head.rates, head.transfer, head.text("creator")) == ((18, 18), "linear", "scanner 7")
        assert np.array_equal(sequences.read(path, 10), sequences.samples(number, 3, 10))


def test_two_rates_in_one_header_are_told_of(at: House, tmp_path: Path) -> None:
    _scan(tmp_path / "in", range(2), video_rate=24.0)
    item_, _ = whole_life(at, item(tmp_path / "in", "[]", sequence=numbered(".dpx", 0, 1)))
    assert item_.facts is not None
    assert "FPS_CONFLICT" in item_.facts.disagreements[0]
    assert item_.facts.rate == 16


def test_ffmpegs_word_for_linear_is_not_believed(at: House, tmp_path: Path) -> None:
    _scan(tmp_path / "in", range(2), transfer=2, creator=b"Lavc59.37.100")
    item_, result = whole_life(at, item(tmp_path / "in", SEQUENCE % "", sequence=numbered(".dpx", 0, 1)))
    assert item_.facts is not None
    assert item_.facts.transfer == "unknown"
    assert any("taken as gamma" in note for note in result.notes)
    _scan(tmp_path / "other", range(2), transfer=2)
    other, _ = whole_life(at, item(tmp_path / "other", "[]", sequence=numbered(".dpx", 0, 1)))
    assert other.facts is not None
    assert other.facts.transfer == "linear"


def test_an_enlarged_scan_keeps_its_header_but_for_the_size(at: House, tmp_path: Path) -> None:
    _scan(tmp_path / "in", range(2), transfer=0)
    result = _life(at, tmp_path / "in", SEQUENCE % "{upscale: {scale: 2}}", sequence=numbered(".dpx", 0, 1))
    for head, source in zip(
        _heads(_written(at, result, tmp_path / "out")), _heads(sorted((tmp_path / "in").iterdir())), strict=True
    ):
        assert (head.width, head.height) == (2 * source.width, 2 * source.height)
        unlike = {name for name in dpx.FIELDS if str(head.field(name)) != str(source.field(name))}
        assert unlike == {"width", "height", "file_bytes"}


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("bits", "packing"), [(8, 0), (10, 0), (10, 2), (12, 2), (16, 0)])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_scans_of_every_packing_come_back_byte_for_byte_though_written_anew(
    at: House, tmp_path: Path, order: str, bits: int, packing: int, channels: int
) -> None:
    (tmp_path / "in").mkdir()
    for number in range(2):
        samples = sequences.samples(number, channels, bits, 20, 23)
        dpx_made(tmp_path / "in" / f"f_{number:04d}.dpx", order, samples, bits=bits, packing=packing, transfer=3)
    source = {path.name: path.read_bytes() for path in (tmp_path / "in").iterdir()}
    result = _life(at, tmp_path / "in", SEQUENCE % ELSEWHERE, sequence=numbered(".dpx", 0, 1))
    assert sequences.files(at, result) == source


def test_the_access_copy_of_a_log_scan_is_shown_as_a_display_wants_it(at: House, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(2):
        level = np.full((48, 64, 3), 685, np.uint16)
        level[:, 32:] = 95
        dpx_made(tmp_path / "in" / f"f_{number:04d}.dpx", ">", level, transfer=1)
    recipe = "{recipe: [], outputs: [access, sequence]}"
    result = _life(at, tmp_path / "in", recipe, sequence=numbered(".dpx", 0, 1))
    luma = planes_of(at.path(result.outputs["access"]))[0][0]
    assert np.abs(luma[:, 8:24].astype(int) - 235).max() <= 2
    assert np.abs(luma[:, 40:56].astype(int) - 16).max() <= 2
    master = at.path(result.outputs["master"])
    assert set(np.unique(planes_of(master)[0][0])) == {95, 685}
    with av.open(str(master)) as opened:
        assert opened.metadata["TRANSFER"].startswith("Cineon printing density")


@pytest.mark.parametrize("transfer", ["log", "linear", "gamma"])
@pytest.mark.parametrize(("name", "bits"), [("gray16le", 16), ("gbrp10le", 10), ("yuv444p10le", 10)])
def test_the_manifests_transfer_rules_for_films_too(
    at: House, tmp_path: Path, transfer: str, name: str, bits: int
) -> None:
    frames = reels.moving(2, channels=1 if name.startswith("gray") else 3, bits=bits)
    path = reels.film(tmp_path / "a.mkv", frames, name)
    item_, result = whole_life(at, item(path, "[]", transfer=transfer))
    assert item_.facts is not None
    assert item_.facts.transfer == ("unknown" if transfer == "gamma" else transfer)
    for made, frame in zip(planes_of(at.path(result.outputs["master"])), frames, strict=True):
        assert np.array_equal(np.stack(made), frame)


# -- numbers, holes, kinds


@pytest.mark.parametrize("suffix", ["bmp", "webp", "JP2", "TIF"])
def test_other_kinds_and_suffixes_in_capitals_come_back_too(at: House, tmp_path: Path, suffix: str) -> None:
    (tmp_path / "in").mkdir()
    options = {"lossless": True} if suffix == "webp" else {}
    for number in range(2):
        picture = Image.fromarray(sequences.samples(number, 3, 8, 40, 44))
        picture.save(tmp_path / "in" / f"f_{number:04d}.{suffix}", **options)
    result = _life(at, tmp_path / "in", SEQUENCE % ELSEWHERE, sequence=numbered(f".{suffix}", 0, 1))
    for number, path in enumerate(_written(at, result, tmp_path / "out")):
        assert path.name == f"f_{number:04d}.{suffix}"
        with Image.open(path) as opened:
            assert np.array_equal(np.asarray(opened), sequences.samples(number, 3, 8, 40, 44))


def test_alpha_goes_along_with_frames(at: House, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(2):
        Image.fromarray(sequences.samples(number, 4, 8)).save(tmp_path / "in" / f"f_{number:04d}.png")
    result = _life(at, tmp_path / "in", SEQUENCE % ELSEWHERE, sequence=numbered(".png", 0, 1))
    for number, path in enumerate(_written(at, result, tmp_path / "out")):
        with Image.open(path) as opened:
            assert np.array_equal(np.asarray(opened), sequences.samples(number, 4, 8))


@pytest.mark.parametrize(("padding", "start"), [(0, 7), (1, 98), (6, 86400)])
def test_any_number_and_padding(at: House, tmp_path: Path, padding: int, start: int) -> None:
    (tmp_path / "in").mkdir()
    for number in range(start, start + 9, 3):
        sequences.write(tmp_path / "in" / f"f_{number:0{padding}d}.png", sequences.samples(number, 1, 8))
    sequence = numbered(".png", start, start + 6, padding, step=3)
    result = _life(at, tmp_path / "in", SEQUENCE % ELSEWHERE, sequence=sequence)
    found = _written(at, result, tmp_path / "out")
    assert {path.name for path in found} == {path.name for path in (tmp_path / "in").iterdir()}


def test_names_that_are_no_text_come_back_as_text(at: House, tmp_path: Path) -> None:
    source = _made(tmp_path / "in", "png", 8, 3, range(5))
    folder = (tmp_path / "in").rename(tmp_path / "r\udcff")
    for name in source:
        (folder / name).rename(folder / f"\udce9\n{name}")
    (folder / "\udce9\nf_0003.png").unlink()
    numbers = Sequence(prefix="%E9%0Af_", suffix=".png", padding=4, start=0, end=4)
    spelled = item(Path("x"), SEQUENCE % "", sequence=numbers, missing="hold")
    spelled = spelled.model_copy(update={"source": spelled.source.model_copy(update={"uri": spell(str(folder))})})
    result = whole_life(at, spelled, 2)[1]
    source["f_0003.png"] = source["f_0002.png"]
    assert sequences.files(at, result) == {f"_E9_0A{name}": body for name, body in source.items()}
    assert all(note.isprintable() for note in result.notes)


def test_a_span_takes_its_frames_alone(at: House, tmp_path: Path) -> None:
    source = _made(tmp_path / "in", "png", 8, 1, range(10, 20))
    it = item(tmp_path / "in", SEQUENCE % "", sequence=numbered(".png", 10, 19).part((3, 6)))
    item_, result = whole_life(at, it, 2)
    assert item_.facts is not None
    assert item_.facts.frame_count == 3
    assert sequences.files(at, result) == {name: source[name] for name in ("f_0013.png", "f_0014.png", "f_0015.png")}
    for outside in ((40, 50), (8, 12)):
        with pytest.raises(InputError, match=f"span {outside[0]}-{outside[1] - 1}"):
            numbered(".png", 10, 19).part(outside)


@pytest.mark.parametrize("missing", ["hold", "black"])
def test_holes_are_filled_under_their_own_numbers(at: House, tmp_path: Path, missing: str) -> None:
    _scan(tmp_path / "in", [1, 2, 4, 5, 9], transfer=0)
    it = item(tmp_path / "in", SEQUENCE % "", sequence=numbered(".dpx", 0, 9), missing=missing)
    _, result = whole_life(at, it, 4)
    assert any("SEQUENCE_GAP: the sequence lacks 0, 3, 6-8" in note for note in result.notes)
    paths = _written(at, result, tmp_path / "out")
    assert [path.name for path in paths] == [f"f_{number:04d}.dpx" for number in range(10)]
    shown = {0: 1, 3: 2, 6: 5, 7: 5, 8: 5}
    for number, (path, head) in enumerate(zip(paths, _heads(paths), strict=True)):
        use = shown.get(number, number)
        expected = sequences.samples(use, 3, 10) if missing == "hold" or use == number else 0
        assert np.array_equal(sequences.read(path, 10), np.broadcast_to(expected, (24, 34, 3)))
        assert head.timecode == f"01:00:00:{number:02d}"
        assert (head.text("file_name"), head.field("frame_position")) == (path.name, number)


def test_holes_are_an_error_unless_the_manifest_says_otherwise(at: House, tmp_path: Path) -> None:
    _made(tmp_path / "in", "png", 8, 1, [1, 2, 4, 5, 9])
    with pytest.raises(InputError, match=r"lacks 0, 3, 6-8") as caught:
        _life(at, tmp_path / "in", "[]", sequence=numbered(".png", 0, 9))
    assert caught.value.code == "SEQUENCE_GAP"


@pytest.mark.parametrize("change", ["size", "depth", "channels", "format"])
def test_frames_that_differ_are_named(at: House, tmp_path: Path, change: str) -> None:
    _made(tmp_path / "in", "png", 8, 1, range(4))
    odd = {
        "size": sequences.samples(2, 1, 8, 30, 40), "depth": sequences.samples(2, 1, 16, 36, 40),
        "channels": sequences.samples(2, 3, 8, 36, 40), "format": sequences.samples(2, 1, 8, 36, 40),
    }[change]  # fmt: skip
    made = sequences.write(tmp_path / f"odd.{'tif' if change == 'format' else 'png'}", odd)
    made.rename(tmp_path / "in" / "f_0002.png")
    with pytest.raises(InputError, match=r"f_0002\.png") as caught:
        _life(at, tmp_path / "in", "[]", sequence=numbered(".png", 0, 3))
    assert caught.value.code in {"MIXED_GEOMETRY", "BAD_HEADER"}


def test_jpeg_is_copied_where_nothing_is_done_and_said_to_lose_where_something_is(at: House, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(3):
        sequences.jpeg(tmp_path / "in" / f"f_{number:04d}.jpg", sequences.samples(number, 3, 8))
    source = {path.name: path.read_bytes() for path in (tmp_path / "in").iterdir()}
    ruled: dict[str, Any] = {"fps": Fraction(16), "timecode": "01:00:00:00"}  # of which a JPEG says nothing
    plain = _life(at, tmp_path / "in", SEQUENCE % "", sequence=numbered(".jpg", 0, 2), **ruled)
    assert sequences.files(at, plain) == source
    held = _life(at, tmp_path / "in", SEQUENCE % "", sequence=numbered(".jpg", 0, 3), missing="hold")
    assert sequences.files(at, held) == {**source, "f_0003.jpg": source["f_0002.jpg"]}
    step = _life(at, tmp_path / "in", SEQUENCE % ELSEWHERE, sequence=numbered(".jpg", 0, 2))
    assert any("quality 95" in note for note in step.notes)
    assert not any("quality 95" in note for note in plain.notes)
    assert set(sequences.files(at, step)) == set(source)


def test_what_every_frame_loses_is_said_once_by_the_probe(at: House, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    profile = b"\0" * 16 + b"GRAY" + b"\0" * 108
    icc = (oiio.TypeDesc(f"uint8[{len(profile)}]"), np.frombuffer(profile, np.uint8))
    for number in range(3):
        path = tmp_path / "in" / f"f_{number:04d}.tif"
        sequences.write(path, sequences.samples(number, 1, 8), ICCProfile=icc)
    steps = (tint.step(tint.pin(at.store, tmp_path / "weights")),)
    recipe = Recipe(name="tinted", steps=steps, outputs=("master", "sequence"))
    it = item(tmp_path / "in", "[]", sequence=numbered(".tif", 0, 2)).model_copy(update={"recipe": recipe})
    _, result = whole_life(at, it)
    assert len([note for note in result.notes if "ICC profile was left out" in note]) == 1
    for path in _written(at, result, tmp_path / "out"):
        assert sequences.read(path).shape[2] == 3
        assert sequences.attribute(path, "ICCProfile") is None


def test_a_kind_that_is_not_written_is_refused_before_any_work(at: House, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(2):
        sequences.jpeg(tmp_path / "in" / f"f_{number:04d}.gif", sequences.samples(number, 1, 8))
    with pytest.raises(InputError, match="GIF") as caught:
        _life(at, tmp_path / "in", SEQUENCE % "", sequence=numbered(".gif", 0, 1))
    assert caught.value.code == "UNSUPPORTED_PIXELS"
    assert "master" in _life(at, tmp_path / "in", "[]", sequence=numbered(".gif", 0, 1)).outputs


def test_a_substituted_frame_stands_under_its_number(at: House, tmp_path: Path) -> None:
    _scan(tmp_path / "in", range(4), transfer=0)
    swapped = (Substitute(frame=2, use=1, reason="it kills"), Substitute(frame=0, use=None, reason="it kills"))
    it = item(tmp_path / "in", SEQUENCE % "", sequence=numbered(".dpx", 0, 3), substitutes=swapped)
    paths = _written(at, whole_life(at, it, 4)[1], tmp_path / "out")
    assert np.array_equal(sequences.read(paths[2], 10), sequences.samples(1, 3, 10))
    assert not sequences.read(paths[0], 10).any()
    assert [head.timecode for head in _heads(paths)] == [f"01:00:00:{number:02d}" for number in range(4)]


def test_a_reel_with_a_step_does_not_depend_on_its_cut(at: House, tmp_path: Path) -> None:
    _scan(tmp_path / "in", range(9))
    steps = SEQUENCE % "{denoise: {method: temporal, radius: 1}}"
    made = [
        sequences.files(at, _life(at, tmp_path / "in", steps, cut, sequence=numbered(".dpx", 0, 8), batch_frames=2))
        for cut in (2, 4, 10)
    ]
    assert made[0] == made[1] == made[2]
    assert made[0]["f_0003.dpx"] != (tmp_path / "in" / "f_0003.dpx").read_bytes()
    assert made[0]["f_0003.dpx"][:2048] == (tmp_path / "in" / "f_0003.dpx").read_bytes()[:2048]


def test_a_file_that_changes_after_the_probe_is_noticed(at: House, tmp_path: Path) -> None:
    _scan(tmp_path / "in", range(3))
    it = reels.probed(at, item(tmp_path / "in", SEQUENCE % ELSEWHERE, sequence=numbered(".dpx", 0, 2)))
    (tmp_path / "in" / "f_0001.dpx").write_bytes((tmp_path / "in" / "f_0002.dpx").read_bytes())
    with pytest.raises(InputError) as caught:
        reels.restored(at, it, 4)
    assert caught.value.code == "CHANGED_DURING_WORK"


def test_a_film_has_no_sequence_and_says_so(at: House, tmp_path: Path) -> None:
    _, result = whole_life(at, item(reels.film(tmp_path / "a.mkv", reels.moving(3), "gray"), SEQUENCE % ""))
    assert not [name for name in result.outputs if name.startswith("sequence")]
    assert any("made of image sequences alone" in note for note in result.notes)


@pytest.mark.parametrize("suffix", ["dpx", "png", "tif", "jp2"])
@pytest.mark.parametrize(("missing", "accepted"), [("error", True), ("black", True), ("hold", False)])
def test_a_file_that_cannot_be_decoded_is_a_hole_where_damage_is_accepted(
    at: House, tmp_path: Path, suffix: str, missing: str, accepted: bool
) -> None:
    source = _made(tmp_path / "in", suffix, 16, 3, range(1, 7))
    cut, empty = tmp_path / "in" / f"f_0003.{suffix}", tmp_path / "in" / f"f_0004.{suffix}"
    cut.write_bytes(source[cut.name][: len(source[cut.name]) // 2])
    empty.write_bytes(b"")
    more = {"sequence": numbered(f".{suffix}", 1, 6), "missing": missing, "accept_damaged": accepted}
    if not accepted:
        with pytest.raises(
            InputError, match=r"2 of 6 frames cannot be used: 3 \(.*\); 4 \(ZERO_BYTE\).*f_0003"
        ) as refused:
            _life(at, tmp_path / "in", SEQUENCE % "", **more)
        assert refused.value.code in {"TRUNCATED", "CORRUPT"}
        return
    result = _life(at, tmp_path / "in", SEQUENCE % "", **more)
    (told,) = (note for note in result.notes if note.startswith("The source is damaged"))
    assert "3 (" in told
    assert "4 (ZERO_BYTE)" in told
    frames = planes_of(at.path(result.outputs["master"]))
    held = frames[1] if missing == "error" else [np.zeros_like(plane) for plane in frames[1]]
    assert all(np.array_equal(frames[at_][0], held[0]) for at_ in (2, 3))
    files = {path.name: path for path in _written(at, result, tmp_path / "out")}
    assert files[f"f_0005.{suffix}"].read_bytes() == source[f"f_0005.{suffix}"]
    for name in (cut.name, empty.name):
        opened = oiio.ImageInput.open(str(files[name]))
        assert (opened.spec().width, opened.spec().height) == (40, 36)
        assert opened.read_image() is not None
        opened.close()


@pytest.mark.parametrize("body", [b"", b"no picture at all"])
def test_a_sequence_may_begin_with_damage(at: House, tmp_path: Path, body: bytes) -> None:
    _made(tmp_path / "in", "dpx", 10, 3, range(1, 5))
    (tmp_path / "in" / "f_0001.dpx").write_bytes(body)
    more = {"sequence": numbered(".dpx", 1, 4), "accept_damaged": True}
    result = _life(at, tmp_path / "in", SEQUENCE % ELSEWHERE, **more)
    frames = planes_of(at.path(result.outputs["master"]))
    assert np.array_equal(frames[0][0], frames[1][0])
    assert set(sequences.files(at, result)) == {f"f_{number:04d}.dpx" for number in range(1, 5)}


def test_a_sequence_of_nothing_but_damage_is_refused(at: House, tmp_path: Path) -> None:
    source = _made(tmp_path / "in", "png", 8, 1, range(1, 4))
    for name, body in source.items():
        (tmp_path / "in" / name).write_bytes(body[: len(body) // 2])
    with pytest.raises(InputError, match="not one file") as refused:
        _life(at, tmp_path / "in", SEQUENCE % "", sequence=numbered(".png", 1, 3), accept_damaged=True)
    assert refused.value.code == "CORRUPT"
