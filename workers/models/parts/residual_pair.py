"""Two convolutions with a short cut around them: what the small restorers are made of."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class ResidualPair(nn.Module):
    """What two 3x3 convolutions add (He et al. 2016), without normalisation, which restorers do better without."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` and what is added to it, same shape."""
        out: Tensor = x + self.second(functional.relu(self.first(x)))
        return out
