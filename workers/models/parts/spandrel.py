"""Networks that spandrel reads: several dozen that take out noise, blur or blocks, enlarge, or make up faces and holes.

How large such a network is stands in its file alone, so there is no ``build``: :func:`recognized_family` says which
family the weights belong to, :func:`from_sets` makes the network of them. Nobody knows how far one looks, and some look
at means over all they are shown; so large pictures go through in tiles that fade into each other.

Files are hostile: spandrel takes numbers of layers from keys and channels from shapes, and builds before it compares.
What it may allocate meanwhile is bounded by the weights' own size.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from workers import memory
from workers.models.parts.storage import has_storage, storage_bytes
from workers.ops import tiles

_SCALES = (1, 2, 3, 4)
_AVERAGES = ("params_ema", "params-ema")
"""What is meant for use where a file holds the average of a training beside its last step."""
_WHOLE_VIEW = ("HVICIDNet", "MixDehazeNet", "RetinexFormer")
"""They balance light or haze over the whole picture; tiles would differ."""
_FAMILIES = {"FaceSR": "spandrel-face", "Inpainting": "spandrel-inpaint"}
"""Families of networks that do another thing than to mend or enlarge all of a picture, by spandrel's name of it."""
_ROOM_BYTES = 2 << 30
"""What a network may take while it is built, beyond three times its weights."""
_MOST_LAYERS = 1000
"""Highest number in a key: no network of the field is half as deep, and a made-up one may want a thousand million."""

Sets = Mapping[str, Mapping[str, Tensor]]


class SpandrelNetwork(nn.Module):
    """A network and spandrel's description of it: how it is called, and which sizes it takes."""

    def __init__(self, descriptor: Any) -> None:
        super().__init__()
        self.title: str = descriptor.architecture.name
        self.model: nn.Module = descriptor.model
        self.scale: int = descriptor.scale
        self.channels: int = descriptor.input_channels
        self._descriptor = descriptor

    def forward(self, picture: Tensor, *mask: Tensor) -> Tensor:
        """Return one picture ``(1, C, H * scale, W * scale)``, 0..1, of ``(1, C, H, W)`` float32 0..1.

        A network that fills holes is given their mask besides, ``(1, 1, H, W)`` of 0 and 1.
        """
        output: Tensor = self._descriptor(picture, *mask)
        return output


def recognized_family(sets: Sets) -> str:
    """Return the family that a file's weights belong to: ``spandrel``, ``spandrel-x2`` …; empty for unknown ones.

    Args:
        sets: What ``workers.models.checkpoints.formats.read`` found.

    Raises:
        ValueError: spandrel knows such networks, but this one cannot be built or is of no use here.
    """
    architecture, state = _detect_architecture(sets)
    return _family(_load_descriptor(architecture, state)) if state else ""


def from_sets(build: str, sets: Sets) -> nn.Module:
    """Return the network of a file's weights, strictly filled, in eval mode on the CPU.

    Args:
        build: The family that it must be of.
        sets: What ``workers.models.checkpoints.formats.read`` found.

    Raises:
        ValueError: spandrel does not know it, or it is of another family.
    """
    architecture, state = _detect_architecture(sets)
    if not state:
        raise ValueError("spandrel knows no network with such keys")
    descriptor = _load_descriptor(architecture, state)
    if _family(descriptor) != build:
        raise ValueError(f"{architecture.id}: it is of the family {_family(descriptor)}, not {build}")
    return SpandrelNetwork(descriptor).eval()


def restore(network: nn.Module, pictures: Tensor) -> Tensor:
    """Return pictures ``(N, C, H * scale, W * scale)`` for ``(N, C, H, W)`` float32 0..1, clipped to 0..1.

    A network of three channels is given grey thrice and the mean of its answer is taken; one of a single channel is
    given colour channel by channel.
    """
    assert isinstance(network, SpandrelNetwork)
    channels = pictures.shape[1]
    planes = pictures.float()
    inputs = planes.flatten(0, 1)[:, None] if network.channels == 1 else planes.expand(-1, 3, -1, -1)
    device = next(network.parameters()).device
    # One at a time on every device, as spandrel wants it: bits depend on no other picture.
    outputs = torch.cat([tiles.blend_tiles(one[None].to(device), network.scale, network) for one in inputs])
    if network.channels == 1:
        return outputs.view(len(pictures), channels, *outputs.shape[-2:])
    return outputs.mean(dim=1, keepdim=True) if channels == 1 else outputs


