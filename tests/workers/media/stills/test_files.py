"""Stills of every kind: what comes in comes out, with what travels beside the pixels."""

from __future__ import annotations

import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio
import pytest
import tifffile
from PIL import Image, ImageCms, ImageOps

from db.errors import InputError
from db.records import ItemResult
from db.settings import Settings
from db.states import ItemKind
from tests.support import sequences
from tests.support.reels import House, house, item, moving
from tests.workers.media.stills.test_dpx import made as dpx_made
from workers.media.stills import dpx
from workers.media.stills import files as stills
from workers.media.stills.photo import SUFFIXES
from workers.tasks.restore_still import restore_still

# A step that has its effect elsewhere: the still is written anew, as it always is, and no sample may move.
STEP = "[{denoise: {method: spatial, strength: 0.5, shots: [[900, 901]]}}]"
RGB_PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
GREY_PROFILE = RGB_PROFILE[:16] + b"GRAY" + RGB_PROFILE[20:]


@pytest.fixture
def at(tmp_path: Path) -> House:
    return house(tmp_path)


def _still(at: House, path: Path, recipe: str = "[]", **more: Any) -> tuple[Path, ItemResult]:
    result = restore_still(item(path, recipe, kind=ItemKind.STILL, **more), at.bench())
    return at.path(result.outputs["still"]), result


def _icc(profile: bytes) -> Any:
    return (oiio.TypeDesc(f"uint8[{len(profile)}]"), np.frombuffer(profile, np.uint8))


@pytest.mark.parametrize("suffix", ["png", "tif", "jp2"])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("recipe", ["[]", STEP])
def test_samples_and_profile_survive(
    at: House, tmp_path: Path, suffix: str, bits: int, channels: int, recipe: str
) -> None:
    profile = RGB_PROFILE if channels == 3 else GREY_PROFILE
    samples = sequences.samples(1, channels, bits, 40, 52)
    # PNG cannot be written with a grey profile of another colour space than its own by every library.
    more = {"ICCProfile": _icc(profile)} if (suffix, channels) != ("png", 1) else {}
    path = sequences.write(tmp_path / f"a.{suffix}", samples, **more)
    made, result = _still(at, path, recipe)
    assert made.suffix == f".{suffix}"
    assert np.array_equal(sequences.read(made), samples)
    if more:
        assert bytes(np.asarray(sequences.attribute(made, "ICCProfile"), np.uint8)) == profile
    assert result.facts["depth_bits"] == bits
    assert not result.notes


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_tiff_of_odd_depths_keeps_them(at: House, tmp_path: Path, bits: int) -> None:
    samples = sequences.samples(1, 3, bits)
    made, result = _still(at, sequences.write(tmp_path / "a.tif", samples, bits), STEP)
    assert np.array_equal(sequences.read(made, bits), samples)
    assert (result.facts["depth_bits"], sequences.attribute(made, "oiio:BitsPerSample")) == (bits, bits)


def test_a_small_jpeg2000_cannot_keep_its_profile_and_says_so(at: House, tmp_path: Path) -> None:
    picture = Image.fromarray(sequences.samples(1, 3, 8, 16, 16))
    picture.save(tmp_path / "a.jp2")
    made, result = _still(at, tmp_path / "a.jp2")
    with Image.open(made) as opened:
        assert np.array_equal(np.asarray(opened), np.asarray(picture))
    photo = stills.read(tmp_path / "a.jp2", Settings(home=tmp_path))
    photo.spec.attribute("ICCProfile", *_icc(RGB_PROFILE))
    _, notes = stills.write(photo, tmp_path / "b")
    assert any("ICC" in note for note in notes)
    assert not result.notes


