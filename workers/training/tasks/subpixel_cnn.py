"""The small upscaler's course: photographs made half as large, as MATLAB's bicubic does, and back again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from workers.models import subpixel_cnn
from workers.models.parts import lab_planes
from workers.ops import likeness
from workers.training import init, task, validation, views
from workers.training.photos import Photos, Picture
from workers.training.task import Batch, Defaults

_SIDE_PX = 96


class SubpixelCnnTask(task.TrainingTask[subpixel_cnn.SubpixelCnn]):
    """Trains :class:`workers.models.subpixel_cnn.SubpixelCnn`."""

    name = "subpixel-cnn"
    OPTIONS = frozenset({"start"})
    defaults = Defaults(steps=300_000, batch=16, rate=1e-3, weight_decay=0)

    def __init__(self, start: Path | None = None) -> None:
        """Take the file of weights to go on from; none starts at random."""
        self._start = start
        self.network = subpixel_cnn.SubpixelCnn()
        self.learner: nn.Module = self.network

    def prepare(self, photos: Photos) -> None:
        """Start the network."""
        init.start_network(self.network, self.network.last, self._start)

    def view(self, picture: Picture, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """``large`` ``(3, 96, 96)`` 0..1 and ``small`` ``(3, 48, 48)`` in steps of 8 bits; some pictures are grey."""
        large = views.cut_patch(picture, _SIDE_PX, rng).transpose(2, 0, 1).astype(np.float32) / 255
        if rng.random() < 0.2:
            large = np.broadcast_to(large.mean(axis=0, keepdims=True), large.shape).copy()
        return {"large": large, "small": halve(torch.from_numpy(large)[None])[0].numpy()}

    def loss(self, learner: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Mean absolute error."""
        off = functional.l1_loss(learner(batch["small"]), batch["large"])
        return off, {"l1": float(off.detach())}

    @torch.inference_mode()
    def figures(self, network: nn.Module, photos: Photos) -> dict[str, float]:
        """PSNR in dB of luma, ours and bicubic, two pixels at each edge left out."""
        rows = []
        for _, picture in photos:
            even = picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2]
            large = lab_planes.to_unit_range(even)
            small = halve(large)
            plain = functional.interpolate(small, scale_factor=2, mode="bicubic", align_corners=False)
            outputs = (validation.to_levels(each.cpu()) for each in (subpixel_cnn.restore(network, small), plain))
            rows.append([likeness.luma_psnr(each, even, crop=2) for each in outputs])
        own, bicubic = np.mean(rows, axis=0)
        return {"psnr_y": float(own), "psnr_y_bicubic": float(bicubic)}


def halve(large: Tensor) -> Tensor:
    """Return pictures ``(N, C, H, W)`` 0..1 at half size, antialiased bicubic, rounded to 8 bits."""
    small = functional.interpolate(large, scale_factor=0.5, mode="bicubic", antialias=True, align_corners=False)
    return (small.clamp(0, 1) * 255).round() / 255
