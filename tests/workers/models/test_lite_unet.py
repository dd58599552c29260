"""The colorizer that ships: its contract, and that what it colours is what people would expect."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from db.catalog import shipped
from workers.models import lite_unet

DEMO = Path(__file__).parents[3] / "examples" / "demo" / "photos"


@pytest.fixture(scope="module")
def network() -> lite_unet.LiteUNet:
    made = lite_unet.build("lite-unet")
    made.load_state_dict(load_file(shipped.FOLDER / "reelwright-color.safetensors"))
    assert isinstance(made, lite_unet.LiteUNet)
    return made.float()


def grey(name: str) -> Tensor:
    found = cv2.imread(str(DEMO / name), cv2.IMREAD_GRAYSCALE)
    assert found is not None
    return torch.from_numpy(found.astype(np.float32) / 255).expand(1, 3, -1, -1)


@torch.inference_mode()
def test_sky_is_blue_and_leaves_are_green(network: lite_unet.LiteUNet) -> None:
    """Of the two photographs of the demo that have them."""
    _, blue = lite_unet.chroma(network, grey("tetons-1942.tif"))[0]
    assert float(blue[: len(blue) // 5].mean()) < -4
    red, yellow = lite_unet.chroma(network, grey("saratoga-broadway-1900s.jpg"))[0]
    height, width = red.shape
    leaves = (slice(height // 20, height // 3), slice(width // 3, width // 3 * 2))
    assert float(red[leaves].mean()) < -1
    assert float(yellow[leaves].mean()) > 4


@torch.inference_mode()
@pytest.mark.parametrize("size", [(40, 30), (224, 224), (16, 900), (900, 16), (333, 512)])
def test_pictures_of_any_shape_are_seen_whole(network: lite_unet.LiteUNet, size: tuple[int, int]) -> None:
    ab = lite_unet.chroma(network, torch.rand(2, 3, *size))
    assert ab.shape[:2] == (2, 2)
    assert bool(torch.isfinite(ab).all())
    assert float(ab.abs().max()) < 128
    high, wide = (2 * length for length in ab.shape[-2:])
    assert high % 32 == wide % 32 == 0
    assert (high > wide) == (size[0] > size[1]) or high == wide


@torch.inference_mode()
def test_a_picture_is_coloured_alike_in_any_company(network: lite_unet.LiteUNet) -> None:
    pictures = torch.rand(3, 3, 64, 96)
    assert torch.equal(lite_unet.chroma(network, pictures)[1:2], lite_unet.chroma(network, pictures[1:2]))


def test_it_has_no_other_name() -> None:
    with pytest.raises(ValueError, match="of this module, not other"):
        lite_unet.build("other")
