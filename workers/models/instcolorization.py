"""Colour for the whole picture and for each object in its box, blended map by map.

Instance-Aware Image Colorization (Su, Chu and Huang, 2020). The boxes come from any object detector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from workers.models.parts import lab_planes
from workers.models.parts.user_guided import AB_SCALE, L_MIDDLE, L_SCALE, SIDE_PX, UserGuided
from workers.ops import lab
from workers.ops.resample import Bytes, resize

Box = Sequence[float]
"""``(x0, y0, x1, y1)`` or ``(x0, y0, x1, y1, score)``, in pixels of the picture as it comes in."""

_MOST_BOXES = 8
_NO_HINT = -0.5
"""The mask's value where nothing is hinted: this network takes it less one half."""
_SCORE_CHANNELS = 16
_BACKGROUND_ALONE = 100_000
"""Raises the background's score where no box is, so that its weight is exactly 1 there."""


class _BlendPoint(NamedTuple):
    """Where objects are blended in: the weight generator, its channels, and how many halvings the map has."""

    module: str
    channels: int
    halvings: int


_POINTS = {
    "conv1_2": _BlendPoint("weight_layer", 64, 0),
    "conv2_2": _BlendPoint("weight_layer2", 128, 1),
    "conv3_3": _BlendPoint("weight_layer3", 256, 2),
    "conv4_3": _BlendPoint("weight_layer4", 512, 3),
    "conv5_3": _BlendPoint("weight_layer5", 512, 3),
    "conv6_3": _BlendPoint("weight_layer6", 512, 3),
    "conv7_3": _BlendPoint("weight_layer7", 512, 3),
    "conv8_up": _BlendPoint("weight_layer8_1", 256, 2),
    "conv8_3": _BlendPoint("weight_layer8_2", 256, 2),
    "conv9_up": _BlendPoint("weight_layer9_1", 128, 1),
    "conv9_3": _BlendPoint("weight_layer9_2", 128, 1),
    "conv10_up": _BlendPoint("weight_layer10_1", 128, 0),
    "conv10_2": _BlendPoint("weight_layer10_2", 128, 0),
}


# -- the contract of a colorizer


def build(name: str) -> nn.Module:
    """Return ``instcolorization``, with ``G``, ``GF`` and ``GComp`` as children: random values, eval mode.

    Raises:
        ValueError: There is no system of this name here.
    """
    if name != "instcolorization":
        raise ValueError(f"instcolorization is the system of this module, not {name}")
    return InstColorization().eval()


def chroma(network: nn.Module, pictures: Tensor, *, boxes: Sequence[Box] | Sequence[Sequence[Box]] = ()) -> Tensor:
    """Return a and b of CIE Lab ``(N, 2, 256, 256)`` float32 for sRGB pictures ``(N, 3, H, W)`` float32 0..1.

    Args:
        network: What ``build`` returns.
        pictures: Any size; their colour is not looked at.
        boxes: Of the objects: a sequence of boxes for all pictures alike, or one such sequence for each. Of more than
            eight those with the highest scores are taken, without scores the first. None: the whole picture alone.

    Raises:
        ValueError: Boxes are given for another number of pictures, or one is no box.
    """
    # One at a time: kernels round otherwise when a batch has another size.
    per_picture = _boxes_per_picture(boxes, len(pictures))
    return torch.cat([_ab(network, *one) for one in zip(lab_planes.to_eight_bit(pictures), per_picture, strict=True)])


@torch.inference_mode()
def reference_output(
    network: nn.Module, picture: Bytes, *, boxes: Sequence[Box] | Sequence[Sequence[Box]] = ()
) -> Bytes:
    """Return the 8-bit sRGB picture ``(256, 256, 3)`` that the published program makes of one ``(H, W, 3)``.

    Raises:
        ValueError: Boxes are given for several pictures, or one is no box.
    """
    ab = _ab(network, picture, _boxes_per_picture(boxes, 1)[0]).cpu()
    rgb = lab.lab_to_rgb(torch.cat([_square_lightness(picture) * L_SCALE + L_MIDDLE, ab], dim=1))
    return lab_planes.to_eight_bit(rgb)[0]


def _ab(network: nn.Module, picture: Bytes, boxes: Sequence[Box]) -> Tensor:
    device = next(network.parameters()).device
    size = (picture.shape[1], picture.shape[0])
    whole, best_boxes = _network_input([picture]).to(device), strongest_boxes(boxes, size)
    if not best_boxes:
        return cast(Tensor, network(whole)) * AB_SCALE
    crops = _network_input([_crop(picture, box) for box in best_boxes]).to(device)
    return cast(Tensor, network(whole, crops, box_placements(best_boxes, size, SIDE_PX))) * AB_SCALE


