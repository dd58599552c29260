"""Colour from what a GAN imagines for the picture's class, matched patch by patch.

Towards Vivid and Diverse Image Colorization with Generative Color Prior (Wu and others, 2021).
"""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from workers.models.parts import lab_planes
from workers.models.parts.biggan import CLASSES, LATENT, BigGanEncoder, Discriminator, Generator, GeneratorOutput
from workers.models.parts.deformable import DeformableConv
from workers.ops.resample import Bytes, resize

_SIDE_PX = 256
_AB_SCALE = 110
_PROJECTION = 128
_TEMPERATURE = 0.01
_DIRECTIONS = LATENT - 1


# -- the contract of a colorizer


def build(name: str) -> nn.Module:
    """Return ``gcp``, whose children are called as its published files: random values, eval mode.

    ``deformator`` belongs to a file that is optional; as it is built, directions are plain axes of the latent vector.

    Raises:
        ValueError: There is no system of this name here.
    """
    if name != "gcp":
        raise ValueError(f"gcp is the system of this module, not {name}")
    return GenerativePrior().eval()


def chroma(
    network: nn.Module,
    pictures: Tensor,
    *,
    imagenet_class: int | None = None,
    direction: int | None = None,
    amount: float = 0,
    seed: int | None = None,
) -> Tensor:
    """Return a and b of CIE Lab ``(N, 2, 256, 256)`` float32 for sRGB pictures ``(N, 3, H, W)`` float32 0..1.

    Args:
        network: What ``build`` returns.
        pictures: Any size; their colour is not looked at.
        imagenet_class: What they show: 0..999 in the usual order of ImageNet's classes. There is no default.
        direction: Along which the latent vector is moved for other colours, 0..118; 4, 6 and 23 change little else.
            None: it is not moved.
        amount: How far along ``direction``, about -16..16.
        seed: Of noise that is added to the latent vector for other colours, the same for every picture. None: no noise.

    Raises:
        ValueError: ``imagenet_class`` or ``direction`` is not in its range.
    """
    # One at a time: kernels round otherwise when a batch has another size.
    shift = latent_shift(network, direction, amount, seed)
    return torch.cat(
        [_AB_SCALE * _ab(network, picture, imagenet_class, shift) for picture in lab_planes.to_eight_bit(pictures)]
    )


@torch.inference_mode()
def reference_output(
    network: nn.Module,
    picture: Bytes,
    *,
    imagenet_class: int | None = None,
    direction: int | None = None,
    amount: float = 0,
    seed: int | None = None,
) -> Bytes:
    """Return the 8-bit sRGB picture ``(H, W, 3)`` that the published program makes of one, at its own size.

    It stretches the levels so that the darkest is 0 and the brightest 255. Options are those of ``chroma``.

    Raises:
        ValueError: ``imagenet_class`` or ``direction`` is not in its range.
    """
    ab = _ab(network, picture, imagenet_class, latent_shift(network, direction, amount, seed)).cpu()
    rgb = merge_lab(_unit_lightness(picture), ab)
    unit_rgb = (rgb - rgb.min()) / (rgb.max() - rgb.min()).clamp_min(1e-5)
    levels = (unit_rgb * 255 + 0.5).clamp(0, 255).to(torch.uint8)
    return np.ascontiguousarray(levels[0].permute(1, 2, 0).numpy())


def _ab(network: nn.Module, picture: Bytes, imagenet_class: int | None, shift: Tensor) -> Tensor:
    if imagenet_class is None or not 0 <= imagenet_class < CLASSES:
        raise ValueError(f"imagenet_class is 0 to {CLASSES - 1}, what the picture shows, not {imagenet_class}")
    light = _unit_lightness(resize(picture, _SIDE_PX, _SIDE_PX, "bilinear")).to(shift.device)
    return cast(Tensor, network(light, torch.tensor([imagenet_class], device=shift.device), shift))


def _unit_lightness(picture: Bytes) -> Tensor:
    """Return L ``(1, 1, H, W)``, -1..1, of an 8-bit sRGB picture ``(H, W, 3)``."""
    return rgb_to_lab(lab_planes.to_unit_range(picture))[:, :1] / 50 - 1


