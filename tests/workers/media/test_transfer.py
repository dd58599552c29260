"""Log and linear samples: shown as they should be, and back to the bit."""

from __future__ import annotations

import numpy as np
import pytest

from workers.media.pixels import Layout, to_picture, to_planes


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("transfer", ["log", "linear"])
@pytest.mark.parametrize("full_range", [True, False])
def test_every_code_value_comes_back(bits: int, transfer: str, full_range: bool) -> None:
    layout = Layout("gray", bits, full_range, transfer=transfer)  # type: ignore[arg-type]
    codes = np.arange(2**bits).astype(layout.dtype)[None]
    picture = to_picture((codes,), layout)
    assert picture.dtype == np.float32
    assert (np.diff(picture[0, 0]) > 0).all()
    assert np.array_equal(to_planes(picture, layout)[0], codes)


@pytest.mark.parametrize("transfer", ["linear", "gamma"])
def test_every_half_float_comes_back(transfer: str) -> None:
    layout = Layout("gray", 16, floating=True, transfer=transfer)  # type: ignore[arg-type]
    codes = np.arange(65536, dtype=np.uint16).view(np.float16)
    codes = codes[np.isfinite(codes)][None]
    back = to_planes(to_picture((codes,), layout), layout)[0]
    assert np.array_equal(back.view(np.uint16), codes.view(np.uint16))


def test_printing_density_has_its_reference_points() -> None:
    """Kodak's table: code 95 is black, 685 white; 0.6 / 0.002 code values are a power of ten of light."""
    layout = Layout("gray", 10, transfer="log")
    black, grey, white = to_picture((np.array([[95, 445, 685]], np.uint16),), layout)[0, 0]
    assert (black, white) == pytest.approx((0, 1), abs=1e-6)
    # 445 is the LAD patch: 18 % of the light with Kodak's numbers would be 470; ours follows the formula itself.
    light = (10 ** ((445 - 685) / 300) - 10 ** ((95 - 685) / 300)) / (1 - 10 ** ((95 - 685) / 300))
    assert grey == pytest.approx(1.055 * light ** (1 / 2.4) - 0.055, abs=1e-6)


def test_depths_agree_on_what_a_share_of_the_scale_is_shown_as() -> None:
    shown = [
        to_picture((np.array([[(2**bits - 1) // 3 * 2]], np.uint16),), Layout("gray", bits, transfer="log"))[0, 0, 0]
        for bits in (10, 12, 16)
    ]
    assert max(shown) - min(shown) < 1e-6


def test_middle_grey_of_linear_light_is_shown_as_srgb() -> None:
    layout = Layout("gray", 32, transfer="linear", floating=True)
    below, grey, above = to_picture((np.array([[-0.18, 0.18, 4]], np.float32),), layout)[0, 0]
    assert grey == pytest.approx(0.4613, abs=1e-4)
    assert below == pytest.approx(-grey)
    assert above > 1.5