def _network_input(pictures: Sequence[Bytes]) -> Tensor:
    """Return L, no hints and their mask, ``(N, 4, 256, 256)``, of 8-bit pictures of any size."""
    planes = []
    for picture in pictures:
        light = _square_lightness(picture)
        planes.append(torch.cat([light, light * 0, light * 0, torch.full_like(light, _NO_HINT)], dim=1))
    return torch.cat(planes)


def _square_lightness(picture: Bytes) -> Tensor:
    square = resize(picture, SIDE_PX, SIDE_PX, "bilinear")
    return (lab.lightness(lab_planes.to_unit_range(square)) - L_MIDDLE) / L_SCALE


# -- boxes


class BoxPlacement(NamedTuple):
    """Where an object's map lies in the whole picture's: what is left of it on four sides, and its own size."""

    left: int
    right: int
    top: int
    bottom: int
    width: int
    height: int


def strongest_boxes(boxes: Sequence[Box], size: tuple[int, int]) -> list[tuple[int, int, int, int]]:
    """Return whole numbers ``(x0, y0, x1, y1)`` of boxes, the eight with the highest scores if there are more.

    What lies outside of the picture, which is ``size``, ``(width, height)``, is cut off.

    Raises:
        ValueError: One is no box of the picture.
    """
    width, height = size
    for box in boxes:
        if len(box) not in (4, 5) or not (0 <= box[0] <= box[2] and 0 <= box[1] <= box[3]):
            raise ValueError(f"a box is x0, y0, x1, y1 and perhaps a score, from the top left on, not {tuple(box)}")
        if box[0] >= width or box[1] >= height:
            raise ValueError(f"box {tuple(box)} is outside of a picture {width} wide and {height} high")
    order = sorted(range(len(boxes)), key=lambda index: -_score(boxes[index]))
    best_boxes = [boxes[index] for index in sorted(order[:_MOST_BOXES])]
    return [(int(box[0]), int(box[1]), min(int(box[2]), width), min(int(box[3]), height)) for box in best_boxes]


