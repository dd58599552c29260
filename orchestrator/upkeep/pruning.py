"""Finds and removes what an installation holds and needs no more: in its database, its store, and its logs."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from db import ledger, needed
from db.needed import Need, Use
from db.session import Database
from db.store.base import Store
from orchestrator.upkeep.known_keys import KnownKeys, remember_keys

_ITEM = re.compile(r"(jobs/\d+/items/\d+)/")
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
    """Let go of what jobs that have long been over do not need; safe beside running ones, and beside itself.

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
    with _listing(store, "") as listing, remember_keys() as known:
        with db.freeze() as connection:
            for need in needed.needs(connection):
                known.add(need.key, _use(need))
            for folder in needed.live_folders(connection):
                known.add(folder, UNDER_WAY)
        for key, size in _listed(listing):
            found.setdefault(known.word(key) or _unneeded(key, known), Room()).add(size)
    return dict(sorted(found.items(), key=lambda entry: -entry[1].bytes))


def _prune_job(
    db: Database, store: Store, job_id: int, rules: ledger.PruneRules, report: PruneReport, dry_run: bool
) -> None:
    """Prune one job. Its blobs are listed first: what is stored later is not looked at, and cannot be taken for old."""
    with _listing(store, f"jobs/{job_id}/") as listing, remember_keys() as known:
        report.add(ledger.prune_job(db, job_id, rules, dry_run=dry_run))
        with db.freeze() as connection:
            if not ledger.is_over(connection, job_id):
                return
            report.jobs += 1
            # What nothing points to now, nothing ever will: whoever begins anew writes keys of its own.
            earlier = not (dry_run and rules.keep_latest_generation)
            for need in needed.needs(connection, job_id, earlier=earlier, mezzanines=not dry_run):
                known.add(need.key)
        for key, size in _listed(listing):
            if _ITEM.match(key) and known.word(key) is None:
                if not dry_run:
                    store.remove(key)
                report.blobs.add(size)


@contextmanager
def _listing(store: Store, prefix: str) -> Iterator[IO[str]]:
    """Write keys and sizes into a temporary file."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as listing:
        for key, size in store.sizes(prefix):
            print(size, key, file=listing)
        yield listing


def _listed(listing: IO[str]) -> Iterator[tuple[str, int]]:
    listing.seek(0)
    for line in listing:
        size, _, key = line.rstrip("\n").partition(" ")
        yield key, int(size)


def _use(need: Need) -> str:
    return Use.WEIGHTS if need.key.startswith("weights/") else need.use


def _unneeded(key: str, known: KnownKeys) -> str:
    """Say of what no row needs whether it may be of an attempt that goes on."""
    item = _ITEM.match(key)
    return known.word(item[1]) or NOBODYS if item else key.partition("/")[0]
