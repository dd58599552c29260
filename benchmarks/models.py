"""Networks: as Reelwright runs them beside a plain eager loop of the same network, and beside packages from PyPI.

Same weights, same inputs, one thread, in turn, in one process; medians are compared. The packages come with the extra
``bench``; where one is not installed its row says so. Weights are random: what is measured is time, and that both give
the same numbers.
"""

from __future__ import annotations

import importlib
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

from benchmarks.rows import ResultRow, at_least
from workers import device, models
from workers.models.checkpoints import registered

ROUNDS = 3
SIDE_PX = 256
NOT_SLOWER = 0.95
"""A ratio of 1 is even; so much is noise."""


def run(folder: Path) -> list[ResultRow]:
    device.make_deterministic("cpu")
    torch.manual_seed(0)
    rows = [compare_with_loop(name) for name in NETWORKS]
    for name, module, peer in PEERS:
        rows.append(compare_with_package(name, module, peer))
    return rows


def compare_with_loop(name: str) -> ResultRow:
    """The network as a worker runs it (layout of memory, inference mode) against itself as tutorials run it."""
    loop = models.build(name)
    ours = registered.move_to_device(models.build(name), "cpu")
    ours.load_state_dict(loop.state_dict())
    inputs = NETWORKS[name]()

    def tutorial() -> None:
        with torch.no_grad():
            loop(*inputs)

    def reelwright_run() -> None:
        with torch.inference_mode():
            ours(*inputs)

    ratio, seconds = compare_times(reelwright_run, tutorial)
    return at_least(f"{name} against a plain eager loop", ratio, NOT_SLOWER, "", f"{seconds:.2f} s a picture")


def compare_with_package(name: str, package: str, make: Callable[[dict[str, Tensor]], nn.Module]) -> ResultRow:
    what = f"{name} against {package}"
    ours = registered.move_to_device(models.build(name), "cpu")
    settle_spectral_norms(ours)
    try:
        theirs = make(ours.state_dict()).eval()
    except ModuleNotFoundError as error:
        return ResultRow(what, f"not measured: {error}", "–", True)
    inputs = NETWORKS[name]()

    def peer_run() -> Tensor:
        with torch.no_grad():
            output: Tensor = theirs(*inputs)
        return output

    def reelwright_run() -> Tensor:
        with torch.inference_mode():
            output: Tensor = ours(*inputs)
        return output

    apart = float((peer_run() - reelwright_run()).abs().max() / peer_run().abs().max())
    ratio, seconds = compare_times(reelwright_run, peer_run)
    return at_least(what, ratio, NOT_SLOWER, "", f"{seconds:.2f} s a picture; outputs {apart:.0e} apart")


def settle_spectral_norms(network: nn.Module) -> None:
    """Give spectral norms vectors that fit their kernels: random ones would blow the numbers up."""
    state = network.state_dict()
    with torch.no_grad():
        for key in [key for key in state if key.endswith("weight_orig")]:
            base, kernel = key.removesuffix("weight_orig"), state[key].flatten(1)
            u = state[f"{base}weight_u"]
            for _ in range(5):
                v = nn.functional.normalize(kernel.t() @ u, dim=0)
                u = nn.functional.normalize(kernel @ v, dim=0)
            state[f"{base}weight_u"].copy_(u)
            state[f"{base}weight_v"].copy_(v)


def compare_times(ours: Callable[[], Any], other: Callable[[], Any]) -> tuple[float, float]:
    """How many times as fast ours is, and its seconds."""
    ours(), other()
    times: list[tuple[float, float]] = [(call_seconds(ours), call_seconds(other)) for _ in range(ROUNDS)]
    mine, theirs = (statistics.median(each[side] for each in times) for side in (0, 1))
    return theirs / mine, mine


def call_seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def lightness_input() -> tuple[Tensor, ...]:
    return (torch.rand(1, 1, SIDE_PX, SIDE_PX) * 100,)


def gray_input() -> tuple[Tensor, ...]:
    return (torch.rand(1, 1, SIDE_PX, SIDE_PX).expand(-1, 3, -1, -1).contiguous(),)


NETWORKS: dict[str, Callable[[], tuple[Tensor, ...]]] = {
    "eccv16": lightness_input,
    "siggraph17": lightness_input,
    "deoldify-artistic": gray_input,
    "deoldify-stable": gray_input,
    "colorformer": gray_input,
    "ddcolor-tiny": gray_input,
    "ddcolor-large": gray_input,
}
"""Networks that take one picture, with what they take; the others are parts of longer systems."""


# -- packages


def spandrel_ddcolor(state: dict[str, Tensor]) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = importlib.import_module("spandrel_extra_arches.architectures.DDColor")
        network: nn.Module = module.DDColorArch().load(dict(state)).model
    return network


def modelscope_ddcolor(state: dict[str, Tensor]) -> nn.Module:
    tiny = state["encoder.arch.downsample_layers.0.0.weight"].shape[0] == 96
    module = import_quietly("modelscope.models.cv.image_colorization.ddcolor.ddcolor")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network: nn.Module = module.DDColor(
            encoder_name="convnext-t" if tiny else "convnext-l", input_size=[SIDE_PX, SIDE_PX], num_queries=100
        )
    network.load_state_dict(state, strict=False)
    return network


def modelscope_deoldify(state: dict[str, Tensor]) -> nn.Module:
    """The wide network: its program's own arguments, on torchvision's ResNet."""
    unet = import_quietly("modelscope.models.cv.image_colorization.unet.unet")
    kinds = import_quietly("modelscope.models.cv.image_colorization.unet.utils")
    body = nn.Sequential(*list(torchvision.models.resnet101().children())[:-2])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network: nn.Module = unet.DynamicUnetWide(
            body, n_classes=3, blur=True, blur_final=True, self_attention=True, y_range=(-3.0, 3.0),
            norm_type=kinds.NormType.Spectral, last_cross=True, bottle=False, nf_factor=2,
        )  # fmt: skip
    network.load_state_dict(state)
    return network


def import_quietly(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(name)


PEERS: tuple[tuple[str, str, Callable[[dict[str, Tensor]], nn.Module]], ...] = (
    ("ddcolor-tiny", "spandrel-extra-arches", spandrel_ddcolor),
    ("ddcolor-large", "spandrel-extra-arches", spandrel_ddcolor),
    ("ddcolor-tiny", "modelscope", modelscope_ddcolor),
    ("ddcolor-large", "modelscope", modelscope_ddcolor),
    ("deoldify-stable", "modelscope", modelscope_deoldify),
)
