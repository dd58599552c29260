"""Registers weights: examined by a worker process, kept in the store by digest, written down."""

from __future__ import annotations

import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from db import ledger, progress
from db.catalog import shipped, trained
from db.catalog.trained import Trained
from db.catalog.weights import CARDS, Card, card, is_tag
from db.errors import InputError
from db.progress import WeightsRow
from db.recipe import PinnedFile
from db.scratch import scratch_folder
from db.session import Database
from db.settings import Settings
from db.store.base import Store
from db.store.keys import safe_name
from orchestrator.on_demand import worker_process

MAX_BYTES = 8_000_000_000
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Registration:
    """What came of registering."""

    card: str
    files: tuple[PinnedFile, ...]
    parameters: int
    license: str
    notes: tuple[str, ...]
    trained: Trained | None = None
    """What the file says of itself, where somebody trained it."""


def add(
    settings: Settings,
    database: Database,
    store: Store,
    sources: Sequence[str],
    *,
    name: str | None = None,
    accept_license: bool = False,
    license_text: str | None = None,
    moved: Callable[[int], None] = lambda count: None,
) -> Registration:
    """Examine files of weights and register them.

    Args:
        settings: Where to work.
        database: Where the record goes.
        store: Where the files go.
        sources: Paths, ``NETWORK=PATH``, ``s3://`` or ``https://`` addresses; or one folder.
        name: The card; none takes what the file says of itself, or recognises it by names and keys.
        accept_license: Whether the caller accepts terms that must be accepted.
        license_text: The terms of weights that have a label; none takes what the file says.
        moved: Called with the number of bytes of each piece that is fetched or stored.

    Raises:
        InputError: ``LICENCE_NOT_ACCEPTED``, ``FILE_MISSING``, ``BAD_VALUE`` when the weights of that name are shipped
            or their terms are on their card, or what is wrong with a file.
    """
    if name:
        check_terms(card(name), accept_license)  # before gigabytes are fetched
        _check_free(card(name))
    training = trained.from_document({"license": license_text}) if license_text else None
    with scratch_folder(settings.scratch_folder, "weights") as scratch:
        # Each in a folder of its own: files of one system may have one name in several places.
        paths = [_local_source(source, scratch / str(number), settings, moved) for number, source in enumerate(sources)]
        order = {"files": paths, "card": name or None, "folder": str(scratch)}
        report = worker_process.run(settings, "weights", order)
        weights_card = card(report["card"])
        check_terms(weights_card, accept_license)
        _check_free(weights_card)
        if license_text and not is_tag(weights_card.name):
            raise InputError(
                f"The terms of {weights_card.name} are on its card: {weights_card.license}",
                remedy="Leave out --license.",
            )
        files = tuple(_store_file(store, file, moved) for file in report["files"])
    if report["trained"]:
        training = trained.from_document(report["trained"] | ({"license": license_text} if license_text else {}))
    ledger.add_weights(
        database, ledger.NewWeights(weights_card.name, files, ", ".join(sources), accept_license, training)
    )
    license_text = (training and training.license) or weights_card.license
    return Registration(weights_card.name, files, report["parameters"], license_text, tuple(report["notes"]), training)


def check_terms(chosen: Card, accepted: bool) -> None:
    """Make sure that terms which must be accepted are.

    Raises:
        InputError: ``LICENCE_NOT_ACCEPTED``.
    """
    if chosen.accept and not accepted:
        raise InputError(f"{chosen.name}: {chosen.accept} {chosen.license}.", code="LICENCE_NOT_ACCEPTED")


def _check_free(weights_card: Card) -> None:
    """Make sure that a name is not that of shipped weights: a recipe must mean the same in every home."""
    if weights_card.shipped:
        raise InputError(
            f"The weights {weights_card.name} come with Reelwright; others cannot take their name",
            remedy=f"Name yours with `--as {weights_card.build}:LABEL`.",
        )


def verify(
    settings: Settings, database: Database, store: Store, names: Sequence[str]
) -> Iterator[tuple[str, InputError | None]]:
    """Read weights back, compare their digests and load them strictly: the named ones, else all that are registered.

    Yields:
        Each card's name, and what is wrong with it, if anything.
    """
    at_hand = progress.weights_at_hand(database)
    for name in names or [name for name, row in at_hand.items() if not row.shipped]:
        try:
            _verify_weights(settings, store, _weights_row(at_hand, name))
        except InputError as error:
            yield name, error
        else:
            yield name, None


