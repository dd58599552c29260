from __future__ import annotations

import numpy as np
import pytest

from workers.media.pixels import WEIGHTS, Layout, change_planes, chroma_spread, to_picture, to_planes

_TALL = (187, 901)
"""Several strips, none of which ends where the picture does."""


def _every_value(bits: int) -> np.ndarray:
    dtype = np.uint8 if bits == 8 else np.uint16
    return np.arange(2**bits, dtype=dtype).reshape(-1, 16)


@pytest.mark.parametrize("bits", [8, 9, 10, 12, 14, 16])
@pytest.mark.parametrize("full", [True, False])
def test_every_grey_value_comes_back(bits: int, full: bool) -> None:
    layout, plane = Layout("gray", bits, full), _every_value(bits)
    assert np.array_equal(to_planes(to_picture((plane,), layout), layout)[0], plane)


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_every_rgb_value_comes_back(bits: int) -> None:
    layout, plane = Layout("rgb", bits), _every_value(bits)
    planes = (plane, plane[::-1].copy(), np.roll(plane, 7))
    assert all(np.array_equal(a, b) for a, b in zip(planes, to_planes(to_picture(planes, layout), layout), strict=True))


@pytest.mark.parametrize("matrix", sorted(WEIGHTS))
@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("full", [True, False])
def test_every_luma_value_comes_back_whatever_the_chroma(matrix: str, bits: int, full: bool) -> None:
    layout, luma = Layout("yuv", bits, full, matrix), _every_value(bits)
    chroma = np.random.default_rng(1).integers(0, 2**bits, (2, *luma.shape)).astype(luma.dtype)
    back = to_planes(to_picture((luma, *chroma), layout), layout)
    assert np.array_equal(back[0], luma)
    assert np.array_equal(back[1], chroma[0])
    assert np.array_equal(back[2], chroma[1])


def test_limited_range_bars_have_the_published_values() -> None:
    # 75 % colour bars of BT.709, 8 bits: white, yellow, cyan, green, magenta, red, blue (ITU-R BT.1729, rounded).
    bars = {(180, 128, 128): (0.75, 0.75, 0.75), (168, 44, 136): (0.75, 0.75, 0), (145, 147, 44): (0, 0.75, 0.75),
            (133, 63, 52): (0, 0.75, 0), (63, 193, 204): (0.75, 0, 0.75), (51, 109, 212): (0.75, 0, 0),
            (28, 212, 120): (0, 0, 0.75)}  # fmt: skip
    layout = Layout("yuv", 8, False, "bt709")
    for samples, colour in bars.items():
        planes = tuple(np.full((1, 1), value, np.uint8) for value in samples)
        assert to_picture(planes, layout)[:, 0, 0] == pytest.approx(colour, abs=0.006)
        picture = np.array(colour, np.float32)[:, None, None]
        assert tuple(int(plane[0, 0]) for plane in to_planes(picture, layout)) == samples


def test_head_and_foot_room_are_not_clipped_on_the_way_in() -> None:
    layout = Layout("gray", 8, full_range=False)
    picture = to_picture((np.array([[0, 16, 235, 255]], np.uint8),), layout)
    assert picture[0, 0].tolist() == pytest.approx([-16 / 219, 0, 1, 239 / 219])


def test_half_values_round_to_even_and_extremes_are_clipped() -> None:
    picture = np.array([[[0.5 / 255, 1.5 / 255, 2.5 / 255, -3, 7]]], np.float32)
    assert to_planes(picture, Layout("gray", 8))[0].tolist() == [[0, 2, 2, 0, 255]]


@pytest.mark.parametrize(("factor", "centred"), [(2, False), (2, True), (4, False)])
def test_a_chroma_ramp_is_enlarged_by_its_siting(factor: int, centred: bool) -> None:
    layout = Layout("yuv", 8, True, "bt709", (factor, 1), centred)
    ramp = np.arange(0, 160, 10, dtype=np.uint8)[None].repeat(2, 0)
    luma = np.full((2, 16 * factor), 128, np.uint8)
    picture = to_picture((luma, np.full_like(ramp, 128), ramp), layout)
    red = (picture[0, 0] * 255 - 128) / (2 * (1 - 0.2126)) + 128
    offset = (factor - 1) / 2 if centred else 0
    expected = (np.arange(16 * factor) - offset) * 10 / factor
    inner = slice(factor, -2 * factor)
    assert red[inner] == pytest.approx(expected[inner], abs=0.01)


def test_420_rows_lie_between_luma_rows_and_odd_sizes_fit() -> None:
    layout = Layout("yuv", 8, True, "bt709", (2, 2))
    chroma = np.array([[0, 0], [40, 40], [80, 80]], np.uint8)
    picture = to_picture((np.zeros((5, 3), np.uint8), np.zeros_like(chroma), chroma), layout)
    column = picture[0, :, 0] * 255 / (2 * (1 - 0.2126))
    assert picture.shape == (3, 5, 3)
    assert np.diff(column) == pytest.approx([10, 20, 20, 20], abs=1e-3)


