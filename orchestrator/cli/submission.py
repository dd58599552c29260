"""Commands that take work in: ``run``, ``submit``, ``plan``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.context import Desk, desk, need_pixels
from orchestrator.cli.logs import logging_at_home
from orchestrator.cli.terminal import Terminal, duration, many, progress_line, size

if TYPE_CHECKING:
    from db.session import Database
    from db.settings import Settings
    from orchestrator.on_demand.dry_run import Preview
    from orchestrator.submit import Options, Submission

SHOWN_PROBLEMS = 50
"""Rows of problems or failures that a person is shown; ``--json`` gives more."""

_MANIFEST_HELP = "A manifest (docs/manifests lists the forms), a folder, one film or photo, or s3://BUCKET/PREFIX."
ManifestPath = Annotated[str, typer.Argument(help=_MANIFEST_HELP)]
RecipeName = Annotated[str | None, typer.Option(help="Name of a shipped recipe, or path of a YAML file.")]
OutFolder = Annotated[Path | None, typer.Option(help="Where results go; by default results/job-N inside the home.")]
Strict = Annotated[bool, typer.Option("--strict", help="Refuse the whole manifest if one line is bad.")]
New = Annotated[bool, typer.Option("--new", help="Make another job even if this manifest was submitted before.")]
Name = Annotated[str, typer.Option(help="What to call the job.")]
Priority = Annotated[int, typer.Option(help="Higher goes first.")]
SourceRoots = Annotated[list[Path] | None, typer.Option("--source-root", help="Another folder to read sources from.")]
AllowFetch = Annotated[
    bool, typer.Option("--allow-fetch", help="Take a bag that is not complete, as far as it is there.")
]
CheckFiles = Annotated[bool, typer.Option("--check-files/--no-check-files", help="Look at the files while reading.")]
SegmentFrames = Annotated[int | None, typer.Option(min=1, help="Frames in one restore task of a reel.")]


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    for command in (run, submit, plan):
        app.command()(command)


def run(
    context: typer.Context,
    manifest: Annotated[str | None, typer.Argument(help=_MANIFEST_HELP)] = None,
    job: Annotated[int | None, typer.Option(help="Go on with this job instead of a manifest.")] = None,
    recipe: RecipeName = None,
    out: OutFolder = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Worker processes.")] = None,
    segment_frames: SegmentFrames = None,
    strict: Strict = False,
    new: New = False,
    name: Name = "",
    priority: Priority = 0,
    source_root: SourceRoots = None,
    allow_fetch: AllowFetch = False,
    check_files: CheckFiles = True,
) -> None:
    """Restore a manifest or folder here and now.

    Submits it, works until it is over, puts the results into a folder and writes a report. Run again, it goes on where
    it stopped.
    """
    from db import progress
    from db.errors import InputError
    from db.store import open_store
    from orchestrator.results.export import check_folder
    from orchestrator.submit import Options

    if (manifest is None) == (job is None):
        raise InputError("Give a manifest, or --job with a number", remedy="See `reelwright run --help`.")
    need_pixels()
    here = desk(context)
    settings = here.settings(slots=workers, source_roots=source_root, allow_fetch=allow_fetch or None)
    options = Options(recipe, name, strict, new, check_files, segment_frames, priority)
    with here.database(settings, make=True) as database:
        submission = _submitted(here.terminal, settings, database, manifest, options) if manifest is not None else None
        job_id = submission.job_id if submission else int(job or 0)
        folder = out or settings.home / "results" / f"job-{job_id}"
        check_folder(folder, progress.job(database, job_id), settings.home)
        _work_off(here, settings, database, job_id)
        finish(here.terminal, database, open_store(settings), job_id, folder)


def submit(
    context: typer.Context,
    manifest: ManifestPath,
    recipe: RecipeName = None,
    segment_frames: SegmentFrames = None,
    strict: Strict = False,
    new: New = False,
    name: Name = "",
    priority: Priority = 0,
    tenant: Annotated[str, typer.Option(help="Whose job it is.")] = "default",
    source_root: SourceRoots = None,
    allow_fetch: AllowFetch = False,
    check_files: CheckFiles = True,
) -> None:
    """Make a job of a manifest for workers elsewhere."""
    from orchestrator.submit import Options

    here = desk(context)
    settings = here.settings(source_roots=source_root, allow_fetch=allow_fetch or None)
    options = Options(recipe, name, strict, new, check_files, segment_frames, priority, tenant)
    with here.database(settings, make=True) as database:
        submission = _submitted(here.terminal, settings, database, manifest, options)
    here.terminal.document(submission)


def plan(
    context: typer.Context,
    manifest: ManifestPath,
    recipe: RecipeName = None,
    probe: Annotated[bool, typer.Option("--probe/--no-probe", help="Look into the files.")] = True,
    source_root: SourceRoots = None,
    allow_fetch: AllowFetch = False,
    check_files: CheckFiles = True,
) -> None:
    """Find all problems of a manifest and estimate the work.

    A dry run: nothing is written down. Leaves with 1 if there are problems.
    """
    from db import progress
    from orchestrator.on_demand.dry_run import preview

    here = desk(context)
    settings = here.settings(source_roots=source_root, allow_fetch=allow_fetch or None)
    with here.perhaps_database() as (_, database), here.terminal.counting("lines") as count:
        registered = progress.weights_at_hand(database)
        found = preview(
            settings,
            manifest,
            recipe=recipe,
            probe=probe,
            check_files=check_files,
            registered=registered,
            on_lines=count,
        )
    _show_preview(here.terminal, found)
    here.terminal.document({**vars(found), "wall_seconds": found.wall_seconds})
    if found.problem_count:
        raise typer.Exit(1)


def finish(terminal: Terminal, database: Database, store: Any, job_id: int, folder: Path) -> None:
    """Put out a job's results and its report, say where they are, and leave with 1 unless everything is done."""
    from db import progress
    from db.states import JobState
    from orchestrator.results.export import export
    from orchestrator.results.report import write_report

    with terminal.counting("items put out") as count:
        exported = export(database, store, job_id, folder, on_item=count)
    report = write_report(database, job_id, folder)
    job = progress.job(database, job_id)
    terminal.say(f"Job {job_id} is {job.state.value}: {progress_line(progress.progress(database, job_id))}")
    if job.pause_reason:
        terminal.say(f"  paused: {job.pause_reason}")
    terminal.say(f"  results  {exported.folder} ({many(exported.files, 'file')}, {size(exported.bytes)})")
    terminal.say(f"  report   {report.csv_path.name}, {report.json_path.name} in the same folder")
    if report.mean_scores:
        means = ", ".join(f"{name} {round(mean, 6):.3g}" for name, mean in report.mean_scores.items())
        terminal.say(f"  scores   {means} (means; frame by frame in *.scores.*)")
    if report.failed_path:
        show_failures(terminal, database, job_id, most=SHOWN_PROBLEMS)
        terminal.say(f"Mend the causes, then `reelwright rerun {job_id}`; or correct and run {report.failed_path}")
    terminal.document({"job": job, "exported": exported, "report": report})
    if job.state is not JobState.DONE:
        raise typer.Exit(1)


