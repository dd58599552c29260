"""A course that takes no time: a network of four numbers, so that the trainer itself can be seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from workers.training import task
from workers.training.photos import Photos, Picture
from workers.training.task import Batch, Defaults


class DotsTask(task.TrainingTask[nn.Sequential]):
    """Learns the mean colour of pictures; drops some of it out by chance."""

    name = "dots"
    defaults = Defaults(steps=12, batch=4, rate=0.05)

    def __init__(self) -> None:
        self.network = nn.Sequential(nn.Dropout(0.25), nn.Conv2d(3, 3, 1))
        self.learner: nn.Module = self.network
        self.seen: list[float] = []
        self.prepared = 0
        self.blow_up_at: set[int] = set()
        self._steps = 0

    def prepare(self, photos: Photos) -> None:
        self.prepared += 1
        for parameter in self.network.parameters():
            nn.init.constant_(parameter, 0.1)

    def state(self) -> dict[str, Any]:
        return {"prepared": self.prepared}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.prepared = state["prepared"]

    def view(self, picture: Picture, rng: np.random.Generator) -> dict[str, np.ndarray]:
        shown = picture[:4, :4].transpose(2, 0, 1).astype(np.float32) / 255
        return {"shown": shown + rng.normal(0, 0.01, shown.shape).astype(np.float32), "key": picture[:1, :1, 0] * 1.0}

    def loss(self, learner: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        self.seen += batch["key"].flatten().tolist()
        off = (learner(batch["shown"]) - batch["shown"]).square().mean()
        self._steps += 1
        if self._steps in self.blow_up_at:
            off = off * torch.nan
        return off, {"off": float(off.detach())}

    def figures(self, network: nn.Module, photos: Photos) -> dict[str, float]:
        first = next(iter(photos))[1][:4, :4].transpose(2, 0, 1).astype(np.float32) / 255
        shown = torch.from_numpy(first)[None]
        with torch.inference_mode():
            return {"off": float((network(shown) - shown).square().mean())}
