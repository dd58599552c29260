"""Where the Colorization Transformer's weights lie in its TensorFlow checkpoints.

Each network has a checkpoint of its own; the same names mean other things in the three. Of trained variables the moving
average counts, not the plain copy beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from db.errors import InputError
from workers.models.checkpoints.tensor_bundle import FLOAT32, Bundle

NETS = ("colorizer", "color_upsampler", "spatial_upsampler")
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
_AVERAGE = ".SExponentialMovingAverage"
_SLOT = re.compile(r":0/\.OPTIMIZER_SLOT/optimizer/\w+")
_BOOKKEEPING = re.compile(r"_CHECKPOINTABLE_OBJECT_GRAPH|(optimizer/\w+|save_counter)" + re.escape(_VALUE))
_REMEDY = "Give the three published checkpoints, each with its own network."


class Variable(NamedTuple):
    """One learnt tensor."""

    key: str
    """In our network's state."""
    name: str
    """The published variable's, scopes parted by ``/``."""
    averaged: bool = True
    """False if it was never trained and so has no moving average."""

    @property
    def checkpoint_name(self) -> str:
        """The name in the checkpoint of the values that count."""
        return (
            self.plain_name.removesuffix(f":0{_VALUE}") + f"{_AVERAGE}:0{_VALUE}" if self.averaged else self.plain_name
        )

    @property
    def plain_name(self) -> str:
        """The name in the checkpoint of the values at the last step."""
        return self.name.replace(".", "..").replace("/", ".S") + f":0{_VALUE}"


# -- names


def variables(net: str) -> list[Variable]:
    """Return every variable of a network of :data:`NETS`."""
    if net == "colorizer":
        return list(_colorizer())
    return list(_upsampler(net, layers=4 if net == "color_upsampler" else 3))


def _upsampler(net: str, layers: int) -> Iterator[Variable]:
    yield Variable("channel_embedding.weight", f"{net}/dense/kernel")
    yield Variable("gray_embedding.weight", f"{net}/dense_1/kernel")
    yield from _dense("input_dense", f"{net}/dense_2")
    yield from _encoder(net, layers, first_norm=0, first_dense=4)
    yield from _dense("logits", f"{net}/dense_3")


def _colorizer() -> Iterator[Variable]:
    core = "col_tran_core"
    yield Variable("gray_embedding.weight", f"{core}/gray_scale_encoder/dense_1/kernel")
    yield Variable("gray_bias", f"{core}/gray_scale_encoder/dense_1/bias")
    yield from _encoder(f"{core}/gray_scale_encoder", 4, first_norm=1, first_dense=2)
    yield Variable("parallel_logits.weight", f"{core}/parallel_logits/kernel")
    yield Variable("pixel_embedding.weight", f"{core}/dense/kernel")
    yield from _positions("outer", f"{core}/outer_decoder/position_embed_1")
    for layer in range(2):
        yield from _outer_layer(f"outer.layers.{layer}", f"{core}/outer_decoder", layer)
    yield from _positions("inner", f"{core}/inner_decoder/position_embed_2")
    for layer in range(2):
        yield from _inner_layer(f"inner.layers.{layer}", f"{core}/inner_decoder", layer)
    yield from _norm("final_norm", f"{core}/layer_normalization")
    yield from _dense("auto_logits", f"{core}/auto_logits")


def _encoder(scope: str, layers: int, first_norm: int, first_dense: int) -> Iterator[Variable]:
    scope = f"{scope}/factorized_attention"
    yield from _positions("encoder", f"{scope}/position_embed")
    for half in range(2 * layers):
        axis = ("row", "col")[half % 2]
        ours = f"encoder.layers.{half // 2}."
        norm, dense = first_norm + 2 * half, first_dense + 2 * half
        yield from _attention(f"{ours}{axis}_att", f"{scope}/{_layer_name('self_attention_nd', half)}")
        yield from _norm(f"{ours}norm_{axis}_att", f"{scope}/{_layer_name('layer_normalization', norm)}")
        yield from _feed_forward(f"{ours}{axis}_ff", dense)
        yield from _norm(f"{ours}norm_{axis}_ff", f"{scope}/{_layer_name('layer_normalization', norm + 1)}")


