"""Commands about jobs that are there: ``status watch failures rerun pause resume cancel priority``."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from typing import Annotated

import typer

from db import figures, ledger, pages, progress
from db.bounds import ScoreBound
from db.catalog.stages import Exemption
from db.errors import CODES, InputError, nearest
from db.figures import TenantSum
from db.progress import JobRow, ProgressRow
from db.recipe import resolve
from db.selection import Selection
from db.session import Database
from db.settings import Settings
from db.states import JOB_OVER, ItemState, JobState, WorkerState
from db.store import open_store
from orchestrator.cli.context import CliContext, cli_context, job_or_newest
from orchestrator.cli.options import ItemIds, JobId, NewestJobId, RecipeName
from orchestrator.cli.pruning import show_rooms
from orchestrator.cli.terminal import Terminal
from orchestrator.rerun import rerun as restart_items
from orchestrator.results.report import failure_rows
from orchestrator.upkeep.pruning import rooms
from orchestrator.wording import format_size, pluralize, progress_line

WATCH_SECONDS = 0.5
MOST_SHOWN = 100_000
"""Items that one `status` shows: they stand in memory together."""
States = Annotated[list[str] | None, typer.Option("--state", help="Only items in this state; may be repeated.")]
Text = Annotated[str, typer.Option("--text", help="Only items whose id contains this, in either letter case.")]
Scores = Annotated[
    list[str] | None, typer.Option("--score", help="Only items with such a score: 'luma_psnr < 30'; may be repeated.")
]
Codes = Annotated[list[str] | None, typer.Option("--code", help="Only items with this error code; may be repeated.")]


def status(
    context: typer.Context,
    job: Annotated[
        int | None, typer.Argument(help="Number of a job to show with its items; if omitted, all jobs.")
    ] = None,
    state: States = None,
    code: Codes = None,
    text: Text = "",
    score: Scores = None,
    after: Annotated[int, typer.Option(min=0, help="Only items behind so many of the manifest.")] = 0,
    limit: Annotated[int, typer.Option(min=0, max=MOST_SHOWN, help="Largest number of items to show.")] = 50,
    store: Annotated[bool, typer.Option("--store", help="Show what takes room in the store instead.")] = False,
    tenants: Annotated[bool, typer.Option("--tenants", help="Show what each tenant has instead.")] = False,
) -> None:
    """Show all jobs, or one job with its items and workers."""
    cli = cli_context(context)
    settings = cli.settings()
    with cli.open_database(settings) as database:
        if store:
            show_rooms(cli.terminal, rooms(database, open_store(settings)))
        elif tenants:
            show_tenants(cli.terminal, figures.tenant_sums(database, settings.tenants))
        elif job is None:
            _show_jobs(cli.terminal, database)
        else:
            selection = _selection(state, code, (), text, score)
            _show_job(cli.terminal, settings, database, job, selection, after, limit)


def watch(context: typer.Context, job: NewestJobId = None) -> None:
    """Follow a job until it ends or is paused.

    Exits with 0 only if everything in it is done.
    """
    cli = cli_context(context)
    settings = cli.settings()
    with cli.open_database(settings) as database:
        job = job_or_newest(cli.terminal, database, job)
        with cli.terminal.show_progress() as follow:
            while True:
                row = progress.job(database, job)
                unworked = _unworked(database, row, settings)
                follow(_counts(database, job, unworked), unworked or progress.outage(database, job))
                if row.state in JOB_OVER or row.state is JobState.PAUSED:
                    break
                time.sleep(WATCH_SECONDS)
        counts = progress.progress(database, job)
    cli.terminal.say(f"Job {job} is {row.state.value}: {progress_line(counts)}{follow.pace()}")
    cli.terminal.document({"job": row, "progress": counts})
    if row.state is not JobState.DONE:
        raise typer.Exit(1)


def failures(context: typer.Context, job: NewestJobId = None) -> None:
    """List what failed in a job, with code, cause and remedy."""
    cli = cli_context(context)
    with cli.open_database(cli.settings()) as database:
        job = job_or_newest(cli.terminal, database, job)
        counts = progress.progress(database, job)
        if cli.terminal.as_json:
            cli.terminal.document(list(failure_rows(progress.failures(database, job))))
        elif counts.items_failed + counts.items_quarantined:
            show_failures(cli.terminal, database, job)
        else:
            cli.terminal.say(f"Nothing failed in job {job}.")


def rerun(
    context: typer.Context,
    job: JobId,
    state: States = None,
    code: Codes = None,
    item: ItemIds = None,
    text: Text = "",
    score: Scores = None,
    recipe: RecipeName = None,
    without: Annotated[
        str | None, typer.Option("--without", help="Leave out the steps of this stage, in the items named by --item.")
    ] = None,
    frames: Annotated[
        str | None, typer.Option("--frames", help="With --without: only in these frames, both included: 100-140.")
    ] = None,
    region: Annotated[
        str | None, typer.Option("--region", help="With --without: only there: left,top,width,height in pixels.")
    ] = None,
) -> None:
    """Start items again: the failed ones, unless others are selected.

    Earlier results are kept; each item gets its next generation. With --without, what a step did is taken back and the
    rest stays: frames that it had no part in are taken over to the bit.
    """
    cli = cli_context(context)
    settings = cli.settings()
    if without is not None:
        if recipe is not None or state or code or text or score:
            raise InputError("--without changes the items' own recipes: name them by --item, and nothing else")
        _take_back(cli, settings, job, item or (), without, _exemption(frames, region))
        return
    if frames is not None or region is not None:
        raise InputError("--frames and --region say where a step is left out: name it by --without")
    selection = _selection(state, code, item, text, score)
    new_recipe = resolve(recipe) if recipe is not None else None
    with cli.open_database(settings) as database:
        count = restart_items(settings, database, job, selection, new_recipe)
    _announce_rerun(cli, settings, job, count)


def _take_back(
    cli: CliContext, settings: Settings, job: int, items: Sequence[str], stage: str, exemption: Exemption
) -> None:
    with cli.open_database(settings) as database:
        count = ledger.take_back(database, job, items, stage, exemption, bundle_stills=settings.bundle_stills)
    _announce_rerun(cli, settings, job, count)


def _announce_rerun(cli: CliContext, settings: Settings, job: int, count: int) -> None:
    cli.terminal.say(f"{pluralize(count, 'item')} of job {job} will be done again.")
    if settings.embedded:
        cli.terminal.say(f"Start the work with `reelwright run --job {job}`.")
    cli.terminal.document({"job_id": job, "items": count})


def _exemption(frames: str | None, region: str | None) -> Exemption:
    """Read where a step is left out; frames are written with both ends included."""
    # What is empty was meant to say something: it must not leave the step out everywhere.
    span = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", "0" if frames is None else frames)
    box = re.fullmatch(r"(\d{1,6}),(\d{1,6}),(\d{1,6}),(\d{1,6})", "0,0,1,1" if region is None else region)
    if span is None or int(span[2] or span[1]) < int(span[1]):
        raise InputError(f"--frames {frames!r:.40}: expected a number or a range such as 100-140")
    if box is None or 0 in (int(box[3]), int(box[4])):
        raise InputError(f"--region {region!r:.40}: expected left,top,width,height such as 40,20,64,64")
    left, top, width, height = (int(value) for value in box.groups())
    return Exemption(
        frames=(int(span[1]), int(span[2] or span[1]) + 1) if frames else None,
        region=(left, top, width, height) if region else None,
    )


def pause(context: typer.Context, job: JobId) -> None:
    """Pause a job.

    Nothing new is started and running work stops; finished segments are kept, and those in work begin anew later.
    """
    cli = cli_context(context)
    with cli.open_database(cli.settings()) as database:
        ledger.pause_job(database, job)
        _show_state(cli.terminal, database, job)


def resume(context: typer.Context, job: JobId) -> None:
    """Continue a paused job."""
    cli = cli_context(context)
    with cli.open_database(cli.settings()) as database:
        ledger.resume_job(database, job)
        _show_state(cli.terminal, database, job)


def cancel(context: typer.Context, job: JobId) -> None:
    """Cancel a job; finished results are kept."""
    cli = cli_context(context)
    with cli.open_database(cli.settings()) as database:
        ledger.cancel_job(database, job)
        _show_state(cli.terminal, database, job)


def priority(
    context: typer.Context,
    job: JobId,
    value: Annotated[int, typer.Argument(help="Jobs with a higher number go first.")],
) -> None:
    """Change a job's priority."""
    cli = cli_context(context)
    with cli.open_database(cli.settings()) as database:
        ledger.set_priority(database, job, value)
        _show_state(cli.terminal, database, job)


