"""Courses: what one architecture learns, from which views, by which losses, and how it is judged.

A course is a class ``Course`` in a module here; :class:`workers.training.task.Course` says what it must do.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, cast

import torch

from workers.training.errors import TrainingError
from workers.training.task import Course

NETWORKS = {
    "lite-unet": "lite_unet",
    "folded-cnn": "folded_cnn",
    "subpixel-cnn": "subpixel_cnn",
    "ddcolor-tiny": "ddcolor",
    "ddcolor-large": "ddcolor",
}
"""Networks that can be trained, and the module of their course."""


def course(network: str, seed: int = 0, **options: Any) -> Course[Any]:
    """Return the course of a network, which starts from the seed.

    Args:
        network: One of :data:`NETWORKS`.
        seed: Of the network's first values.
        options: What the course's class takes; none stands for its own default.

    Raises:
        TrainingError: ``UNKNOWN_MODEL``, ``BAD_PARAMETER`` for an option that the course lacks, or what is wrong
            with a file.
    """
    if network not in NETWORKS:
        known = ", ".join(NETWORKS)
        raise TrainingError(
            f"{network!r:.60} is not trained here.", code="UNKNOWN_MODEL", remedy=f"Take one of {known}."
        )
    kind = importlib.import_module(f"workers.training.tasks.{NETWORKS[network]}").Course
    given = {name: value for name, value in options.items() if value is not None}
    torch.manual_seed(seed)
    strange = sorted(given.keys() - kind.OPTIONS)
    if strange:
        raise TrainingError(f"The course of {network} takes no {', '.join(strange)}", code="BAD_PARAMETER")
    made = cast(Course[Any], kind(**({"name": network} if "name" in kind.OPTIONS else {}) | given))
    made.given = {name: _said(value) for name, value in given.items()}
    return made


def _said(value: Any) -> str | bool | int:
    """Return an option as a card tells it: files by their names."""
    if isinstance(value, (bool, int)):
        return value
    files = [value] if isinstance(value, Path) else list(value)
    return ", ".join(file.name for file in files)
