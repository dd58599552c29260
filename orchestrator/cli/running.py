"""The command ``run``. Its first worker is on its way before the rest of the house is imported: none takes longer."""

from __future__ import annotations

from typing import Annotated

import typer

from db.errors import InputError
from db.writable import check_writable
from orchestrator.cli.context import cli_context, require_worker_extra
from orchestrator.cli.options import (
    MANIFEST_HELP,
    AllowFetch,
    CheckFiles,
    Name,
    New,
    NumberedPictures,
    OutFolder,
    Priority,
    RecipeName,
    SegmentFrames,
    SourceRoots,
    Strict,
)
from orchestrator.cli.places import check_home
from orchestrator.processes.spawning import SpareWorker


def run(
    context: typer.Context,
    manifest: Annotated[str | None, typer.Argument(help=MANIFEST_HELP)] = None,
    job: Annotated[int | None, typer.Option(help="Continue this job instead of reading a manifest.")] = None,
    recipe: RecipeName = None,
    out: OutFolder = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Number of worker processes; if omitted, one per GPU, or one per core without a GPU."),
    ] = None,
    segment_frames: SegmentFrames = None,
    strict: Strict = False,
    new: New = False,
    name: Name = "",
    priority: Priority = 0,
    source_root: SourceRoots = None,
    allow_fetch: AllowFetch = False,
    check_files: CheckFiles = True,
    numbered: NumberedPictures = None,
) -> None:
    """Restore a manifest or folder here and now.

    Submits it, works until the job ends, copies the results into a folder and writes a report. Run again, it
    continues behind what is finished: stills, and segments of reels; segments that were in work begin anew.
    """
    if (manifest is None) == (job is None):
        raise InputError("Give a manifest, or --job with a number", remedy="See `reelwright run --help`.")
    require_worker_extra()
    cli = cli_context(context)
    settings = cli.settings(slots=workers, source_roots=source_root, allow_fetch=allow_fetch or None, numbered=numbered)
    if out:
        check_writable(out, "--out")
    check_home(settings)
    with SpareWorker(settings, settings.logs) as spare:
        from orchestrator.cli import submission
        from orchestrator.submit import SubmitOptions

        options = SubmitOptions(recipe, name, strict, new, check_files, segment_frames, priority)
        submission.restore(cli, settings, spare, int(job or 0) if manifest is None else (manifest, options), out)