def test_a_profile_that_fits_no_more_is_left_out_with_a_note(tmp_path: Path) -> None:
    path = sequences.write(tmp_path / "a.tif", sequences.samples(1, 1, 8), ICCProfile=_icc(GREY_PROFILE))
    photo = stills.read(path, Settings(home=tmp_path))
    coloured = stills.with_picture(photo, np.repeat(stills.to_picture(photo), 3, axis=0))
    made, notes = stills.write(coloured, tmp_path / "b")
    assert sequences.attribute(made, "ICCProfile") is None
    assert any("ICC" in note for note in notes)
    kept, notes = stills.write(photo, tmp_path / "c")
    assert bytes(np.asarray(sequences.attribute(kept, "ICCProfile"), np.uint8)) == GREY_PROFILE
    assert not notes


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_tiff_that_counts_from_white_does_not_become_its_negative(at: House, tmp_path: Path, bits: int) -> None:
    samples = sequences.samples(1, 1, bits, 30, 40)
    path = sequences.write(tmp_path / "a.tif", samples, bits if bits == 12 else 0)
    body = path.read_bytes()
    row = body.index(struct.pack("<HHI", 262, 3, 1))
    path.write_bytes(body[: row + 8] + bytes(2) + body[row + 10 :])
    made, _ = _still(at, path)
    assert np.array_equal(sequences.read(made, bits if bits == 12 else 0), 2**bits - 1 - samples.astype(int))
    with tifffile.TiffFile(path) as before, tifffile.TiffFile(made) as after:
        assert before.pages[0].photometric == tifffile.PHOTOMETRIC.MINISWHITE
        assert after.pages[0].photometric == tifffile.PHOTOMETRIC.MINISBLACK


def test_lab_is_not_taken_for_rgb(at: House, tmp_path: Path) -> None:
    path = sequences.write(tmp_path / "a.tif", sequences.samples(1, 3, 8))
    body = path.read_bytes()
    row = body.index(struct.pack("<HHI", 262, 3, 1))
    path.write_bytes(body[: row + 8] + struct.pack("<H", 8) + body[row + 10 :])
    with pytest.raises(InputError) as caught:
        _still(at, path)
    assert caught.value.code == "UNSUPPORTED_PIXELS"


@pytest.mark.parametrize("kind", ["assocalpha", "unassalpha"])
def test_alpha_of_tiff_means_what_it_meant(at: House, tmp_path: Path, kind: str) -> None:
    samples = sequences.samples(1, 4, 16, 30, 40)
    tifffile.imwrite(tmp_path / "a.tif", samples, photometric="rgb", extrasamples=[kind], metadata=None)
    made, _ = _still(at, tmp_path / "a.tif", STEP)
    with tifffile.TiffFile(made) as opened:
        assert np.array_equal(opened.asarray(), samples)
        assert opened.pages[0].extrasamples[0].name.lower() == kind


@pytest.mark.parametrize("bits", [10, 12])
def test_jpeg2000_of_odd_depths_keeps_them(at: House, tmp_path: Path, bits: int) -> None:
    samples = sequences.samples(1, 3, bits, 40, 40)
    made, result = _still(at, sequences.write(tmp_path / "a.jp2", samples, bits), STEP)
    assert np.array_equal(sequences.read(made, bits), samples)
    assert (result.facts["depth_bits"], sequences.attribute(made, "oiio:BitsPerSample")) == (bits, bits)


# -- several pages


def _pages(path: Path, *pages: tuple[np.ndarray, dict[str, Any]]) -> Path:
    out = oiio.ImageOutput.create("tiff")
    assert out is not None
    for number, (samples, attributes) in enumerate(pages):
        type_ = "uint8" if samples.dtype == np.uint8 else "uint16"
        spec = oiio.ImageSpec(samples.shape[1], samples.shape[0], samples.shape[2], type_)
        for name, value in attributes.items():
            spec.attribute(name, value)
        assert out.open(str(path), spec, "AppendSubimage" if number else "Create"), out.geterror()
        assert out.write_image(samples), out.geterror()
    assert out.close()
    return path


