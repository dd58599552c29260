"""The whole golden set of DDColor: every key, every stored array, and a photo through the whole path."""

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
from workers.models import ddcolor

FOLDER = Path(__file__).parents[3] / "shared" / "checkpoints"
OPTIONS: dict[str, dict[str, Any]] = {"ddcolor-tiny": {"input_size": 512}, "ddcolor-large": {"input_size": 256}}
"""What the stored photos were made with."""

pytestmark = [
    pytest.mark.shared,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not FOLDER.is_dir(), reason="no shared checkpoints beside the checkout"),
]


@pytest.fixture(scope="module", params=OPTIONS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


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
    built = ddcolor.build(name)
    fill.prepare(built.state_dict(), "shared", facts["fill"])
    return built


def test_every_key_has_the_published_shape_and_type(network: nn.Module, facts: dict[str, Any]) -> None:
    found = [[key, list(value.shape), str(value.dtype)[6:]] for key, value in network.state_dict().items()]
    assert found == facts["state_dict"]


@torch.inference_mode()
def test_each_case_gives_the_published_numbers(network: nn.Module, facts: dict[str, Any], stored: Any) -> None:
    assert list(facts["golden"]["cases"]) == ["a", "b"]
    for case in facts["golden"]["cases"]:
        out = network(torch.from_numpy(stored[f"{case}_input"]))
        assert golden.worst(out, stored[f"{case}_out"]) <= 5e-5, case


@torch.inference_mode()
def test_each_inner_map_has_the_published_numbers(network: nn.Module, facts: dict[str, Any], stored: Any) -> None:
    seen: dict[str, Tensor] = {}
    taps = facts["golden"]["taps"]
    hooks = [
        network.get_submodule(tap).register_forward_hook(lambda _, __, out, tap=tap: seen.update({tap: out.clone()}))
        for tap in taps
    ]
    network(torch.from_numpy(stored["a_input"]))
    for hook in hooks:
        hook.remove()
    for tap, known in taps.items():
        assert golden.worst(seen[tap][:, :: known["channel_stride"]], stored[f"a_tap_{tap}"]) <= 5e-5, tap
        whole = seen[tap].double()
        stats = [float(whole.mean()), float(whole.std()), float(whole.abs().max())]
        assert stats == pytest.approx(stored[f"a_tap_{tap}_stats"], rel=1e-4, abs=1e-5), tap


def test_a_photo_comes_out_as_published(network: nn.Module, name: str) -> None:
    photo = np.asarray(Image.open(FOLDER / "photos" / "nipomo-1936-205x256.png").convert("RGB"))
    expected = np.asarray(Image.open(FOLDER / f"{name}.shared.e2e.png").convert("RGB"))
    difference = np.abs(ddcolor.published(network, photo, **OPTIONS[name]).astype(int) - expected)
    assert difference.max() <= 2
    assert (difference > 0).mean() < 0.001
