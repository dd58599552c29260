"""CT2, a colorization transformer via colour tokens (Weng and others, 2022), with ViT-L/16.

A ViT turns lightness into patch tokens; two blocks let them and 313 colour tokens look at one another, as far as
lightness allows a colour at all; every pixel is then compared with every colour. Which lightness allows which colour is
a table that comes with the weights: it is registered with them or given as ``luminance_table``; none is here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn import functional

from workers.models.parts import batches, lab_planes
from workers.models.parts.vit import VitBlock, VitEncoder
from workers.ops.resample import Bytes, resize

SIDE_PX = 256
"""The published program sees nothing but squares of this side."""
_TEMPERATURE = 0.38
_ZONES = 4
"""Equal parts of lightness 0..100 with a row each in the luminance table."""
_STEP = 10
# For each a, the lowest and the highest b whose bin is used: those that sRGB can show (Zhang and others, 2016).
# fmt: off
_B_RANGE = {
    -90: (50, 90), -80: (20, 90), -70: (0, 90), -60: (-20, 90), -50: (-30, 100), -40: (-40, 100), -30: (-50, 100),
    -20: (-50, 100), -10: (-60, 100), 0: (-70, 100), 10: (-80, 90), 20: (-80, 90), 30: (-90, 90), 40: (-100, 90),
    50: (-100, 80), 60: (-110, 80), 70: (-110, 80), 80: (-110, 70), 90: (-110, 70), 100: (-90, 0),
}
# fmt: on
AB_BINS = tuple((a, b) for a, (low, high) in _B_RANGE.items() for b in range(low, high + 1, _STEP))
"""The 313 centres of colour bins, sorted by a, then b."""
_GRID_START, _GRID_SIDE = -110, 23


@dataclass(frozen=True)
class Ct2Sizes:
    """How large the network is; the published one by default."""

    width: int = 1024
    layers: int = 24
    heads: int = 16
    inner: int = 4096
    side: int = SIDE_PX // 16
    """Patches along a side for which positions are learnt."""
    classes: int = 1000
    """Of the head that is never run."""
    regression: tuple[int, int, int, int] = (256, 64, 16, 4)
    """Channels after each doubling in the regression head."""


class Ct2Output(NamedTuple):
    """What the network makes of lightness."""

    ab: Tensor
    """a and b ``(N, 2, H, W)``: mean of the bins under sharpened probabilities. This makes the picture."""
    regression: Tensor
    """a and b straight from the second head, over 110: ``(N, 2, H, W)`` in -1..1. It only helped in training."""
    logits: Tensor
    """``(N, 313, H, W)``; -inf where lightness does not allow the colour."""


class Ct2(nn.Module):
    """Encoder and decoder; the decoder's two blocks are known under two names each."""

    def __init__(self, sizes: Ct2Sizes) -> None:
        super().__init__()
        self.luminance_table: Tensor | None = None  # set by ``TABLES`` when weights are loaded
        self.encoder = VitEncoder(
            sizes.width, sizes.layers, sizes.heads, sizes.inner, patch_px=16, side=sizes.side, classes=sizes.classes
        )
        self.decoder = Ct2Decoder(sizes)

    def forward(self, lightness: Tensor, allowed: Tensor) -> Ct2Output:
        """Return all that the network makes of L ``(N, 1, H, W)`` 0..100, sides multiples of 16.

        ``allowed`` ``(N, H x W, 313)`` bool says which colours each pixel's lightness allows; at least one of each.
        """
        grid, colors = self._features(lightness, allowed)
        logits = self.decoder.logits(grid, colors, allowed)
        size = lightness.shape[-2:]
        return Ct2Output(_to_grid(decode_bins(logits), *size), self.decoder.regression(grid), _to_grid(logits, *size))

    def chroma(self, lightness: Tensor, allowed: Tensor) -> Tensor:
        """Return only a and b ``(N, 2, H, W)``: the second head is not run."""
        grid, colors = self._features(lightness, allowed)
        return _to_grid(decode_bins(self.decoder.logits(grid, colors, allowed)), *lightness.shape[-2:])

    def _features(self, lightness: Tensor, allowed: Tensor) -> tuple[Tensor, Tensor]:
        rows, columns = (size // 16 for size in lightness.shape[-2:])
        tokens: Tensor = self.encoder(((lightness - 50) / 100).expand(-1, 3, -1, -1))
        features: tuple[Tensor, Tensor] = self.decoder(tokens[:, 1:].reshape(len(tokens), rows, columns, -1), allowed)
        return features


class Ct2Decoder(nn.Module):
    """Joint transformer over patches and colours, then the way up to pixels."""

    def __init__(self, sizes: Ct2Sizes) -> None:
        super().__init__()
        width = sizes.width
        self.cls_emb = nn.Parameter(torch.zeros(1, len(AB_BINS), width))
        self.proj_patch = nn.Parameter(torch.zeros(width, width))
        self.proj_classes = nn.Parameter(torch.zeros(width, width))
        self.per_block = nn.ModuleList(VitBlock(width, sizes.heads, sizes.inner) for _ in range(2))
        self.blocks = nn.ModuleList([self.per_block])
        self.pos_color = ColorPositions(width)
        self.pos_patch = GridPositions(width)
        self.decoder_norm = nn.LayerNorm(width)
        self.conv_layers = nn.ModuleList([nn.Conv2d(width, width, 3, padding=1)])
        self.color_linear = nn.ModuleList([nn.Linear(width, width)])
        self.upsampler = nn.Sequential(*_upsampling_layers([width] * 5))
        self.proj_dec = nn.Linear(width, width)
        last = nn.Conv2d(sizes.regression[-1], 2, 3, padding=1)
        self.upsampler_l1 = nn.Sequential(*_upsampling_layers([width, *sizes.regression]), last)
        self.mask_norm = nn.LayerNorm(len(AB_BINS))

    def forward(self, patches: Tensor, allowed: Tensor) -> tuple[Tensor, Tensor]:
        """Return the grid ``(N, width, rows, columns)`` and the colours ``(N, 313, width)``.

        ``patches`` are the encoder's tokens ``(N, rows, columns, width)``; ``allowed`` as in :class:`Ct2`.
        """
        count, rows, columns, _ = patches.shape
        grid = self.pos_patch(self.proj_dec(patches).permute(0, 3, 1, 2))
        tokens = torch.cat([_to_tokens(grid), self.pos_color(self.cls_emb).expand(count, -1, -1)], dim=1)
        mask = _attention_mask(allowed, rows, columns)
        for block in self.per_block:
            tokens = block(tokens, mask)
        cells = rows * columns
        grid = self.conv_layers[0](_to_grid(tokens[:, :cells], rows, columns))
        colors: Tensor = self.color_linear[0](tokens[:, cells:])
        tokens = self.decoder_norm(torch.cat([_to_tokens(grid), colors], dim=1))
        return _to_grid(tokens[:, :cells], rows, columns), tokens[:, cells:]

    def logits(self, grid: Tensor, colors: Tensor, allowed: Tensor) -> Tensor:
        """Compare pixels with colours: ``(N, H x W, 313)``, by the cosine, normed, -inf where not allowed."""
        pixels = _to_tokens(self.upsampler(grid))
        cosines = _normalize(pixels @ self.proj_patch) @ _normalize(colors @ self.proj_classes).transpose(1, 2)
        scores: Tensor = self.mask_norm(cosines)
        return scores.masked_fill(~allowed, -torch.inf)

    def regression(self, grid: Tensor) -> Tensor:
        """Return the second head's ``(N, 2, H, W)`` in -1..1."""
        return torch.tanh(self.upsampler_l1(grid))


class GridPositions(nn.Module):
    """Tells grid cells where they are by what lies around them: a depthwise convolution, added."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.ModuleList([nn.Conv2d(width, width, 3, padding=1, groups=width)])

    def forward(self, grid: Tensor) -> Tensor:
        """Return ``(N, width, rows, columns)`` as it came in, with positions."""
        out: Tensor = grid + self.proj[0](grid)
        return out


class ColorPositions(GridPositions):
    """The same on the plane of a and b, where the cells without a bin are zero."""

    def forward(self, grid: Tensor) -> Tensor:
        """Return colour tokens ``(N, 313, width)`` with positions."""
        cells = torch.tensor(AB_BINS, device=grid.device).sub(_GRID_START).div(_STEP, rounding_mode="floor")
        rows, columns = cells.unbind(1)
        plane = grid.new_zeros(len(grid), grid.shape[2], _GRID_SIDE, _GRID_SIDE)
        plane[:, :, rows, columns] = grid.transpose(1, 2)
        out: Tensor = super().forward(plane)
        return out[:, :, rows, columns].transpose(1, 2)


def _upsampling_layers(widths: list[int]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for wide, narrow in pairwise(widths):
        layers.append(nn.Sequential(nn.Conv2d(wide, wide, 3, padding=1), nn.BatchNorm2d(wide), nn.ReLU()))
        layers += [nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1), nn.ReLU()]
    return layers[:-1]


def _to_tokens(grid: Tensor) -> Tensor:
    return grid.flatten(2).transpose(1, 2)


def _to_grid(tokens: Tensor, rows: int, columns: int) -> Tensor:
    return tokens.transpose(1, 2).reshape(len(tokens), -1, rows, columns)


def _normalize(vectors: Tensor) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    return vectors / length


def _attention_mask(allowed: Tensor, rows: int, columns: int) -> Tensor:
    """Which of patches and colours look at one another ``(N, T, T)``: between kinds, if any pixel of the patch may."""
    pixels = allowed.reshape(len(allowed), rows, 16, columns, 16, -1)
    across = pixels.any(dim=4).any(dim=2).flatten(1, 2)
    patches, colors = across.shape[1:]
    within_patches = across.new_ones(len(across), patches, patches)
    within_colors = across.new_ones(len(across), colors, colors)
    upper = torch.cat([within_patches, across], dim=2)
    return torch.cat([upper, torch.cat([across.transpose(1, 2), within_colors], dim=2)], dim=1)


def decode_bins(logits: Tensor) -> Tensor:
    """Return a and b ``(N, P, 2)`` of logits ``(N, P, 313)``: the mean bin once likely ones are made likelier."""
    centers = torch.tensor(AB_BINS, dtype=logits.dtype, device=logits.device)
    return functional.softmax(logits / _TEMPERATURE, dim=-1) @ centers


# -- the luminance table

TableSource = str | Path | ArrayLike | None
"""The table or its file; see :func:`read_table`."""


def read_table(source: TableSource) -> Tensor:
    """Return the table ``(4, 313)`` bool: which colours a lightness in each quarter of 0..100 allows.

    ``source`` is an array of ones and zeros, or a file: ``.npy``, or JSON with four rows, each a list or a string of
    ones and zeros, bare or under ``luminance_allowed``.

    Raises:
        ValueError: None is given, or it is no such table.
    """
    if source is None:
        raise ValueError(
            "CT2 needs the luminance table that belongs to its weights (4 x 313 ones and zeros): "
            "register it with them and give it as luminance_table."
        )
    table = _read_file(Path(source)) if isinstance(source, str | Path) else np.asarray(source)
    if table.shape != (_ZONES, len(AB_BINS)) or not np.isin(table, (0, 1)).all():
        raise ValueError(f"A luminance table is 4 x 313 ones and zeros; this is {table.shape} of {table.dtype}.")
    if not table.any(axis=1).all():
        raise ValueError("A luminance table allows at least one colour in every row.")
    return torch.from_numpy(table.astype(bool))


def _read_file(path: Path) -> NDArray[Any]:
    try:
        if path.suffix == ".npy":
            table: NDArray[Any] = np.load(path, allow_pickle=False)
            return table
        document = json.loads(path.read_text())
        rows = document["luminance_allowed"] if isinstance(document, dict) else document
        return np.array([[int(mark) for mark in row] for row in rows])
    except (OSError, EOFError, KeyError, MemoryError, RecursionError, TypeError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as a luminance table: {error}") from error


def _load_table(network: Ct2, path: Path) -> None:
    network.luminance_table = read_table(path)


TABLES = {"luminance_table": _load_table}
"""What reads the files that come beside the weights into the network."""


def color_mask(lightness: Tensor, table: Tensor) -> Tensor:
    """Return which colours each pixel of L ``(N, 1, H, W)`` allows, ``(N, H x W, 313)`` bool, on L's device."""
    zones = lightness.div(100 / _ZONES, rounding_mode="floor").clamp(0, _ZONES - 1).long()
    return table.to(lightness.device)[zones.flatten(1)]


# -- the contract of a colorizer


def build(name: str, sizes: Ct2Sizes | None = None) -> Ct2:
    """Return the network ``ct2``, of the published sizes unless told: matrices zero, norms at their start, eval mode.

    Raises:
        ValueError: There is no network of this name here.
    """
    if name != "ct2":
        raise ValueError(f"ct2 is the network of this module, not {name}")
    return _build_zeros(lambda: Ct2(sizes or Ct2Sizes())).eval()


def _build_zeros(make: Callable[[], Ct2]) -> Ct2:
    """Build without random numbers: drawing 463 million takes longer than reading the checkpoint over them."""
    with torch.device("meta"):
        network = make()
    for module in network.modules():
        for name, parameter in module.named_parameters(recurse=False):
            module.register_parameter(name, nn.Parameter(torch.zeros(parameter.shape)))
        for name, buffer in module.named_buffers(recurse=False):
            module.register_buffer(name, torch.zeros(buffer.shape, dtype=buffer.dtype))
        if isinstance(module, nn.LayerNorm | nn.BatchNorm2d):
            module.reset_parameters()
    return network


def chroma(network: Ct2, pictures: Tensor, *, luminance_table: TableSource = None) -> Tensor:
    """Return a and b ``(N, 2, 256, 256)`` float32 for sRGB ``(N, 3, H, W)`` float32 0..1, squashed to the square.

    Raises:
        ValueError: No table was registered with the weights or given (see :func:`read_table`), or it is no such table.
    """
    table = _table_or_default(network, luminance_table)
    return _ab(network, [_resize_square(picture) for picture in lab_planes.to_eight_bit(pictures)], table)


@torch.inference_mode()
def reference_output(network: Ct2, picture: Bytes, *, luminance_table: TableSource = None) -> Bytes:
    """Return the central square of an 8-bit sRGB picture ``(H, W, 3)`` in colour, ``(256, 256, 3)``.

    Raises:
        ValueError: As for :func:`chroma`.
    """
    table = _table_or_default(network, luminance_table)
    side = min(picture.shape[:2])
    top, left = ((size - side) // 2 for size in picture.shape[:2])
    square = _resize_square(np.ascontiguousarray(picture[top : top + side, left : left + side]))
    return lab_planes.merge_chroma(square, _ab(network, [square], table).cpu())


def _table_or_default(network: Ct2, source: TableSource) -> Tensor:
    return read_table(network.luminance_table if source is None else source)


def _resize_square(picture: Bytes) -> Bytes:
    return resize(picture, SIDE_PX, SIDE_PX, "bilinear")


def _ab(network: Ct2, squares: Sequence[Bytes], table: Tensor) -> Tensor:
    # Rounding may lead just past 0 and 100, where no colour is allowed.
    lights = [[lab_planes.lightness(square).clamp(0, 100)] for square in squares]
    return batches.predict(network, lights, lambda light: network.chroma(light, color_mask(light, table)))
