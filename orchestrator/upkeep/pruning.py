"""Finds and removes what an installation holds and needs no more: in its database, its store, and its logs."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from sqlalchemy import Connection

from db import ledger, needed
from db.needed import Use
from db.session import Database
from db.store.base import Store

_ITEM = re.compile(r"jobs/(\d+)/items/(\d+)/")
NOBODYS = "nobody's"
"""Blobs that no row needs, of items that are over: what attempts left that died."""
UNDER_WAY = "attempts under way"


@dataclass
class Room:
    """What some blobs take."""

    blobs: int = 0
    bytes: int = 0

    def add(self, size: int) -> None:
        """Count one more."""
        self.blobs += 1
        self.bytes += size


@dataclass
class PruneReport:
    """What went, or would go."""

    jobs: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    """By kind, as :class:`db.ledger.PrunedRows` names them."""
    blobs: Room = field(default_factory=Room)
    logs: Room = field(default_factory=Room)

    def add(self, rows: ledger.PrunedRows) -> None:
        """Count rows."""
        for name, count in vars(rows).items():
            self.rows[name] = self.rows.get(name, 0) + count


def prune(
    db: Database, store: Store, logs: Path, rules: ledger.PruneRules, *, dry_run: bool,
    told: Callable[[int], None] = lambda _: None,
) -> PruneReport:  # fmt: skip
    """Let go of what jobs that have long been over do not need; safe beside running ones.

    Args:
        db: The database.
        store: Its store.
        logs: Folder of the workers' logs.
        rules: What may go.
        dry_run: Whether it is only counted.
        told: Called with the number of jobs that were looked at.
    """
    report = PruneReport()
    for number, job_id in enumerate(ledger.jobs_to_prune(db, rules), 1):
        _prune_job(db, store, job_id, rules, report, dry_run)
        told(number)
    report.add(ledger.prune_installation(db, rules, dry_run=dry_run))
    oldest = time.time() - rules.older_than_seconds
    for path in sorted(logs.glob("*")) if logs.is_dir() else ():
        if path.is_file() and not path.is_symlink() and path.stat().st_mtime < oldest:
            report.logs.add(path.stat().st_size)
            if not dry_run:
                path.unlink(missing_ok=True)
    return report


def rooms(db: Database, store: Store) -> dict[str, Room]:
    """Return what takes room in the store, by what it is needed for."""
    found: dict[str, Room] = {}
    with tempfile.TemporaryFile("w+", encoding="utf-8") as listing:
        _list(store, "", listing)
        with db.freeze() as connection:
            uses = {needed.digest(need.key): _use(need) for need in needed.needs(connection)}
            live: dict[int, frozenset[int]] = {}
            for key, size in _listed(listing):
                use = uses.get(needed.digest(key)) or _unneeded(connection, key, live)
                found.setdefault(use, Room()).add(size)
    return dict(sorted(found.items(), key=lambda entry: -entry[1].bytes))


def _prune_job(
    db: Database, store: Store, job_id: int, rules: ledger.PruneRules, report: PruneReport, dry_run: bool
) -> None:
    """Prune one job. Its blobs are listed first: what is stored later is not looked at, and cannot be taken for old."""
    orphans: list[tuple[str, int]] = []
    with tempfile.TemporaryFile("w+", encoding="utf-8") as listing:
        _list(store, f"jobs/{job_id}/", listing)

        def find_orphans(connection: Connection) -> None:
            kept = {needed.digest(need.key) for need in needed.needs(connection, job_id)}
            live = needed.live_items(connection, job_id)
            for key, size in _listed(listing):
                item = _ITEM.match(key)
                if item and int(item[2]) not in live and needed.digest(key) not in kept:
                    orphans.append((key, size))

        rows = ledger.prune_job(db, job_id, rules, dry_run=dry_run, look=find_orphans)
    if rows is None:
        return
    report.jobs += 1
    report.add(rows)
    for key, size in orphans:
        if not dry_run:
            store.remove(key)
        report.blobs.add(size)


def _list(store: Store, prefix: str, listing: IO[str]) -> None:
    for key, size in store.sizes(prefix):
        print(size, key, file=listing)


def _listed(listing: IO[str]) -> Iterator[tuple[str, int]]:
    listing.seek(0)
    for line in listing:
        size, _, key = line.rstrip("\n").partition(" ")
        yield key, int(size)


def _use(need: needed.Need) -> str:
    return Use.WEIGHTS if need.key.startswith("weights/") else need.use


def _unneeded(connection: Connection, key: str, live: dict[int, frozenset[int]]) -> str:
    """Say of what no row needs whether it may be of an attempt that goes on."""
    item = _ITEM.match(key)
    if not item:
        return key.partition("/")[0]
    job_id = int(item[1])
    if job_id not in live:
        live[job_id] = needed.live_items(connection, job_id)
    return UNDER_WAY if int(item[2]) in live[job_id] else NOBODYS
