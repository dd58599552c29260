"""Writes what a training leaves: weights as safetensors, and a card that says how they came about."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file

from db.errors import InputError
from db.placing import file_digest
from workers.training.trainer import Trainer

_LABEL = re.compile(r"[a-z0-9][a-z0-9-]{0,39}\Z")
_LEAST_HALF = 2.0**-14


@dataclass(frozen=True)
class CardText:
    """What only people know of a training."""

    label: str
    """What the weights are called after the network's name and a colon."""
    summary: str = "Trained here."
    license: str = "not stated"
    data: str = ""
    """What the photographs are and under which terms; none says where they came from."""


def check_label(label: str) -> str:
    """Return a label that may stand in a card's name.

    Raises:
        InputError: ``BAD_VALUE``.
    """
    if not _LABEL.match(label):
        raise InputError(
            f"{label!r:.60} cannot name weights", code="BAD_VALUE",
            remedy="Take small letters, digits and hyphens, 40 at most.",
        )  # fmt: skip
    return label


def write_weights(trainer: Trainer, card_text: CardText, *, half: bool = True) -> Path:
    """Write ``<network>.<label>.safetensors`` and its card ``.json`` into the training's folder.

    Args:
        trainer: What was trained.
        card_text: What it is called, and under which terms.
        half: Keep weights as float16; statistics and whatever float16 cannot hold stay float32.

    Returns:
        The weights' path.
    """
    network = trainer.course.name
    card = {
        "card": f"{network}:{check_label(card_text.label)}",
        "summary": card_text.summary,
        "license": card_text.license,
        "data": card_text.data or f"{len(trainer.photos)} photographs of {trainer.photos.origin}",
        "figures": {name: round(value, 4) for name, value in trainer.evaluate().items()},
        "figures_before": {name: round(value, 4) for name, value in trainer.before.items()},
        "recipe": {
            "network": network,
            **trainer.course.option_values,
            "steps": trainer.step,
            "batch": trainer.plan.batch,
            "rate": trainer.plan.rate,
            "ema": trainer.plan.ema,
            "seed": trainer.plan.seed,
            "photos": len(trainer.photos),
            "photos_sha256": trainer.photos.digest(),
            "unreadable": len(trainer.photos.bad),
            "hours": round(trainer.seconds / 3600, 3),
            "device": str(trainer.device),
            "torch": torch.__version__,
        },
    }
    path = _weights_path(trainer, card_text.label)
    state = {
        name: _to_half(value) if half else value.contiguous() for name, value in trainer.network.state_dict().items()
    }
    with trainer.placer.fresh_name(str(path)) as fresh:
        save_file({name: value.cpu() for name, value in state.items()}, fresh, {"reelwright": json.dumps(card)})
        digest = file_digest(fresh)
        trainer.placer.put(fresh, str(path))
    text = json.dumps({**card, "sha256": digest}, indent=2, ensure_ascii=False)
    trainer.placer.write(str(path.with_suffix(".json")), f"{text}\n".encode())
    return path


def check_places(trainer: Trainer, label: str) -> None:
    """Make sure that weights and card can be written at the end; raises ``InputError`` ``ALREADY_THERE``."""
    path = _weights_path(trainer, label)
    for each in (path, path.with_suffix(".json")):
        trainer.placer.check(str(each))


def _weights_path(trainer: Trainer, label: str) -> Path:
    return trainer.folder / f"{trainer.course.name}.{label}.safetensors"


def _to_half(value: torch.Tensor) -> torch.Tensor:
    """Return a tensor as float16 where that loses next to nothing."""
    value = value.contiguous()
    if not value.is_floating_point() or value.ndim < 2:
        return value
    half = value.half()
    return half if bool(torch.isfinite(half).all()) and float(value.abs().max()) > _LEAST_HALF else value
