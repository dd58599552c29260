"""Every system's files, written as their authors publish them, are recognised, loaded whole and colour a photo."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from db.catalog.weights import CARDS
from tests.support import fill, fill_tf, tf_bundle
from tests.workers.models import generative_prior
from workers import models
from workers.models import coltran
from workers.models.checkpoints import coltran_checkpoint
from workers.on_demand import inspect_weights

pytestmark = pytest.mark.shared
FACTS = Path(__file__).parents[3] / "shared" / "checkpoints"
OPTIONS: dict[str, dict[str, Any]] = {
    "gcp": {"imagenet_class": 263},
    "deoldify-artistic": {"render_factor": 10},
    "deoldify-stable": {"render_factor": 10},
    "deoldify-video": {"render_factor": 10},
    "ddcolor-large": {"input_size": 256},
    "ddcolor-tiny": {"input_size": 256},
    "instcolorization": {"boxes": [(20, 30, 120, 200)]},
    "siggraph17": {"hints": [(100, 60, 200, 40, 40)]},
}


def facts(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FACTS / f"{name}.json").read_text())
    return found


def filled(name: str) -> torch.nn.Module:
    network = models.build(name)
    known = facts("deoldify-stable" if name == "deoldify-video" else name)
    fill.prepare(network.state_dict(), "shared", known["fill"])
    return network


def bare(name: str, folder: Path) -> list[Path]:
    return saved(folder, CARDS[name].files[0].name, filled(name).state_dict())


def wrapped(name: str, folder: Path, key: str, **beside: Any) -> list[Path]:
    return saved(folder, CARDS[name].files[0].name, {key: filled(name).state_dict(), **beside})


def saved(folder: Path, name: str, document: Any) -> list[Path]:
    torch.save(document, folder / name)
    return [folder / name]


def fastai(name: str, folder: Path) -> list[Path]:
    """As fastai saves a learner: the optimizer's own objects lie beside the weights."""
    optimizer = {"opt_func": functools.partial(torch.optim.Adam, betas=(0.9, 0.99)), "lr": 1e-3}
    return wrapped(name, folder, "model", opt=optimizer)


def modelscope(name: str, folder: Path) -> list[Path]:
    network = filled(name)
    spare = {"encoder.arch.head_cls.weight": torch.zeros(4, 768), "encoder.arch.head_cls.bias": torch.zeros(4)}
    state = {f"module.{key}": value for key, value in {**network.state_dict(), **spare}.items()}
    return saved(folder, CARDS[name].files[0].name, {"params": state})


def instcolorization(name: str, folder: Path) -> list[Path]:
    network = filled(name)
    for child in ("G", "GComp", "GF"):
        prefix = "module." if child == "GF" else ""
        state = {f"{prefix}{key}": value for key, value in getattr(network, child).state_dict().items()}
        saved(folder, f"latest_net_{child}.pth", state)
    return [folder]


def gcp(name: str, folder: Path) -> list[Path]:
    network = generative_prior.filled(models.build(name))
    for child, file in (("biggan_E", "biggan_E"), ("biggan_G", "biggan_G_ema_256"), ("biggan_D", "biggan_D_256")):
        saved(folder, f"{file}.pth", getattr(network, child).state_dict())
    both = {child: getattr(network, child).state_dict() for child in ("net_corr", "net_gen")}
    saved(folder, "colorization_model.pth", {**both, "iteration": 7})
    return [folder]


def ct2(name: str, folder: Path) -> list[Path]:
    snapshot = {"model": filled(name).state_dict(), "n_cls": 313, "epoch": 9, "optimizer": {"state": {}}}
    saved(folder, "checkpoint.pth", snapshot)
    rows = facts(name)["luminance_allowed"]
    (folder / "luminance.json").write_text(json.dumps(rows))
    return [folder]


def tensorflow(name: str, folder: Path) -> list[Path]:
    network = coltran.build(name)
    for net, child in network.named_children():
        values = {}
        for variable in coltran_checkpoint.variables(net):
            shape = coltran_checkpoint.tensorflow_shape(variable.key, tuple(child.state_dict()[variable.key].shape), 4)
            for key in {variable.checkpoint_name, variable.plain_name}:
                values[key] = fill_tf.values(key, shape, "shared")
        values["optimizer/iter/.ATTRIBUTES/VARIABLE_VALUE"] = np.array(7, np.int64)
        tf_bundle.write(folder / net / "model-1", values)
    return [folder]


LAYOUTS = {
    "eccv16": bare,
    "siggraph17": bare,
    "ddcolor-tiny": modelscope,
    "ddcolor-large": functools.partial(wrapped, key="params"),
    "deoldify-artistic": fastai,
    "deoldify-stable": functools.partial(wrapped, key="model"),
    "deoldify-video": bare,
    "colorformer": functools.partial(wrapped, key="params"),
    "instcolorization": instcolorization,
    "gcp": gcp,
    "ct2": ct2,
    "coltran": tensorflow,
}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", LAYOUTS)
def test_published_files_are_recognised_loaded_whole_and_colour_a_photo(name: str, tmp_path: Path) -> None:
    given = LAYOUTS[name](name, tmp_path)
    found = inspect_weights.examine([str(path) for path in given], None, tmp_path)
    assert found["card"] == name
    known = facts("deoldify-stable" if name == "deoldify-video" else name)
    assert {net for file in found["files"] for net in file["networks"]} <= set(known.get("nets", {})) | {
        "luminance_table", "deformator",
    }  # fmt: skip
    files = {net: Path(file["path"]) for file in found["files"] for net in file["networks"] or [""]}
    network = models.load(files, name)
    if name == "coltran":  # drawing takes a minute; its own test does that
        return
    photo = np.asarray(Image.open(FACTS / "photos" / "nipomo-1936-205x256.png").convert("RGB"), np.float32) / 255
    picture = torch.from_numpy(photo.transpose(2, 0, 1).copy())[None]
    chroma = models.chroma(network, picture, **OPTIONS.get(name, {}))
    assert chroma.shape[:2] == (1, 2)
    assert torch.isfinite(chroma).all()
    assert float(chroma.std()) > 0