def _page(path: Path, number: int) -> tuple[np.ndarray, Any]:
    opened = oiio.ImageInput.open(str(path))
    assert opened is not None
    assert opened.seek_subimage(number, 0)
    spec = oiio.ImageSpec(opened.spec())
    samples = opened.read_image(number, 0, 0, spec.nchannels, spec.format)
    opened.close()
    return np.asarray(samples).reshape(spec.height, spec.width, spec.nchannels), spec


def test_every_page_is_restored_by_itself_and_written_again(at: House, tmp_path: Path) -> None:
    pages = [
        (sequences.samples(1, 1, 8, 20, 30), {"ImageDescription": "recto", "XResolution": 300.0}),
        (sequences.samples(2, 3, 16, 33, 17), {"ImageDescription": "verso", "XResolution": 600.0}),
        (sequences.samples(3, 3, 8, 12, 12), {"ImageDescription": "slip", "Artist": "N. N."}),
    ]
    path = _pages(tmp_path / "a.tif", *pages)
    made, result = _still(at, path)
    assert result.facts["pages"] == 3
    assert not result.notes
    for number, (samples, attributes) in enumerate(pages):
        found, spec = _page(made, number)
        assert np.array_equal(found, samples)
        for name, value in attributes.items():
            assert spec.getattribute(name) == value
    with Image.open(made) as opened:
        assert opened.n_frames == 3


def test_steps_reach_every_page(at: House, tmp_path: Path) -> None:
    path = _pages(tmp_path / "a.tif", *((sequences.samples(n, 1, 8, 16 + n, 20), {}) for n in range(3)))
    made, result = _still(at, path, "[{upscale: {scale: 2}}]")
    assert [_page(made, number)[0].shape for number in range(3)] == [(32 + 2 * n, 40, 1) for n in range(3)]
    assert result.facts["pages"] == 3


def test_a_page_that_is_cut_off_is_named(at: House, tmp_path: Path) -> None:
    path = _pages(tmp_path / "a.tif", *((sequences.samples(n, 1, 16, 60, 60), {}) for n in range(2)))
    with Image.open(path) as opened:
        opened.seek(1)
        offset = opened.tag_v2[273][0]
    path.write_bytes(path.read_bytes()[: offset + 100])
    with pytest.raises(InputError) as caught:
        _still(at, path)
    assert caught.value.code in {"TRUNCATED", "CORRUPT", "BAD_HEADER"}


# -- EXR and DPX


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_exr_stays_exr_to_the_bit(at: House, tmp_path: Path, kind: Any) -> None:
    pixels = sequences.floats(1, 3, kind)
    path = sequences.write(tmp_path / "a.exr", pixels, owner="an archive", comments="x")
    made, result = _still(at, path, STEP)
    assert made.suffix == ".exr"
    assert sequences.read(made).tobytes() == pixels.tobytes()
    assert sequences.attribute(made, "Copyright") == "an archive"
    assert result.facts["depth_bits"] == 8 * np.dtype(kind).itemsize


def test_what_a_step_changes_in_exr_is_changed_in_light(at: House, tmp_path: Path) -> None:
    pixels = np.full((24, 24, 3), 0.18, np.float16)
    path = sequences.write(tmp_path / "a.exr", pixels)
    made, _ = _still(at, path, "[{upscale: {scale: 2}}]")
    assert np.abs(sequences.read(made).astype(float) - 0.18).max() < 1e-3


@pytest.mark.parametrize("compression", ["b44", "dwaa", "pxr24"])
def test_exr_that_loses_is_written_without_loss(at: House, tmp_path: Path, compression: str) -> None:
    path = sequences.write(tmp_path / "a.exr", sequences.floats(1, 3, np.float32) % 1, compression=compression)
    made, result = _still(at, path, STEP)
    assert sequences.read(made).tobytes() == sequences.read(path).tobytes()
    assert any(compression in note for note in result.notes)


