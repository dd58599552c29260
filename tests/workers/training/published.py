"""Files of classifiers as they are published: random values, made by an independent implementation."""

from __future__ import annotations

from pathlib import Path

import torch
from efficientnet_lite_pytorch import EfficientNet
from torch import nn


def classifier(size: str, seed: int = 0) -> nn.Module:
    """An EfficientNet-Lite of another package, with statistics that are not those of a new network; eval mode."""
    torch.manual_seed(seed)
    network: nn.Module = EfficientNet.from_name(f"efficientnet-{size}").eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network


def lite(path: Path, size: str) -> Path:
    torch.save(classifier(size).state_dict(), path)
    return path
