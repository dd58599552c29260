"""Builds a network by name and fills it from published files, complete and strict."""

from __future__ import annotations

import hashlib
import importlib
import logging
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from db.catalog.architectures import ARCHITECTURES
from db.catalog.weights import CARDS, FAMILIES, Card, WeightsFile, find, of_build
from db.errors import InputError, WorkError, nearest
from workers.models.checkpoints import formats
from workers.models.checkpoints.formats import State
from workers.ops import tiles

_SHOWN_KEYS = 3
_LIKE = 0.5
"""Share of keys and shapes in common from which a file is said to look like another system's."""
_EACH = "Name the card, and give all its files, each as NETWORK=FILE where names differ."
Bytes = NDArray[np.uint8]
FilesByNetwork = Mapping[str, Path]
"""A system's network (``""`` for a system of one) to its file."""


def build(name: str) -> nn.Module:
    """Return the bare network of a published system, with random values, in eval mode.

    Args:
        name: A card's name or its ``build``: ``eccv16``, ``ddcolor-tiny``, ``deoldify-video`` …

    Raises:
        InputError: ``UNKNOWN_MODEL``, with the nearest name; ``BAD_PARAMETER`` for families, whose networks are as
            large as their files say.
        WorkError: ``NO_MODULE`` when this machine lacks the module.
    """
    card = _card(name)
    if card.build in FAMILIES:
        raise InputError(f"{name}: without a file nobody knows how large its network is", code="BAD_PARAMETER")
    return _tag_architecture(card, _module(card.architecture).build(card.build))


def load(
    what: str | Path | Sequence[Path] | FilesByNetwork, name: str | None = None, *, sha256: str | None = None
) -> nn.Module:
    """Return a network with the weights of published files, in eval mode on the CPU.

    Args:
        what: One file (``.pth``, ``.pt``, ``.safetensors``), a folder or several files of a system of several
            networks; or files by the network that each holds.
        name: What to build; none recognises it by the keys (and a system of several networks by its files' names).
        sha256: Digest that the one file must have.

    Raises:
        InputError: ``BAD_CHECKPOINT`` (the message says which keys differ, and what the file looks like instead),
            ``UNSAFE_CHECKPOINT``, ``TOO_LARGE``, ``FILE_MISSING``, ``CHECKSUM_MISMATCH``.
    """
    by_network = dict(what) if isinstance(what, Mapping) else {}
    paths = list(by_network.values()) or _paths(what if not isinstance(what, Mapping) else [])
    if sha256 is not None:
        _check_digest(paths, sha256)
    if name is None:
        name = recognize(paths)
    return load_files(_card(name), by_network or assign(_card(name), paths))


def chroma(network: nn.Module, pictures: Tensor, **options: Any) -> Tensor:
    """Return a and b of CIE Lab ``(N, 2, h, w)`` at the network's own size; the module's docstring says how.

    Raises:
        InputError: ``BAD_PARAMETER`` when the system refuses an option.
    """
    device = next(network.parameters()).device.type
    half = device != "cpu" and ARCHITECTURES[str(network.architecture)].autocast
    with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=half):
        return cast(Tensor, _call_architecture(network, "chroma", pictures, options))


def restore(network: nn.Module, pictures: Tensor, **options: Any) -> Tensor:
    """Return pictures ``(N, C, H, W)`` float32 0..1 without noise or enlarged, large ones tile by tile.

    Raises:
        InputError: ``BAD_PARAMETER`` when the system refuses an option.
    """
    reach_px = ARCHITECTURES[str(network.architecture)].reach_px
    with torch.inference_mode():
        return tiles.map_tiles(
            pictures, reach_px, lambda part: cast(Tensor, _call_architecture(network, "restore", part, options))
        )


def boxes(network: nn.Module, pictures: Tensor) -> list[list[tuple[float, ...]]]:
    """Return the objects in each picture ``(N, 3, H, W)``: left, top, right, bottom in pixels, and a score."""
    with torch.inference_mode():
        return cast("list[list[tuple[float, ...]]]", _call_architecture(network, "boxes", pictures, {}))


def reference_output(network: nn.Module, picture: Bytes, **options: Any) -> Bytes:
    """Return what the published program makes of one 8-bit RGB picture ``(H, W, 3)``.

    Raises:
        InputError: ``BAD_PARAMETER`` when the system refuses an option.
    """
    with torch.inference_mode():
        return cast(Bytes, _call_architecture(network, "reference_output", picture, options))


