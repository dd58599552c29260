"""DDColor's course, as its authors trained it (Kang et al. 2023): pixels, perception, a critic, and colourfulness.

Known of that recipe: the loss on colourfulness brings red spots, and its authors advise to leave it out (their artistic
weights do). Enriched targets are for training alone: figures are against the photographs as they are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from db.errors import InputError
from workers.models import ddcolor
from workers.ops import lab
from workers.training import init, task, validation
from workers.training.critic import PatchCritic, adversarial_loss
from workers.training.perceptual import VggDistance
from workers.training.photos import Photos, Picture
from workers.training.task import Batch, Defaults

_PIXELS, _PERCEPTION, _CRITIC, _COLORFULNESS = 0.1, 5.0, 1.0, 0.5
_SATURATION = 1.2
"""Factor on the saturation of what is aimed at."""


class DDColorTask(task.TrainingTask[ddcolor.DDColor]):
    """Trains :class:`workers.models.ddcolor.DDColor`."""

    OPTIONS = frozenset({"name", "perception", "encoder", "start", "side", "colorfulness", "untaught"})
    defaults = Defaults(
        steps=400_000, batch=16, rate=1e-4, betas=(0.9, 0.99), weight_decay=0.01, schedule="halved",
        halved_at=tuple(at / 400 for at in range(80, 400, 40)), ema=0.0,
    )  # fmt: skip

    def __init__(
        self,
        name: str = "ddcolor-tiny",
        *,
        perception: Sequence[Path] = (),
        encoder: Path | None = None,
        start: Path | None = None,
        side: int = 256,
        colorfulness: bool = True,
        untaught: bool = False,
    ) -> None:
        """Build networks.

        Args:
            name: ``ddcolor-tiny`` or ``ddcolor-large``.
            perception: torchvision's ``vgg16_bn`` file, and no other.
            encoder: A ConvNeXt classifier's file that the encoder starts as; none starts at random.
            start: Weights of a whole DDColor to go on from.
            side: Of the square that a photograph is stretched to, in pixels; a multiple of 32.
            colorfulness: Whether the loss on colourfulness counts.
            untaught: Do without ``perception``: features of a random VGG. For tests of the machinery.

        Raises:
            InputError: ``FILE_MISSING``, ``BAD_CHECKPOINT`` or ``BAD_PARAMETER``.
        """
        if len(perception) > 1:
            raise InputError(f"{name} is taught by one --perception, not {len(perception)}", code="BAD_PARAMETER")
        if not perception and not untaught:
            raise InputError(
                "DDColor's recipe compares pictures as VGG-16 sees them; its file is not given", code="FILE_MISSING",
                remedy="Get torchvision's vgg16_bn-6c64b313.pth and give it with --perception.",
            )  # fmt: skip
        self.name = name
        network = ddcolor.build(name)
        assert isinstance(network, ddcolor.DDColor)
        self.network = network
        self.learner: nn.Module = network
        self.critic = PatchCritic()
        self._distance = VggDistance(perception[0] if perception else None)
        self._encoder, self._start, self._side, self._colorfulness = encoder, start, side, colorfulness
        self._made: deque[Tensor] = deque()

    def prepare(self, photos: Photos) -> None:
        """Start from files, where they are given."""
        if self._encoder is not None:
            state = self.network.encoder["arch"].state_dict()
            tensors = {key.removeprefix("model."): value for key, value in init.read_weights(self._encoder).items()}
            inner = {key: value for key, value in tensors.items() if key in state}
            init.fill_weights(self.network.encoder["arch"], inner, self._encoder)
        if self._start is not None:
            init.load_weights(self.network, self._start)

    def view(self, picture: Picture, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """``grey`` and ``wanted`` sRGB ``(3, S, S)`` 0..1, ``light`` ``(1, S, S)`` and the ``ab`` that is aimed at."""
        square = cv2.resize(picture, (self._side, self._side), interpolation=cv2.INTER_AREA)
        rgb = (square[:, ::-1] if rng.random() < 0.5 else square).astype(np.float32) / 255
        hsv = cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV)
        hsv[..., 1] = np.minimum(hsv[..., 1] * _SATURATION, 1)
        target = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
        planes = cv2.cvtColor(target, cv2.COLOR_RGB2LAB)
        light, ab = planes[..., :1].copy(), planes[..., 1:].copy()
        planes[..., 1:] = 0
        gray = cv2.cvtColor(planes, cv2.COLOR_LAB2RGB)
        shown = {"grey": gray, "wanted": target, "light": light, "ab": ab}
        return {name: np.ascontiguousarray(value.transpose(2, 0, 1)) for name, value in shown.items()}

    def loss(self, learner: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """The four losses of the recipe."""
        assert self.critic is not None
        ab = learner(batch["grey"]).float()
        output = lab.lab_to_rgb(torch.cat([batch["light"], ab], dim=1))
        self._distance.to(output.device)
        parts = {
            "pixels": _PIXELS * functional.l1_loss(ab, batch["ab"]),
            "perception": _PERCEPTION * self._distance(output, batch["wanted"]),
            "critic": _CRITIC * adversarial_loss(self.critic(output), real=True),
        }
        if self._colorfulness:
            parts["colorfulness"] = _COLORFULNESS * (1 - colorfulness(output).mean() / 100)
        self._made.append(output.detach())
        return torch.stack(list(parts.values())).sum(), {name: float(each.detach()) for name, each in parts.items()}

    def critic_loss(self, critic: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Tell photographs from what the network just made of them."""
        output = self._made.popleft()
        scores = critic(torch.cat([batch["wanted"], output]))
        true, false = scores.chunk(2)
        off = adversarial_loss(true, real=True) + adversarial_loss(false, real=False)
        return off, {"critic_off": float(off.detach())}

    def figures(self, network: nn.Module, photos: Photos) -> dict[str, float]:
        """PSNR, colorfulness and where leaving the picture grey stands."""
        return validation.colorizer_figures(
            lambda pictures: ddcolor.chroma(network, pictures, input_size=self._side), photos
        )


def colorfulness(pictures: Tensor) -> Tensor:
    """Hasler and Suesstrunk 2003 on absolute opponent axes, ``(N,)``, of sRGB ``(N, 3, H, W)`` 0..1."""
    red, green, blue = (pictures * 255).flatten(2).unbind(1)
    first, second = (red - green).abs(), ((red + green) / 2 - blue).abs()
    spread = (first.var(dim=1) + second.var(dim=1) + 1e-6).sqrt()
    return spread + 0.3 * (first.mean(dim=1) ** 2 + second.mean(dim=1) ** 2 + 1e-6).sqrt()
