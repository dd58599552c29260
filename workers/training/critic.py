"""A critic that tells photographs from coloured pictures, patch by patch.

Spectrally normalised convolutions of stride 2 with one layer of self-attention (Zhang et al. 2019), as the critic of
DeOldify (Antic 2018) has them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm


class PatchCritic(nn.Module):
    """A score for each patch of a picture: high where it looks like a photograph."""

    def __init__(self, channels: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = [*_halving_layers(3, channels), nn.Dropout2d(0.1)]
        for number in range(3):
            layers += _halving_layers(channels, 2 * channels)
            channels *= 2
            layers += [CriticAttention(channels)] if number == 0 else [nn.Dropout2d(0.25)]
        layers += [spectral_norm(nn.Conv2d(channels, 2 * channels, 3, padding=1)), nn.LeakyReLU(0.2)]
        layers.append(spectral_norm(nn.Conv2d(2 * channels, 1, 4, bias=False)))
        self.layers = nn.Sequential(*layers)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return scores ``(N, 1, h, w)`` of sRGB pictures ``(N, 3, H, W)`` 0..1, sides from 64 pixels on."""
        out: Tensor = self.layers(pictures)
        return out


class CriticAttention(nn.Module):
    """What each place takes from all others; at first nothing."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = spectral_norm(nn.Conv1d(channels, channels // 8, 1, bias=False))
        self.key = spectral_norm(nn.Conv1d(channels, channels // 8, 1, bias=False))
        self.value = spectral_norm(nn.Conv1d(channels, channels, 1, bias=False))
        self.share = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, C, H, W)``."""
        flat = x.flatten(2)
        weights = torch.einsum("ncq,nck->nqk", self.query(flat), self.key(flat)).softmax(dim=2)
        context = torch.einsum("nqk,nck->ncq", weights, self.value(flat))
        out: Tensor = x + self.share * context.reshape(x.shape)
        return out


def adversarial_loss(scores: Tensor, real: bool) -> Tensor:
    """Return how far scores are from saying ``real``: binary cross entropy over their logistic."""
    target = torch.full_like(scores, float(real))
    return functional.binary_cross_entropy_with_logits(scores, target)


def _halving_layers(inputs: int, outputs: int) -> list[nn.Module]:
    return [spectral_norm(nn.Conv2d(inputs, outputs, 4, stride=2, padding=1)), nn.LeakyReLU(0.2)]
