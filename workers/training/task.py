"""What a course must be able to do. ``workers.training.trainer`` walks through one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from torch import Tensor, nn

from workers.training.photos import Photos, Picture

Batch = dict[str, Tensor]
Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters that learn at one rate."""

    parameters: Sequence[nn.Parameter]
    rate: float
    """As a share of the plan's."""


@dataclass(frozen=True)
class Defaults:
    """What a course does unless it is told otherwise."""

    steps: int
    batch: int
    rate: float
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.01
    schedule: str = "cosine"
    """``cosine``: a short rise, then down to nothing; ``halved``: the rate halves at :attr:`halved_at`."""
    halved_at: tuple[float, ...] = ()
    """Shares of all steps."""
    ema: float = 0.999


class TrainingTask(ABC, Generic[Network]):
    """What one architecture learns.

    What most courses have in common stands here: all parameters learn alike, there is no critic, and nothing need be
    known besides the weights.
    """

    name: str
    """Name of the network, as ``workers.models`` builds it."""
    OPTIONS: ClassVar[frozenset[str]] = frozenset()
    """What the constructor takes."""
    defaults: ClassVar[Defaults]
    network: Network
    """What is trained, judged and kept."""
    learner: nn.Module
    """The network as it learns; often the network itself. Data-parallel training wraps this."""
    critic: nn.Module | None = None
    """What is trained against it, if anything."""
    option_values: Mapping[str, str | bool | int] = MappingProxyType({})
    """The options that it was made with, as a card tells them."""

    @abstractmethod
    def prepare(self, photos: Photos) -> None:
        """Look at the photographs once, and start the network, before the first step of a new training."""

    def state(self) -> dict[str, Any]:
        """What :meth:`prepare` found and the weights do not hold."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take back what :meth:`state` gave."""

    def groups(self) -> list[ParameterGroup]:
        """Return the parameters of the network, by how fast they learn."""
        return [ParameterGroup(list(self.network.parameters()), 1)]

    @abstractmethod
    def view(self, picture: Picture, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Return what is shown of one picture: arrays whose shapes are always the same."""

    @abstractmethod
    def loss(self, learner: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Return the network's loss over a batch, and its parts for people."""

    def critic_loss(self, critic: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Return the critic's loss; only where there is one. Called after :meth:`loss` on the same batch."""
        raise NotImplementedError

    @abstractmethod
    def figures(self, network: nn.Module, photos: Photos) -> dict[str, float]:
        """Return figures on photographs that were not trained on."""
