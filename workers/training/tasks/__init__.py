"""Courses: what one architecture learns, from which views, by which losses, and how it is judged.

A course is a class in a module here; :class:`workers.training.task.TrainingTask` says what it must do.
"""

from __future__ import annotations

import pkgutil
from pathlib import Path
from typing import Any, cast

import torch

from db.errors import InputError
from workers.training.task import TrainingTask

NETWORKS = {
    "lite-unet": "lite_unet:LiteUNetTask",
    "folded-cnn": "folded_cnn:FoldedCnnTask",
    "subpixel-cnn": "subpixel_cnn:SubpixelCnnTask",
    "ddcolor-tiny": "ddcolor:DDColorTask",
    "ddcolor-large": "ddcolor:DDColorTask",
}
"""Networks that can be trained, and the module and class of their course."""


def training_task(network: str, seed: int = 0, **options: Any) -> TrainingTask[Any]:
    """Return the course of a network, which starts from the seed.

    Args:
        network: One of :data:`NETWORKS`.
        seed: Of the network's first values.
        options: What the course's class takes; none stands for its own default.

    Raises:
        InputError: ``UNKNOWN_MODEL``, ``BAD_PARAMETER`` for an option that the course lacks, or what is wrong
            with a file.
    """
    if network not in NETWORKS:
        names = ", ".join(NETWORKS)
        raise InputError(f"{network!r:.60} is not trained here.", code="UNKNOWN_MODEL", remedy=f"Take one of {names}.")
    task_class = pkgutil.resolve_name(f"workers.training.tasks.{NETWORKS[network]}")
    overrides = {name: value for name, value in options.items() if value is not None}
    torch.manual_seed(seed)
    strange = sorted(overrides.keys() - task_class.OPTIONS)
    if strange:
        raise InputError(f"The course of {network} takes no {', '.join(strange)}", code="BAD_PARAMETER")
    task = cast(
        TrainingTask[Any], task_class(**({"name": network} if "name" in task_class.OPTIONS else {}) | overrides)
    )
    task.option_values = {name: _option_text(value) for name, value in overrides.items()}
    return task


def _option_text(value: Any) -> str | bool | int:
    """Return an option as a card tells it: files by their names."""
    if isinstance(value, (bool, int)):
        return value
    files = [value] if isinstance(value, Path) else list(value)
    return ", ".join(file.name for file in files)
