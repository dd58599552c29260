"""Manifests: what is to be restored, read line by line and checked. The rooms of ``orchestrator`` may import this.

A reader is one module with ``recognises(path)`` and ``read(path, limit_bytes, notes)``; a new form is one more of them
in :data:`READERS`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from db import recipe as recipes
from db.errors import ManifestError, RecipeError
from db.recipe import Recipe
from orchestrator.manifest import folder, native
from orchestrator.manifest.lines import Line, Problem
from orchestrator.manifest.places import Places
from orchestrator.manifest.validate import Validator
from orchestrator.spelling import visible

__all__ = ["READERS", "Line", "Manifest", "Problem", "lines", "open_manifest", "recipe_for"]

READERS: tuple[ModuleType, ...] = (folder, native)
"""Asked in this order whether they know a manifest."""


@dataclass(frozen=True)
class Manifest:
    """A manifest that some reader knows, not yet read."""

    path: Path
    reader: ModuleType
    notes: list[str] = field(default_factory=list)
    """Filled while it is read: what a person should know and what is no problem."""

    @property
    def folder(self) -> Path:
        """The folder against which relative paths count."""
        return self.path if self.path.is_dir() else self.path.parent


def open_manifest(path: Path) -> Manifest:
    """Find the reader for a manifest or folder.

    Raises:
        ManifestError: It is not there, or no reader knows it.
    """
    if not path.exists():
        raise ManifestError(f"There is no file or folder {visible(str(path))}")
    for reader in READERS:
        if reader.recognises(path):
            return Manifest(path.resolve(), reader)
    raise ManifestError(
        f"{visible(str(path))} is no manifest that is known",
        remedy="Give a folder, or a CSV file whose header has a column `uri`, or JSON Lines, or YAML.",
    )


def recipe_for(manifest: Manifest, wanted: str | None, limit_bytes: int) -> Recipe:
    """Return the recipe of a job: the wanted name or file, else the manifest's own, else the default.

    Raises:
        RecipeError: There is no such recipe, or it is wrong.
        ManifestError: The top of the manifest cannot be read.
    """
    if wanted is not None:
        return recipes.resolve(wanted)
    document = native.own_recipe(manifest.path, limit_bytes) if manifest.reader is native else None
    if document is None:
        return recipes.resolve(recipes.DEFAULT)
    if isinstance(document["recipe"], str):
        if "outputs" in document or document["recipe"] not in recipes.names():
            raise RecipeError(f"{visible(str(manifest.path))}: recipe must be a shipped name or a list of steps")
        return recipes.resolve(document["recipe"])
    return recipes.from_document(document, manifest.path.stem)


def lines(
    manifest: Manifest, recipe: Recipe, *, limit_bytes: int, roots: Iterable[Path] = (), check_files: bool = True
) -> Iterator[Line]:
    """Yield every line of a manifest, checked, in order and in constant memory.

    Args:
        manifest: What :func:`open_manifest` found.
        recipe: The job's recipe; a line that asks for the same has none of its own.
        limit_bytes: Longest line that is read.
        roots: Folders besides the manifest's own in which sources may lie.
        check_files: Whether to look at the files: there, not empty, of the right size, not led outside by a link.

    Raises:
        ManifestError: The manifest cannot be read on from here.
    """
    validator = Validator(Places(manifest.folder, roots), recipe, check_files=check_files)
    return validator.lines(manifest.reader.read(manifest.path, limit_bytes, manifest.notes))