def remove(database: Database, store: Store, name: str) -> int:
    """Forget registered weights; returns how many of their files were deleted: those that no unfinished job needs.

    Raises:
        InputError: ``MODEL_MISSING``.
    """
    if card(name).shipped:
        raise InputError(f"The weights {name} come with Reelwright", remedy="They take no room in a home. Leave them.")
    row = _weights_row(progress.weights(database), name)
    ledger.remove_weights(database, name)
    unused = [file for file in row.files if not ledger.weights_in_use(database, file.sha256)]
    for file in unused:
        store.delete(f"{file.key.rpartition('/')[0]}/")
    return len(unused)


def _weights_row(registered: dict[str, WeightsRow], name: str) -> WeightsRow:
    if name not in registered:
        raise InputError(f"The weights {card(name).name} are not registered here", code="MODEL_MISSING")
    return registered[name]


def _verify_weights(settings: Settings, store: Store, row: WeightsRow) -> None:
    with scratch_folder(settings.scratch_folder, "weights") as scratch:
        arguments = []
        for number, file in enumerate(row.files):
            path = shipped.path_of(file.sha256) or store.local_path(file.key)
            if path is None:
                path = scratch / f"{number}-{file.name}"
                store.get(file, path)
            elif not row.shipped:
                store.check(file)
            arguments += [f"{network}={path}" for network in file.networks] or [str(path)]
        worker_process.run(settings, "weights", {"files": arguments, "card": row.card, "folder": str(scratch)})


def _store_file(store: Store, file: dict[str, object], moved: Callable[[int], None]) -> PinnedFile:
    path = Path(str(file["path"]))
    networks = file["networks"]
    assert isinstance(networks, list)
    # Keyed by digest: the same file is kept once, whatever cards name it.
    blob = store.put(f"weights/{file['sha256']}/{safe_name(path.name)}", path, moved=moved)
    if blob.sha256 != file["sha256"]:
        raise InputError(f"{path}: the file changed while it was stored", code="CHANGED_DURING_WORK")
    return PinnedFile(networks=tuple(networks), **blob.model_dump())


def _local_source(source: str, scratch: Path, settings: Settings, moved: Callable[[int], None]) -> str:
    network, equals, address = source.partition("=")
    if not equals or "://" in network or os.path.exists(source):
        network, address = "", source
    path = _fetch_file(address, scratch, settings, moved)
    return f"{network}={path}" if network else path


def _fetch_file(address: str, scratch: Path, settings: Settings, moved: Callable[[int], None]) -> str:
    """Return a path on this machine; what lies elsewhere is fetched under its own name, by which it is recognised."""
    scheme = urlsplit(address).scheme if "://" in address else ""
    if not scheme:
        path = Path(os.path.realpath(address))
        if path.exists() and not (path.is_file() or path.is_dir()):  # a pipe would be waited for
            raise InputError(f"{address!r:.200} is neither a file nor a folder", code="NOT_A_FILE")
        return str(path)
    scratch.mkdir()
    target = scratch / safe_name(urlsplit(address).path.rpartition("/")[2])
    if scheme == "s3":
        from db.sources import fetch_source  # boto3 is only needed where weights lie in S3

        fetch_source(settings, address, target, moved)
    elif scheme == "https":
        _download(address, target, moved)
    else:
        raise InputError(f"{address!r:.200}: only files, https:// and s3:// are read", code="PATH_UNSAFE")
    return str(target)


def _download(address: str, target: Path, moved: Callable[[int], None]) -> None:
    try:
        with urllib.request.urlopen(address, timeout=60) as answer, target.open("wb") as sink:
            if urlsplit(answer.url).scheme != "https":
                raise InputError(f"{address}: leads away from https", code="PATH_UNSAFE")
            while chunk := answer.read(_CHUNK_BYTES):
                sink.write(chunk)
                moved(len(chunk))
                if sink.tell() > MAX_BYTES:
                    raise InputError(f"{address}: more than {MAX_BYTES:,} bytes", code="TOO_LARGE")
            if answer.length:
                raise InputError(f"{address}: broke off {answer.length:,} bytes before its end", code="FILE_MISSING")
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
        raise InputError(f"{address}: {error}", code="FILE_MISSING") from error


def list_cards(database: Database | None) -> list[tuple[Card, WeightsRow | None]]:
    """Return every card with its registration, if there is one: those that are listed, then those of own training."""
    at_hand = progress.weights_at_hand(database)
    own_cards = [card(name) for name in at_hand if name not in CARDS]
    return [(each, at_hand.get(each.name)) for each in (*CARDS.values(), *own_cards)]
