"""Manifests: what is to be restored, read line by line and checked.

A reader is one module with ``recognizes(path)`` and ``read(path, reading)``, as ``lines.Reader`` says; a new form is
one more of them in :data:`READERS`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from db import recipe as recipes
from db.beneath import S3, Roots
from db.errors import ManifestError, RecipeError
from db.local_paths import disk_path, spell
from db.recipe import Recipe
from db.settings import Numbered, Settings
from orchestrator.manifest import archivematica, bagit, checksums, folder, native, otio, prefix, s3
from orchestrator.manifest.lines import Line, ManifestEntry, Problem, Reader, ReaderMatch, Reading, refuse_unforeseen
from orchestrator.manifest.places import NOWHERE, PathResolver
from orchestrator.manifest.series import Ask, SeriesJudge, SeriesVerdict
from orchestrator.manifest.validate import Validator
from orchestrator.terminal_text import has_control_characters, visible

__all__ = ["READERS", "Line", "Manifest", "Problem", "lines", "open_manifest", "recipe_for"]

READERS: tuple[Reader, ...] = (bagit, archivematica, otio, folder, checksums, s3, native)
"""Asked in this order whether they know a manifest."""
_PACKED = frozenset({".zip", ".otioz", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z"})


@dataclass(frozen=True)
class Manifest:
    """A manifest that some reader knows, not yet read."""

    uri: str
    """Absolute path of a file or folder as it is spelled, or ``s3://bucket/prefix``."""
    reader: Reader | None
    """None for a prefix in S3."""
    match: ReaderMatch
    notes: list[str] = field(default_factory=list)
    """Filled while it is read: what a person should know and what is no problem."""
    verdicts: dict[str, SeriesVerdict] = field(default_factory=dict)
    """Filled while it is read: what its numbered pictures were taken for, so that it is read alike each time."""

    @property
    def path(self) -> Path:
        """The file or folder; of a prefix in S3 a path where nothing is."""
        return Path(disk_path(self.uri)) if self.reader else NOWHERE

    @property
    def name(self) -> str:
        """What people call it."""
        return Path(self.uri).stem

    @property
    def folder(self) -> Path:
        """The folder against which relative paths count."""
        return self.match.root

    @property
    def root(self) -> str:
        """The folder or prefix that sources may lie beneath unasked."""
        return str(self.folder) if self.reader else self.uri

    def entries(self, reading: Reading) -> Iterator[ManifestEntry | Problem]:
        """Yield what stands in it; raises as :func:`lines`."""
        with refuse_unforeseen(self.uri):
            yield from prefix.read(self.uri, reading) if self.reader is None else self.reader.read(self.path, reading)


def open_manifest(place: Path | str | Manifest, *, folder: Path | None = None) -> Manifest:
    """Find the reader for a manifest, a folder, or a prefix in S3; a manifest that was opened before comes back.

    Args:
        place: What it is, or where.
        folder: Against which its relative paths count, where it lies elsewhere than with its files; none for its own.

    Raises:
        ManifestError: It is not there, or no reader knows it; or it is of a form that must lie with its files.
    """
    if isinstance(place, Manifest):
        return place
    opened = _find_reader(place)
    if folder is None:
        return opened
    if opened.reader not in (native, s3):
        message = f"{visible(opened.name)[:200]} is of a form that lies with its files, and was sent alone"
        raise ManifestError(message, remedy="Name the place where it lies, or send a list as CSV, JSON Lines or YAML.")
    return replace(opened, match=opened.match._replace(root=folder))


def _find_reader(place: Path | str) -> Manifest:
    if str(place).startswith(S3):
        return _in_s3(str(place))
    with refuse_unforeseen(place):
        path = Path(disk_path(str(place)))
        if not path.exists():
            raise ManifestError(f"There is no file or folder {visible(str(path))}")
        path = path.resolve()
        for reader in READERS:
            match = reader.recognizes(path)
            if match is not None:
                return Manifest(spell(str(path if match.files else match.root)), reader, match)
    forms = "Give a folder, a CSV file whose header has a column `uri`, or one of the forms in docs/manifests."
    is_archive = path.suffix.lower() in _PACKED
    remedy = "Unpack it, and give its folder." if is_archive else forms
    raise ManifestError(f"{visible(str(path))} is no manifest that is known", remedy=remedy)


def _in_s3(uri: str) -> Manifest:
    bucket, _, inside = uri.removeprefix(S3).partition("/")
    if not bucket or has_control_characters(uri):
        raise ManifestError(f"{visible(uri)!r:.300} is not of the form s3://bucket/prefix")
    inside = inside.rstrip("/")
    return Manifest(f"{S3}{bucket}/{inside}" if inside else S3 + bucket, None, ReaderMatch(NOWHERE, ()))


def recipe_for(manifest: Manifest, wanted: str | Recipe | None, limit_bytes: int) -> Recipe:
    """Return the recipe of a job: the wanted one, by name or file, else the manifest's own, else the default.

    Raises:
        RecipeError: There is no such recipe, or it is wrong.
        ManifestError: The top of the manifest cannot be read.
    """
    if wanted is not None:
        return wanted if isinstance(wanted, Recipe) else recipes.resolve(wanted)
    with refuse_unforeseen(manifest.uri):
        document = native.own_recipe(manifest.path, limit_bytes) if manifest.reader is native else None
    if document is None:
        return recipes.resolve(recipes.DEFAULT)
    if isinstance(document["recipe"], str):
        if "outputs" in document or document["recipe"] not in recipes.names():
            raise RecipeError(f"{visible(str(manifest.path))}: recipe must be a shipped name or a list of steps")
        return recipes.resolve(document["recipe"])
    return recipes.from_document(document, manifest.name)


def lines(
    manifest: Manifest,
    recipe: Recipe,
    settings: Settings,
    *,
    roots: Roots = (),
    check_files: bool = True,
    numbered: Numbered = "reel",
    ask: Ask | None = None,
) -> Iterator[Line]:
    """Yield every line of a manifest, checked, in order; memory holds one folder's files at most.

    Args:
        manifest: What :func:`open_manifest` found.
        recipe: The job's recipe; a line that asks for the same has none of its own.
        settings: Whose limits hold, and how to reach S3.
        roots: Folders and prefixes besides the manifest's own in which sources may lie.
        check_files: Whether to look at the files: there, not empty, of the right size, not led outside by a link.
        numbered: What numbered pictures are.
        ask: Who looks at pixels for that, where files are looked at.

    Raises:
        ManifestError: The manifest cannot be read on from here.
        StoreUnavailable: It is a prefix in S3, which does not answer.
    """
    places = PathResolver(manifest.folder, (manifest.root, *roots))
    validator = Validator(places, recipe, check_files=check_files)
    series = SeriesJudge(numbered, places, roots, ask if check_files else None, manifest.verdicts)
    return validator.lines(manifest.entries(Reading(settings, places, check_files, series, manifest.notes)))