def _outer_layer(ours: str, scope: str, layer: int) -> Iterator[Variable]:
    norm, dense = 4 * layer, 18 + 4 * layer
    for axis, attention, affine in (("row", "unmask_row_att", "affine_r"), ("col", "mask_col_att", "affine_c")):
        yield from _attention(f"{ours}.{axis}_att", f"{scope}/{attention}_{layer}", conditional=True)
        yield from _conditional_norm(f"{ours}.cln_{axis}_att", scope, norm, 26)
        yield from _feed_forward(f"{ours}.{axis}_ff.ff", dense)
        yield from _dense(f"{ours}.{axis}_ff.affine", f"{scope}/{affine}_{layer}")
        yield from _conditional_norm(f"{ours}.cln_{axis}_ff", scope, norm + 1, 26)
        norm, dense = norm + 2, dense + 2


def _inner_layer(ours: str, scope: str, layer: int) -> Iterator[Variable]:
    norm = 8 + 2 * layer
    yield from _attention(f"{ours}.row_att", f"{scope}/mask_row_att_{layer}", conditional=True)
    yield from _conditional_norm(f"{ours}.cln_row_att", scope, norm, 30)
    yield from _feed_forward(f"{ours}.row_ff.ff", 34 + 2 * layer)
    yield from _dense(f"{ours}.row_ff.affine", f"{scope}/affine_c_{layer}")
    yield from _conditional_norm(f"{ours}.cln_row_ff", scope, norm + 1, 30)


def _attention(ours: str, scope: str, *, conditional: bool = False) -> Iterator[Variable]:
    for part in ("q", "k", "v", "output", *(("cond_q", "cond_k", "cond_v") if conditional else ())):
        yield Variable(f"{ours}.{part}.weight", f"{scope}/{part}/kernel")
    axis = 1 if ours.endswith("row_att") else 0
    yield Variable(f"{ours}.rel_bias", f"{scope}/relative_attention_bias_{axis}")


def _conditional_norm(ours: str, scope: str, number: int, denses_before: int) -> Iterator[Variable]:
    scope = f"{scope}/{_layer_name('conditional_layer_norm', number)}"
    yield Variable(f"{ours}.spatial_average", f"{scope}/spatial_average")
    yield from _dense(f"{ours}.channel_dense", f"{scope}/dense_{denses_before + number}")
    yield from _norm(f"{ours}.normalize", f"{scope}/normalize", averaged=False)


def _feed_forward(ours: str, dense: int) -> Iterator[Variable]:
    yield from _dense(f"{ours}.fc1", f"dense_{dense}")
    yield from _dense(f"{ours}.fc2", f"dense_{dense + 1}")


def _positions(ours: str, scope: str) -> Iterator[Variable]:
    yield Variable(f"{ours}.positions.row", f"{scope}/position_embedding_0")
    yield Variable(f"{ours}.positions.column", f"{scope}/position_embedding_1")


def _dense(ours: str, scope: str) -> Iterator[Variable]:
    yield Variable(f"{ours}.weight", f"{scope}/kernel")
    yield Variable(f"{ours}.bias", f"{scope}/bias")


def _norm(ours: str, scope: str, *, averaged: bool = True) -> Iterator[Variable]:
    yield Variable(f"{ours}.weight", f"{scope}/gamma", averaged)
    yield Variable(f"{ours}.bias", f"{scope}/beta", averaged)


def _layer_name(name: str, number: int) -> str:
    return f"{name}_{number}" if number else name


# -- shapes


