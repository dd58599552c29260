"""Arguments and options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from db.settings import Numbered

JobId = Annotated[int, typer.Argument(min=1, help="The job's number.")]
NewestJobId = Annotated[
    int | None, typer.Argument(min=1, metavar="[JOB]", help="The job's number; if omitted, the newest job.")
]
ItemIds = Annotated[list[str] | None, typer.Option("--item", help="Only the item with this id; may be repeated.")]
RecipeName = Annotated[str | None, typer.Option(help="Name of a shipped recipe, or path of a YAML file.")]
SourceRoots = Annotated[
    list[str] | None,
    typer.Option(
        "--source-root",
        help="A folder or s3://bucket/prefix outside the manifest's own in which named files may lie, and sound and "
        "masks too; paths keep counting from the manifest. May be repeated.",
    ),
]
NumberedPictures = Annotated[
    Numbered | None,
    typer.Option(
        "--numbered",
        help="What numbered pictures of a folder are: a reel, stills, or auto, which looks whether neighbours are "
        "alike; if omitted, the setting.",
    ),
]