def show_failures(terminal: Terminal, database: Database, job_id: int, most: int | None = None) -> None:
    """List what failed, each with its cause and its remedy; of very many only the first."""
    rows = progress.failures(database, job_id)
    for row in islice(rows, most):
        terminal.say(f"\n{row.external_id}\n  {row.code}: {row.message}\n  {row.remedy}")
    if next(rows, None):
        terminal.say(f"\n… and more: `reelwright failures {job_id}` lists them all.")
    terminal.say()


def _show_jobs(terminal: Terminal, database: Database) -> None:
    jobs = [(row, progress.progress(database, row.id)) for row in progress.jobs(database)]
    rows = [(row.id, row.state.value, row.recipe_name, row.name, progress_line(counts)) for row, counts in jobs]
    terminal.table(("job", "state", "recipe", "name", "progress"), rows)
    terminal.document([{"job": row, "progress": moved} for row, moved in jobs])


def _show_job(
    terminal: Terminal, settings: Settings, database: Database, job_id: int, selection: Selection, after: int,
    limit: int,
) -> None:  # fmt: skip
    job = progress.job(database, job_id)
    unworked = _unworked(database, job, settings)
    counts = _counts(database, job_id, unworked)
    page = pages.item_page(database, job_id, selection, after=after - 1, limit=limit)
    recipe = f"recipe {job.recipe_name}{' (some lines have others)' if any(row.recipe for row in page.rows) else ''}"
    terminal.say(f"Job {job.id} {job.name}: {job.state.value}, {recipe}, from {job.manifest_uri}")
    if job.pause_reason:
        terminal.say(f"{job.state.value.capitalize()}: {job.pause_reason}")
    terminal.say(f"{progress_line(counts)}{unworked and f' · {unworked}'}\n")
    rows = [
        (
            row.external_id, row.state.value, f"{row.frames_done}/{row.frames_total}", row.generation,
            (row.recipe or job.recipe).name, row.code or "",
        )
        for row in page.rows
    ]  # fmt: skip
    terminal.table(("item", "state", "frames", "generation", "recipe", "code"), rows)
    if page.more:
        behind = page.rows[-1].seq if page.searched_to is None else page.searched_to
        terminal.say(f"… looked at {behind + 1} of {counts.items_total} items; --after {behind + 1} goes on")
    workers = progress.workers(database)
    releases = Counter(row.release for row in workers if row.state == WorkerState.LIVE)
    if len(releases) > 1:
        told = ", ".join(f"{count} of {release or 'none that is known'}" for release, count in sorted(releases.items()))
        terminal.say(f"Workers of several releases: {told}. Each reel stays with workers that give the same bits.")
    terminal.document({"job": job, "progress": counts, "items": page.rows, "more": page.more, "workers": workers})