def box_placements(boxes: Sequence[Box], size: tuple[int, int], side_px: int) -> list[list[BoxPlacement]]:
    """Return the boxes' places in maps of ``side_px`` and of a half, a quarter and an eighth of it.

    ``boxes`` are in pixels of a picture that is ``size``, ``(width, height)``; each scale is
    reckoned from the boxes anew.
    """
    return [[_box_placement(box, size, side_px // 2**halvings) for box in boxes] for halvings in range(4)]


def _box_placement(box: Box, size: tuple[int, int], side_px: int) -> BoxPlacement:
    left, right = _extent(box[0] / size[0], box[2] / size[0], side_px)
    top, bottom = _extent(box[1] / size[1], box[3] / size[1], side_px)
    return BoxPlacement(left, side_px - right, top, side_px - bottom, right - left, bottom - top)


def _extent(start: float, stop: float, side_px: int) -> tuple[int, int]:
    """Return shares of a side as pixels ``[start, stop)``, at least one."""
    first, last = int(start * side_px), int(stop * side_px)
    if last > first:
        return first, last
    return (first, first + 1) if side_px - last > 1 else (last - 1, last)


def _crop(picture: Bytes, box: tuple[int, int, int, int]) -> Bytes:
    left, top, right, bottom = box
    return picture[top : max(bottom, top + 1), left : max(right, left + 1)]


def _boxes_per_picture(boxes: Sequence[Box] | Sequence[Sequence[Box]], pictures: int) -> Sequence[Sequence[Box]]:
    """Return one sequence of boxes for each picture."""
    if not boxes or (boxes[0] and not isinstance(boxes[0][0], Sequence)):
        return [cast(Sequence[Box], boxes)] * pictures
    if len(boxes) not in (1, pictures):
        raise ValueError(f"{len(boxes)} sequences of boxes for {pictures} pictures")
    nested = cast(Sequence[Sequence[Box]], boxes)
    return nested if len(nested) == pictures else [nested[0]] * pictures


def _score(box: Box) -> float:
    return box[4] if len(box) > 4 else 1


# -- the networks


class InstColorization(nn.Module):
    """One network for objects, one for the picture that takes their maps in, one for a picture without objects."""

    def __init__(self) -> None:
        super().__init__()
        self.G = ObjectNetwork()
        self.GF = FusionNetwork()
        self.GComp = WholeNetwork()

    def forward(
        self, whole: Tensor, crops: Tensor | None = None, placements: Sequence[Sequence[BoxPlacement]] | None = None
    ) -> Tensor:
        """Return ab ``(1, 2, S, S)``, -1..1.

        Args:
            whole: L less its middle, -0.5..0.5, ab of hints, and their mask less a half: ``(1, 4, S, S)``.
            crops: The same of each object, ``(objects, 4, S, S)``; None when there is none.
            placements: What :func:`box_placements` returns for the objects.
        """
        if crops is None or placements is None:
            _, ab = self.GComp(whole)
            return cast(Tensor, ab)
        _, maps = self.G(crops)
        return cast(Tensor, self.GF(whole, maps, placements))


class WholeNetwork(UserGuided):
    """The U-Net for a picture without objects."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits of classes ``(N, 529, S / 4, S / 4)``, and ab ``(N, 2, S, S)``, -1..1, of ``(N, 4, S, S)``."""
        maps: dict[str, Tensor] = {}

        def keep(name: str, feature_map: Tensor) -> Tensor:
            if name == "conv8_3":
                maps[name] = feature_map
            return feature_map

        ab = self.run(x, keep)
        return self.model_class(maps["conv8_3"]), ab


class ObjectNetwork(UserGuided):
    """The U-Net for objects, each cut out and stretched to a square."""

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return ab ``(N, 2, S, S)``, -1..1, and the maps by name, of ``(N, 4, S, S)``."""
        maps: dict[str, Tensor] = {}

        def keep(name: str, feature_map: Tensor) -> Tensor:
            # In training, too, the decoder's sums were handed on without what is below 0.
            maps[name] = feature_map.relu_() if name.endswith("up") else feature_map
            return maps[name]

        return self.run(x, keep), maps


class FusionNetwork(UserGuided):
    """The U-Net for a picture with objects, whose maps are blended into its own. ``weight_layerout`` takes no part."""

    def __init__(self) -> None:
        super().__init__()
        generators = {point.module: _WeightGenerator(point.channels) for point in _POINTS.values()}
        # Published files list them before the U-Net.
        self._modules = {**generators, "weight_layerout": _WeightGenerator(2), **self._modules}

    def forward(self, x: Tensor, maps: Mapping[str, Tensor], placements: Sequence[Sequence[BoxPlacement]]) -> Tensor:
        """Return ab ``(1, 2, S, S)``, -1..1.

        Args:
            x: What goes into the U-Net for the whole picture, ``(1, 4, S, S)``.
            maps: What ``Objects`` returns for its objects.
            placements: What :func:`box_placements` returns for them.
        """

        def blend(name: str, feature_map: Tensor) -> Tensor:
            point = _POINTS[name]
            generator = self.get_submodule(point.module)
            return cast(Tensor, generator(feature_map, maps[name], placements[point.halvings]))

        return self.run(x, blend)


class _WeightGenerator(nn.Module):
    """Scores objects and background pixel by pixel; their softmax weighs the maps."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.simple_instance_conv = _score_layers(channels)
        self.simple_bg_conv = _score_layers(channels)

    def forward(self, whole: Tensor, objects: Tensor, placements: Sequence[BoxPlacement]) -> Tensor:
        """Return the blend ``(1, C, H, W)`` of the picture's map and of its objects' ``(objects, C, h, w)``."""
        object_scores = self.simple_instance_conv(objects)
        outside = torch.ones_like(whole[:, :1])
        for place in placements:
            _box_region(outside, place).zero_()
        scores = [_pad_to_map(score[None], place) for score, place in zip(object_scores, placements, strict=True)]
        weights = torch.cat([*scores, self.simple_bg_conv(whole) + _BACKGROUND_ALONE * outside]).softmax(dim=0)
        out = whole * weights[-1:]
        for index, place in enumerate(placements):
            # Where an object is not, it still takes its weight of the pixel, with nothing: weights were trained so.
            _box_region(out, place).add_(
                _resize_to_box(objects[index : index + 1], place) * _box_region(weights[index : index + 1], place)
            )
        return out


def _score_layers(channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in ((channels, _SCORE_CHANNELS), (_SCORE_CHANNELS, _SCORE_CHANNELS), (_SCORE_CHANNELS, 1)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def _resize_to_box(feature_map: Tensor, place: BoxPlacement) -> Tensor:
    return functional.interpolate(feature_map, (place.height, place.width), mode="bilinear", align_corners=False)


def _pad_to_map(feature_map: Tensor, place: BoxPlacement) -> Tensor:
    return functional.pad(_resize_to_box(feature_map, place), (place.left, place.right, place.top, place.bottom))


def _box_region(feature_map: Tensor, place: BoxPlacement) -> Tensor:
    return feature_map[..., place.top : place.top + place.height, place.left : place.left + place.width]
