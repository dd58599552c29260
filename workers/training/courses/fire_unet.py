"""The small colorizer's course: rebalanced likelihoods of colour bins, wear on lightness alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from workers.models import fire_unet
from workers.training import color_bins, course, judging, started, views
from workers.training.color_bins import Bins
from workers.training.course import Batch, Group, Habits
from workers.training.photos import Photos, Picture

_SIDE_PX = 128
_QUARTER = _SIDE_PX // 4
_NEVER = -30.0
"""Logit at which a bin that no photograph has begins."""


class Course(course.Course[fire_unet.FireUNet]):
    """Trains :class:`workers.models.fire_unet.FireUNet`."""

    name = "fire-unet"
    OPTIONS = frozenset({"encoder", "start"})
    habits = Habits(steps=60_000, batch=32, rate=1e-3)

    def __init__(self, encoder: Path | None = None, start: Path | None = None) -> None:
        """Take what to start from.

        Args:
            encoder: The file of a SqueezeNet 1.0 classifier, for the encoder; none starts it at random.
            start: Weights of the whole network to go on from; its bins stay as they are.
        """
        self.network = fire_unet.FireUNet()
        self.learner: nn.Module = _Logits(self.network)
        self._encoder, self._start = encoder, start
        self._bins: Bins | None = None

    def prepare(self, photos: Photos) -> None:
        """Find the bins that occur and start the encoder; or start the whole network, whose bins stay."""
        network, places = self.network, len(self.network.bins)
        if self._start is not None:
            started.from_file(network, self._start)
            # Unused places come last and are grey, as one bin in use is too.
            used = int(network.bins.abs().sum(dim=1).nonzero().max()) + 1
            self._bins = color_bins.measured(photos, places, network.bins[:used])
            return
        started.by_variance(network)
        if self._encoder is not None:
            _start(network, self._encoder)
        self._bins = color_bins.measured(photos, places)
        used = len(self._bins.colors)
        with torch.no_grad():
            network.bins.zero_()
            network.bins[:used] = self._bins.colors
            assert network.head.bias is not None
            network.head.bias[:used] = 0
            network.head.bias[used:] = _NEVER

    def state(self) -> dict[str, Any]:
        """The bins and what they count for."""
        assert self._bins is not None
        return {"colors": self._bins.colors, "weights": self._bins.weights}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take the bins back."""
        self._bins = Bins(state["colors"], state["weights"])

    def groups(self) -> list[Group]:
        """The encoder has learnt already, so it learns slower."""
        encoder = list(self.network.features.parameters())
        rest = [value for name, value in self.network.named_parameters() if not name.startswith("features.")]
        return [Group(rest, 1), Group(encoder, 0.2)]

    def view(self, picture: Picture, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """``light`` ``(1, 128, 128)`` as an old photograph shows it, ``ab`` ``(2, 32, 32)`` as it was."""
        planes = views.lab(views.crop(picture, _SIDE_PX, rng))
        ab = planes[..., 1:].reshape(_QUARTER, 4, _QUARTER, 4, 2).mean(axis=(1, 3))
        return {"light": views.worn(planes[..., 0], rng)[None], "ab": ab.transpose(2, 0, 1)}

    def loss(self, learner: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Cross entropy over the bins, rare colours counting for more, and how far the mean colour is off."""
        assert self._bins is not None
        bins = self._bins.to(batch["ab"].device)
        logits = learner(batch["light"])
        near, share = bins.shares(batch["ab"])
        given = logits.float().log_softmax(dim=1).gather(1, near)
        weight = (bins.weights[near] * share).sum(dim=1)
        entropy = -((given * share).sum(dim=1) * weight).mean()
        off = functional.smooth_l1_loss(self.network.mean(logits), batch["ab"], beta=10.0)
        return entropy + 0.02 * off, {"entropy": float(entropy.detach()), "off": float(off.detach())}

    def judged(self, network: nn.Module, photos: Photos) -> dict[str, float]:
        """PSNR, colorfulness and where leaving the picture grey stands."""
        return judging.colorizer(lambda pictures: fire_unet.chroma(network, pictures), photos)


class _Logits(nn.Module):
    """The network as it learns: it says how likely each bin is."""

    def __init__(self, network: fire_unet.FireUNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, light: Tensor) -> Tensor:
        return self.network.logits(light)


def _start(network: fire_unet.FireUNet, path: Path) -> None:
    """Fill the encoder; the three channels of the first convolution see the same grey."""
    state = {key: value for key, value in started.read(path).items() if key.startswith("features.")}
    first, means = state["features.0.weight"], torch.tensor([104.0, 117.0, 123.0])
    state["features.0.weight"] = first.sum(dim=1, keepdim=True)
    state["features.0.bias"] += (first * (117 - means)[:, None, None]).sum(dim=(1, 2, 3))
    started.fill(network, state, path)