def merge_lab(light: Tensor, ab: Tensor) -> Tensor:
    """Return sRGB ``(N, 3, H, W)`` of L ``(N, 1, H, W)`` and ab ``(N, 2, h, w)``, both -1..1; ab is enlarged to L."""
    if ab.shape[-2:] != light.shape[-2:]:
        ab = functional.interpolate(ab, light.shape[-2:], mode="bicubic", align_corners=False)
    return lab_to_rgb(torch.cat([light * 50 + 50, ab * _AB_SCALE], dim=1))


# -- diversity


def latent_shift(network: nn.Module, direction: int | None, amount: float, seed: int | None) -> Tensor:
    """Return what is added to the latent vector, ``(1, 120)``, on the network's device.

    Raises:
        ValueError: ``direction`` is not 0..118.
    """
    shift = torch.zeros(1, LATENT)
    if seed is not None:
        shift += torch.randn(1, LATENT, generator=torch.Generator().manual_seed(seed))
    shift = shift.to(next(network.parameters()).device)
    if direction is None:
        return shift
    if not 0 <= direction < _DIRECTIONS:
        raise ValueError(f"direction is 0 to {_DIRECTIONS - 1}, not {direction}")
    along: Tensor = network.get_submodule("deformator")(direction, amount)
    return shift + along


class Deformator(nn.Module):
    """Turns directions of the latent vector so that each changes one thing seen."""

    def __init__(self) -> None:
        super().__init__()
        self.log_mat_half = nn.Parameter(torch.zeros(_DIRECTIONS, _DIRECTIONS))

    def forward(self, direction: int, amount: float) -> Tensor:
        """Return ``amount`` along a direction as a latent vector ``(1, 120)``."""
        rotation: Tensor = torch.linalg.matrix_exp(self.log_mat_half - self.log_mat_half.t())
        return functional.pad(amount * rotation[None, :, direction], (0, 1))


# -- Lab, with this system's own constants

# fmt: off
_XYZ_FROM_RGB = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))
_RGB_FROM_XYZ = (
    (3.2404542, -1.5371385, -0.4985314), (-0.9692660, 1.8760108, 0.0415560), (0.0556434, -0.2040259, 1.0572252),
)
# fmt: on
_WHITE = (0.950456, 1.0, 1.088754)
_KNEE, _NUDGE = 6 / 29, 1e-6


def rgb_to_lab(rgb: Tensor) -> Tensor:
    """Return Lab ``(N, 3, H, W)`` of sRGB ``(N, 3, H, W)``, 0..1."""
    linear = torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = _mix_channels(linear, _XYZ_FROM_RGB) / _white_point(rgb)
    roots = torch.where(xyz <= _KNEE**3, xyz / (3 * _KNEE**2) + 4 / 29, (xyz + _NUDGE) ** (1 / 3))
    x, y, z = roots.unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)


def lab_to_rgb(lab: Tensor) -> Tensor:
    """Return sRGB ``(N, 3, H, W)``, about 0..1, of Lab ``(N, 3, H, W)``."""
    light, a, b = lab.unbind(1)
    y = (light + 16) / 116
    roots = torch.stack([y + a / 500, y, y - b / 200], dim=1)
    xyz = torch.where(roots <= _KNEE, 3 * _KNEE**2 * (roots - 4 / 29), (roots + _NUDGE) ** 3) * _white_point(lab)
    linear = _mix_channels(xyz, _RGB_FROM_XYZ).clamp(0, 1)
    return torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * (linear + _NUDGE) ** (1 / 2.4) - 0.055)


def _mix_channels(planes: Tensor, rows: tuple[tuple[float, float, float], ...]) -> Tensor:
    first, second, third = planes.unbind(1)
    return torch.stack([p * first + q * second + r * third for p, q, r in rows], dim=1)


def _white_point(like: Tensor) -> Tensor:
    return torch.tensor(_WHITE, dtype=like.dtype, device=like.device)[:, None, None]


# -- the system