def test_the_window_of_an_exr_picture_stays_where_it_was(at: House, tmp_path: Path) -> None:
    spec = oiio.ImageSpec(30, 20, 3, "half")
    spec.x, spec.y, spec.full_x, spec.full_y, spec.full_width, spec.full_height = 5, -3, 0, 0, 64, 48
    out = oiio.ImageOutput.create("openexr")
    assert out is not None
    assert out.open(str(tmp_path / "a.exr"), spec)
    assert out.write_image(sequences.floats(1, 3, np.float16, 20, 30))
    assert out.close()
    made, _ = _still(at, tmp_path / "a.exr")
    opened = oiio.ImageInput.open(str(made))
    assert opened is not None
    found = opened.spec()
    assert (found.x, found.y, found.full_width, found.full_height) == (5, -3, 64, 48)
    opened.close()


@pytest.mark.parametrize("alpha", [False, True])
def test_exr_alpha_goes_along(at: House, tmp_path: Path, alpha: bool) -> None:
    pixels = sequences.floats(2, 4 if alpha else 3, np.float16)
    pixels[..., 3:] = np.abs(pixels[..., 3:]) % 1
    made, _ = _still(at, sequences.write(tmp_path / "a.exr", pixels))
    assert np.array_equal(sequences.read(made), sequences.read(tmp_path / "a.exr"))


def test_channels_beside_colour_and_alpha_are_told_of(at: House, tmp_path: Path) -> None:
    pixels = np.abs(sequences.floats(2, 5, np.float16)) % 1
    spec = oiio.ImageSpec(34, 24, 5, "half")
    spec.channelnames, spec.alpha_channel = ("R", "G", "B", "A", "Z"), 3
    out = oiio.ImageOutput.create("openexr")
    assert out is not None
    assert out.open(str(tmp_path / "a.exr"), spec)
    assert out.write_image(pixels)
    assert out.close()
    made, result = _still(at, tmp_path / "a.exr")
    assert any("left out (1)" in note for note in result.notes)
    assert np.array_equal(sequences.read(made), pixels[..., :4])


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_dpx_stays_dpx_with_its_header(at: House, tmp_path: Path, channels: int) -> None:
    samples = sequences.samples(1, channels, 10)
    path = dpx_made(tmp_path / "a.dpx", ">", samples, transfer=1, creator=b"scanner", keycode_prefix=b"123456")
    made, _ = _still(at, path, STEP)
    assert made.read_bytes() == path.read_bytes()


def test_the_manifests_transfer_rules_for_stills_too(at: House, tmp_path: Path) -> None:
    path = dpx_made(
        tmp_path / "a.dpx", "<", np.tile((np.arange(24, dtype=np.uint16) * 40)[:, None, None], (1, 24, 3)), transfer=0
    )
    sharpness = {}
    for transfer in ("", "log", "linear"):
        made, result = _still(at, path, STEP, **({"transfer": transfer} if transfer else {}))
        assert np.array_equal(dpx.read(made)[1], dpx.read(path)[1])
        sharpness[transfer] = result.scores["sharpness"]
    assert len(set(sharpness.values())) == 3


