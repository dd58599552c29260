"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
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
        help="A folder or s3://bucket/prefix in which files that the manifest names, and their sound and masks, may "
        "lie besides its own folder. Nothing is looked for there: a relative path counts from the manifest. May be "
        "repeated.",
    ),
]
PhotoRoots = Annotated[
    list[str] | None,
    typer.Option(
        "--source-root",
        help="A folder in which photos that a manifest or a link names may lie besides the folder of PHOTOS. Nothing "
        "is looked for there. May be repeated.",
    ),
]
ServedRoots = Annotated[
    list[str] | None,
    typer.Option(
        "--source-root",
        help="A folder or s3://bucket/prefix below which sources may be submitted by their place; if omitted, only "
        "files that are sent may be. May be repeated.",
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
MANIFEST_HELP = "A manifest (docs/manifests lists the forms), a folder, one film or photo, or s3://BUCKET/PREFIX."
ManifestPath = Annotated[str, typer.Argument(help=MANIFEST_HELP)]
OutFolder = Annotated[Path | None, typer.Option(help="Folder for the results; if omitted, results/job-N in the home.")]
Strict = Annotated[bool, typer.Option("--strict", help="Refuse the whole manifest if any line is bad.")]
New = Annotated[bool, typer.Option("--new", help="Submit this manifest again even if it is a job already.")]
Name = Annotated[str, typer.Option(help="Name of the job; if omitted, that of the manifest.")]
Priority = Annotated[int, typer.Option(help="Jobs with a higher number go first.")]
AllowFetch = Annotated[
    bool, typer.Option("--allow-fetch", help="Accept an incomplete bag, with those files that are there.")
]
CheckFiles = Annotated[
    bool,
    typer.Option("--check-files/--no-check-files", help="Whether to look at the files while reading the manifest."),
]
SegmentFrames = Annotated[
    int | None, typer.Option(min=1, help="Number of frames in one restore task of a reel; if omitted, the setting.")
]