class GenerativePrior(nn.Module):
    """Encoder, generator and discriminator of a GAN, the network that matches its picture, and the one that paints.

    Args:
        encoder, generator, discriminator, painter: Widths of the networks, as published where they are not given.
    """

    def __init__(self, encoder: int = 64, generator: int = 96, discriminator: int = 96, painter: int = 64) -> None:
        super().__init__()
        self.biggan_E = BigGanEncoder(encoder)
        self.biggan_G = Generator(generator)
        self.biggan_D = Discriminator(discriminator)
        self.net_corr = Correspondence(6 * discriminator)
        self.net_gen = Painter(painter, generator)
        self.deformator = Deformator()

    def forward(self, light: Tensor, classes: Tensor, shift: Tensor | None = None) -> Tensor:
        """Return ab ``(N, 2, 256, 256)``, -1..1.

        Args:
            light: L ``(N, 1, 256, 256)``, -1..1.
            classes: What the pictures show, ``(N)`` int64.
            shift: Added to the latent vectors, ``(N or 1, 120)``; None is nothing.
        """
        latent: Tensor = self.biggan_E(light, classes)
        reference: GeneratorOutput = self.biggan_G(latent if shift is None else latent + shift, classes)
        shares = self.net_corr(self._features(light), self._features(reference.picture))
        maps = [warp(shares, feature_map, 2**step) for step, feature_map in enumerate(reference[1:])]
        return cast(Tensor, self.net_gen(light, *maps))

    def _features(self, picture: Tensor) -> Tensor:
        quarter, eighth = self.biggan_D(picture)
        return torch.cat([quarter, functional.interpolate(eighth, scale_factor=2, mode="nearest")], dim=1)


# -- matching


class Correspondence(nn.Module):
    """Finds for each position of the grey picture what resembles it in the reference."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.private_layer = nn.ModuleList(_ReflectionBlock(channels) for _ in range(2))
        self.share_layer = nn.Sequential(*(_ReflectionBlock(channels + 3) for _ in range(2)))
        self.phi = nn.Conv2d(channels + 3, _PROJECTION, 1)
        self.theta = nn.Conv2d(channels + 3, _PROJECTION, 1)

    def forward(self, query: Tensor, reference: Tensor) -> Tensor:
        """Return what share each position of the reference has, ``(N, positions, positions)``, queries first.

        Args:
            query: Features of the grey picture, ``(N, C, h, w)``.
            reference: Features of the reference, the same size.
        """
        asking, answering = self.private_layer
        query = self.theta(self.share_layer(_with_coordinates(asking(query))))
        reference = self.phi(self.share_layer(_with_coordinates(answering(reference))))
        similarity = _directions(query).transpose(1, 2) @ _directions(reference)
        return (similarity / _TEMPERATURE).softmax(dim=-1)


class _ReflectionBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3)
        self.prelu = nn.PReLU()
        self.conv2 = nn.Conv2d(channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, C, H, W)`` of the same."""
        inner = self.prelu(functional.instance_norm(self.conv1(_pad_reflect(x))))
        out: Tensor = self.prelu(functional.instance_norm(self.conv2(_pad_reflect(inner))) + x)
        return out


def _with_coordinates(x: Tensor) -> Tensor:
    """Return ``(N, C + 3, H, W)``: a map of unit length in each position, then column, row and radius."""
    count, _, height, width = x.shape
    row = torch.linspace(-1, 1, height, dtype=x.dtype, device=x.device)[:, None].expand(height, width)
    column = torch.linspace(-1, 1, width, dtype=x.dtype, device=x.device).expand(height, width)
    place = torch.stack([column, row, (column**2 + row**2).sqrt()])
    return torch.cat([_normalize(x), place.expand(count, -1, -1, -1)], dim=1)


def _directions(x: Tensor) -> Tensor:
    """Return ``(N, C, positions)`` of ``(N, C, H, W)``: centred over channels, then of unit length."""
    return _normalize(x - x.mean(dim=1, keepdim=True)).flatten(2)


def _normalize(x: Tensor) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    return x / (length + torch.finfo(torch.float64).eps)


def warp(shares: Tensor, feature_map: Tensor, patch_px: int) -> Tensor:
    """Return the reference's map ``(N, C, S, S)`` moved to where the grey picture resembles it.

    Args:
        shares: What ``Correspondence`` returns, for a grid of S / ``patch_px``.
        feature_map: The reference's map.
        patch_px: Side of the patches that are moved as they are.
    """
    patches: Tensor = functional.unfold(feature_map, patch_px, stride=patch_px)
    patches_out = patches @ shares.transpose(1, 2)
    out: Tensor = functional.fold(patches_out, tuple(feature_map.shape[-2:]), patch_px, stride=patch_px)
    return out


