"""LPIPS (Zhang and others 2018): how unlike two pictures look to people.

The backbone (AlexNet or VGG-16 of torchvision) is registered by the user; the few linear weights of version 0.1 come
with torchmetrics. Only the backbone's convolutions are used; the published file's classifier is left aside.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision import models

SPARE_KEYS = tuple(f"classifier.{number}.{kind}" for number in (0, 1, 3, 4, 6) for kind in ("weight", "bias"))
"""What published files hold beside the convolutions."""
_LAYERS = {"lpips-alex": ("alex", (1, 4, 7, 9, 11)), "lpips-vgg": ("vgg", (3, 8, 15, 22, 29))}
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)


def build(name: str) -> nn.Module:
    """Return the network ``lpips-alex`` or ``lpips-vgg``: random values, eval mode.

    Raises:
        ValueError: There is no network of this name here.
    """
    if name not in _LAYERS:
        raise ValueError(f"the networks of this module are {', '.join(_LAYERS)}, not {name}")
    return Lpips(name).eval()


class Lpips(nn.Module):
    """Distances ``(N,)`` of two batches of sRGB pictures ``(N, 3, H, W)`` in -1..1, at least 64 pixels a side."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._heads, self._looks = _LAYERS[name]
        backbone = models.alexnet if name == "lpips-alex" else models.vgg16
        self.features = backbone(weights=None).features

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """Return the distances ``(N,)``, 0 for equal pictures."""
        sums = torch.zeros(len(one), device=one.device)
        for head, first, second in zip(
            heads(self._heads), self._activations(one), self._activations(other), strict=True
        ):
            apart = (first - second) ** 2
            sums = sums + (apart * head.to(one.device)).sum(dim=1).mean(dim=(1, 2))
        return sums

    def _activations(self, x: Tensor) -> list[Tensor]:
        """Return the activations at each look, of unit length at each place."""
        shift, scale = (torch.tensor(each, device=x.device).view(3, 1, 1) for each in (_SHIFT, _SCALE))
        x, activations = (x - shift) / scale, []
        for number, layer in enumerate(self.features[: self._looks[-1] + 1]):
            x = layer(x)
            if number in self._looks:
                activations.append(x / ((x**2).sum(dim=1, keepdim=True).sqrt() + 1e-10))
                # torchvision's next layers work in place.
                x = x.clone()
        return activations


@cache
def heads(name: str) -> tuple[Tensor, ...]:
    """Return the five weights ``(1, C, 1, 1)`` of version 0.1, as torchmetrics brings them.

    Raises:
        ModuleNotFoundError: torchmetrics is not installed.
    """
    spec = find_spec("torchmetrics")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("torchmetrics, which brings the linear weights of LPIPS")
    path = Path(spec.origin).parent / "functional" / "image" / "lpips_models" / f"{name}.pth"
    state = torch.load(path, map_location="cpu", weights_only=True)
    return tuple(state[f"lin{number}.model.1.weight"] for number in range(len(state)))
