"""How networks start: at random, by variance, or from a file of weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from db.errors import InputError


def fill_by_variance(network: nn.Module) -> None:
    """Fill convolutions so that what they pass on varies as much as what they get (He et al. 2015)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def start_network(network: nn.Module, last: nn.Conv2d, path: Path | None) -> None:
    """Start from a file; without one at random, the last convolution with small numbers."""
    if path is not None:
        load_weights(network, path)
        return
    fill_by_variance(network)
    nn.init.normal_(last.weight, std=1e-3)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file of weights: safetensors, or a plain state dict of PyTorch.

    Raises:
        InputError: ``FILE_MISSING`` or ``BAD_CHECKPOINT``.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such file of weights", code="FILE_MISSING")
    try:
        state = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
        return {str(key): value.float() if value.is_floating_point() else value for key, value in state.items()}
    except Exception as error:  # whatever a file does to its reader, it is no file of weights
        why = str(error).partition("\n")[0][:120]
        raise InputError(f"{path}: holds no weights ({why})", code="BAD_CHECKPOINT") from error


def load_weights(network: nn.Module, path: Path) -> None:
    """Put the weights of a file into a network; raises as :func:`read_weights` and :func:`fill_weights`."""
    fill_weights(network, read_weights(path), path)


def fill_weights(network: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Put weights into a network, or into the part of it that they name.

    Raises:
        InputError: ``BAD_CHECKPOINT`` when they are of another network.
    """
    current = network.state_dict()
    strange = [key for key, value in state.items() if key not in current or current[key].shape != value.shape]
    if strange or not state:
        raise InputError(f"{path}: is of another network ({', '.join(strange[:3])})", code="BAD_CHECKPOINT")
    network.load_state_dict({**current, **state})
