"""What years leave behind costs what there is of it, once: no memory, and no pass through all for each part."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event

from benchmarks.house import Installation, open_installation
from benchmarks.years import fill_tenants
from benchmarks.years_rows import Amount, fill
from db import figures, ledger, needed, progress
from db.ledger import PruneRules, pruning
from db.store import open_store
from orchestrator.upkeep import copying
from orchestrator.upkeep.pruning import prune, rooms
from tests.support.effort import count_instructions

RULES = PruneRules(0.0, keep_latest_generation=True)
SMALL, LARGE = 200, 1_600


@pytest.fixture(scope="module")
def sizes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, Installation]]:
    """Two installations after years, of which one had eight times as much to do."""
    with ExitStack() as stack:
        made = {}
        for items in (SMALL, LARGE):
            made[items] = stack.enter_context(open_installation(tmp_path_factory.mktemp("years")))
            fill(made[items], Amount(items, files=True, job_items=100))
        yield made


def _prune(installation: Installation, rules: PruneRules = RULES, *, dry_run: bool = False) -> Any:
    store = open_store(installation.settings)
    return prune(installation.database, store, installation.settings.logs, rules, dry_run=dry_run)


def _look_at_store(installation: Installation) -> None:
    store = open_store(installation.settings)
    copying.copy_blobs(installation.database, store, store, installation.settings.home, False, lambda _: None)


WORK: dict[str, Callable[[Installation], object]] = {
    "status --store": lambda each: rooms(each.database, open_store(each.settings)),
    "prune --dry-run": lambda each: _prune(each, dry_run=True),
    "looking for blobs to copy": _look_at_store,
}


@pytest.mark.parametrize("name", WORK)
def test_memory_does_not_grow_with_what_there_is(
    sizes: dict[int, Installation], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(needed, "ROWS_AT_ONCE", 20)
    monkeypatch.setattr(pruning, "ITEMS_AT_ONCE", 20)
    peaks = {items: _peak_bytes(installation, WORK[name]) for items, installation in sizes.items()}
    assert peaks[LARGE] - peaks[SMALL] < 60 * (LARGE - SMALL)


def _peak_bytes(installation: Installation, work: Callable[[Installation], object]) -> int:
    """Return what ``work`` takes, without what is prepared once, and without what waits to be collected."""
    work(installation)
    gc.freeze()
    event.listen(installation.database.engine, "commit", _collect)
    tracemalloc.start()
    try:
        work(installation)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        event.remove(installation.database.engine, "commit", _collect)


def _collect(_: Connection) -> None:
    gc.collect()


def test_a_job_is_pruned_without_looking_at_others(sizes: dict[int, Installation]) -> None:
    def look(installation: Installation) -> None:
        ledger.prune_job(installation.database, 2, RULES, dry_run=True)
        with installation.database.freeze() as connection:
            assert sum(1 for _ in needed.needs(connection, 2)) > 0

    _assert_equal_effort(sizes, look)


def test_a_jobs_results_are_read_without_looking_at_others(sizes: dict[int, Installation]) -> None:
    _assert_equal_effort(sizes, lambda each: list(progress.results(each.database, 2)))


def _assert_equal_effort(sizes: dict[int, Installation], work: Callable[[Installation], object]) -> None:
    small, large = (count_instructions(each.database, partial(work, each)) for each in sizes.values())
    assert small > 0
    assert large < 1.1 * small


@pytest.mark.parametrize(
    "work",
    [
        lambda database: ledger.dispatch(database, 1e6),
        lambda database: figures.tenant_sums(database, {}),
        lambda database: progress.useful_workers(database),
    ],
    ids=["dispatch", "tenants", "workers"],
)
def test_a_round_costs_the_same_beside_many_finished_tasks(tmp_path: Path, work: Callable[[Any], object]) -> None:
    counts = []
    for finished in (20, 2_000):
        with open_installation(tmp_path / str(finished)) as installation:
            fill_tenants(installation, ready=20, done=finished)
            counts.append(count_instructions(installation.database, lambda: work(installation.database)))
    assert counts[1] < 1.1 * counts[0] + 100


def test_looking_for_vain_attempts_takes_so_much_for_each(
    sizes: dict[int, Installation], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "ROWS_AT_ONCE", 20)
    small, large = (
        count_instructions(each.database, partial(ledger.prune_installation, each.database, RULES, dry_run=True))
        for each in sizes.values()
    )
    assert large < 1.5 * small * LARGE / SMALL


def test_pruning_goes_in_steps_that_hold_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "ITEMS_AT_ONCE", 50)
    monkeypatch.setattr(pruning, "ROWS_AT_ONCE", 50)
    changed: list[int] = [0]

    def note(connection: Connection, cursor: Any, statement: str, *_: object) -> None:
        if statement.startswith("BEGIN IMMEDIATE"):
            changed.append(0)
        elif statement.startswith(("UPDATE", "DELETE")) and "counter_deltas" not in statement:
            changed[-1] += cursor.rowcount

    with open_installation(tmp_path) as installation:
        fill(installation, Amount(2_000, files=False, job_items=500))
        event.listen(installation.database.engine, "after_cursor_execute", note)
        report = _prune(installation)
    assert min(report.rows["generations"], sum(changed)) > 150
    assert max(changed) <= 50