def _show_state(terminal: Terminal, database: Database, job_id: int) -> None:
    job = progress.job(database, job_id)
    terminal.say(f"Job {job_id} is {job.state.value}, priority {job.priority}.")
    terminal.document(job)


def _selection(
    states: list[str] | None, codes: list[str] | None, ids: Sequence[str] | None, text: str, scores: list[str] | None
) -> Selection:
    """Return which items a command is about, from its options."""
    bounds = tuple(ScoreBound.parse(each) for each in scores or ())
    return Selection(_states(states or []), _codes(codes or []), tuple(ids or ()), text, bounds)


def _states(names: list[str]) -> tuple[ItemState, ...]:
    values = [state.value for state in ItemState]
    for name in names:
        if name not in values:
            raise InputError(
                f"Unknown state {name!r:.60}.{nearest(name, values)}", remedy=f"One of: {', '.join(values)}."
            )
    return tuple(ItemState(name) for name in names)


def _codes(names: list[str]) -> tuple[str, ...]:
    for name in names:
        if name not in CODES:
            raise InputError(f"Unknown code {name!r:.60}.{nearest(name, CODES)}", remedy="docs/errors lists them.")
    return tuple(names)


def _unworked(database: Database, job: JobRow, settings: Settings) -> str:
    """Say of a job that is not over that nobody works, and how to go on; else return nothing."""
    if job.state not in {JobState.READY, JobState.RUNNING} or ledger.slots(database, settings.lease_seconds):
        return ""
    return "no worker is at work" + (f"; `reelwright run --job {job.id}` goes on" if settings.embedded else "")


def _counts(database: Database, job_id: int, unworked: str) -> ProgressRow:
    """Return how far a job is; while nobody works on it, no rate and no time to go are true."""
    counts = progress.progress(database, job_id)
    return replace(counts, frames_per_second=0.0, eta_seconds=None) if unworked else counts


def show_tenants(terminal: Terminal, sums: Sequence[TenantSum]) -> None:
    """Show what each tenant has, and may have."""
    terminal.table(
        ("tenant", "open jobs", "weight", "tasks", "stored", "state"),
        [
            (
                each.tenant, each.open_jobs, f"{each.share.weight:g}",
                f"{each.held_tasks}{_limit(each.share.most_running)}",
                f"{format_size(each.stored_bytes)}{_limit(each.share.most_stored_bytes, format_size)}",
                "full: nothing more is begun" if each.is_full else "",
            )
            for each in sums
        ],
    )  # fmt: skip
    terminal.document(sums)


def _limit(most: int | None, spell: Callable[[float], str] = str) -> str:
    return "" if most is None else f" of {spell(most)}"
