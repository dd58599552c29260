"""The whole golden set of GCP: every key, and every stored array on the way from L to a picture at its own size."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.workers.models.generative_prior import filled
from workers.models import gcp
from workers.models.gcp import GenerativePrior, warp
from workers.models.parts.biggan import SpectralWeight

FOLDER = Path(__file__).parents[3] / "shared" / "checkpoints"
STEPS = {
    "gen_rgb": (1, 4), "gen_feat_64": (8, 4), "gen_feat_128": (8, 8), "gen_feat_256": (4, 16),
    "dis_q_64": (8, 4), "dis_r_64": (8, 4), "dis_q_32": (16, 2), "dis_r_32": (16, 2),
    "corr_priv_q": (24, 4), "corr_priv_r": (24, 4), "corr_share_q": (24, 4), "corr_share_r": (24, 4),
    "corr_theta": (8, 4), "corr_phi": (8, 4),
    "warp_image": (1, 4), "warp_feat_64": (8, 4), "warp_feat_128": (8, 8), "warp_feat_256": (4, 16),
    "gen2_encoder": (16, 4), "gen2_res0": (16, 4), "gen2_res5": (16, 4), "spade0": (16, 4),
    "gen2_up1": (8, 8), "gen2_up2": (4, 16), "rgb": (1, 4),
}  # fmt: skip
TAPS = {
    "net_corr.private_layer.0": ("corr_priv_q",),
    "net_corr.private_layer.1": ("corr_priv_r",),
    "net_corr.share_layer": ("corr_share_q", "corr_share_r"),
    "net_corr.theta": ("corr_theta",),
    "net_corr.phi": ("corr_phi",),
    "net_gen.encoder": ("gen2_encoder",),
    "net_gen.res_blks.0": ("gen2_res0",),
    "net_gen.res_blks.0.norm_0": ("spade0",),
    "net_gen.res_blks.5": ("gen2_res5",),
    "net_gen.up_conv1": ("gen2_up1",),
    "net_gen.up_conv2": ("gen2_up2",),
    "biggan_D.blocks.1.1": ("dis_q_64", "dis_r_64"),
    "biggan_D.blocks.2.0": ("dis_q_32", "dis_r_32"),
}
ABSOLUTE = {"enc_z": 1e-5, "gen_rgb": 1e-5, "gen_feat_64": 1e-5, "gen_feat_128": 1e-5, "gen_feat_256": 1e-5}
"""As the facts advise; they give 2e-4 for ab. What else lies between is held to 5e-4 of its largest value: rounding
grows where maps of little variance are normalised."""

pytestmark = [
    pytest.mark.shared,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not FOLDER.is_dir(), reason="no shared checkpoints beside the checkout"),
]


@pytest.fixture(scope="module")
def facts() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "gcp.json").read_text())
    return found


@pytest.fixture(scope="module")
def stored() -> Iterator[Any]:
    with np.load(FOLDER / "gcp.shared.npz") as file:
        yield file


@pytest.fixture(scope="module")
def network() -> GenerativePrior:
    built = filled(gcp.build("gcp"))
    assert isinstance(built, GenerativePrior)
    return built


def signed(levels: Any) -> Tensor:
    return torch.from_numpy(levels.astype(np.float32) / np.float32(127.5) - 1)[None, None]


@pytest.fixture(scope="module")
def found(network: GenerativePrior, stored: Any) -> dict[str, Tensor]:
    """One pass through the whole system, with all that is stored of it."""
    out: dict[str, Tensor] = {}
    hooks = [tapped(network, path, names, out) for path, names in TAPS.items()]

    def after_generator(_: Any, __: Any, made: Any) -> None:
        out.update(zip(("gen_rgb", "gen_feat_64", "gen_feat_128", "gen_feat_256"), made, strict=True))

    hooks.append(network.biggan_E.register_forward_hook(lambda _, __, latent: out.update(enc_z=latent)))
    hooks.append(network.biggan_G.register_forward_hook(after_generator))
    hooks.append(network.net_corr.register_forward_hook(lambda _, __, shares: out.update(shares=shares)))
    with torch.inference_mode():
        light = signed(stored["in_L_u8"])
        out["ab"] = network(light, torch.from_numpy(stored["in_class_id"]))
        out["rgb"] = gcp.merge_lab(light, out["ab"])
        out["rgb_full_40x56"] = gcp.merge_lab(signed(stored["in_Lfull_u8"]), out["ab"])
        out["warp_image"] = warp(out["shares"], out["gen_rgb"], 4)
        for name, patch_px in (("64", 1), ("128", 2), ("256", 4)):
            out[f"warp_feat_{name}"] = warp(out["shares"], out[f"gen_feat_{name}"], patch_px)
    for hook in hooks:
        hook.remove()
    return out


def tapped(network: nn.Module, path: str, names: tuple[str, ...], out: dict[str, Tensor]) -> Any:
    left = list(names)

    def keep(_: Any, __: Any, value: Tensor) -> None:
        out[left.pop(0)] = value.clone()

    return network.get_submodule(path).register_forward_hook(keep)


def test_every_key_has_the_published_shape_and_type(network: GenerativePrior, facts: dict[str, Any]) -> None:
    assert list(facts["nets"]) == [name for name, _ in network.named_children()]
    for name, net in facts["nets"].items():
        state = network.get_submodule(name).state_dict()
        assert [[key, list(value.shape), str(value.dtype)[6:]] for key, value in state.items()] == net["state_dict"]


@pytest.mark.parametrize("name", ["enc_z", *STEPS])
def test_each_map_has_the_published_numbers(found: dict[str, Tensor], stored: Any, name: str) -> None:
    channels, step = STEPS.get(name, (1, 1))
    thinned = found[name] if name == "enc_z" else found[name][:, ::channels, ::step, ::step]
    tolerance = ABSOLUTE.get(name, 5e-4 * np.abs(stored[name]).max())
    assert thinned.shape == stored[name].shape
    assert np.abs(thinned.numpy() - stored[name]).max() <= tolerance
    if f"stat_{name}" in stored:
        whole = found[name].double()
        stats = [float(whole.mean()), float(whole.std()), float(whole.abs().max())]
        assert stats == pytest.approx(stored[f"stat_{name}"], rel=1e-4, abs=1e-4)


def test_ab_has_the_published_numbers(found: dict[str, Tensor], stored: Any) -> None:
    assert np.abs(found["ab"].numpy() - stored["ab"]).max() <= 2e-4
    assert np.abs(found["rgb_full_40x56"].numpy() - stored["rgb_full_40x56"]).max() <= 5e-4


def test_positions_match_as_published(found: dict[str, Tensor], stored: Any) -> None:
    # The facts say 1e-5 for the kernels that made them; others round five times as coarsely.
    clear = stored["corr_margin"] > 1e-4
    assert clear.mean() > 0.9
    assert np.array_equal(found["shares"].argmax(dim=-1)[0].numpy()[clear], stored["corr_argmax"][clear])


@torch.inference_mode()
def test_spectral_norms_are_as_published(network: GenerativePrior, stored: Any) -> None:
    layers = {
        "sigma_" + name.replace(".", "_"): layer
        for name, layer in network.named_modules()
        if isinstance(layer, SpectralWeight)
    }
    names = [name for name in stored.files if name.startswith("sigma_")]
    assert len(names) == 7
    for name in names:
        assert float(layers[name].sigma()) == pytest.approx(float(stored[name]), rel=1e-5)


@torch.inference_mode()
def test_the_shift_along_a_direction_is_as_published(network: GenerativePrior, stored: Any) -> None:
    shift = gcp.latent_shift(network, 6, 8, None)
    assert np.abs(shift.numpy() - stored["deform_shift_dir6_8"]).max() <= 4e-5


def test_lab_is_as_published(stored: Any) -> None:
    rgb = torch.from_numpy(stored["color_rgb_u8"]).permute(2, 0, 1)[None].float() / 255
    lab = gcp.rgb_to_lab(rgb)
    assert np.abs(lab.numpy() - stored["color_lab"]).max() < 2e-4
    assert np.abs(gcp.lab_to_rgb(lab).numpy() - stored["color_lab_to_rgb"]).max() < 1e-5
