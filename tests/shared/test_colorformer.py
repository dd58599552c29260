"""The whole golden set of ColorFormer: every key, every stored array, and a photo through the whole path."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from tests.support import fill
from tests.workers.models import golden
from workers.models import colorformer

FOLDER = Path(__file__).parents[3] / "shared" / "checkpoints"
TAPS: dict[str, tuple[str, tuple[int, ...]]] = {
    "b00": ("encoder.arch.layers.0.blocks.0", (8, 4)),
    "b01": ("encoder.arch.layers.0.blocks.1", (8, 4)),
    "norm0": ("encoder.arch.norm0", (8, 8)),
    "norm1": ("encoder.arch.norm1", (4, 8)),
    "norm2": ("encoder.arch.norm2", (2, 8)),
    "norm3": ("encoder.arch.norm3", (1, 8)),
    "layers0.shuf": ("seg_decoder.layers.0.shuf", (8, 1, 1)),
    "layers0": ("seg_decoder.layers.0", (8, 1, 1)),
    "layers1": ("seg_decoder.layers.1", (8, 2, 2)),
    "layers2": ("seg_decoder.layers.2", (8, 4, 4)),
    "layers3": ("seg_decoder.layers.3", (8, 4, 4)),
    "dec": ("seg_decoder.last_shuf", (16, 8, 8)),
    "res": ("refine_net.0", (7, 8, 8)),
}
"""Stored name to a module, and every how many-th position of each axis behind the batch is stored at 64 x 64 pixels."""
LARGE = {"norm0": 64, "norm1": 16, "norm2": 8, "norm3": 4}
"""Every how many-th token is stored at 256 x 256 pixels."""

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not FOLDER.is_dir(), reason="no shared checkpoints beside the checkout"),
]


@pytest.fixture(scope="module")
def facts() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "colorformer.json").read_text())
    return found


@pytest.fixture(scope="module")
def stored() -> Iterator[Any]:
    with np.load(FOLDER / "colorformer.shared.npz") as file:
        yield file


def filled(recipe: dict[str, Any], centers: NDArray[np.int64]) -> nn.Module:
    network = colorformer.build("colorformer")
    state = network.state_dict()
    for group, pairs in enumerate(centers, 1):
        state[f"seg_decoder.layers.3.color_center{group}"].copy_(torch.from_numpy(pairs))
    fill.prepare(state, "shared", recipe)
    return network


@pytest.fixture(scope="module")
def network(facts: dict[str, Any], stored: Any) -> nn.Module:
    return filled(facts["fill"], stored["color_centers"])


def run(network: nn.Module, pictures: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Return the output, the groups' shares, and what the tapped modules gave, tokens flat as they are stored."""
    seen: dict[str, Tensor] = {}
    shares: list[Tensor] = []
    hooks = [
        network.get_submodule(name).register_forward_hook(
            # The encoder keeps channels last.
            lambda _, __, out, key=key, name=name: seen.update(
                {key: (out.flatten(1, 2) if name.startswith("encoder.") else out).clone()}
            )
        )
        for key, (name, _) in TAPS.items()
    ]
    hooks.append(network.get_submodule("encoder.arch").register_forward_hook(lambda _, __, out: shares.append(out[1])))
    out: Tensor = network(pictures)
    for hook in hooks:
        hook.remove()
    return out, shares[0], seen


def every(whole: Tensor, *steps: int) -> Tensor:
    return whole[(slice(None), *(slice(None, None, step) for step in steps))]


def test_every_key_has_the_published_shape_and_type(network: nn.Module, facts: dict[str, Any]) -> None:
    found = [[key, list(value.shape), str(value.dtype)[6:]] for key, value in network.state_dict().items()]
    assert found == facts["state_dict"]
    assert sum(parameter.numel() for parameter in network.parameters()) == facts["parameters"]["total"]


@torch.inference_mode()
def test_a_small_input_gives_the_published_numbers(network: nn.Module, stored: Any) -> None:
    out, shares, seen = run(network, torch.from_numpy(stored["input64"]))
    assert golden.worst(out, stored["out64"]) <= 1e-5
    assert golden.worst(shares, stored["cls64"]) <= 1e-5
    for key, (_, steps) in TAPS.items():
        assert golden.worst(every(seen[key], *steps), stored[f"{key}_64_s"]) <= 1e-5, key


@torch.inference_mode()
def test_an_input_of_the_networks_own_size_gives_the_published_numbers(network: nn.Module, stored: Any) -> None:
    out, shares, seen = run(network, golden.uniform(0, (1, 3, 256, 256)))
    assert golden.worst(out[:, :, ::4, ::4], stored["out256_s"]) <= 1e-5
    assert [float(out.mean()), float(out.std())] == pytest.approx(stored["out256_meanstd"], rel=1e-4, abs=1e-5)
    assert golden.worst(shares, stored["cls256"]) <= 1e-5
    for key, tokens in LARGE.items():
        assert golden.worst(every(seen[key], tokens, 8), stored[f"{key}_256_s"]) <= 1e-5, key


@torch.inference_mode()
def test_vectors_that_no_iteration_has_settled_are_taken_as_they_are(facts: dict[str, Any], stored: Any) -> None:
    raw = filled({"keep": facts["fill"]["keep"]}, stored["color_centers"])
    out, shares, seen = run(raw, torch.from_numpy(stored["input64"]))
    assert golden.worst(out, stored["raw_out64"]) <= 5e-5
    assert golden.worst(shares, stored["raw_cls64"]) <= 5e-5
    assert golden.worst(every(seen["norm3"], 1, 8), stored["raw_norm3_64_s"]) <= 5e-5
    assert golden.worst(every(seen["layers3"], 8, 4, 4), stored["raw_layers3_64_s"]) <= 5e-5


def test_a_photo_comes_out_as_published(network: nn.Module) -> None:
    photo = np.asarray(Image.open(FOLDER / "photos" / "detroit-1915-256.png").convert("RGB"))
    expected = np.asarray(Image.open(FOLDER / "colorformer.shared.e2e.png").convert("RGB"))
    difference = np.abs(colorformer.reference_output(network, photo).astype(int) - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.001