def tensorflow_shape(key: str, shape: tuple[int, ...], heads: int) -> tuple[int, ...]:
    """Return the published shape of a variable: inputs first, heads on an axis of their own."""
    if not _is_transposed(key, shape):
        return shape
    out, into = shape
    part = key.split(".")[-2]
    if part in ("q", "k", "v", "cond_q", "cond_k", "cond_v"):
        return into, heads, out // heads
    return (heads, into // heads, out) if part == "output" else (into, out)


def _is_transposed(key: str, shape: tuple[int, ...]) -> bool:
    return len(shape) == 2 and key.endswith(".weight") and not key.endswith("embedding.weight")


def _to_torch(key: str, value: NDArray[Any], shape: tuple[int, ...]) -> Tensor:
    if _is_transposed(key, shape):
        value = value.reshape(shape[::-1]).T
    return torch.from_numpy(np.array(value, order="C"))


# -- files


def checkpoint_paths(source: str | Path | Mapping[str, str | Path]) -> dict[str, Path]:
    """Return every network's folder or prefix, given a folder of their folders or these places themselves."""
    if isinstance(source, Mapping):
        lacking = sorted(set(NETS) - set(source))
        if lacking:
            raise _checkpoint_error(f"No checkpoint is given for {', '.join(lacking)}.")
        return {net: Path(source[net]) for net in NETS}
    return {net: _network_folder(Path(source), net) for net in NETS}


def _network_folder(folder: Path, net: str) -> Path:
    folders = [path for path in (folder / net, folder / f"{net}_v2") if path.is_dir()]
    if not folders:
        raise _checkpoint_error(f"{folder} has no folder {net!r}.")
    return folders[0]


def checkpoint_prefix(place: Path) -> Path:
    """Return the prefix of a checkpoint's files: in a folder what its file ``checkpoint`` names, or the only one."""
    if not place.is_dir():
        return place
    listing = place / "checkpoint"
    if listing.is_file():
        with listing.open("rb") as file:
            path_line = re.match(rb'\s*model_checkpoint_path:\s*"([^"\0]+)"', file.read(4096))
        if path_line:
            return place / Path(path_line[1].decode(errors="replace")).name
    indexes = sorted(place.glob("*.index"))
    if len(indexes) != 1:
        raise _checkpoint_error(f"{place} holds {len(indexes)} indexes and no file that says which counts.")
    return indexes[0].with_suffix("")


def _checkpoint_error(message: str) -> InputError:
    return InputError(message, code="BAD_CHECKPOINT", remedy=_REMEDY)


def read(net: str, prefix: Path, expected: Mapping[str, Tensor], heads: int) -> dict[str, Tensor]:
    """Return a network's state; ``expected`` has its shapes.

    Raises:
        InputError: Variables are missing, of another shape or unknown, or their bytes are damaged.
    """
    bundle = Bundle(prefix)
    targets = variables(net)
    _check_names(prefix, targets, bundle.entries)
    for variable in targets:
        shape = tensorflow_shape(variable.key, tuple(expected[variable.key].shape), heads)
        entry = bundle.entries[variable.checkpoint_name]
        if (entry.shape, entry.type) != (shape, FLOAT32):
            raise _checkpoint_error(
                f"{prefix}.index: {variable.checkpoint_name!r} is {entry.shape}, not {shape} of float32."
            )
    values = bundle.read(variable.checkpoint_name for variable in targets)
    return {
        variable.key: _to_torch(variable.key, values[variable.checkpoint_name], tuple(expected[variable.key].shape))
        for variable in targets
    }


def _check_names(prefix: Path, targets: list[Variable], entry_names: Iterable[str]) -> None:
    entry_names = set(entry_names)
    missing = sorted({variable.checkpoint_name for variable in targets} - entry_names)
    own_names = {variable.plain_name for variable in targets} | {variable.checkpoint_name for variable in targets}
    strange = sorted(name for name in entry_names - own_names if not _is_spare(name, own_names))
    for names, what in ((missing, "lacks"), (strange, "also has")):
        if names:
            raise _checkpoint_error(f"{prefix}.index {what} {len(names)} variables, the first {names[0]!r}.")


def _is_spare(name: str, own_names: set[str]) -> bool:
    """Whether a name is the optimizer's or the saver's, and so of no use here."""
    return bool(_BOOKKEEPING.fullmatch(name)) or _SLOT.sub(":0", name) in own_names
