from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tests.workers.models import golden
from workers.models.parts.spectral import SpectralConv


def oracle(layer: SpectralConv, kind: type[nn.Module], inputs: int, outputs: int, kernel_px: int) -> nn.Module:
    """PyTorch's own layer under its old spectral norm, with the same entries."""
    plain = kind(inputs, outputs, kernel_px, padding=kernel_px // 2, bias=layer.bias is not None)
    normed = nn.utils.spectral_norm(plain).eval()
    assert list(normed.state_dict()) == list(layer.state_dict())
    normed.load_state_dict(layer.state_dict())
    return normed


def any_vectors(layer: SpectralConv) -> SpectralConv:
    """Put vectors in that no power iteration has seen, as a checkpoint may hold."""
    layer.weight_u.copy_(layer.weight_u + 0.05 * golden.uniform(1, tuple(layer.weight_u.shape)))
    return layer.eval()


# 640 channels are summed in groups.
@pytest.mark.parametrize(
    ("inputs", "kernel_px", "bias"), [(5, 3, True), (5, 1, False), (640, 3, True), (640, 1, False)]
)
@torch.inference_mode()
def test_a_map_is_convolved_as_pytorch_does_with_the_stored_vectors(inputs: int, kernel_px: int, bias: bool) -> None:
    layer = any_vectors(SpectralConv(inputs, 7, kernel_px, bias=bias))
    before = {key: value.clone() for key, value in layer.state_dict().items()}
    x = golden.uniform(0, (2, inputs, 6, 9), -1, 1)
    expected: Tensor = oracle(layer, nn.Conv2d, inputs, 7, kernel_px)(x)
    assert golden.worst(layer(x), expected.numpy()) < 1e-5
    assert all(torch.equal(value, before[key]) for key, value in layer.state_dict().items())


@torch.inference_mode()
def test_a_sequence_is_convolved_as_pytorch_does() -> None:
    layer = any_vectors(SpectralConv(6, 4, 1, bias=False, axes=1))
    x = golden.uniform(0, (2, 6, 11), -1, 1)
    expected: Tensor = oracle(layer, nn.Conv1d, 6, 4, 1)(x)
    assert golden.worst(layer(x), expected.numpy()) < 1e-5


def test_training_finds_the_largest_singular_value() -> None:
    layer = SpectralConv(3, 8, 3, bias=False).train()
    x = golden.uniform(0, (1, 3, 4, 4))
    for _ in range(100):
        layer(x).sum().backward()
    largest = torch.linalg.matrix_norm(layer.weight_orig.flatten(1), 2)
    assert torch.dot(layer.weight_u, layer.weight_orig.flatten(1) @ layer.weight_v).item() == pytest.approx(
        largest.item(), rel=1e-4
    )