def _family(descriptor: Any) -> str:
    if descriptor.purpose in _FAMILIES:
        return _FAMILIES[descriptor.purpose]
    return "spandrel" if descriptor.scale == 1 else f"spandrel-x{descriptor.scale}"


# -- what a file holds


def _detect_architecture(sets: Sets) -> tuple[Any, dict[str, Tensor]]:
    """Return spandrel's architecture and the weights as it wants them; none and no weights for unknown ones."""
    import spandrel  # it takes a second, and is asked only about files that nothing here knows

    for state in (dict(sets[name]) for name in (*_AVERAGES, *sets) if name in sets):
        # The prefix that reading took off is part of some of its layouts.
        for candidate in (state, {f"model.{key}": value for key, value in state.items()}):
            for support in spandrel.MAIN_REGISTRY.architectures("detection"):
                with contextlib.suppress(Exception):  # it looks into shapes that a hostile file need not have
                    if support.architecture.detect(candidate):
                        return support.architecture, candidate
    return None, {}


def _load_descriptor(architecture: Any, state: Mapping[str, Tensor]) -> Any:
    """Return spandrel's description of a network with its weights."""
    name = architecture.id
    for key, value in state.items():
        if not _is_plain(value):
            raise ValueError(f"{name}: {key:.80} is no plain tensor of numbers")
        if any(part.isdecimal() and int(part[:9]) > _MOST_LAYERS for part in key.split(".")):
            raise ValueError(f"{name}: {key:.80} is deeper than any known network")
    with memory.limit_growth(3 * storage_bytes(state) + _ROOM_BYTES), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what torch says of others' code helps nobody here
        try:
            descriptor = architecture.load(dict(state))
        except Exception as error:
            raise ValueError(f"spandrel reads it as {name}, but cannot build it: {_load_failure(error)}") from error
    _check_useful(name, descriptor)
    own = descriptor.model.state_dict()
    integer_keys = [
        key
        for key, value in state.items()
        if key in own and own[key].is_floating_point() and not value.is_floating_point()
    ]
    if integer_keys:
        raise ValueError(f"{name}: {integer_keys[0]:.80} has whole numbers where fractions are wanted")
    return descriptor


def _check_useful(name: str, descriptor: Any) -> None:
    if descriptor.purpose in _FAMILIES and descriptor.scale != 1:
        raise ValueError(f"{name} enlarges {descriptor.scale} times what it should give back at its own size")
    if descriptor.purpose in _FAMILIES and descriptor.input_channels != 3:
        raise ValueError(f"{name} takes {descriptor.input_channels} channels; 3 are wanted")
    if name in _WHOLE_VIEW:
        raise ValueError(f"{name} must see the whole picture at once, so large ones cannot be given to it")
    if descriptor.scale not in _SCALES:
        raise ValueError(f"{name} enlarges {descriptor.scale} times; at most {_SCALES[-1]} times is possible")
    if descriptor.input_channels not in (1, 3) or descriptor.output_channels != descriptor.input_channels:
        channels = f"{descriptor.input_channels} to {descriptor.output_channels}"
        raise ValueError(f"{name} makes {channels} channels; 1 to 1 or 3 to 3 are wanted")


def _load_failure(error: Exception) -> str:
    if isinstance(error, MemoryError) or "allocate memory" in str(error):
        return "it would be far larger than its weights"
    return f"{' '.join(str(error).split()) or type(error).__name__:.200}"


def _is_plain(value: Tensor) -> bool:
    return has_storage(value) and not value.is_quantized and not value.is_complex()