def test_a_uniform_tint_is_no_colour_of_its_own() -> None:
    luma = np.random.default_rng(0).integers(0, 256, (32, 32)).astype(np.uint8)
    layout = Layout("yuv", 8, True, "bt709")
    sepia = (luma, np.full_like(luma, 110), np.full_like(luma, 150))
    assert chroma_spread(sepia, layout) == pytest.approx(0, abs=1e-12)
    assert chroma_spread((luma, luma.T, 255 - luma.T), layout) > 0.1


def test_a_print_that_is_toned_by_its_lightness_has_no_colour_of_its_own_and_blotches_are() -> None:
    luma = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.float64)
    tone = [luma, luma * 0.8 + 10, luma**2 / 255 * 0.6 + 5]
    toned = tuple(np.clip(np.rint(plane), 0, 255).astype(np.uint8) for plane in tone)
    assert chroma_spread(toned, Layout("rgb", 8)) < 0.004
    blotched = (toned[0], toned[1], np.where(np.arange(64) < 32, toned[2], 255 - toned[2]).astype(np.uint8))
    assert chroma_spread(blotched, Layout("rgb", 8)) > 0.05


def _means(values: np.ndarray, factor: int, centered: bool) -> np.ndarray:
    """Each ``factor``-th column with those around it, the edge held beyond the edge; in float64."""
    places = range(factor) if centered else range(1 - factor, factor)
    shares = [1.0 if centered else factor - abs(place) for place in places]
    last = values.shape[1] - 1
    columns = np.arange(0, last + 1, factor)
    parts = [share * values[:, np.clip(columns + at, 0, last)] for share, at in zip(shares, places, strict=True)]
    return np.sum(parts, axis=0) / sum(shares)


@pytest.mark.parametrize("shrink", [(2, 1), (2, 2), (4, 1), (4, 4)])
@pytest.mark.parametrize("centered", [True, False])
@pytest.mark.parametrize("size", [(8, 8), (7, 9), (5, 6), (3, 11), (1, 1), _TALL])
def test_thin_chroma_holds_the_edges_at_every_size(
    shrink: tuple[int, int], centered: bool, size: tuple[int, int]
) -> None:
    picture = np.random.default_rng(sum(size)).random((3, *size), np.float32)
    whole = to_planes(picture, Layout("yuv", 16, True, "smpte170m"))
    thin = to_planes(picture, Layout("yuv", 16, True, "smpte170m", shrink, centered))
    for full, few in zip(whole[1:], thin[1:], strict=True):
        expected = _means(_means(full.astype(np.float64), shrink[0], centered).T, shrink[1], True).T
        assert few.shape == expected.shape
        assert np.abs(few - expected).max() <= 1


def _places(length: int, count: int, factor: int, centered: bool) -> np.ndarray:
    """Where each of ``length`` samples lies between ``count`` that are ``factor`` times as far apart."""
    places = (np.arange(length) + 0.5) / factor - 0.5 if centered else np.arange(length) / factor
    return np.clip(places, 0, count - 1)


@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("shrink", [(1, 1), (2, 1), (2, 2), (4, 1), (1, 2), (4, 4)])
@pytest.mark.parametrize("centered", [True, False])
def test_chroma_is_enlarged_over_the_edges_of_strips(bits: int, shrink: tuple[int, int], centered: bool) -> None:
    small = tuple(-(-side // factor) for side, factor in zip(_TALL, shrink[::-1], strict=True))
    layout = Layout("yuv", bits, True, "smpte170m", shrink, centered)
    blue, red = np.random.default_rng(bits).integers(0, 2**bits, (2, *small)).astype(layout.dtype)
    picture = to_picture((np.zeros(_TALL, layout.dtype), blue, red), layout)
    for samples, channel, share in ((blue, picture[2], 0.114), (red, picture[0], 0.299)):
        across, down = _places(_TALL[1], small[1], shrink[0], centered), _places(_TALL[0], small[0], shrink[1], True)
        wide = np.stack([np.interp(across, np.arange(small[1]), row) for row in samples])
        expected = np.stack([np.interp(down, np.arange(small[0]), column) for column in wide.T], axis=1)
        assert channel * (2**bits - 1) / (2 * (1 - share)) + 2 ** (bits - 1) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("row", [0, 1, 71, 72, 73, 143, 144, 186])
def test_a_changed_row_changes_its_own_samples_alone(row: int) -> None:
    layout, small = Layout("yuv", 8, False, "bt709", (2, 2)), (94, 451)
    rng = np.random.default_rng(row)
    planes = tuple(rng.integers(40, 200, size).astype(np.uint8) for size in (_TALL, small, small))
    before = to_picture(planes, layout)
    after = before.copy()
    after[:, row, 5:12] = [[0.1], [0.9], [0.2]]
    changed = change_planes(planes, before, after, layout)
    rows, columns = np.nonzero(changed[0] != planes[0])
    assert {*rows.tolist()} == {row}
    assert {*columns.tolist()} <= {*range(5, 12)}
    assert np.array_equal(changed[0][row, 5:12], to_planes(after, layout)[0][row, 5:12])
    for plane, own in zip(changed[1:], planes[1:], strict=True):
        rows, columns = np.nonzero(plane != own)
        assert {*rows.tolist()} == {row // 2}
        assert {*columns.tolist()} <= {*range(2, 7)}
