"""The whole golden set of CT2 with its published luminance table: every key, every stored array, a photo end to end.

It takes two minutes and 4 GB of memory.
"""

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
from workers.models import ct2

FOLDER = Path(__file__).parents[3] / "shared" / "checkpoints"
TOLERANCE = 1e-4

pytestmark = [
    pytest.mark.shared,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not FOLDER.is_dir(), reason="no shared checkpoints beside the checkout"),
]


@pytest.fixture(scope="module")
def facts() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "ct2.json").read_text())
    return found


@pytest.fixture(scope="module")
def stored() -> Iterator[Any]:
    with np.load(FOLDER / "ct2.shared.npz") as file:
        yield file


@pytest.fixture(scope="module")
def network(facts: dict[str, Any]) -> ct2.Ct2:
    built = ct2.build("ct2")
    fill.prepare(built.state_dict(), "shared", facts["fill"])
    ct2.TABLES["luminance_table"](built, FOLDER / "ct2.json")
    return built


def light(side: int) -> Tensor:
    row, column = np.mgrid[:side, :side] // 16
    return (golden.uniform(0, (1, 1, side, side)) + torch.from_numpy((row + 2 * column) % 4).float()) * 25


def tapped(network: ct2.Ct2, side: int) -> tuple[ct2.Ct2Output, dict[str, Tensor]]:
    """Run the network on the input of the facts; also return what its parts gave, tokens last but one."""
    parts: dict[str, nn.Module] = {
        "patch_embed": network.encoder.patch_embed,
        "enc_block0": network.encoder.blocks[0],
        "enc_norm": network.encoder.norm,
        "pos_color": network.decoder.pos_color,
        "pos_patch": network.decoder.pos_patch,
        "dec_block1": network.decoder.per_block[1],
        "decoder_norm": network.decoder.decoder_norm,
        "upsampler": network.decoder.upsampler,
    }
    seen: dict[str, Tensor] = {}
    hooks = [
        part.register_forward_hook(lambda _, __, out, name=name: seen.update({name: out}))
        for name, part in parts.items()
    ]
    table = ct2.read_table(network.luminance_table)
    with torch.inference_mode():
        out = network(light(side), ct2.color_mask(light(side), table))
    for hook in hooks:
        hook.remove()
    seen["pos_patch"] = seen["pos_patch"].flatten(2).transpose(1, 2)
    return out, seen


def check_logits(logits: Tensor, expected: np.ndarray[Any, Any]) -> None:
    """Forbidden colours are stored as -1000."""
    forbidden = torch.from_numpy(expected == -1000)
    assert torch.equal(logits.isinf(), forbidden)
    scale = np.abs(expected[expected != -1000]).max()
    assert (logits - torch.from_numpy(expected))[~forbidden].abs().max() <= TOLERANCE * scale


def test_every_key_has_the_published_shape_and_type(network: ct2.Ct2, facts: dict[str, Any]) -> None:
    found = [[key, list(value.shape), str(value.dtype)[6:]] for key, value in network.state_dict().items()]
    assert found == facts["state_dict"]
    assert sum(parameter.numel() for parameter in network.parameters()) == facts["parameters"]["total"]


def test_the_bins_and_the_table_are_the_published_ones(network: ct2.Ct2, facts: dict[str, Any]) -> None:
    ranges = {int(a): tuple(ends) for a, ends in facts["ab_bins"]["b_range_per_a"].items()}
    expected = [(a, b) for a in sorted(ranges) for b in range(ranges[a][0], ranges[a][1] + 1, 10)]
    assert list(ct2.AB_BINS) == expected
    assert ct2.read_table(network.luminance_table).sum(1).tolist() == facts["luminance_allowed_counts"]


def test_the_small_case_has_the_published_numbers(network: ct2.Ct2, stored: Any) -> None:
    assert torch.equal(light(64), torch.from_numpy(stored["input_l64"]))
    out, seen = tapped(network, 64)
    compared = {
        "ab64": out.ab,
        "reg64": out.regression,
        "patch_embed_64_s": seen["patch_embed"][:, :, ::8],
        "enc_block0_64_s": seen["enc_block0"][:, :, ::8],
        "enc_norm_64_s": seen["enc_norm"][:, :, ::8],
        "pos_color_s": seen["pos_color"][:, ::8, ::16],
        "pos_patch_64_s": seen["pos_patch"][:, :, ::8],
        "dec_block1_64_s": seen["dec_block1"][:, ::4, ::16],
        "decoder_norm_64_s": seen["decoder_norm"][:, ::4, ::16],
        "upsampler_64_s": seen["upsampler"][:, ::32, ::8, ::8],
    }
    for name, value in compared.items():
        assert golden.worst(value, stored[name]) <= TOLERANCE, name
    check_logits(out.logits[:, :, ::8, ::8], stored["logits64_s"])
    allowed = out.logits[out.logits.isfinite()]
    assert np.allclose([allowed.mean(), allowed.std()], stored["logits64_unmasked_meanstd"], atol=TOLERANCE)


def test_the_full_case_has_the_published_numbers(network: ct2.Ct2, stored: Any) -> None:
    out, seen = tapped(network, 256)
    compared = {
        "ab256_s": out.ab[:, :, ::4, ::4],
        "reg256_s": out.regression[:, :, ::4, ::4],
        "enc_norm_256_s": seen["enc_norm"][:, ::8, ::16],
        "decoder_norm_256_s": seen["decoder_norm"][:, ::16, ::32],
    }
    for name, value in compared.items():
        assert golden.worst(value, stored[name]) <= TOLERANCE, name
    check_logits(out.logits[:, ::4, ::32, ::32], stored["logits256_s"])
    assert np.allclose([out.ab.mean(), out.ab.std()], stored["ab256_meanstd"], atol=1e-2)


def test_a_photo_becomes_the_published_picture(network: ct2.Ct2) -> None:
    photo = np.asarray(Image.open(FOLDER / "photos" / "detroit-1915-256.png").convert("RGB"))
    expected = np.asarray(Image.open(FOLDER / "ct2.shared.e2e.png").convert("RGB"))
    assert np.abs(ct2.reference_output(network, photo).astype(int) - expected).max() <= 1