def recognize(paths: Sequence[Path]) -> str:
    """Return the name of what files hold: by their published names, else by keys and shapes.

    Raises:
        InputError: ``BAD_CHECKPOINT`` when it is nothing known here.
    """
    if not paths:
        raise InputError("There are no files of weights to look at", code="FILE_MISSING")
    if len(paths) > 1:
        name_match = card_by_names(paths)
        if name_match:
            return name_match.build
        names = sorted(path.name for path in paths)
        raise InputError(f"{', '.join(names)}: no system here is published in these files",
                         code="BAD_CHECKPOINT", remedy=_EACH)  # fmt: skip
    sets = formats.read(paths[0])
    likeness = _likeness(sets)
    best = max(likeness, key=lambda name: likeness[name])
    if likeness[best] == 1:
        return best
    near = f"; nearest is {best}, {_difference(_best_set(sets, best), _key_shapes(best)[''])}" if likeness[best] else ""
    family, why = _family(sets)
    if family:
        return family
    raise InputError(f"{paths[0]}: its keys are of no network known here{near or '.'}{why}", code="BAD_CHECKPOINT")


def card_by_names(paths: Sequence[Path], networks_done: Collection[str] = ()) -> Card | None:
    """Return the first card whose files are all here under their published names, or taken care of by network."""
    names = {path.name for path in paths}
    for card in CARDS.values():
        needed = [file for file in card.files if not file.optional]
        if all(file.name in names or (file.networks and set(file.networks) <= set(networks_done)) for file in needed):
            return card
    return None


def assign(card: Card, paths: Sequence[Path], networks_done: Collection[str] = ()) -> FilesByNetwork:
    """Say which file holds which network: by the published names, or by there being one of each only.

    Args:
        card: Whose files they are.
        paths: Where they are.
        networks_done: Networks that have their files already.

    Raises:
        InputError: ``BAD_CHECKPOINT`` when a file is lacking or is none of the card's.
    """
    open_files = [file for file in card.files if not set(_networks(file)) <= set(networks_done)]
    if len(open_files) == 1 and len(paths) == 1:
        return dict.fromkeys(_networks(open_files[0]), paths[0])
    # ColTran's folders were once called so.
    by_name = {path.name.removesuffix("_v2"): path for path in paths}
    if len(by_name) < len(set(paths)):
        raise InputError(f"{card.name}: several files have one name", code="BAD_CHECKPOINT", remedy=_EACH)
    files: dict[str, Path] = {}
    strange = set(by_name) - {file.name for file in open_files}
    for file in open_files:
        if file.name in by_name:
            files |= dict.fromkeys(_networks(file), by_name[file.name])
        elif not file.optional:
            raise InputError(f"{card.name}: the file {file.name} is lacking", code="BAD_CHECKPOINT", remedy=_EACH)
    if strange:
        raise InputError(f"{card.name}: {min(strange)} is none of its files", code="BAD_CHECKPOINT")
    return files


def load_files(card: Card, files: FilesByNetwork) -> nn.Module:
    """Return the network of a card with the weights of files, complete and strict, in eval mode on the CPU.

    Raises:
        InputError: As :func:`load`.
    """
    if card.build not in FAMILIES:
        network = build(card.name)
        _fill(network, card, files)
        return network
    if set(files) != {""}:
        raise InputError(f"{card.name}: it is one network, in one file", code="BAD_CHECKPOINT")
    path = files[""]
    try:
        return _tag_architecture(card, _module(card.architecture).from_sets(card.build, formats.read(path)))
    except ValueError as error:
        raise InputError(f"{path}: {error}", code="BAD_CHECKPOINT") from error


def _tag_architecture(card: Card, network: nn.Module) -> nn.Module:
    # A plain attribute: the architecture's own functions are found by it, and no key is added.
    network.architecture = card.architecture  # type: ignore[assignment]
    return network.eval()


def _fill(network: nn.Module, card: Card, files: FilesByNetwork) -> None:
    optional = {name for file in card.files if file.optional for name in file.networks}
    children = dict(network.named_children()) if card.files[0].networks else {"": network}
    for name in children:
        if name not in files and name not in optional:
            raise InputError(f"{card.name}: no file holds the network {name or card.build}", code="BAD_CHECKPOINT")
    module, read = _module(card.architecture), cache(formats.read)
    tables = getattr(module, "TABLES", {})
    for name, path in files.items():
        if name in tables:
            _read_table(tables[name], network, path)
        elif name not in children:
            raise InputError(f"{card.name} has no network {name!r:.40}", code="BAD_CHECKPOINT")
        elif hasattr(module, "from_tensorflow") and not path.is_file():
            _load_strictly(children[name], module.from_tensorflow(path, name), card, name, path)
        else:
            _load_strictly(children[name], _choose_set(read(path), children[name], name), card, name, path)


