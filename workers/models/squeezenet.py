"""SqueezeNet 1.0, the classifier that says what is seen in a picture. A judge: ``workers.evaluation`` asks it.

The network itself is in ``workers.evaluation.measures.semantic``, where training finds it too.
"""

from __future__ import annotations

from torch import nn

from workers.evaluation.measures import semantic


def build(name: str) -> nn.Module:
    """Return the network ``squeezenet``: random values, eval mode; it makes logits of prepared pictures.

    Raises:
        ValueError: There is no network of this name here.
    """
    if name != "squeezenet":
        raise ValueError(f"squeezenet is the network of this module, not {name}")
    return semantic.build()
