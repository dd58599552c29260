from __future__ import annotations

import subprocess
import sys

import pytest

import workers.models
from db.catalog.architectures import ARCHITECTURES

OF_THE_HOUSE = ("db", "pydantic", "celery", "sqlalchemy", "av", "spandrel")
OWN = ("parts.efficientnet_lite", "lite_unet", "folded_cnn", "subpixel_cnn", "ddcolor", "deoldify")
"""Networks that training imports; nothing that is only needed to read a published file may come along."""


def imported(modules: list[str], watched: tuple[str, ...]) -> str:
    script = f"import sys, {', '.join(modules)}; print(*(name for name in {watched} if name in sys.modules))"
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip()


def test_networks_are_imported_without_the_house() -> None:
    names = [spec.module_name for spec in ARCHITECTURES.values() if spec.module_name.startswith("workers.models.")]
    assert imported(names, OF_THE_HOUSE) == ""


def test_networks_that_training_knows_want_torch_numpy_and_opencv_alone() -> None:
    names = [f"workers.models.{name}" for name in OWN]
    assert imported(names, (*OF_THE_HOUSE, "torchvision", "PIL", "safetensors")) == ""


def test_the_public_names_are_there_all_the_same() -> None:
    assert all(callable(getattr(workers.models, name)) for name in workers.models.__all__)
    with pytest.raises(AttributeError, match="chrome"):
        _ = workers.models.chrome  # type: ignore[attr-defined]
