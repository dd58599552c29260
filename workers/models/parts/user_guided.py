"""The U-Net that takes L with hints of colour and gives ab.

Real-Time User-Guided Image Colorization with Learned Deep Priors (Zhang and others, 2017). Instance-aware Image
Colorization (Su, Chu and Huang, 2020) runs the same network three times over.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from workers.models.parts.conv_groups import doubling, group

SIDE_PX = 256
"""Side of the square that the published programs feed it."""
L_MIDDLE, L_SCALE, AB_SCALE = 50, 100, 110
_CLASSES = 529

OnMap = Callable[[str, Tensor], Tensor]
"""Sees each map under its name, ``conv1_2`` to ``conv10_2``, and returns what goes on in its place."""


class UserGuided(nn.Module):
    """Encoder, dilated middle and decoder, skips added. What goes in and out is up to the children of this class."""

    def __init__(self) -> None:
        super().__init__()
        self.model1 = group(4, 64, 2)
        self.model2 = group(64, 128, 2)
        self.model3 = group(128, 256, 3)
        self.model4 = group(256, 512, 3)
        self.model5 = group(512, 512, 3, dilation=2)
        self.model6 = group(512, 512, 3, dilation=2)
        self.model7 = group(512, 512, 3)
        self.model8up = nn.Sequential(doubling(512, 256))
        self.model8 = nn.Sequential(nn.ReLU(), *group(256, 256, 2))
        self.model9up = nn.Sequential(doubling(256, 128))
        self.model9 = nn.Sequential(nn.ReLU(), *group(128, 128, 1))
        self.model10up = nn.Sequential(doubling(128, 128))
        self.model10 = nn.Sequential(nn.ReLU(), nn.Conv2d(128, 128, 3, padding=1), nn.LeakyReLU(0.2))
        self.model3short8 = nn.Sequential(nn.Conv2d(256, 256, 3, padding=1))
        self.model2short9 = nn.Sequential(nn.Conv2d(128, 128, 3, padding=1))
        self.model1short10 = nn.Sequential(nn.Conv2d(64, 128, 3, padding=1))
        self.model_class = nn.Sequential(nn.Conv2d(256, _CLASSES, 1))
        self.model_out = nn.Sequential(nn.Conv2d(128, 2, 1), nn.Tanh())

    def run(self, x: Tensor, on_map: OnMap) -> Tensor:
        """Return ab ``(N, 2, H, W)``, -1..1, of L, ab hints and their mask ``(N, 4, H, W)``, sides multiples of 8."""
        full = on_map("conv1_2", self.model1(x))
        half = on_map("conv2_2", self.model2(full[..., ::2, ::2]))
        quarter = on_map("conv3_3", self.model3(half[..., ::2, ::2]))
        x = on_map("conv4_3", self.model4(quarter[..., ::2, ::2]))
        x = on_map("conv5_3", self.model5(x))
        x = on_map("conv6_3", self.model6(x))
        x = on_map("conv7_3", self.model7(x))
        x = on_map("conv8_up", self.model8up(x) + self.model3short8(quarter))
        x = on_map("conv8_3", self.model8(x))
        x = on_map("conv9_up", self.model9up(x) + self.model2short9(half))
        x = on_map("conv9_3", self.model9(x))
        x = on_map("conv10_up", self.model10up(x) + self.model1short10(full))
        ab: Tensor = self.model_out(on_map("conv10_2", self.model10(x)))
        return ab
