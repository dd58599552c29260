"""Examines files that a person wants to register: which card they belong to, and whether every key fits."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from db.catalog import trained
from db.catalog.trained import Trained
from db.catalog.weights import CARDS, FAMILIES, LABEL_CHARACTERS, Card, card, is_tag
from db.errors import InputError
from workers.models.checkpoints import formats, loading

_TRIED_PX = 64
"""Side of the picture on which a network is tried that nobody here has seen before."""


def examine(sources: Sequence[str], name: str | None, folder: Path) -> dict[str, Any]:
    """Load files completely and strictly, and say what to register.

    Args:
        sources: Paths, or ``NETWORK=PATH`` where the published names are not kept; one folder stands for what is in it.
        name: The card; none takes the ``BASE:LABEL`` that the file says of itself, or recognises it.
        folder: Where converted files go (TensorFlow checkpoints become safetensors).

    Returns:
        ``card``; ``files``, each with ``path``, ``networks``, ``sha256`` and ``bytes``; ``parameters``, their number;
        ``trained``, what the file says of itself, if anything; ``notes`` for people.

    Raises:
        InputError: As ``workers.models.load``.
    """
    by_network = dict(_parse_network_path(each) for each in sources if "=" in each and not os.path.exists(each))
    paths = [Path(each) for each in sources if each.partition("=")[0] not in by_network]
    if len(paths) == 1 and os.path.isdir(paths[0]) and not by_network:
        paths = _folder_files(paths[0]) or paths
    record = _training_record([*paths, *by_network.values()])
    weights_card, notes = _choose_card(paths, by_network, name or (record.card if is_tag(record.card) else None))
    files = by_network | (dict(loading.assign(weights_card, paths, by_network)) if paths else {})
    network = loading.load_files(weights_card, files)
    if weights_card.build in FAMILIES:
        _check_runs(network, weights_card, files[""])
        record = record.model_copy(update={"summary": record.summary or f"{network.title}. {weights_card.summary}"})
    by_path = {path: [net for net in files if files[net] == path] for path in files.values()}
    return {
        "card": weights_card.name,
        "files": [
            _file_entry(weights_card, network, path, networks, folder, notes) for path, networks in by_path.items()
        ],
        "parameters": sum(tensor.numel() for tensor in network.state_dict().values()),
        "trained": record.model_dump(mode="json") if record != Trained() else None,
        "notes": notes,
    }


def _check_runs(network: nn.Module, weights_card: Card, path: Path) -> None:
    """Make sure that a network of which nothing is known but its keys can do what its family does."""
    try:
        output = loading.restore(network, torch.zeros(1, 3, _TRIED_PX, _TRIED_PX))
    except InputError:
        raise
    except Exception as error:  # from deep inside a network that somebody made up
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: the network cannot be run: {reason:.200}", code="BAD_CHECKPOINT") from error
    side = _TRIED_PX * weights_card.scale
    if output.shape != (1, 3, side, side):
        message = f"{path}: of {_TRIED_PX} pixels the network makes {output.shape[-1]}, not {side}"
        raise InputError(message, code="BAD_CHECKPOINT")


def _folder_files(folder: Path) -> list[Path]:
    """Return the files of a folder; beside one that somebody trained lies its card, which says nothing more."""
    paths = sorted(each for each in folder.iterdir() if not each.name.startswith("."))
    files = [each for each in paths if each.suffix == ".safetensors"]
    beside = all(each.suffix in {".safetensors", ".json", ".md"} for each in paths)
    return files if len(files) == 1 and beside else paths


def _training_record(paths: Sequence[Path]) -> Trained:
    """Return what the first file that says something of itself says."""
    for path in paths:
        text = formats.metadata_text(path) if os.path.isfile(path) else None
        if text is not None:
            return trained.read(text)
    return Trained()


def _parse_network_path(text: str) -> tuple[str, Path]:
    network, _, path = text.partition("=")
    if not os.path.exists(path):  # unlike pathlib's, it takes any name
        raise InputError(f"{path}: there is no such file", code="FILE_MISSING")
    return network, Path(path)


def _choose_card(paths: Sequence[Path], by_network: Collection[str], name: str | None) -> tuple[Card, list[str]]:
    """Return the card: as named, by the networks' names, by the files' published names, or by their keys."""
    if name is not None:
        return card(name), []
    name_match = loading.card_by_names(paths, by_network)
    if name_match:
        return name_match, []
    if by_network:
        remedy = "Say with --card which weights they are."
        raise InputError(f"No card has files for {', '.join(by_network)} alone", code="BAD_CHECKPOINT", remedy=remedy)
    build = loading.recognize(paths)
    if build in FAMILIES:
        family_card = card(f"{build}:{_label(paths[0])}")
        return family_card, [f"The label is the file's name; `--as {build}:LABEL` gives another."]
    candidates = [each for each in CARDS.values() if each.build == build]
    others = ", ".join(each.name for each in candidates[1:])
    note = f"By its keys it may be {others} as well; `--card` says so." if others else ""
    return candidates[0], [note] if note else []


def _label(path: Path) -> str:
    """Return a label made of a file's name."""
    words = re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-")
    return words[:LABEL_CHARACTERS].rstrip("-") or "own"


def _file_entry(
    weights_card: Card, network: Any, path: Path, networks: list[str], folder: Path, notes: list[str]
) -> dict[str, Any]:
    networks = [name for name in networks if name]
    if not path.is_file():
        path = _convert_to_safetensors(network, path, networks, folder, notes)
    digest = loading.file_sha256(path)
    for file in weights_card.files:
        if set(file.networks) == set(networks) and not digest.startswith(file.sha256_prefix):
            notes.append(f"{path.name} is not the published file: its sha256 does not begin {file.sha256_prefix}.")
    return {"path": str(path), "networks": networks, "sha256": digest, "bytes": path.stat().st_size}


def _convert_to_safetensors(network: Any, path: Path, networks: list[str], folder: Path, notes: list[str]) -> Path:
    target = folder / f"{path.name.removesuffix('.index')}.safetensors"
    save_file({key: value.contiguous() for key, value in getattr(network, networks[0]).state_dict().items()}, target)
    notes.append(f"{path.name} was a TensorFlow checkpoint; its moving averages are kept as safetensors.")
    return target
