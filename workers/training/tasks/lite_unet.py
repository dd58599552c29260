"""The colorizer's course: rebalanced likelihoods of bins, colours that keep the meaning, wear on lightness alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from db.errors import InputError
from workers.models import lite_unet
from workers.ops import lab
from workers.training import color_bins, init, perceptual, task, validation, views
from workers.training.color_bins import Bins
from workers.training.photos import Photos, Picture
from workers.training.task import Batch, Defaults, ParameterGroup

_SIDE_PX = 224
_HALF = _SIDE_PX // 2
_NEVER = -30.0
"""Logit at which a bin that no photograph has begins."""
_OFF, _FEATURES, _CLASSES = 0.02, 0.4, 0.15


class LiteUNetTask(task.TrainingTask[lite_unet.LiteUNet]):
    """Trains :class:`workers.models.lite_unet.LiteUNet`."""

    name = "lite-unet"
    OPTIONS = frozenset({"encoder", "perception", "start"})
    defaults = Defaults(steps=60_000, batch=32, rate=1e-3)

    def __init__(self, encoder: Path | None = None, perception: Sequence[Path] = (), start: Path | None = None) -> None:
        """Take what to start from.

        Args:
            encoder: The file of an EfficientNet-Lite2 classifier, for the encoder; none starts it at random.
            perception: Files of EfficientNet-Lite classifiers, which should see in the coloured picture what they see
                in the photograph; none leaves that loss out.
            start: Weights of the whole network to go on from; its bins stay as they are.
        """
        self.network = lite_unet.LiteUNet()
        self.learner: nn.Module = _Learner(self.network)
        self._encoder, self._start = encoder, start
        self._meaning = perceptual.ClassifierDistance(perception) if perception else None
        self._bins: Bins | None = None

    def prepare(self, photos: Photos) -> None:
        """Find the bins that occur and start the encoder; or start the whole network, whose bins stay."""
        network, places = self.network, len(self.network.bins)
        if self._start is not None:
            init.load_weights(network, self._start)
            # Unused places come last and are grey, as one bin in use is too.
            used = int(network.bins.abs().sum(dim=1).nonzero().max()) + 1
            self._bins = color_bins.measure_bins(photos, places, network.bins[:used])
            return
        init.fill_by_variance(network)
        nn.init.zeros_(network.shares.weight)
        if self._encoder is not None:
            _fill_encoder(network, self._encoder)
        self._bins = color_bins.measure_bins(photos, places)
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

    def groups(self) -> list[ParameterGroup]:
        """The encoder has learnt already, so it learns slower."""
        prefixes = ("trunk.", "top.", "top_norm.")
        encoder = [value for name, value in self.network.named_parameters() if name.startswith(prefixes)]
        rest = [value for name, value in self.network.named_parameters() if not name.startswith(prefixes)]
        return [ParameterGroup(rest, 1), ParameterGroup(encoder, 0.2)]

    def view(self, picture: Picture, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """``light`` as an old photograph shows it, ``clean`` as it was, ``(1, 224, 224)``; ``ab`` ``(2, 112, 112)``."""
        planes = views.to_lab(views.crop(picture, _SIDE_PX, rng))
        ab = planes[..., 1:].reshape(_HALF, 2, _HALF, 2, 2).mean(axis=(1, 3))
        clean = planes[..., 0]
        return {"light": views.add_wear(clean, rng)[None], "clean": clean[None], "ab": ab.transpose(2, 0, 1)}

    def loss(self, learner: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Cross entropy over the bins, rare colours counting for more; how far colours are off; and what is seen."""
        assert self._bins is not None
        bins = self._bins.to(batch["ab"].device)
        logits, shares = learner(batch["light"])
        near, share = bins.shares(functional.avg_pool2d(batch["ab"], 2))
        log_probs = logits.float().log_softmax(dim=1).gather(1, near)
        weight = (bins.weights[near] * share).sum(dim=1)
        ab = self.network.colors(logits, shares)
        parts = {
            "entropy": -((log_probs * share).sum(dim=1) * weight).mean(),
            "off": functional.smooth_l1_loss(ab, batch["ab"], beta=10.0),
        }
        terms = [parts["entropy"], _OFF * parts["off"]]
        if self._meaning is not None:
            if next(self._meaning.parameters()).device != ab.device:
                self._meaning.to(ab.device).to(memory_format=torch.channels_last)
            output, target = (_join_lab(batch["clean"], each) for each in (ab, batch["ab"]))
            parts["features"], parts["classes"] = self._meaning(output, target)
            terms += [_FEATURES * parts["features"], _CLASSES * parts["classes"]]
        return torch.stack(terms).sum(), {name: float(each.detach()) for name, each in parts.items()}

    def figures(self, network: nn.Module, photos: Photos) -> dict[str, float]:
        """PSNR, colorfulness and where leaving the picture grey stands."""
        return validation.colorizer_figures(lambda pictures: lite_unet.chroma(network, pictures), photos)


class _Learner(nn.Module):
    """The network as it learns: it says how likely each bin is, and how neighbours are mixed."""

    def __init__(self, network: lite_unet.LiteUNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, light: Tensor) -> tuple[Tensor, Tensor]:
        return self.network.logits(light)


def _join_lab(light: Tensor, ab: Tensor) -> Tensor:
    wide = functional.interpolate(ab, size=tuple(light.shape[-2:]), mode="bilinear")
    return lab.lab_to_rgb(torch.cat([light, wide], dim=1))


def _fill_encoder(network: lite_unet.LiteUNet, path: Path) -> None:
    """Fill the encoder; the three channels of the first convolution see the same grey."""
    classifier, size = perceptual.lite_classifier(path)
    if size != "lite2":
        raise InputError(f"{path}: is EfficientNet-{size}, the encoder is lite2", code="BAD_CHECKPOINT")
    state = classifier.state_dict()
    first = "trunk.stem.conv.weight"
    state[first] = state[first].sum(dim=1, keepdim=True)
    tensors = {
        key.replace("head_norm.", "top_norm.", 1).replace("head.", "top.", 1): value
        for key, value in state.items()
        if not key.startswith("classes.")
    }
    init.fill_weights(network, tensors, path)
