"""How far two pictures are apart as classifiers see them.

:class:`VggDistance`: VGG-16 with batch norm (Simonyan and Zisserman 2015), filled from torchvision's published file.
Only the convolutions are built: what is compared is the first convolution's output of each of the five blocks.

:class:`MeaningDistance`: what several EfficientNet-Lite see on their way, and what they take the picture for.

The files are the user's.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from workers.models.parts import efficientnet_lite, imagenet
from workers.models.parts.efficientnet_lite import EfficientNetLite, centred
from workers.training import init
from workers.training.errors import TrainingError

_BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 1))
"""Channels and convolutions of each block, as far as is needed."""


class VggDistance(nn.Module):
    """Mean absolute difference of features, one weight a block."""

    mean: Tensor
    std: Tensor

    def __init__(self, path: Path | None, weights: tuple[float, ...] = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)) -> None:
        """Take torchvision's ``vgg16_bn`` file; none leaves random features (only tests want them).

        Raises:
            TrainingError: ``FILE_MISSING`` or ``BAD_CHECKPOINT``.
        """
        super().__init__()
        self.register_buffer("mean", imagenet.mean())
        self.register_buffer("std", imagenet.deviation())
        self.features, self._compared = _features()
        self._weights = weights
        if path is not None:
            own = self.features.state_dict()
            found = {key.removeprefix("features."): value for key, value in init.read(path).items()}
            init.fill(self.features, {key: found[key] for key in own if key in found}, path)
        self.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> VggDistance:
        """Stay as it is: a judge does not learn."""
        return super().train(False)

    def forward(self, own: Tensor, wanted: Tensor) -> Tensor:
        """Return the distance of sRGB pictures ``(N, 3, H, W)`` 0..1, a scalar."""
        x = (torch.cat([own, wanted]) - self.mean) / self.std
        total = x.new_zeros(())
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in self._compared:
                first, second = x.chunk(2)
                total = total + self._weights[self._compared.index(number)] * functional.l1_loss(first, second.detach())
        return total


class MeaningDistance(nn.Module):
    """How otherwise classifiers see one picture than another: features on the way, and classes in the end."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """Take files of EfficientNet-Lite classifiers, of any of the three sizes.

        Raises:
            TrainingError: ``FILE_MISSING`` or ``BAD_CHECKPOINT``.
        """
        super().__init__()
        self.networks = nn.ModuleList(lite_classifier(path)[0] for path in paths)
        self.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> MeaningDistance:
        """Stay as it is: a judge does not learn."""
        return super().train(False)

    def forward(self, own: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
        """Return two scalars for sRGB pictures ``(N, 3, H, W)`` 0..1, as one classifier says that torch draws.

        The first is the squared distance of features' directions (as Zhang et al. 2018 take it, all channels alike),
        summed over stages; the second the divergence of what ``own`` is taken for from what ``wanted`` is.
        """
        # One at a time: all of them at every step cost as many times more and teach little more.
        network = cast(EfficientNetLite, self.networks[int(torch.randint(len(self.networks), ()))])
        with torch.no_grad():
            true, meant = network.seen(centred(wanted * 255))
        stages, taken_for = network.seen(centred(own * 255))
        apart = [
            (_direction(one) - _direction(two)).square().sum(dim=1).mean()
            for one, two in zip(stages, true, strict=True)
        ]
        likely, wished = (logits.float().log_softmax(dim=1) for logits in (taken_for, meant))
        return torch.stack(apart).sum(), functional.kl_div(likely, wished, reduction="batchmean", log_target=True)


def lite_classifier(path: Path) -> tuple[EfficientNetLite, str]:
    """Return the EfficientNet-Lite of a published file, filled, and its size (``lite0`` to ``lite2``).

    Raises:
        TrainingError: ``FILE_MISSING`` or ``BAD_CHECKPOINT``.
    """
    state = init.read(path)
    try:
        size = efficientnet_lite.size_of(state)
        named = efficientnet_lite.own_names(state, size)
    except (KeyError, ValueError) as error:
        raise TrainingError(f"{path}: holds no EfficientNet-Lite ({error})", code="BAD_CHECKPOINT") from error
    network = EfficientNetLite(size)
    init.fill(network, named, path)
    return network, size


def _direction(features: Tensor) -> Tensor:
    return functional.normalize(features.float(), dim=1, eps=1e-4)


def _features() -> tuple[nn.Sequential, list[int]]:
    layers: list[nn.Module] = []
    compared, inputs = [], 3
    for channels, count in _BLOCKS:
        if layers:
            layers.append(nn.MaxPool2d(2))
        compared.append(len(layers))
        for _ in range(count):
            layers += [nn.Conv2d(inputs, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU()]
            inputs = channels
    return nn.Sequential(*layers), compared
