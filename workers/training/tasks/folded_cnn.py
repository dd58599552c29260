"""The small denoiser's course: Gaussian noise of any level, on colour and on grey pictures in turn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from workers.models import folded_cnn
from workers.models.parts import lab_planes
from workers.training import init, task, views
from workers.training.photos import Photos, Picture
from workers.training.task import Batch, Defaults

_SIDE_PX = 64
_MOST = 60 / 255
_VALIDATION_SIGMAS = (15, 25, 50)


class FoldedCnnTask(task.TrainingTask[folded_cnn.FoldedCnn]):
    """Trains :class:`workers.models.folded_cnn.FoldedCnn`."""

    name = "folded-cnn"
    OPTIONS = frozenset({"start"})
    defaults = Defaults(steps=400_000, batch=32, rate=1e-3, weight_decay=0)

    def __init__(self, start: Path | None = None) -> None:
        """Take the file of weights to go on from; none starts at random."""
        self._start = start
        self.network = folded_cnn.FoldedCnn()
        self.learner: nn.Module = self.network

    def prepare(self, photos: Photos) -> None:
        """Start the network."""
        init.start_network(self.network, self.network.last, self._start)

    def view(self, picture: Picture, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """``clean`` and ``noisy`` ``(3, 64, 64)`` 0..1 and the ``level`` ``(1, 1, 1)``. Grey has one noise."""
        clean = views.cut_patch(picture, _SIDE_PX, rng).transpose(2, 0, 1).astype(np.float32) / 255
        level = np.float32(rng.uniform(0, _MOST))
        noise = rng.standard_normal(clean.shape, np.float32) * level
        if rng.random() < 0.5:
            clean = np.broadcast_to(np.tensordot(_LUMA, clean, 1)[None], clean.shape).copy()
            noise = np.broadcast_to(noise[:1], noise.shape)
        return {"clean": clean, "noisy": clean + noise, "level": np.full((1, 1, 1), level, np.float32)}

    def loss(self, learner: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Mean absolute error."""
        off = functional.l1_loss(learner(batch["noisy"], batch["level"]), batch["clean"])
        return off, {"l1": float(off.detach())}

    @torch.inference_mode()
    def figures(self, network: nn.Module, photos: Photos) -> dict[str, float]:
        """PSNR in dB at three noise levels, of colour and of grey pictures."""
        rows: dict[str, list[float]] = {}
        for number, (_, picture) in enumerate(photos):
            for channels, label in ((3, "colour"), (1, "grey")):
                clean = lab_planes.to_unit_range(picture)
                if channels == 1:
                    clean = (clean * torch.from_numpy(_LUMA)[None, :, None, None]).sum(dim=1, keepdim=True)
                for sigma in _VALIDATION_SIGMAS:
                    generator = torch.Generator().manual_seed(number)
                    noisy = clean + torch.randn(clean.shape, generator=generator) * (sigma / 255)
                    out = folded_cnn.restore(network, noisy, sigma=sigma / 255).cpu().clamp(0, 1)
                    error = float(((out - clean) ** 2).mean())
                    rows.setdefault(f"psnr_{label}_{sigma}", []).append(-10 * np.log10(max(error, 1e-10)))
        return {name: float(np.mean(values)) for name, values in rows.items()}


_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
