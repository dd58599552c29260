"""Arguments and options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

JobId = Annotated[int, typer.Argument(min=1, help="The job's number.")]
NewestJobId = Annotated[
    int | None, typer.Argument(min=1, metavar="[JOB]", help="The job's number; if omitted, the newest job.")
]
ItemIds = Annotated[list[str] | None, typer.Option("--item", help="Only the item with this id; may be repeated.")]
RecipeName = Annotated[str | None, typer.Option(help="Name of a shipped recipe, or path of a YAML file.")]
SourceRoots = Annotated[
    list[str] | None,
    typer.Option("--source-root", help="Another folder, or s3://bucket/prefix, to read sources from; may be repeated."),
]