# -- EXIF, CMYK, equal bytes


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "tif", "png"])
def test_every_orientation_stands_upright(at: House, tmp_path: Path, orientation: int, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    samples = np.repeat(np.repeat(sequences.samples(1, 3, 8, 4, 6), 8, axis=0), 8, axis=1)
    picture = Image.fromarray(samples)
    picture.save(tmp_path / f"a.{suffix}", exif=exif, **({"quality": 100, "subsampling": 0} if suffix == "jpg" else {}))
    made, _ = _still(at, tmp_path / f"a.{suffix}")
    with Image.open(tmp_path / f"a.{suffix}") as source, Image.open(made) as opened:
        expected = np.asarray(ImageOps.exif_transpose(source), float)
        assert np.abs(np.asarray(opened, float) - expected).mean() < (2 if suffix == "jpg" else 1e-9)
        assert opened.getexif().get(0x0112, 1) == 1


def test_a_jpeg_to_which_nothing_is_done_stays_the_file_that_it_is(at: House, tmp_path: Path) -> None:
    path = sequences.jpeg(tmp_path / "a.jpg", sequences.samples(1, 3, 8), quality=60, comment=b"a street")
    made, result = _still(at, path)
    assert made.read_bytes() == path.read_bytes()
    assert result.scores["luma_psnr"] == 100
    again, _ = _still(at, path, STEP)
    assert again.read_bytes() != path.read_bytes()


def test_several_pages_of_cmyk_become_rgb(at: House, tmp_path: Path) -> None:
    first, second = (Image.fromarray(frame[0]).convert("CMYK") for frame in moving(2))
    first.save(tmp_path / "a.tif", save_all=True, append_images=[second])
    made, result = _still(at, tmp_path / "a.tif")
    with Image.open(made) as opened:
        assert (opened.n_frames, opened.mode) == (2, "RGB")
        opened.seek(1)
        assert np.abs(np.asarray(opened, float) - np.asarray(second.convert("RGB"), float)).max() == 0
    assert len([note for note in result.notes if "CMYK" in note]) == 1


def _many_pages(path: Path, count: int, channels: int) -> Path:
    """Write a TIFF of pages of one pixel: page N has the value N, over and over."""
    body = bytearray(b"II*\0" + struct.pack("<I", 8))
    for page in range(count):
        samples = bytes([page % 256] * channels)
        tags = {256: 1, 257: 1, 258: 8, 259: 1, 262: 5 if channels == 4 else 1, 277: channels, 278: 1, 279: channels}
        at = len(body) + 2 + 12 * (len(tags) + 1) + 4
        rows = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted({**tags, 273: at}.items())]
        following = at + 4 if page + 1 < count else 0
        body += struct.pack("<H", len(rows)) + b"".join(rows) + struct.pack("<I", following) + samples.ljust(4, b"\0")
    path.write_bytes(body)
    return path


def _seconds_to_read(path: Path, settings: Settings) -> float:
    start = time.process_time()
    first = stills.read(path, settings)
    count = sum(1 for _ in stills.pages_of(path, first, settings, accept_damaged=False))
    assert count == first.pages
    return time.process_time() - start


@pytest.mark.parametrize("channels", [1, 4])
def test_many_pages_cost_as_much_each_as_few(tmp_path: Path, channels: int) -> None:
    settings = Settings(home=tmp_path)
    few, many = (_many_pages(tmp_path / f"{count}.tif", count, channels) for count in (100, 1200))
    _seconds_to_read(few, settings)  # loads what has to be loaded
    assert _seconds_to_read(many, settings) < 40 * _seconds_to_read(few, settings)


