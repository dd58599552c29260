"""The Colorization Transformer, ColTran (Kumar, Weissenborn and Kalchbrenner, 2021).

Three networks in a row: coarse colours are drawn one by one for 64 x 64 places, then their levels are refined, then the
picture is enlarged to 256 x 256. All three see whole numbers; sizes are fixed by what was learnt for each place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from workers.models.parts import coltran_pixels, coltran_sampling, lab_planes
from workers.models.parts.axial import Widths
from workers.models.parts.coltran_networks import Colorizer, Upsampler
from workers.ops import lab
from workers.ops.resample import Bytes

Sampling = Literal["random", "greedy"]


@dataclass(frozen=True)
class ColTranSizes:
    """How large the networks are; the published ones by default."""

    widths: Widths = field(default_factory=Widths)
    side: int = 64
    """Of the grid whose colours are drawn."""
    full_side: int = 256
    """Of the finished picture."""


PUBLISHED = ColTranSizes()
REDUCED = ColTranSizes(Widths(hidden=32, inner=48, heads=4, head=8), side=8, full_side=16)
"""For quick tests: as many layers, fewer channels, small pictures."""


class ColTran(nn.Module):
    """The three networks, under the names of their checkpoints' folders."""

    def __init__(self, sizes: ColTranSizes) -> None:
        super().__init__()
        self.sizes = sizes
        coarse, full = coltran_pixels.COARSE_LEVELS, 256
        self.colorizer = Colorizer(sizes.widths, sizes.side)
        self.color_upsampler = Upsampler(sizes.widths, sizes.side, levels=coarse, layers=4)
        self.spatial_upsampler = Upsampler(sizes.widths, sizes.full_side, levels=full, layers=3)

    def forward(self, gray: Tensor, small_gray: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the picture, uint8 ``(1, 256, 256, 3)``, of one grey picture in both sizes, ``(1, side, side, 1)``.

        Coarse colours are drawn with the generator; without one the likeliest is taken.
        """
        rows = coltran_sampling.sample_rows(self.colorizer, small_gray, generator)
        coarse = coltran_pixels.bins_to_coarse(torch.stack([row.bins for row in rows])[None])
        small = self.color_upsampler.likeliest_picture(coarse, small_gray)
        side = self.sizes.full_side
        out: Tensor = self.spatial_upsampler.likeliest_picture(coltran_pixels.resize_area(small, side, side), gray)
        return out


# -- the contract of a colorizer


def build(name: str, sizes: ColTranSizes = PUBLISHED) -> ColTran:
    """Return the network ``coltran``: random values, eval mode.

    Raises:
        ValueError: There is no network of this name here.
    """
    if name != "coltran":
        raise ValueError(f"coltran is the network of this module, not {name}")
    return ColTran(sizes).eval()


def chroma(network: ColTran, pictures: Tensor, *, sampling: Sampling = "random", seed: int = 0) -> Tensor:
    """Return a and b ``(N, 2, 256, 256)`` float32 for sRGB ``(N, 3, H, W)`` float32 0..1, squashed to the square.

    ``sampling`` draws coarse colours at random, every picture from the same ``seed``, or takes the likeliest.

    Raises:
        ValueError: ``sampling`` is neither ``random`` nor ``greedy``.
    """
    outputs = [_paint(network, picture, sampling, seed) for picture in lab_planes.to_eight_bit(pictures)]
    rgb = torch.cat(outputs).permute(0, 3, 1, 2).double() / 255
    return lab.rgb_to_lab(rgb)[:, 1:].float()


@torch.inference_mode()
def reference_output(network: ColTran, picture: Bytes, *, sampling: Sampling = "random", seed: int = 0) -> Bytes:
    """Return the central square of an 8-bit sRGB picture ``(H, W, 3)`` in colour, ``(256, 256, 3)``.

    Neither colour nor grey of what came in is kept: all is the network's. Options and errors as for :func:`chroma`.
    """
    square = coltran_pixels.center_crop(torch.tensor(picture)[None])[0].numpy()
    out: Bytes = _paint(network, square, sampling, seed)[0].cpu().numpy()
    return out


def _paint(network: ColTran, picture: Bytes, sampling: Sampling, seed: int) -> Tensor:
    """Return one picture ``(H, W, 3)``, squashed, as the network paints it: uint8 ``(1, 256, 256, 3)``."""
    if sampling not in ("random", "greedy"):
        raise ValueError(f"sampling is 'random' or 'greedy', not {sampling!r}")
    generator = torch.Generator().manual_seed(seed) if sampling == "random" else None
    sizes = network.sizes
    gray, small_gray = coltran_pixels.gray_pyramid(torch.tensor(picture)[None], sizes.full_side, sizes.side)
    device = next(network.parameters()).device
    with torch.no_grad():
        out: Tensor = network(gray.to(device), small_gray.to(device), generator)
    return out


# -- published weights


def from_tensorflow(
    source: str | Path | Mapping[str, str | Path], net: str | None = None, sizes: ColTranSizes = PUBLISHED
) -> dict[str, Tensor]:
    """Return the state of :func:`build`'s network, or of its child ``net``, from published TensorFlow checkpoints.

    ``source`` is, for a child, its checkpoint's folder or its files' prefix; for all three, a folder with the folders
    ``colorizer``, ``color_upsampler`` and ``spatial_upsampler`` (or these with ``_v2``), or their prefixes by name.

    Raises:
        InputError: A checkpoint is missing, damaged, incomplete or another network's (``BAD_CHECKPOINT``).
    """
    with torch.device("meta"):
        network = ColTran(sizes)
    if net is not None:
        return _child_state(network, net, source if isinstance(source, str | Path) else source[net])
    state: dict[str, Tensor] = {}
    from workers.models.checkpoints import coltran_checkpoint  # it raises the errors of db, which training lacks

    for name, place in coltran_checkpoint.checkpoint_paths(source).items():
        state |= {f"{name}.{key}": value for key, value in _child_state(network, name, place).items()}
    return state


def _child_state(network: ColTran, net: str, place: str | Path) -> dict[str, Tensor]:
    from workers.models.checkpoints import coltran_checkpoint

    expected = network.get_submodule(net).state_dict()
    return coltran_checkpoint.read(
        net, coltran_checkpoint.checkpoint_prefix(Path(place)), expected, network.sizes.widths.heads
    )
