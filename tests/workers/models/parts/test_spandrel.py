"""Networks that spandrel reads: known by their keys, built of their files, run in tiles; hostile files are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file
from spandrel.architectures.DRUNet import DRUNet
from spandrel.architectures.ESRGAN import ESRGAN
from spandrel.architectures.LaMa import LaMa
from spandrel.architectures.NAFNet import NAFNet
from spandrel.architectures.RestoreFormer import RestoreFormer
from spandrel.architectures.RetinexFormer import RetinexFormer
from spandrel.architectures.SPAN import SPAN
from spandrel.architectures.SwinIR import SwinIR
from torch import Tensor, nn

from db.catalog.weights import FAMILIES, card
from db.errors import InputError
from workers import models
from workers.models.checkpoints import loading
from workers.models.parts import spandrel
from workers.on_demand import inspect_weights
from workers.ops import tiles

State = dict[str, Tensor]

pytestmark = pytest.mark.filterwarnings("ignore:torch.meshgrid")  # of networks that are built here


def esrgan(scale: int = 4, channels: int = 3) -> nn.Module:
    return ESRGAN(in_nc=channels, out_nc=channels, num_filters=8, num_blocks=1, scale=scale)


def swin() -> nn.Module:
    return SwinIR(
        upscale=3, img_size=48, window_size=8, depths=[2], embed_dim=16, num_heads=[2], upsampler="pixelshuffledirect"
    )


def nafnet() -> nn.Module:
    return NAFNet(width=8, enc_blk_nums=[1, 1], dec_blk_nums=[1, 1], middle_blk_num=1)


def restore_former() -> nn.Module:
    return RestoreFormer(n_embed=16, embed_dim=32, ch=32, ch_mult=(1,) * 6, num_res_blocks=1, z_channels=32)


NETWORKS: dict[str, tuple[str, Callable[[], nn.Module]]] = {
    "esrgan": ("spandrel-x4", esrgan),
    "esrgan-grey": ("spandrel-x2", lambda: esrgan(2, 1)),
    "span": ("spandrel-x2", lambda: SPAN(num_in_ch=3, num_out_ch=3, feature_channels=8, upscale=2)),
    "swinir": ("spandrel-x3", swin),
    "nafnet": ("spandrel", nafnet),
    "restoreformer": ("spandrel-face", restore_former),
    "lama": ("spandrel-inpaint", lambda: LaMa(in_nc=4, out_nc=3)),
    "drunet-grey": ("spandrel", lambda: DRUNet(in_nc=2, out_nc=1, nc=[8, 16, 16, 16], nb=2)),
}


def file_of(folder: Path, network: nn.Module, wrapper: str = "params") -> Path:
    path = folder / "some network_V2.1.pth"
    torch.save({wrapper: network.state_dict()}, path)
    return path


def state_of(network: nn.Module) -> State:
    return {key: value.contiguous().clone() for key, value in network.state_dict().items()}


@pytest.fixture(autouse=True)
def _same_numbers() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_known_by_its_keys_and_does_what_its_family_does(name: str, tmp_path: Path) -> None:
    family, made = NETWORKS[name]
    path = file_of(tmp_path, made())
    assert loading.recognize([path]) == family
    found = inspect_weights.examine([str(path)], None, tmp_path)
    assert found["card"] == f"{family}:some-network-v2-1"
    assert found["trained"]["summary"].endswith(card(family + ":x").summary)
    network, scale = models.load(path), card(found["card"]).scale
    for channels in (1, 3):
        pictures = torch.rand(2, channels, 21, 34)
        restored = models.restore(network, pictures)
        assert restored.shape == (2, channels, 21 * scale, 34 * scale)
        assert restored.dtype == torch.float32
        assert 0 <= float(restored.min()) <= float(restored.max()) <= 1
        assert torch.equal(restored[1:], models.restore(network, pictures[1:]))


def test_what_comes_out_is_what_spandrel_makes_of_it(tmp_path: Path) -> None:
    network, picture = swin().eval(), torch.rand(1, 3, 24, 32)
    with torch.inference_mode():
        wanted = network(picture).clamp(0, 1)
    assert torch.equal(models.restore(models.load(file_of(tmp_path, network)), picture), wanted)


def test_the_average_of_a_training_is_taken_before_its_last_step(tmp_path: Path) -> None:
    last, average = nafnet(), nafnet()
    torch.save({"params": last.state_dict(), "params_ema": average.state_dict()}, tmp_path / "both.pth")
    network = models.load(tmp_path / "both.pth")
    key = "intro.weight"
    assert torch.equal(network.state_dict()[f"model.{key}"], average.state_dict()[key])


def test_a_file_is_of_one_family_alone(tmp_path: Path) -> None:
    path = file_of(tmp_path, esrgan())
    assert inspect_weights.examine([str(path)], "spandrel-x4:mine", tmp_path)["card"] == "spandrel-x4:mine"
    with pytest.raises(InputError, match="it is of the family spandrel-x4, not spandrel-x2") as caught:
        inspect_weights.examine([str(path)], "spandrel-x2:mine", tmp_path)
    assert caught.value.code == "BAD_CHECKPOINT"
    with pytest.raises(InputError, match="one network, in one file"):
        inspect_weights.examine([f"G={path}"], "spandrel-x4:mine", tmp_path)
    with pytest.raises(InputError, match="keys are lacking"):
        inspect_weights.examine([str(path)], "folded-cnn:mine", tmp_path)


def test_a_family_is_no_weights_and_builds_nothing_without_a_file() -> None:
    for family in FAMILIES:
        with pytest.raises(InputError, match="No weights are called") as caught:
            card(family)
        assert f"{family}:LABEL" in caught.value.remedy
        with pytest.raises(InputError, match="how large its network is"):
            models.build(f"{family}:mine")


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"purpose": "FaceSR"}, "enlarges 2 times"),
        ({"purpose": "Inpainting", "scale": 1, "input_channels": 1}, "takes 1 channels"),
        ({"scale": 8}, "enlarges 8 times; at most 4"),
        ({"input_channels": 4}, "makes 4 to 3 channels"),
        ({"output_channels": 1}, "makes 3 to 1 channels"),
    ],
)
def test_networks_that_no_stage_can_use_are_refused_with_the_reason(facts: dict[str, object], why: str) -> None:
    usable = {"purpose": "SR", "scale": 2, "input_channels": 3, "output_channels": 3}
    spandrel._check_useful("Any", SimpleNamespace(**usable))
    with pytest.raises(ValueError, match=why):
        spandrel._check_useful("Any", SimpleNamespace(**{**usable, **facts}))


def test_a_network_that_must_see_the_whole_picture_is_refused(tmp_path: Path) -> None:
    network = RetinexFormer(in_channels=3, out_channels=3, n_feat=8, stage=1, num_blocks=[1, 1, 1])
    with pytest.raises(InputError, match="must see the whole picture"):
        models.load(file_of(tmp_path, network))


def deep(state: State) -> State:
    return state | {"model.1.sub.999999999.RDB1.conv1.0.weight": torch.zeros(1)}


def wide(state: State) -> State:
    return state | {"model.0.weight": torch.zeros(200_000, 3, 1, 1)}


def whole_numbers(state: State) -> State:
    return {key: value.to(torch.int32) for key, value in state.items()}


def cut(state: State) -> State:
    state.pop("model.0.bias")
    return state


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (deep, "deeper than any known network"),
        (wide, "far larger than its weights"),
        (whole_numbers, "whole numbers where fractions are wanted"),
        (cut, "spandrel reads it as ESRGAN, but cannot build it"),
    ],
)
def test_hostile_and_damaged_files_end_in_a_code(spoil: Callable[[State], State], why: str, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file(spoil(state_of(esrgan())), path)
    with pytest.raises(InputError, match=why) as caught:
        inspect_weights.examine([str(path)], None, tmp_path)
    assert caught.value.code == "BAD_CHECKPOINT"


def test_a_network_that_unfolds_from_a_few_numbers_is_not_built(tmp_path: Path) -> None:
    state = state_of(SPAN(num_in_ch=3, num_out_ch=3, feature_channels=8, upscale=2))
    name = next(key for key, value in state.items() if value.ndim == 4)
    torch.save(state | {name: torch.zeros(1).expand(4096, 4096, 3, 3)}, tmp_path / "w.pth")
    with pytest.raises(InputError, match=f"{name} has 150,994,944 numbers"):
        inspect_weights.examine([str(tmp_path / "w.pth")], None, tmp_path)


def test_a_network_that_was_made_up_and_cannot_run_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = file_of(tmp_path, nafnet())

    def broken(*_: object, **__: object) -> Tensor:
        raise RuntimeError("shapes\ndo not fit")

    monkeypatch.setattr(loading, "restore", broken)
    with pytest.raises(InputError, match="cannot be run: shapes do not fit") as caught:
        inspect_weights.examine([str(path)], None, tmp_path)
    assert caught.value.code == "BAD_CHECKPOINT"
    monkeypatch.setattr(loading, "restore", lambda network, pictures: pictures[..., :32, :32])
    with pytest.raises(InputError, match="of 64 pixels the network makes 32, not 64"):
        inspect_weights.examine([str(path)], None, tmp_path)


def test_large_pictures_go_through_in_tiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = models.load(file_of(tmp_path, SPAN(num_in_ch=3, num_out_ch=3, feature_channels=4, upscale=2)))
    picture = torch.rand(1, 3, 150, 130)
    whole = models.restore(network, picture)
    for name, value in {"_FADED_PX": 64, "_AROUND_PX": 32, "_FADE_PX": 16}.items():
        monkeypatch.setattr(tiles, name, value)
    torch.testing.assert_close(models.restore(network, picture), whole, rtol=0, atol=1e-3)
