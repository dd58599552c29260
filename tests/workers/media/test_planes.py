"""Every pixel layout in, and the same samples out of FFmpeg's own frames."""

from __future__ import annotations

import av
import numpy as np
import pytest
from av.video.format import VideoFormat

from db.errors import InputError
from tests.support.reels import frame_of
from workers.media import planes
from workers.media.pixels import Layout


def _random(pixel_format: str, height: int = 12, width: int = 16) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    format_ = VideoFormat(pixel_format, width, height)
    made = []
    for number in range(len({part.plane for part in format_.components})):
        part = next(part for part in format_.components if part.plane == number)
        dtype = np.uint8 if part.bits <= 8 else np.uint16
        shape = (-(-height * part.height // height), part.width)
        made.append(rng.integers(0, 2**part.bits, shape).astype(dtype))
    return made


def _layout(name: str) -> Layout:
    return planes.layout_of(name, full_range=True, matrix="bt709", lines=12)


@pytest.mark.parametrize(
    "name",
    [
        "gray", "gray10le", "gray12le", "gray16le", "gbrp", "gbrp10le", "gbrp12le", "gbrp14le", "gbrp16le", "yuv420p",
        "yuv422p10le", "yuv444p12le", "yuv444p16le", "yuv411p", "yuv410p", "yuvj422p", "yuv440p",
    ],
)  # fmt: skip
def test_planar_samples_survive_our_own_frames(name: str) -> None:
    made = _random(name)
    layout = _layout(name)
    taken = planes.to_planes(frame_of(made, name), layout)
    again = planes.to_planes(planes.to_frame(taken, layout), layout)
    expected = [made[2], made[0], made[1]] if layout.model == "rgb" else made
    assert all(np.array_equal(a, b) for a, b in zip(expected, taken, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(taken, again, strict=True))


@pytest.mark.parametrize(
    ("name", "order"),
    [("rgb24", "rgb"), ("bgr24", "bgr"), ("rgba", "rgba"), ("bgr0", "bgr0"), ("argb", "argb"), ("0rgb", "0rgb")],
)
def test_packed_colours_are_sorted_out_without_loss(name: str, order: str) -> None:
    packed = np.random.default_rng(4).integers(0, 256, (12, 16, len(order))).astype(np.uint8)
    frame = av.VideoFrame(16, 12, name)
    np.frombuffer(memoryview(frame.planes[0]), np.uint8).reshape(12, -1)[:, : 16 * len(order)] = packed.reshape(12, -1)
    taken = planes.to_planes(frame, _layout(name))
    for plane, letter in zip(taken, "rgb", strict=True):
        assert np.array_equal(plane, packed[..., order.index(letter)])


def test_two_plane_and_packed_yuv_keep_every_sample() -> None:
    luma, chroma = _random("yuv420p")[0], np.random.default_rng(5).integers(0, 256, (6, 16)).astype(np.uint8)
    frame = av.VideoFrame(16, 12, "nv12")
    for plane, rows in zip(frame.planes, (luma, chroma), strict=True):
        np.frombuffer(memoryview(plane), np.uint8).reshape(rows.shape[0], -1)[:, :16] = rows
    taken = planes.to_planes(frame, _layout("nv12"))
    assert np.array_equal(taken[0], luma)
    assert np.array_equal(taken[1], chroma[:, 0::2])
    assert np.array_equal(taken[2], chroma[:, 1::2])


@pytest.mark.parametrize("name", ["grayf32le", "xyz12le", "bayer_rggb8", "gbrpf32le"])
def test_what_has_no_exact_layout_is_refused_by_name(name: str) -> None:
    with pytest.raises(InputError, match=name) as caught:
        _layout(name)
    assert caught.value.code == "UNSUPPORTED_PIXELS"


def test_untagged_film_takes_the_usual_matrix_of_its_size() -> None:
    small = planes.layout_of("yuv420p", full_range=False, matrix="unknown", lines=576)
    large = planes.layout_of("yuv420p", full_range=False, matrix="unknown", lines=1080)
    assert (small.matrix, large.matrix) == ("smpte170m", "bt709")


def test_one_changed_sample_changes_the_digest() -> None:
    made = tuple(_random("yuv420p"))
    before = planes.digest(made)
    made[1][0, 0] ^= 1
    assert before.shape == (16,)
    assert not np.array_equal(before, planes.digest(made))


@pytest.mark.parametrize("name", ["", "none", "gray99", "../x"])
def test_a_layout_that_ffmpeg_does_not_say_or_know_has_a_code(name: str) -> None:
    with pytest.raises(InputError, match="is not known") as caught:
        planes.layout_of(name, full_range=True, matrix="unknown", lines=576)
    assert caught.value.code == "UNSUPPORTED_PIXELS"


@pytest.mark.parametrize("name", ["gbrap", "gbrap10le", "gbrap12le", "gbrap14le", "gbrap16le", "yuva422p10le"])
def test_alpha_is_passed_over_and_no_other_sample_changes(name: str) -> None:
    made = _random(name)
    frame = frame_of(made, name)
    for _ in range(3):
        taken = planes.to_planes(frame, _layout(name))
        green, blue, red = made[:3]
        wanted = (red, green, blue) if name.startswith("gbr") else tuple(made[:3])
        assert all(np.array_equal(ours, theirs) for ours, theirs in zip(taken, wanted, strict=True))


@pytest.mark.parametrize("name", ["gbrap12le", "gbrap16le", "yuva420p", "yuva444p12le"])
def test_alpha_counts_where_it_hides_something(name: str) -> None:
    made = _random(name)
    made[3][:] = 2 ** VideoFormat(name, 16, 16).components[3].bits - 1
    assert not planes.is_transparent(frame_of(made, name))
    made[3][5, 5] //= 2
    assert planes.is_transparent(frame_of(made, name))


def test_a_palette_may_be_transparent() -> None:
    frame = av.VideoFrame(16, 12, "pal8")
    frame.planes[1].update(bytes([9, 9, 9, 255]) * 256)
    frame.planes[0].update(bytes(frame.planes[0].buffer_size))
    assert not planes.is_transparent(frame)
    frame.planes[1].update(bytes([9, 9, 9, 0]) * 256)
    assert planes.is_transparent(frame)


@pytest.mark.parametrize("name", ["rgb565le", "bgr565be", "rgb555le", "bgr555le", "rgb444le", "bgr444be"])
def test_few_bits_are_spread_from_black_to_white(name: str) -> None:
    bits = [int(each) for each in name[3:6]]
    rng = np.random.default_rng(1)
    samples = [rng.integers(0, 1 << count, (12, 16)) for count in bits]
    for channel, count in zip(samples, bits, strict=True):
        channel[0, :2] = 0, (1 << count) - 1
    # The first named lies in the highest bits.
    ordered = list(zip(samples, bits, strict=True))[:: 1 if name.startswith("rgb") else -1]
    words = np.zeros((12, 16), np.uint16)
    for channel, count in ordered:
        words = (words << count) | channel.astype(np.uint16)
    frame = av.VideoFrame(16, 12, name)
    rows = np.frombuffer(memoryview(frame.planes[0]), np.uint8).reshape(12, -1)
    rows[:, :32] = words.astype(">u2" if name.endswith("be") else "<u2").view(np.uint8)
    found = planes.to_planes(frame, _layout(name))
    for plane, channel, count in zip(found, samples, bits, strict=True):
        assert np.array_equal(plane, np.rint(channel * 255 / ((1 << count) - 1)))
