"""torchvision's Inception v3 for ImageNet, in whose features papers of colorization measure their FID.

It is not the network of FID, so its numbers are named apart.
"""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.models import inception

from workers.models.inception_fid import pool_features


def build(name: str) -> nn.Module:
    """Return the network ``inception-imagenet``: random values, eval mode; it makes 2048 features.

    Raises:
        ValueError: There is no network of this name here.
    """
    if name != "inception-imagenet":
        raise ValueError(f"inception-imagenet is the network of this module, not {name}")
    network: nn.Module = ImagenetInception(aux_logits=True, init_weights=False)
    return network.eval()


class ImagenetInception(inception.Inception3):  # type: ignore[misc]  # torchvision ships no types
    """Features ``(N, 2048)`` of pictures ``(N, 3, 299, 299)`` that are prepared already."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the features ``(N, 2048)``."""
        return pool_features(self, x)
