"""Networks of judges: keys, shapes and results of the libraries that publish them, with random weights."""

from __future__ import annotations

import warnings
from pathlib import Path

import lpips
import numpy as np
import pytest
import torch
from torch import nn
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torchvision import models as vision

from db.errors import InputError
from tests.support import fill
from workers import models
from workers.models.checkpoints import loading
from workers.ops import frechet


def filled(network: nn.Module) -> nn.Module:
    fill.fill(network.state_dict(), "judge")
    return network


def test_fids_inception_is_that_of_torch_fidelity(tmp_path: Path) -> None:
    ours = filled(models.build("inception-fid"))
    torch.save(ours.state_dict(), tmp_path / "pt_inception.pth")
    theirs = FeatureExtractorInceptionV3(
        "x", ["2048"], feature_extractor_weights_path=str(tmp_path / "pt_inception.pth")
    )
    picture = np.random.default_rng(0).integers(0, 256, (80, 100, 3), dtype=np.uint8)
    with torch.inference_mode():
        wanted = theirs(torch.from_numpy(picture.transpose(2, 0, 1).copy())[None])[0]
        found = ours(frechet.network_input([picture], "torch_fidelity"))
    assert found.shape == (1, 2048)
    assert found.std() > 0
    assert torch.allclose(found, wanted, rtol=1e-4, atol=1e-5 * float(wanted.abs().max()))


def test_imagenets_inception_has_torchvisions_keys_and_features() -> None:
    ours = filled(models.build("inception-imagenet"))
    theirs = vision.inception_v3(weights=None, init_weights=False).eval()
    theirs.load_state_dict(ours.state_dict())
    seen: list[torch.Tensor] = []
    theirs.avgpool.register_forward_hook(lambda module, given, made: seen.append(made.flatten(1)))
    x = torch.randn(1, 3, 299, 299, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        theirs(x)
        assert torch.allclose(ours(x), seen[0], rtol=1e-4, atol=1e-5 * float(seen[0].abs().max()))


@pytest.mark.parametrize(("name", "net"), [("lpips-alex", "alex"), ("lpips-vgg", "vgg")])
def test_lpips_is_that_of_its_authors_package(name: str, net: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    backbone = {"alex": vision.alexnet, "vgg": vision.vgg16}[net](weights=None)
    torch.save(backbone.state_dict(), tmp_path / "backbone.pth")
    ours = models.load(tmp_path / "backbone.pth", name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs calls torchvision by names of old
        theirs = lpips.LPIPS(net=net, pnet_rand=True, verbose=False).eval()
    for part in ("slice1", "slice2", "slice3", "slice4", "slice5"):
        for key, layer in getattr(theirs.net, part).named_children():
            layer.load_state_dict(backbone.features[int(key)].state_dict())
    one, other = (torch.rand(2, 3, 64, 72) * 2 - 1 for _ in range(2))
    with torch.inference_mode():
        assert torch.allclose(ours(one, other), theirs(one, other).ravel(), rtol=1e-4)
        assert ours(one, one).tolist() == [0, 0]


def test_a_backbone_is_recognised_by_its_convolutions(tmp_path: Path) -> None:
    torch.save(vision.alexnet(weights=None).state_dict(), tmp_path / "some.pth")
    assert loading.recognize([tmp_path / "some.pth"]) == "lpips-alex"


def test_niqes_table_is_read_and_a_strange_one_refused(tmp_path: Path) -> None:
    arrays = {
        "mu_pris_param": np.ones((1, 36)),
        "cov_pris_param": np.eye(36),
        "gaussian_window": np.full((7, 7), 1 / 49),
    }
    np.savez(tmp_path / "niqe_pris_params.npz", **arrays)
    table = models.load(tmp_path / "niqe_pris_params.npz", "niqe")
    assert table.pristine().mean.tolist() == [1] * 36  # type: ignore[operator, union-attr]
    np.savez(tmp_path / "niqe_pris_params.npz", **arrays | {"cov_pris_param": np.eye(35)})
    with pytest.raises(InputError, match="cov_pris_param") as caught:
        models.load(tmp_path / "niqe_pris_params.npz", "niqe")
    assert caught.value.code == "BAD_CHECKPOINT"
    np.savez(tmp_path / "niqe_pris_params.npz", mu_pris_param=np.ones((1, 36)))
    with pytest.raises(InputError, match="no parameters of NIQE"):
        models.load(tmp_path / "niqe_pris_params.npz", "niqe")
