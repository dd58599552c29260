"""The whole golden sets of the networks that are one module: every key, every stored array, a photo through all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from tests.support import fill
from tests.workers.models import golden
from workers import models

pytestmark = pytest.mark.shared
FOLDER = Path(__file__).parents[3] / "shared" / "checkpoints"
CASES = {
    "eccv16": ("a", "b", "c"),
    "siggraph17": ("a", "b", "hints"),
    "ddcolor-large": ("a", "b"),
    "ddcolor-tiny": ("a", "b"),
    "deoldify-artistic": ("a", "b", "c"),
    "deoldify-stable": ("a", "b", "c"),
}
PHOTO_OPTIONS: dict[str, dict[str, Any]] = {
    "ddcolor-large": {"input_size": 256},
    "ddcolor-tiny": {"input_size": 512},
    "deoldify-artistic": {"render_factor": 11},
    "deoldify-stable": {"render_factor": 11},
}
"""Those under which the stored photos were made."""
TOLERANCE = 5e-5


@pytest.fixture(scope="module", params=list(CASES))
def name(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture(scope="module")
def facts(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return found


@pytest.fixture(scope="module")
def stored(name: str) -> Iterator[Any]:
    with np.load(FOLDER / f"{name}.shared.npz") as file:
        yield file


@pytest.fixture(scope="module")
def network(name: str, facts: dict[str, Any]) -> nn.Module:
    built = models.build(name)
    fill.prepare(built.state_dict(), "shared", facts["fill"])
    return built


def inputs(stored: Any, case: str) -> list[Tensor]:
    names = [f"{case}_input{index}" for index in range(3)] if case == "hints" else [f"{case}_input"]
    return [torch.from_numpy(stored[name]) for name in names]


def test_every_key_has_the_published_shape_and_type(network: nn.Module, facts: dict[str, Any]) -> None:
    found = [[key, list(value.shape), str(value.dtype)[6:]] for key, value in network.state_dict().items()]
    assert found == facts["state_dict"]
    assert sum(parameter.numel() for parameter in network.parameters()) == facts["parameters"]


@torch.inference_mode()
def test_each_case_gives_the_published_numbers(name: str, network: nn.Module, stored: Any) -> None:
    for case in CASES[name]:
        assert golden.worst(network(*inputs(stored, case)), stored[f"{case}_out"]) <= TOLERANCE, case


@torch.inference_mode()
def test_each_inner_map_has_the_published_numbers(network: nn.Module, facts: dict[str, Any], stored: Any) -> None:
    seen: dict[str, Tensor] = {}
    taps = facts["golden"]["taps"]
    hooks = [
        network.get_submodule(tap).register_forward_hook(
            # An encoder that gives all its maps gives the coarsest last.
            lambda _, __, out, tap=tap: seen.update({tap: (out if isinstance(out, Tensor) else out[-1]).clone()})
        )
        for tap in taps
    ]
    network(*inputs(stored, "a"))
    for hook in hooks:
        hook.remove()
    for name, tap in taps.items():
        assert golden.worst(seen[name][:, :: tap["channel_stride"]], stored[f"a_tap_{name}"]) <= TOLERANCE, name
        whole = seen[name].double()
        stats = [float(whole.mean()), float(whole.std()), float(whole.abs().max())]
        assert stats == pytest.approx(stored[f"a_tap_{name}_stats"], rel=1e-4, abs=1e-5), name


def test_a_photo_comes_out_as_published(name: str, network: nn.Module) -> None:
    photo = np.array(Image.open(FOLDER / "photos" / "nipomo-1936-205x256.png").convert("RGB"))
    expected = np.asarray(Image.open(FOLDER / f"{name}.shared.e2e.png").convert("RGB"))
    made = models.reference_output(network, photo, **PHOTO_OPTIONS.get(name, {}))
    difference = np.abs(made.astype(int) - expected)
    assert difference.max() <= 2
    assert (difference > 0).mean() < 0.001
