"""The whole golden set of InstColorization: every key, every stored array, and a photo with and without boxes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.support import fill
from tests.workers.models import golden
from workers.models import instcolorization
from workers.models.instcolorization import InstColorization, box_placements

FOLDER = Path(__file__).parents[3] / "shared" / "checkpoints"
INSTANCE_STEPS = {
    "conv1_2": (8, 8), "conv4_3": (16, 2), "conv7_3": (16, 2), "conv8_up": (16, 4), "conv9_3": (16, 4),
    "conv10_2": (16, 8),
}  # fmt: skip
FUSED_STEPS = {
    "weight_layer": (8, 8), "weight_layer4": (16, 2), "weight_layer7": (16, 2), "weight_layer8_1": (16, 4),
    "weight_layer9_2": (16, 4), "weight_layer10_2": (16, 8),
}  # fmt: skip

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not FOLDER.is_dir(), reason="no shared checkpoints beside the checkout"),
]


@pytest.fixture(scope="module")
def facts() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "instcolorization.json").read_text())
    return found


@pytest.fixture(scope="module")
def stored() -> Iterator[Any]:
    with np.load(FOLDER / "instcolorization.shared.npz") as file:
        yield file


@pytest.fixture(scope="module")
def built() -> InstColorization:
    network = instcolorization.build("instcolorization")
    assert isinstance(network, InstColorization)
    return network


@pytest.fixture(scope="module", params=["amp_", ""])
def found(request: Any, built: InstColorization, facts: dict[str, Any], stored: Any) -> dict[str, Tensor]:
    """What the networks return under the amplified fill and then under the plain one, by the stored arrays' names."""
    fill.prepare(built.state_dict(), "shared", facts["fill_amplified" if request.param else "fill"])
    out = everything(built, facts, stored)
    return {request.param + name: value for name, value in out.items()}


@torch.inference_mode()
def everything(network: InstColorization, facts: dict[str, Any], stored: Any) -> dict[str, Tensor]:
    boxes = facts["golden"]["boxes"]
    placed = box_placements(boxes["xyxy"], tuple(boxes["original_size_wh"]), 64)
    out: dict[str, Tensor] = {}

    def keep(name: str, value: Tensor, channels: int, step: int) -> None:
        out[f"{name}_s"] = value[:, ::channels, ::step, ::step].clone()
        out[f"{name}_meanstd"] = torch.stack([value.mean(), value.std(correction=0)])

    hooks = [
        network.GF.get_submodule(name).register_forward_hook(
            lambda _, __, value, name=name, steps=steps: keep(f"fused_{name}", value, *steps)
        )
        for name, steps in FUSED_STEPS.items()
    ]
    objects, maps = network.G(torch.from_numpy(stored["input_crops"]))
    classes, whole = network.GComp(torch.from_numpy(stored["input_full"]))
    fused = network.GF(torch.from_numpy(stored["input_full"]), maps, placed)
    for hook in hooks:
        hook.remove()
    for name, steps in INSTANCE_STEPS.items():
        keep(f"instance_{name}", maps[name], *steps)
    keep("full_out_class", classes, 8, 2)
    keep("instance_out_reg", objects, 1, 2)
    keep("full_out_reg", whole, 1, 2)
    keep("fusion_out", fused, 1, 1)
    return out | {"instance_out_reg": objects[..., ::2, ::2], "full_out_reg": whole, "fusion_out": fused}


def test_every_key_has_the_published_shape_and_type(built: InstColorization, facts: dict[str, Any]) -> None:
    for name, network in facts["nets"].items():
        state = built.get_submodule(name).state_dict()
        found = [[key, list(value.shape), str(value.dtype)[6:]] for key, value in state.items()]
        assert found == network["state_dict"], name


def test_boxes_lie_where_they_were_published(facts: dict[str, Any], stored: Any) -> None:
    boxes = facts["golden"]["boxes"]
    placed = box_placements(boxes["xyxy"], tuple(boxes["original_size_wh"]), 64)
    for scale, here in zip((1, 2, 4, 8), placed, strict=True):
        assert np.array_equal(np.array(here), stored[f"box_info_{scale}x"])


def test_each_stored_array_is_matched(found: dict[str, Tensor], stored: Any) -> None:
    amplified = next(iter(found)).startswith("amp_")
    names = [n for n in stored.files if not n.startswith(("input_", "box_")) and n.startswith("amp_") == amplified]
    assert names
    for name in names:
        assert golden.worst(found[name], stored[name]) <= (1e-4 if amplified else 1e-5), name


@pytest.mark.parametrize("boxed", [False, True])
def test_a_photo_comes_out_as_published(built: InstColorization, facts: dict[str, Any], boxed: bool) -> None:
    fill.prepare(built.state_dict(), "shared", facts["fill"])
    case = facts["golden"]["end_to_end"]
    boxes = [(*box, score) for box, score in zip(case["boxes_xyxy"], case["scores"], strict=True)] if boxed else []
    photo = np.asarray(Image.open(FOLDER / "photos" / "detroit-1915-256.png").convert("RGB"))
    stem = "instcolorization.shared.e2e" + ("" if boxed else "-nobox")
    expected = np.asarray(Image.open(FOLDER / f"{stem}.png").convert("RGB"))
    difference = np.abs(instcolorization.reference_output(built, photo, boxes=boxes).astype(int) - expected)
    assert difference.max() <= 1
