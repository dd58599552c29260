"""The face of Reelwright: the names that notebooks and outside packages import. Each is looked up when it is used.

So ``import reelwright`` costs nothing, and a machine without the worker extra can still describe a stage.
"""

from __future__ import annotations

from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from db.catalog.architectures import ArchitectureSpec, Card, WeightsFile
    from db.catalog.metrics import MetricSpec
    from db.catalog.stages import StageParams, StageSpec
    from db.errors import InputError
    from workers.frames import Clip, Reel
    from workers.on_demand.restore_picture import restore

    __version__: str

__all__ = [
    "ArchitectureSpec", "Card", "Clip", "InputError", "MetricSpec", "Reel", "StageParams", "StageSpec", "WeightsFile",
    "__version__", "restore",
]  # fmt: skip

_MODULES = {
    "ArchitectureSpec": "db.catalog.architectures",
    "Card": "db.catalog.architectures",
    "Clip": "workers.frames",
    "InputError": "db.errors",
    "MetricSpec": "db.catalog.metrics",
    "Reel": "workers.frames",
    "StageParams": "db.catalog.stages",
    "StageSpec": "db.catalog.stages",
    "WeightsFile": "db.catalog.architectures",
    "restore": "workers.on_demand.restore_picture",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        value: Any = metadata.version("reelwright")
    elif name in _MODULES:
        value = getattr(import_module(_MODULES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
