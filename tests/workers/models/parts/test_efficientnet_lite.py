"""EfficientNet-Lite against another implementation, which reads the published files."""

from __future__ import annotations

import pytest
import torch

from tests.workers.training import published
from workers.models.parts import efficientnet_lite
from workers.models.parts.efficientnet_lite import EfficientNetLite


@pytest.mark.parametrize(("size", "side"), [("lite0", 224), ("lite1", 240), ("lite2", 260)])
def test_it_says_what_another_implementation_says(size: str, side: int) -> None:
    other = published.classifier(size)
    state = other.state_dict()
    assert efficientnet_lite.lite_size(state) == size
    network = EfficientNetLite(size).eval()
    network.load_state_dict(efficientnet_lite.convert_keys(state, size))
    shown = torch.rand(2, 3, side, side) * 2 - 1
    with torch.inference_mode():
        torch.testing.assert_close(network(shown), other(shown), rtol=1e-4, atol=1e-5)


def test_a_file_of_another_network_is_known_as_such() -> None:
    state = published.classifier("lite0").state_dict()
    with pytest.raises(ValueError, match="another network"):
        efficientnet_lite.lite_size({name: value for name, value in state.items() if "_blocks.3" not in name})
    with pytest.raises(ValueError, match="another network"):
        efficientnet_lite.lite_size({"weight": torch.zeros(1)})
    with pytest.raises(KeyError):
        efficientnet_lite.convert_keys({**state, "_se.weight": torch.zeros(1)}, "lite0")