def _submitted(
    terminal: Terminal, settings: Settings, database: Database, manifest: str, options: Options
) -> Submission:
    from orchestrator import submit as submitting

    with terminal.counting("lines") as count:
        submission = submitting.submit(settings, database, manifest, options, on_lines=count)
    for note in submission.notes:
        terminal.say(f"Note: {note}")
    if submission.created:
        bad = f", {submission.bad_lines} of them bad" if submission.bad_lines else ""
        terminal.say(f"Job {submission.job_id}: {many(submission.lines, 'item')}{bad}.")
    else:
        terminal.say(f"Job {submission.job_id} was made of this manifest before; --new makes another.")
    return submission


def _work_off(here: Desk, settings: Settings, database: Database, job_id: int) -> None:
    from db import ledger, progress
    from db.states import JobState
    from db.store import open_store
    from orchestrator import embedded

    if progress.job(database, job_id).state is JobState.PAUSED:
        ledger.resume_job(database, job_id)
    with logging_at_home(settings), here.terminal.following() as follow:
        embedded.run_job(settings, database, open_store(settings), job_id, on_progress=follow)


def show_failures(terminal: Terminal, database: Database, job_id: int, most: int | None = None) -> None:
    """List what failed, each with its cause and its remedy; of very many only the first."""
    from itertools import islice

    from db import progress

    rows = progress.failures(database, job_id)
    for row in islice(rows, most):
        terminal.say(f"\n{row.external_id}\n  {row.code}: {row.message}\n  {row.remedy}")
    if next(rows, None):
        terminal.say(f"\n… and more: `reelwright failures {job_id}` lists them all.")
    terminal.say()


def _show_preview(terminal: Terminal, found: Preview) -> None:
    if found.problems:
        rows = [(each.line or "", each.code, each.message, each.remedy) for each in found.problems[:SHOWN_PROBLEMS]]
        terminal.table(("line", "code", "problem", "remedy"), rows)
    if found.problem_count > SHOWN_PROBLEMS:
        counts = ", ".join(f"{code} {count}" for code, count in found.problems_by_code.most_common())
        terminal.say(f"… {found.problem_count} problems in all: {counts}")
    for note in found.notes:
        terminal.say(f"Note: {note}")
    kinds = f"{many(found.stills, 'still')}, {many(found.reels, 'reel')}"
    terminal.say(f"{many(found.lines, 'line')}, {found.good_lines} good: {kinds}")
    if found.probed:
        cost = f"{size(found.expected_bytes)} of room and {duration(found.wall_seconds)}"
        terminal.say(f"{many(found.frames, 'frame')}, {size(found.source_bytes)} of sources")
        terminal.say(f"With recipe {found.recipe_name} about {cost} on {many(found.slots, 'worker')}")