def _read_table(read: Callable[[nn.Module, Path], None], network: nn.Module, path: Path) -> None:
    try:
        read(network, path)
    except ValueError as error:
        raise InputError(str(error), code="BAD_CHECKPOINT") from error


def file_sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# -- which set of a file, and does it fit


def _load_strictly(network: nn.Module, state: State, card: Card, name: str, path: Path) -> None:
    own = network.state_dict()
    expected = _shapes(own)
    state = {key: value for key, value in state.items() if key in expected or not _is_spare(card, key)}
    # Files of old releases count no batches; nothing is computed from that count.
    counters = {key for key in expected if key.endswith("num_batches_tracked")}
    if _shapes(state).items() | {(key, expected[key]) for key in counters} != expected.items():
        where = f"{path}: not {card.name}{f' ({name})' if name else ''}"
        raise InputError(
            f"{where}: {_difference(state, expected)}{_likeness_note(state, card.build)}", code="BAD_CHECKPOINT"
        )
    strange = [f"{key} {_tensor_kind(value)}" for key, value in state.items() if not _stands_for(value, own[key])]
    if strange:
        message = f"{path}: {len(strange)} are numbers of another kind ({_first_keys(strange)})."
        raise InputError(message, code="BAD_CHECKPOINT")
    network.load_state_dict({**{key: own[key] for key in counters}, **state})


def _stands_for(value: Tensor, target: Tensor) -> bool:
    """Whether a tensor can be taken for another: plain numbers that are here, fractions of any precision for such."""
    if value.layout is not torch.strided or value.is_quantized or value.is_complex() or value.device.type != "cpu":
        return False
    return value.is_floating_point() or not target.is_floating_point()


def _tensor_kind(value: Tensor) -> str:
    parts = [str(each).removeprefix("torch.") for each in (value.dtype, value.layout, value.device)]
    return " ".join(part for part in parts if part not in {"strided", "cpu"})


def _is_spare(card: Card, key: str) -> bool:
    """Whether published files of an architecture may hold a key that its network does not use."""
    return key in getattr(_module(card.architecture), "SPARE_KEYS", ())


def _choose_set(sets: Mapping[str, State], network: nn.Module, name: str) -> State:
    """Choose the set for a network: under its own name, else what fits best, the usual wrappers first."""
    if name and name in sets:
        return sets[name]
    expected = _shapes(network.state_dict())
    if "" in sets and set(sets[""]) == {""} and len(expected) == 1:
        return {next(iter(expected)): sets[""][""]}  # a file of one bare tensor
    order = [*(key for key in formats.WRAPPERS if key in sets), *sorted(sets)]
    return sets[max(order, key=lambda key: _overlap(sets[key], expected))]


def _best_set(sets: Mapping[str, State], name: str) -> State:
    return max(sets.values(), key=lambda state: _overlap(state, _key_shapes(name)[""]))


def _likeness(sets: Mapping[str, State]) -> dict[str, float]:
    """How much each known system of one network has in common with the best of the sets, 0..1; 1 is complete."""
    return {
        name: max(_overlap(_without_spare(state, name), _key_shapes(name)[""]) for state in sets.values())
        for name in _single_networks()
    }


def _without_spare(state: State, name: str) -> State:
    return {key: value for key, value in state.items() if not _is_spare(_card(name), key)}


def _overlap(state: State, expected: Mapping[str, tuple[int, ...]]) -> float:
    shapes = {item for item in _shapes(state).items() if not item[0].endswith("num_batches_tracked")}
    target_shapes = {item for item in expected.items() if not item[0].endswith("num_batches_tracked")}
    return len(shapes & target_shapes) / max(1, len(shapes | target_shapes))


def _shapes(state: State) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in state.items()}


def _family(sets: Mapping[str, State]) -> tuple[str, str]:
    """Return the family that reads a file, or why none can; both empty where none knows its keys."""
    why = ""
    # Architectures of one library share the function, which builds a network to answer.
    for family_of in dict.fromkeys(_module(each.architecture).recognized_family for each in FAMILIES.values()):
        try:
            family = family_of(sets)
        except ValueError as error:
            why = f" {error}."
        else:
            if family:
                return str(family), ""
    return "", why


