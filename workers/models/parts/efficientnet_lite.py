"""EfficientNet-Lite (Tan and Le 2019; the Lite variants of 2020): light classifiers of ImageNet.

Three sizes, one layout: a stem, seven stages of inverted residual blocks, a head. ``workers.models.lite_unet`` looks at
grey pictures through one, and a course compares colours as several see them. Files are those that were converted from
TensorFlow's, with their names (``_blocks.0._expand_conv.weight``). Colours go in as RGB, :func:`normalize_levels`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class _Stage:
    """One stage of the smallest size: how wide its blocks get, how many they are, and how they see."""

    kernel: int
    stride: int
    growth: int
    channels: int
    blocks: int


_STAGES = (
    _Stage(3, 1, 1, 16, 1), _Stage(3, 2, 6, 24, 2), _Stage(5, 2, 6, 40, 2), _Stage(3, 2, 6, 80, 3),
    _Stage(5, 1, 6, 112, 3), _Stage(5, 2, 6, 192, 4), _Stage(3, 1, 6, 320, 1),
)  # fmt: skip
_SIZES = {"lite0": (1.0, 1.0), "lite1": (1.0, 1.1), "lite2": (1.1, 1.2)}
"""Factors on channels and on blocks. Stem and head stay as they are, and so do first and last stages' blocks."""
HEAD = 1280
"""Channels of the head."""
_STEM, _CLASSES = 32, 1000
_EPS = 1e-3


class EfficientNetLite(nn.Module):
    """A classifier of 1000 classes."""

    def __init__(self, size: str) -> None:
        """Build ``lite0``, ``lite1`` or ``lite2`` with random values."""
        super().__init__()
        self.trunk = Trunk(size)
        self.head = nn.Conv2d(self.trunk.channels[-1], HEAD, 1, bias=False)
        self.head_norm = _norm(HEAD)
        self.classes = nn.Linear(HEAD, _CLASSES)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return logits ``(N, 1000)`` for RGB ``(N, 3, H, W)`` as :func:`normalize_levels` returns it."""
        return self.features_and_logits(pictures)[1]

    def features_and_logits(self, pictures: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return what each stage makes of pictures, and the logits."""
        stages = self.trunk(pictures)
        last = functional.relu6(self.head_norm(self.head(stages[-1])))
        return stages, self.classes(last.mean(dim=(2, 3)))


class Trunk(nn.Module):
    """Stem and stages. :attr:`channels` says how wide each of the seven stages' outputs is."""

    def __init__(self, size: str, inputs: int = 3) -> None:
        """Build one of a size for pictures of so many channels."""
        super().__init__()
        self.stem = PaddedConv(inputs, _STEM, 3, 2)
        self.stages = nn.ModuleList()
        self.channels: list[int] = []
        channels = _STEM
        for stage, count in zip(_STAGES, _block_counts(size), strict=True):
            wide = _round_to_eight(stage.channels * _SIZES[size][0])
            blocks = []
            for place in range(count):
                stride = stage.stride if place == 0 else 1
                blocks.append(InvertedResidual(channels, wide, stage.growth, stage.kernel, stride))
                channels = wide
            self.stages.append(nn.Sequential(*blocks))
            self.channels.append(wide)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the outputs of the seven stages: at 1/2, 1/4, 1/8, 1/16, 1/16, 1/32 and 1/32 of the size."""
        x = self.stem(x)
        out = []
        for stage in self.stages:
            x = stage(x)
            out.append(x)
        return out


class PaddedConv(nn.Module):
    """A convolution padded as TensorFlow pads, its norm, and a rectifier that ends at 6."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)
        self.norm = _norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return features ``(N, outputs, ceil(H / stride), ceil(W / stride))``."""
        return functional.relu6(self.norm(self.conv(_pad_same(x, self.conv))))


class InvertedResidual(nn.Module):
    """A block that is wide inside and narrow outside (Sandler et al. 2018)."""

    def __init__(self, inputs: int, outputs: int, growth: int, kernel: int, stride: int) -> None:
        super().__init__()
        wide = inputs * growth
        self.expand = PaddedConv(inputs, wide, 1) if growth > 1 else nn.Identity()
        self.depthwise = PaddedConv(wide, wide, kernel, stride, groups=wide)
        self.project = nn.Conv2d(wide, outputs, 1, bias=False)
        self.norm = _norm(outputs)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Return features ``(N, outputs, H / stride, W / stride)``."""
        out: Tensor = self.norm(self.project(self.depthwise(self.expand(x))))
        return x + out if self.adds else out


def normalize_levels(levels: Tensor) -> Tensor:
    """Return levels of 0..255 as the networks take them."""
    return (levels - 127) / 128


def lite_size(state: Mapping[str, Tensor]) -> str:
    """Return which of the sizes a published file holds: ``lite0``, ``lite1`` or ``lite2``.

    Raises:
        ValueError: None of them.
    """
    blocks = {key.split(".")[1] for key in state if key.startswith("_blocks.")}
    head = state.get("_conv_head.weight")
    for size in _SIZES:
        trunk = sum(_block_counts(size)), _round_to_eight(_STAGES[-1].channels * _SIZES[size][0])
        if head is not None and (len(blocks), head.shape[1]) == trunk:
            return size
    raise ValueError("it is of another network")


def convert_keys(state: Mapping[str, Tensor], size: str) -> dict[str, Tensor]:
    """Return the tensors of a published file under the names that :class:`EfficientNetLite` gives them.

    Raises:
        KeyError: A name is not one of such a file's.
    """
    places = [(stage, block) for stage, count in enumerate(_block_counts(size)) for block in range(count)]
    top = {
        "_conv_stem": "trunk.stem.conv", "_bn0": "trunk.stem.norm", "_conv_head": "head", "_bn1": "head_norm",
        "_fc": "classes",
    }  # fmt: skip
    inner = {
        "_expand_conv": "expand.conv", "_bn0": "expand.norm", "_depthwise_conv": "depthwise.conv",
        "_bn1": "depthwise.norm", "_project_conv": "project", "_bn2": "norm",
    }  # fmt: skip
    tensors = {}
    for key, value in state.items():
        first, *rest = key.split(".")
        if first == "_blocks" and len(rest) == 3 and rest[0].isdecimal() and int(rest[0]) < len(places):
            stage, block = places[int(rest[0])]
            tensors[f"trunk.stages.{stage}.{block}.{inner[rest[1]]}.{rest[2]}"] = value
        else:
            tensors[f"{top[first]}.{'.'.join(rest)}"] = value
    return tensors


def _block_counts(size: str) -> list[int]:
    """How many blocks each stage has."""
    inner = [math.ceil(stage.blocks * _SIZES[size][1]) for stage in _STAGES[1:-1]]
    return [_STAGES[0].blocks, *inner, _STAGES[-1].blocks]


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=_EPS, momentum=0.01)


def _round_to_eight(channels: float) -> int:
    """Round to a multiple of 8, by a tenth down at most."""
    near = max(8, int(channels + 4) // 8 * 8)
    return near + 8 if near < 0.9 * channels else near


def _pad_same(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """Pad so that ``ceil(size / stride)`` places come out; what cannot be halved goes to the far side."""
    kernel, stride = conv.kernel_size[0], conv.stride[0]
    high, wide = (max(0, (math.ceil(length / stride) - 1) * stride + kernel - length) for length in x.shape[-2:])
    if high == wide == 0:
        return x
    return functional.pad(x, (wide // 2, wide - wide // 2, high // 2, high - high // 2))
