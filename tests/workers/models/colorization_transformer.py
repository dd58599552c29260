"""Checkpoints of the Colorization Transformer in its published TensorFlow form, filled from variables' names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.support import fill_tf, tf_bundle
from workers.models import coltran
from workers.models.checkpoints import coltran_checkpoint
from workers.models.checkpoints.coltran_checkpoint import NETS, Variable

Shapes = dict[Variable, tuple[int, ...]]


def shapes(net: str, sizes: coltran.ColTranSizes) -> Shapes:
    """TensorFlow's shape of every variable of a network."""
    expected = getattr(coltran.build("coltran", sizes), net).state_dict()
    heads = sizes.widths.heads
    return {
        variable: coltran_checkpoint.tensorflow_shape(variable.key, tuple(expected[variable.key].shape), heads)
        for variable in coltran_checkpoint.variables(net)
    }


def digest(rows: Iterable[tuple[str, tuple[int, ...]]]) -> str:
    """Digest of checkpoint names and shapes."""
    return hashlib.sha256("\n".join(sorted(f"{name} {list(shape)}" for name, shape in rows)).encode()).hexdigest()


def tensors(found: Shapes, *, whole: bool = True, salt: str = "shared") -> dict[str, NDArray[Any] | bytes]:
    """All that a published checkpoint holds; with ``whole`` false only what counts."""
    named = {variable.checkpoint_name: shape for variable, shape in found.items()}
    if whole:
        named |= {variable.plain_name: shape for variable, shape in found.items()}
        named |= {_slot(variable): shape for variable, shape in found.items() if variable.averaged}
    drawn: dict[str, NDArray[Any] | bytes] = {name: fill_tf.values(name, shape, salt) for name, shape in named.items()}
    numbers = ("optimizer/decay", "optimizer/learning_rate", "optimizer/momentum", "optimizer/rho", "save_counter")
    drawn |= {f"{name}/.ATTRIBUTES/VARIABLE_VALUE": np.array(0.9, np.float32) for name in numbers}
    return drawn | {
        "optimizer/iter/.ATTRIBUTES/VARIABLE_VALUE": np.array(300_000),
        "_CHECKPOINTABLE_OBJECT_GRAPH": b"of no use",
    }


def write(folder: Path, sizes: coltran.ColTranSizes, *, whole: bool = True, salt: str = "shared") -> None:
    """Write the three checkpoints into folders of their own, as published."""
    for number, net in enumerate(NETS):
        prefix = folder / net / f"model-{100 + number}"
        tf_bundle.write(prefix, tensors(shapes(net, sizes), whole=whole, salt=salt), snappy=whole)
        (folder / net / "checkpoint").write_text(
            f'model_checkpoint_path: "{prefix.name}"\nall_model_checkpoint_paths: "{prefix.name}"\n'
        )


def _slot(variable: Variable) -> str:
    return variable.plain_name.replace(":0/", ":0/.OPTIMIZER_SLOT/optimizer/rms/")