# -- painting


class Painter(nn.Module):
    """Turns L into ab, modulated on its way by the warped maps of the reference."""

    def __init__(self, width: int, reference: int) -> None:
        super().__init__()
        self.encoder = _painter_encoder(width)
        self.res_blks = nn.ModuleList(_ModulatedBlock(4 * width, 4 * reference) for _ in range(6))
        self.up_conv1 = _doubling(4 * width, 2 * width)
        self.up_conv2 = _doubling(2 * width, width)
        self.up_norm1 = Modulation(4 * width, 4 * reference)
        self.up_norm2 = Modulation(2 * width, 2 * reference)
        self.up_norm3 = Modulation(width, reference)
        self.head = nn.Sequential(nn.Conv2d(width, 2, 3, padding=1), nn.Tanh())

    def forward(self, light: Tensor, quarter: Tensor, half: Tensor, full: Tensor) -> Tensor:
        """Return ab ``(N, 2, S, S)``, -1..1, of L ``(N, 1, S, S)``, -1..1, and maps of S / 4, S / 2 and S."""
        x: Tensor = self.encoder(light)
        for block in self.res_blks:
            x = block(x, quarter)
        x = self.up_conv1(_leaky_relu(self.up_norm1(x, quarter)))
        x = self.up_conv2(_leaky_relu(self.up_norm2(x, half)))
        return cast(Tensor, self.head(_leaky_relu(self.up_norm3(x, full))))


class _ModulatedBlock(nn.Module):
    def __init__(self, channels: int, reference: int) -> None:
        super().__init__()
        self.conv_0 = nn.Conv2d(channels, channels, 3)
        self.conv_1 = nn.Conv2d(channels, channels, 3)
        self.norm_0 = Modulation(channels, reference)
        self.norm_1 = Modulation(channels, reference)

    def forward(self, x: Tensor, reference: Tensor) -> Tensor:
        """Return ``(N, C, H, W)`` of the same under a map of the reference, the same size."""
        inner = self.conv_0(_pad_reflect(_leaky_relu(self.norm_0(x, reference))))
        out: Tensor = x + self.conv_1(_pad_reflect(_leaky_relu(self.norm_1(inner, reference))))
        return out


class Modulation(nn.Module):
    """Normalises a map over its channels; a map of the reference, aligned to it, sets its new scale and mean."""

    def __init__(self, channels: int, reference: int) -> None:
        super().__init__()
        between = (channels + reference) // 8
        self.conv_cond = nn.Sequential(
            nn.Conv2d(channels + reference, between, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(between, reference, 3, padding=1),
            nn.ReLU(inplace=True),
        )
        self.dcn = DeformableConv(reference)
        self.mlp_gamma = nn.Conv2d(reference, channels, 3, padding=1)
        self.mlp_beta = nn.Conv2d(reference, channels, 3, padding=1)

    def forward(self, x: Tensor, reference: Tensor) -> Tensor:
        """Return ``(N, C, H, W)`` of the same under a map of the reference, the same size."""
        variance, mean = torch.var_mean(x, dim=1, keepdim=True)
        unit_map = (x - mean) / (variance + 1e-5).sqrt()
        aligned = self.dcn(reference, self.conv_cond(torch.cat([unit_map, reference], dim=1)))
        out: Tensor = unit_map * (1 + self.mlp_gamma(aligned)) + self.mlp_beta(aligned)
        return out


def _painter_encoder(width: int) -> nn.Sequential:
    layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(1, width, 7)]
    for channels in (width, 2 * width):
        layers += [nn.InstanceNorm2d(channels), nn.ReLU(inplace=True)]
        layers += [nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1)]
    return nn.Sequential(*layers, nn.InstanceNorm2d(4 * width), nn.ReLU(inplace=True))


def _doubling(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)


def _leaky_relu(x: Tensor) -> Tensor:
    return functional.leaky_relu(x, 0.2)


def _pad_reflect(x: Tensor) -> Tensor:
    return functional.pad(x, (1, 1, 1, 1), mode="reflect")
