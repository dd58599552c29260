"""How far two pictures are apart as classifiers see them.

:class:`VggDistance`: VGG-16 with batch norm (Simonyan and Zisserman 2015), filled from torchvision's published file.
Only the convolutions are built: what is compared is the first convolution's output of each of the five blocks.

:class:`ClassifierDistance`: what several EfficientNet-Lite see on their way, and what they take the picture for.

The files are the user's.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from db.errors import InputError
from workers.models.parts import efficientnet_lite, imagenet
from workers.models.parts.efficientnet_lite import EfficientNetLite, normalize_levels
from workers.training import init

_BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 1))
"""Channels and convolutions of each block, as far as is needed."""


class VggDistance(nn.Module):
    """Mean absolute difference of features, one weight a block."""

    mean: Tensor
    std: Tensor

    def __init__(self, path: Path | None, weights: tuple[float, ...] = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)) -> None:
        """Take torchvision's ``vgg16_bn`` file; none leaves random features (only tests want them).

        Raises:
            InputError: ``FILE_MISSING`` or ``BAD_CHECKPOINT``.
        """
        super().__init__()
        self.register_buffer("mean", imagenet.mean())
        self.register_buffer("std", imagenet.deviation())
        self.features, self._compared = _vgg_features()
        self._weights = weights
        if path is not None:
            state = self.features.state_dict()
            tensors = {key.removeprefix("features."): value for key, value in init.read_weights(path).items()}
            init.fill_weights(self.features, {key: tensors[key] for key in state if key in tensors}, path)
        self.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> VggDistance:
        """Stay as it is: a judge does not learn."""
        return super().train(False)

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the distance of sRGB pictures ``(N, 3, H, W)`` 0..1, a scalar."""
        x = (torch.cat([output, target]) - self.mean) / self.std
        total = x.new_zeros(())
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in self._compared:
                first, second = x.chunk(2)
                total = total + self._weights[self._compared.index(number)] * functional.l1_loss(first, second.detach())
        return total


class ClassifierDistance(nn.Module):
    """How otherwise classifiers see one picture than another: features on the way, and classes in the end."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """Take files of EfficientNet-Lite classifiers, of any of the three sizes.

        Raises:
            InputError: ``FILE_MISSING`` or ``BAD_CHECKPOINT``.
        """
        super().__init__()
        self.networks = nn.ModuleList(lite_classifier(path)[0] for path in paths)
        self.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> ClassifierDistance:
        """Stay as it is: a judge does not learn."""
        return super().train(False)

    def forward(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return two scalars for sRGB pictures ``(N, 3, H, W)`` 0..1, as one classifier says that torch draws.

        The first is the squared distance of features' directions (as Zhang et al. 2018 take it, all channels alike),
        summed over stages; the second the divergence of what ``output`` is taken for from what ``target`` is.
        """
        # One at a time: all of them at every step cost as many times more and teach little more.
        network = cast(EfficientNetLite, self.networks[int(torch.randint(len(self.networks), ()))])
        with torch.no_grad():
            target_stages, target_logits = network.features_and_logits(normalize_levels(target * 255))
        stages, output_logits = network.features_and_logits(normalize_levels(output * 255))
        apart = [
            (_unit_features(one) - _unit_features(two)).square().sum(dim=1).mean()
            for one, two in zip(stages, target_stages, strict=True)
        ]
        log_probs, target_log_probs = (logits.float().log_softmax(dim=1) for logits in (output_logits, target_logits))
        return torch.stack(apart).sum(), functional.kl_div(
            log_probs, target_log_probs, reduction="batchmean", log_target=True
        )


def lite_classifier(path: Path) -> tuple[EfficientNetLite, str]:
    """Return the EfficientNet-Lite of a published file, filled, and its size (``lite0`` to ``lite2``).

    Raises:
        InputError: ``FILE_MISSING`` or ``BAD_CHECKPOINT``.
    """
    state = init.read_weights(path)
    try:
        size = efficientnet_lite.lite_size(state)
        tensors = efficientnet_lite.convert_keys(state, size)
    except (KeyError, ValueError) as error:
        raise InputError(f"{path}: holds no EfficientNet-Lite ({error})", code="BAD_CHECKPOINT") from error
    network = EfficientNetLite(size)
    init.fill_weights(network, tensors, path)
    return network, size


def _unit_features(features: Tensor) -> Tensor:
    return functional.normalize(features.float(), dim=1, eps=1e-4)


def _vgg_features() -> tuple[nn.Sequential, list[int]]:
    layers: list[nn.Module] = []
    indices, inputs = [], 3
    for channels, count in _BLOCKS:
        if layers:
            layers.append(nn.MaxPool2d(2))
        indices.append(len(layers))
        for _ in range(count):
            layers += [nn.Conv2d(inputs, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU()]
            inputs = channels
    return nn.Sequential(*layers), indices
