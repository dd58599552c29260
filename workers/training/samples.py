"""Which photograph each sample of a training shows, and how; prepared ahead of the network."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from db.errors import InputError
from workers.training.photos import Photos
from workers.training.task import Batch, TrainingTask

_Step = tuple[dict[str, np.ndarray], dict[str, str] | InputError]


class Samples(Dataset[_Step]):
    """The samples of every step, as far as one process of a training computes them.

    Which photograph a sample shows, by a shuffle of each round, and how, follows from its number and the seed.
    """

    def __init__(self, course: TrainingTask[Any], photos: Photos, seed: int, batch: int, own: int, first: int) -> None:
        """Take what is shown, and which ``own`` of a step's ``batch`` samples are wanted, from ``first`` on."""
        self._course, self._photos, self._seed = course, photos, seed
        self._batch, self._own, self._first = batch, own, first

    def batches(self, steps: range, readers: int, device: torch.device) -> Iterator[Batch]:
        """Yield batches on the CPU, in order, as so many processes of their own prepare them.

        Raises:
            InputError: No photograph can be read.
        """
        # Processes, not threads: those that hold Python's lock keep the network from starting its next kernel.
        loader = DataLoader(
            self, batch_size=None, sampler=steps, num_workers=readers, pin_memory=device.type == "cuda",
            multiprocessing_context="fork" if readers else None, worker_init_fn=_limit_threads if readers else None,
        )  # fmt: skip
        for batch, bad in loader:
            if isinstance(bad, InputError):
                raise bad
            self._photos.bad.update(bad)
            yield batch

    def __getitem__(self, step: int) -> _Step:
        """Return views by name, each ``(own, …)`` float32, and what could not be read; or what ends the training."""
        first = step * self._batch + self._first
        try:
            views = [self.view(number) for number in range(first, first + self._own)]
        except InputError as error:  # handed over: it would come out of another process as something else
            return {}, error
        stacked = {name: np.stack([each[name] for each in views]).astype(np.float32, copy=False) for name in views[0]}
        return stacked, dict(self._photos.bad)

    def view(self, number: int) -> dict[str, np.ndarray]:
        """Return what is shown of one sample."""
        round_, place = divmod(number, len(self._photos))
        order = _shuffle_order(self._seed, round_, len(self._photos))
        rng = np.random.default_rng([self._seed, number, 1])
        return self._course.view(self._photos.picture(int(order[place])), rng)


@lru_cache(maxsize=4)
def _shuffle_order(seed: int, round_: int, count: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, round_, 0]).permutation(count)


def _limit_threads(reader: int) -> None:
    """A reader computes with one thread: OpenCV's own do not live on in a process that was forked."""
    cv2.setNumThreads(0)
