"""One picture at a time on the CPU, all at once elsewhere."""

import pytest
import torch
from torch import Tensor, nn

from workers.models.parts import batches


@pytest.mark.parametrize(("device", "expected"), [("cpu", [1, 1, 1]), ("meta", [3])])
def test_how_many_go_at_once_depends_on_the_device_and_their_order_is_kept(device: str, expected: list[int]) -> None:
    network, sizes = nn.Linear(2, 2, device=device), []

    def run(first: Tensor, second: Tensor) -> Tensor:
        sizes.append(len(first))
        return first + second

    inputs = [(torch.full((1, 4), float(n)), torch.ones(1, 4)) for n in range(3)]
    out = batches.predict(network, inputs, run)
    assert sizes == expected
    assert out.shape == (3, 4)
    if device == "cpu":
        assert out[:, 0].tolist() == [1, 2, 3]