@cache
def _key_shapes(name: str) -> dict[str, dict[str, tuple[int, ...]]]:
    """Keys and shapes by network; built without memory for its numbers."""
    with torch.device("meta"):
        network = build(name)
    if not _card(name).files[0].networks:
        return {"": _shapes(network.state_dict())}
    return {child: _shapes(module.state_dict()) for child, module in network.named_children()}


@cache
def _single_networks() -> list[str]:
    """Names of the systems of one network that can be built on this machine."""
    return sorted(
        name for name in {card.build for card in CARDS.values() if not card.files[0].networks} if _is_buildable(name)
    )


def _is_buildable(name: str) -> bool:
    try:
        _key_shapes(name)
    except Exception as error:  # an outside package must not keep others' files from being recognised
        logging.getLogger(__name__).warning("no file is compared with %s: %s", name, error)
        return False
    return True


def _networks(file: WeightsFile) -> tuple[str, ...]:
    return file.networks or ("",)


def _likeness_note(state: State, other_than: str) -> str:
    overlaps = {name: _overlap(state, _key_shapes(name)[""]) for name in _single_networks() if name != other_than}
    best = max(overlaps, key=lambda name: overlaps[name])
    return f" It looks like {best}." if overlaps[best] > _LIKE else ""


def _difference(state: State, expected: Mapping[str, tuple[int, ...]]) -> str:
    state_shapes = _shapes(state)
    lacking = sorted(key for key in expected.keys() - state_shapes.keys() if not key.endswith("num_batches_tracked"))
    strange = sorted(state_shapes.keys() - expected.keys())
    other = sorted(key for key in state_shapes.keys() & expected.keys() if state_shapes[key] != expected[key])
    shapes = [f"{key} {list(state_shapes[key])} instead of {list(expected[key])}" for key in other]
    parts = ((lacking, "keys are lacking"), (strange, "are unknown"), (shapes, "have another shape"))
    phrases = [f"{len(keys)} {what} ({_first_keys(keys)})" for keys, what in parts if keys]
    return f"{', '.join(phrases)}." if phrases else "nothing differs."


def _first_keys(keys: Iterable[str]) -> str:
    keys = list(keys)
    return ", ".join(keys[:_SHOWN_KEYS]) + (", …" if len(keys) > _SHOWN_KEYS else "")


# -- by name


def _card(name: str) -> Card:
    card = find(name) or of_build(name)
    if card is None:
        raise InputError(f"No network is called {name!r:.60}.{nearest(name, CARDS)}", code="UNKNOWN_MODEL")
    return card


def _module(architecture: str) -> ModuleType:
    try:
        return importlib.import_module(ARCHITECTURES[architecture].module_name)
    except ModuleNotFoundError as error:
        raise WorkError(f"Model {architecture}: {error}", code="NO_MODULE") from error


def _call_architecture(network: nn.Module, function: str, pictures: Any, options: Mapping[str, Any]) -> Any:
    architecture = str(network.architecture)
    try:
        return getattr(_module(architecture), function)(network, pictures, **options)
    except ValueError as error:
        raise InputError(f"{ARCHITECTURES[architecture].title}: {error}", code="BAD_PARAMETER") from error


def _paths(what: str | Path | Sequence[Path]) -> list[Path]:
    if not isinstance(what, str | Path):
        return [Path(each) for each in what]
    path = Path(what)
    if not os.path.exists(path):  # unlike pathlib's, it takes any name
        raise InputError(f"{path}: there is no such file, and no card of that name", code="FILE_MISSING")
    # Hidden files are no weights, and a TensorFlow checkpoint is a folder itself.
    return sorted(each for each in path.iterdir() if not each.name.startswith(".")) if path.is_dir() else [path]


def _check_digest(paths: Sequence[Path], sha256: str) -> None:
    if len(paths) != 1:
        raise InputError("A digest belongs to one file", code="BAD_VALUE")
    if not os.path.isfile(paths[0]):
        raise InputError(f"{paths[0]}: there is no such file of weights", code="FILE_MISSING")
    digest = file_sha256(paths[0])
    if digest != sha256.lower():
        message = f"{paths[0]}: its sha256 is {digest}, not {sha256}"
        raise InputError(message, code="CHECKSUM_MISMATCH", remedy="Download the file again from its authors.")
