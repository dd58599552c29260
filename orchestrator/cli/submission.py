"""Commands that take in work: ``submit``, ``plan``, and most of ``run``."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from db import ledger, progress
from db.errors import InputError
from db.placing import PutError
from db.progress import JobRow
from db.session import Database
from db.settings import Settings
from db.states import JobState
from db.store import open_store
from orchestrator import embedded
from orchestrator import submit as submitting
from orchestrator.cli.context import CliContext, cli_context, webhook_waker
from orchestrator.cli.jobs import show_failures
from orchestrator.cli.logs import log_to_home, log_to_nobody
from orchestrator.cli.options import (
    AllowFetch,
    CheckFiles,
    ManifestPath,
    Name,
    New,
    NumberedPictures,
    Priority,
    RecipeName,
    SegmentFrames,
    SourceRoots,
    Strict,
)
from orchestrator.cli.places import check_workplaces
from orchestrator.cli.terminal import CELL_CHARS, Terminal
from orchestrator.manifest import Manifest, open_manifest
from orchestrator.on_demand.dry_run import DryRunReport, dry_run
from orchestrator.processes.spawning import SpareWorker
from orchestrator.results.export import ExportSummary, check_folder, export
from orchestrator.results.report import Report, write_report
from orchestrator.submit import Submission, SubmitOptions
from orchestrator.wording import format_duration, format_size, pluralize, progress_line

SHOWN_PROBLEMS = 50
"""Rows of problems or failures that a person is shown; ``--json`` gives more."""
_Outcome = TypeVar("_Outcome")


def submit(
    context: typer.Context,
    manifest: ManifestPath,
    recipe: RecipeName = None,
    segment_frames: SegmentFrames = None,
    strict: Strict = False,
    new: New = False,
    name: Name = "",
    priority: Priority = 0,
    tenant: Annotated[str, typer.Option(help="Whom the job belongs to.")] = "default",
    source_root: SourceRoots = None,
    allow_fetch: AllowFetch = False,
    check_files: CheckFiles = True,
    numbered: NumberedPictures = None,
) -> None:
    """Submit a manifest as a job for workers elsewhere."""
    cli = cli_context(context)
    settings = cli.settings(source_roots=source_root, allow_fetch=allow_fetch or None, numbered=numbered)
    options = SubmitOptions(recipe, name, strict, new, check_files, segment_frames, priority, tenant)
    with cli.open_database(settings, make=True) as database:
        submission = _submit_manifest(cli.terminal, settings, database, manifest, options)
    cli.terminal.document(submission)


def plan(
    context: typer.Context,
    manifest: ManifestPath,
    recipe: RecipeName = None,
    probe: Annotated[
        bool, typer.Option("--probe/--no-probe", help="Whether to open the files and estimate the work.")
    ] = True,
    frames: Annotated[
        bool, typer.Option("--frames", help="Decode every frame too, as the work does: names all that are damaged.")
    ] = False,
    source_root: SourceRoots = None,
    allow_fetch: AllowFetch = False,
    check_files: CheckFiles = True,
    numbered: NumberedPictures = None,
) -> None:
    """Find all problems of a manifest and estimate the work.

    A dry run: nothing is stored. Exits with 1 if there are problems.
    """
    cli = cli_context(context)
    settings = cli.settings(source_roots=source_root, allow_fetch=allow_fetch or None, numbered=numbered)
    with (
        cli.open_existing_database() as (_, database),
        log_to_nobody(settings),
        cli.terminal.show_count("lines") as count,
    ):
        registered = progress.weights_at_hand(database)
        report = dry_run(
            settings,
            manifest,
            recipe=recipe,
            probe=probe,
            frames=frames,
            check_files=check_files,
            registered=registered,
            database=database,
            on_lines=count,
        )
    _show_dry_run(cli.terminal, report)
    cli.terminal.document({**vars(report), "wall_seconds": report.wall_seconds})
    if report.problem_count:
        raise typer.Exit(1)


def restore(
    cli: CliContext,
    settings: Settings,
    spare: SpareWorker,
    submitted: tuple[str, SubmitOptions] | int,
    out: Path | None,
) -> None:
    """Do a job here and now, and put its results out; ``submitted`` is a manifest, or the number of a job."""
    with cli.open_database(settings, make=True) as database:
        check_workplaces(settings)
        if isinstance(submitted, int):
            job_id = submitted
        else:
            place, options = submitted
            manifest = _open_manifest(settings, place, out)
            job_id = _submit_manifest(cli.terminal, settings, database, manifest, options).job_id
        folder = out or settings.results(job_id)
        check_folder(folder, progress.job(database, job_id).manifest_uri, settings.home)
        with _name_job_that_waits(cli, job_id, out):
            pace = _run_job(cli, settings, database, job_id, spare)
        finish(cli.terminal, database, open_store(settings), job_id, folder, settings.home, pace)


@contextmanager
def _name_job_that_waits(cli: CliContext, job_id: int, out: Path | None) -> Iterator[None]:
    """Where another run or server holds the home, say what becomes of the job, and the command that goes on with it."""
    try:
        yield
    except InputError as error:
        if error.code != "HOME_IN_USE":
            raise
        home = f"--home {shlex.quote(str(cli.home))} " if cli.home else ""
        place = f" --out {shlex.quote(str(out))}" if out else ""
        remedy = (
            "A server does it too, a run only as long as its own job lasts. When that has ended, "
            f"`reelwright {home}run --job {job_id}{place}` does what is left of it and puts the results out; "
            f"`reelwright {home}watch {job_id}` says whether anybody works."
        )
        raise InputError(f"{error.message}; job {job_id} waits", code=error.code, remedy=remedy) from error


def finish(
    terminal: Terminal, database: Database, store: Any, job_id: int, folder: Path, home: Path, pace: str = ""
) -> None:
    """Write a job's results and its report, say where they are, and exit with 1 unless everything is done.

    Raises:
        PutError: Something could not be put in its place; the rest was, and the report too.
    """
    faults: list[PutError] = []
    try:
        report, summary = _put_out(terminal, database, store, job_id, folder, home, faults)
    except InputError:  # no room: what was done is not lost, and somebody should know
        _say_state(terminal, database, job_id, pace)
        terminal.say(f"  results  kept; `reelwright get {job_id} --out FOLDER` puts them elsewhere")
        raise
    job = _say_state(terminal, database, job_id, pace)
    if job.pause_reason:
        terminal.say(f"  {job.state.value}: {job.pause_reason}")
    terminal.say(f"  results  {summary.folder} ({pluralize(summary.files, 'file')}, {format_size(summary.bytes)})")
    terminal.say(f"  report   {report.csv_path.name}, {report.json_path.name} in the same folder")
    for note in report.notes:
        terminal.say(f"Note: {note}")
    if report.mean_scores:
        means = ", ".join(f"{name} {round(mean, 6):.3g}" for name, mean in report.mean_scores.items())
        terminal.say(f"  scores   {means} (means; values of single frames in *.scores.*)")
    if report.failed_path:
        show_failures(terminal, database, job_id, most=SHOWN_PROBLEMS)
        again = f"{report.failed_path}{_roots_to_name(database, job_id, folder, home)}"
        terminal.say(f"Correct the causes, then `reelwright rerun {job_id}`; or correct and run {again}")
    for fault in faults[:-1]:
        terminal.say(f"Note: {fault.message}")
    if faults:
        raise faults[-1]
    terminal.document({"job": job, "exported": summary, "report": report})
    if job.state is not JobState.DONE:
        raise typer.Exit(1)


def _roots_to_name(database: Database, job_id: int, folder: Path, home: Path) -> str:
    """Return the options without which a job's report is not run from a folder that is not the home's."""
    if folder.resolve() == Settings(home=home).results(job_id).resolve():
        return ""
    roots = progress.job_roots(database, job_id) or ()
    return "".join(f" --source-root {shlex.quote(root.rstrip('/') or '/')}" for root in roots)


def _put_out(
    terminal: Terminal, database: Database, store: Any, job_id: int, folder: Path, home: Path, faults: list[PutError]
) -> tuple[Report, ExportSummary]:
    """Write results and report; what could not be put in its place is added to ``faults``."""
    # The report first: whatever stops the results, what became of the job is told.
    report = _outcome(faults, lambda: write_report(database, job_id, folder, home=home))
    with terminal.show_count("items written") as count:
        summary = _outcome(faults, lambda: export(database, store, job_id, folder, on_item=count, home=home))
    if not faults:  # and last, as others may have moved the job on meanwhile
        report = _outcome(faults, lambda: write_report(database, job_id, folder, home=home))
    return report, summary


def _say_state(terminal: Terminal, database: Database, job_id: int, pace: str) -> JobRow:
    job = progress.job(database, job_id)
    terminal.say(f"Job {job_id} is {job.state.value}: {progress_line(progress.progress(database, job_id))}{pace}")
    return job


def _outcome(faults: list[PutError], work: Callable[[], _Outcome]) -> _Outcome:
    """Return what work came to, also where some of its files could not be put in their places."""
    try:
        return work()
    except PutError as error:
        faults.append(error)
        return error.outcome  # type: ignore[no-any-return]


def _open_manifest(settings: Settings, place: str, out: Path | None) -> Manifest:
    """Open a manifest, and refuse results among its sources while there is no job of it."""
    with log_to_home(settings):
        manifest = open_manifest(place)
    if out:
        check_folder(out, manifest.uri, settings.home)
    return manifest


def _submit_manifest(
    terminal: Terminal, settings: Settings, database: Database, manifest: str | Manifest, options: SubmitOptions
) -> Submission:
    with log_to_home(settings), terminal.show_count("lines") as count:
        submission = submitting.submit(settings, database, manifest, options, on_lines=count)
    for note in submission.notes:
        terminal.say(f"Note: {note}")
    if submission.created or submission.lines:
        bad = f", {submission.bad_lines} of them bad" if submission.bad_lines else ""
        terminal.say(f"Job {submission.job_id}: {pluralize(submission.lines, 'item')}{bad}.")
    else:
        job = progress.job(database, submission.job_id)
        why = f" ({job.state.value}: {job.pause_reason})" if job.pause_reason else ""
        terminal.say(f"This manifest is already job {submission.job_id}{why}; --new submits it again.")
    return submission


def _run_job(cli: CliContext, settings: Settings, database: Database, job_id: int, spare: SpareWorker) -> str:
    """Work until the job is over or paused; returns how fast that went."""
    if progress.job(database, job_id).state is JobState.PAUSED:
        ledger.resume_job(database, job_id)
    with _say_what_begins_anew(cli.terminal), log_to_home(settings), cli.terminal.show_progress() as follow:
        wake = webhook_waker(settings, database)
        store = open_store(settings)
        embedded.run_job(settings, database, store, job_id, on_progress=follow, on_upkeep=wake, spare=spare)
    return follow.pace()


@contextmanager
def _say_what_begins_anew(terminal: Terminal) -> Iterator[None]:
    """Say to who interrupts the work what of it is done again: it is more than the frame in hand."""
    try:
        yield
    except KeyboardInterrupt:
        with suppress(OSError):  # a terminal that was closed
            terminal.say(
                "Finished segments of reels stay; those in work begin anew, with the frames that were counted of them. "
                "--segment-frames N of a new job makes them shorter."
            )
        raise


def _show_dry_run(terminal: Terminal, report: DryRunReport) -> None:
    if report.problems:
        rows = [(each.line or "", each.code, each.message, each.remedy) for each in report.problems[:SHOWN_PROBLEMS]]
        terminal.table(("line", "code", "problem", "remedy"), rows)
        for each in report.problems[:SHOWN_PROBLEMS]:
            if len(each.message) > CELL_CHARS:  # the table has cut its middle out, where frames are named
                terminal.say(f"Line {each.line}: {each.message}")
    if report.problem_count > SHOWN_PROBLEMS:
        counts = ", ".join(f"{code} {count}" for code, count in report.problems_by_code.most_common())
        terminal.say(f"… {report.problem_count} problems in total: {counts}")
    for note in report.notes:
        terminal.say(f"Note: {note}")
    kinds = f"{pluralize(report.stills, 'still')}, {pluralize(report.reels, 'reel')}"
    terminal.say(f"{pluralize(report.lines, 'line')}, {report.good_lines} good: {kinds}")
    if report.probed:
        cost = f"{format_size(report.expected_bytes)} of disk space and {format_duration(report.wall_seconds)}"
        terminal.say(f"{pluralize(report.frames, 'frame')}, {format_size(report.source_bytes)} of sources")
        others = f" ({pluralize(report.own_recipes, 'line')} with others)" if report.own_recipes else ""
        terminal.say(f"With recipe {report.recipe_name}{others} about {cost} on {pluralize(report.slots, 'worker')}")