@pytest.mark.parametrize("channels", [1, 4])
def test_pages_come_in_their_order_from_a_file_that_stays_open(tmp_path: Path, channels: int) -> None:
    settings, path = Settings(home=tmp_path), _many_pages(tmp_path / "a.tif", 7, channels)
    pages = stills.pages_of(path, stills.read(path, settings), settings, accept_damaged=False)
    for number, page in enumerate(pages):
        assert np.array_equal(page.samples, stills.read(path, settings, page=number).samples)
        assert page.samples.flat[0] == (number if channels == 1 else 255 - 2 * number + number * number // 255)


@pytest.mark.parametrize("suffix", ["png", "tif", "exr", "jp2", "jpg", "webp", "bmp"])
def test_equal_work_gives_equal_bytes(tmp_path: Path, suffix: str) -> None:
    if suffix == "exr":
        path = sequences.write(tmp_path / "a.exr", sequences.floats(1, 3, np.float16, 40, 40), DateTime="")
    else:
        path = tmp_path / f"a.{suffix}"
        Image.fromarray(sequences.samples(1, 3, 8, 40, 40)).save(path)
    photo = stills.read(path, Settings(home=tmp_path))
    made, _ = stills.write(photo, tmp_path / "b")
    again, _ = stills.write(photo, tmp_path / "c")
    assert again.read_bytes() == made.read_bytes()
    if suffix in {"tif", "exr"}:
        assert not sequences.attribute(made, "DateTime")


# -- more than one picture in a file


def _several(path: Path, kind: str, **options: Any) -> Path:
    first, *others = (Image.fromarray(sequences.samples(number, 3, 8)) for number in range(3))
    first.save(path, kind, save_all=True, append_images=others, **options)
    return path


@pytest.mark.parametrize(
    ("suffix", "kind", "options", "more"),
    [("webp", "WEBP", {"lossless": True}, 2), ("gif", "GIF", {}, 2), ("png", "PNG", {}, 2),
     ("png", "PNG", {"default_image": True}, 2), ("jpg", "MPO", {}, 2)],
)  # fmt: skip
def test_pictures_behind_the_first_are_told_of_in_every_format(
    at: House, tmp_path: Path, suffix: str, kind: str, options: dict[str, Any], more: int
) -> None:
    path = _several(tmp_path / f"a.{suffix}", kind, **options)
    _, result = _still(at, path, STEP)
    assert f"{more} more pages of the file were left out." in result.notes
    assert result.facts["pages"] == more + 1


@pytest.mark.parametrize("kind", ["P4", "P5", "P6"])
def test_pictures_behind_the_first_of_a_netpbm_file_are_told_of(at: House, tmp_path: Path, kind: str) -> None:
    top, bytes_ = {"P4": ("", 5), "P5": ("65535\n", 68), "P6": ("255\n", 102)}[kind]
    body = f"{kind}\n# a scan\n34 24\n{top}".encode() + bytes(range(bytes_)) * 24
    for count in (1, 2, 3):
        (tmp_path / "a.pnm").write_bytes(body * count)
        _, result = _still(at, tmp_path / "a.pnm", STEP)
        assert result.facts["pages"] == count
        assert any("more pages" in note for note in result.notes) == (count > 1)


def test_a_file_of_one_picture_has_no_such_note(at: House, tmp_path: Path) -> None:
    for suffix in ("webp", "png", "jpg"):
        Image.fromarray(sequences.samples(1, 3, 8)).save(tmp_path / f"a.{suffix}")
        _, result = _still(at, tmp_path / f"a.{suffix}", STEP)
        assert result.facts["pages"] == 1
        assert not any("left out" in note for note in result.notes)


def test_a_pair_of_jpegs_that_is_copied_whole_loses_none(at: House, tmp_path: Path) -> None:
    path = _several(tmp_path / "a.jpg", "MPO")
    made, result = _still(at, path)
    assert made.read_bytes() == path.read_bytes()
    assert not result.notes


def test_grey_of_either_byte_order_keeps_its_samples_in_any_packing(at: House, tmp_path: Path) -> None:
    samples = sequences.samples(1, 1, 16)[..., 0]
    for order in "<>":
        tifffile.imwrite(tmp_path / "a.tif", samples, compression="lzma", byteorder=order, metadata=None)
        made, _ = _still(at, tmp_path / "a.tif", STEP)
        assert np.array_equal(sequences.read(made)[..., 0], samples)


@pytest.mark.parametrize(("kind", "longest"), [("webp", 16383), ("jpeg", 65500)])
def test_what_grew_beyond_a_format_is_written_in_another(tmp_path: Path, kind: str, longest: int) -> None:
    def photo(width: int) -> stills.Photo:
        return stills.Photo(kind, np.zeros((1, width, 1), np.uint8), 8, None, 1, (), {})

    for width, suffix in [(longest, SUFFIXES[kind]), (longest + 1, ".png")]:
        made, notes = stills.write(photo(width), tmp_path / "a")
        assert made.suffix == suffix
        assert any("this size" in note for note in notes) is (suffix == ".png")
        with Image.open(made) as image:
            assert image.size == (width, 1)


def test_luggage_that_cannot_be_written_is_named_and_no_other(tmp_path: Path) -> None:
    photo = stills.Photo("jpeg", np.zeros((8, 8, 3), np.uint8), 8, None, 1, (), {"exif": b"x" * 70_000})
    assert stills.write(photo, tmp_path / "a")[1] == ("EXIF could not be written again.",)
