"""What puts files in their places for a home: it knows all that the home's jobs read, and all that the home made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from db import progress
from db.placing import Placer
from db.session import Database, open_database
from db.settings import Settings
from db.store import open_store
from db.store.base import Store


def open_placer(
    database: Database, home: Path | None = None, store: Store | None = None, *, sources: Iterable[str] = ()
) -> Placer:
    """Return what puts files in their places for a home. It keeps off what any of its jobs reads, and ``sources``."""

    def blob_paths() -> Iterator[str]:
        for key, _ in progress.output_blobs(database):
            path = store.local_path(key) if store else None
            if path is None:  # the store is no folder
                return
            yield str(path)

    return Placer(
        home,
        sources=lambda: (*sources, *progress.source_files(database)),
        folders=lambda: progress.source_folders(database),
        made=lambda: (sha256 for _, sha256 in progress.output_blobs(database)),
        blobs=blob_paths,
    )


@contextmanager
def open_settings_placer(settings: Settings, sources: Iterable[str]) -> Iterator[Placer]:
    """Give what puts files in their places for who has no database open; where there is no home yet, none is asked."""
    if settings.lacks_database:
        yield Placer(settings.home, sources=lambda: sources)
        return
    with open_database(settings) as database:
        yield open_placer(database, settings.home, open_store(settings), sources=sources)
