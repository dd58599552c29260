"""From entries to checked lines, one at a time.

A line is not given up at its first fault: everything that can be said about it is said.
"""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache, partial
from itertools import pairwise
from typing import Any

from db import recipe as recipes
from db.beneath import S3
from db.checksums import HEX_CHARS
from db.errors import InputError, RecipeError, nearest
from db.local_paths import FILE, decode, disk_path, encode, is_text
from db.recipe import Recipe
from db.records import Sequence, Source
from db.states import ItemKind
from orchestrator.manifest import fields, kinds
from orchestrator.manifest.lines import Line, ManifestEntry, Problem, from_error, made_or_problem, problem
from orchestrator.manifest.places import PathResolver

_SHOWN_GAPS = 12
_ANY_NAME = re.compile(".*", re.DOTALL)
_CLASHES = {
    "DUPLICATE_ID": "This id stands on an earlier line too",
    "UNICODE_CLASH": "This id differs from an earlier one only in letter case or Unicode form",
}
_CHECKSUMS = frozenset(f"checksum.{name}" for name in HEX_CHARS)
_SOURCE_FIELDS = {
    "bytes": "bytes",
    "fps": "fps",
    "missing": "missing",
    "span": "span",
    "timecode": "timecode",
    "transfer": "transfer",
    "sound_checksum": "sound_checksum",
    "listing": "listing",
    "version_id": "version_id",
    "params.accept_damaged": "accept_damaged",
    "params.accept_interlaced": "accept_interlaced",
    "params.boxes": "boxes",
}
"""Fields of a line, and what a ``Source`` calls them."""
_AFFIXES = ("prefix", "suffix")
_SEQUENCE = frozenset(name for name in fields.CHECKS if name.startswith("sequence."))
_SHIPPED = frozenset(recipes.names())


class Validator:
    """Checks lines one after the other; remembers only digests of what it has seen."""

    def __init__(self, places: PathResolver, recipe: Recipe, *, check_files: bool = True) -> None:
        """Take where paths may lead, the job's recipe, and whether to look at the files."""
        self._places = places
        self._recipe = recipe
        self._check_files = check_files
        # Hashes of 64 bits instead of the names keep a million lines below 200 MB. Python keys its hash of texts anew
        # in every process, so nobody can write names that collide.
        self._ids: dict[int, int | None] = {}
        self._sources: set[int] = set()
        self._resolve = lru_cache(64)(_resolve_shipped)

    def lines(self, entries: Iterable[ManifestEntry | Problem]) -> Iterator[Line]:
        """Yield one line for each entry or problem, in the same order."""
        for each in entries:
            line = each if isinstance(each, Problem) else made_or_problem(each.number, partial(self._line, each))
            if isinstance(line, Problem):
                line = Line(line.line, self._spare_id(f"line-{line.line}"), None, problems=(line,))
            yield line

    def _line(self, entry: ManifestEntry) -> Line:
        problems = list(entry.problems)
        values = _check_fields(entry, problems)
        external_id = self._external_id(entry, values, problems)
        source = recipe = None
        try:
            source = self._source(values, entry)
        except InputError as error:
            problems.append(from_error(entry.number, error))
        try:
            recipe = self._own_recipe(values)
            if source is not None and source.missing == "interpolate":
                recipe = recipes.with_step(recipe or self._recipe, "missing_frames")
        except RecipeError as error:
            problems.append(from_error(entry.number, error))
        if source is not None:
            if not problems:  # a line that will not be done takes nothing from another one
                problems.extend(self._repeat_problems(entry.number, source, recipe))
            problems.extend(self._source_problems(entry.number, source))
        extra = {
            fields.storable_value(name): fields.storable_value(value)
            for name, value in entry.fields.items()
            if name not in ("id", "uri") and name not in fields.REPORTED
        }
        if source is None:
            extra["uri"] = fields.storable_value(entry.fields.get("uri", ""))
        else:  # a relative path would lead elsewhere from where the report lies
            extra |= {"sound": source.sound} if source.sound else {}
            extra |= {"mask_uri": source.mask} if source.mask else {}
            if source.sequence is not None and source.uri.startswith(FILE):
                extra |= {f"sequence.{name}": getattr(source.sequence, name) for name in _AFFIXES}
        return Line(entry.number, external_id, source, recipe, tuple(problems), extra, entry.listing)

    def _external_id(self, entry: ManifestEntry, values: Mapping[str, Any], problems: list[Problem]) -> str:
        """Return the line's id, or the nearest thing to it that no other line has."""
        name = values.get("id")
        if name is None and "id" not in entry.fields:
            name = fields.id_of(values.get("uri", "")) or None
            if name is not None and len(name) > fields.MAX_ID_CHARS:
                message = f"The path has more than {fields.MAX_ID_CHARS} characters, too many for an id"
                problems.append(problem(entry.number, "BAD_VALUE", message, "Give the line an id of its own."))
                name = None
        if name is None:
            return self._spare_id(f"line-{entry.number}")
        clash = self._remember(name)
        if clash is not None:
            problems.append(problem(entry.number, clash, f"{_CLASHES[clash]}: {name!r:.200}"))
        return name if clash != "DUPLICATE_ID" else self._spare_id(f"{name}#line-{entry.number}")

    def _remember(self, name: str) -> str | None:
        """Return how an id clashes with an earlier one; none when it does not."""
        plain = name if name.isascii() else unicodedata.normalize("NFC", name)
        folded = plain.casefold()
        exact = None if folded == name else hash(name)
        before = len(self._ids)
        earlier = self._ids.setdefault(hash(folded), exact)
        if len(self._ids) > before:
            return None
        return "DUPLICATE_ID" if earlier == exact else "UNICODE_CLASH"

    def _spare_id(self, name: str) -> str:
        while self._remember(name):
            name += "~"
        return name

    def _source(self, values: Mapping[str, Any], entry: ManifestEntry) -> Source | None:
        """Return what the line names; none when a field of it was bad and has been reported."""
        if "uri" not in values:
            if "uri" not in entry.fields:
                raise InputError("The line has no uri")
            return None
        uri = self._places.resolve(values["uri"])
        sequence = _sequence(values, entry)
        if sequence is not None:
            uri, sequence = _spell_sequence(uri, sequence)
        source_fields = {_SOURCE_FIELDS[name]: value for name, value in values.items() if name in _SOURCE_FIELDS}
        if checksums := values.keys() & _CHECKSUMS:
            source_fields["checksum"] = {name[9:]: values[name] for name in checksums}
        if sequence is not None and "span" in source_fields:
            sequence = sequence.part(source_fields.pop("span"))
        if "sound" in values:
            source_fields["sound"] = self._places.resolve(values["sound"])
        if "mask_uri" in values:
            source_fields["mask"] = self._places.resolve(values["mask_uri"])
        if "version_id" in values and (sequence is not None or not uri.startswith(S3)):
            raise InputError("version_id: only a single object in S3 has a version")
        if "listing" in values and sequence is None:
            raise InputError("listing: only a sequence has a list of digests")
        return Source(uri=uri, kind=_kind(values, uri, sequence), sequence=sequence, **source_fields)

    def _own_recipe(self, values: Mapping[str, Any]) -> Recipe | None:
        line_recipe, outputs = values.get("recipe"), values.get("outputs")
        if line_recipe is None and outputs is None:
            return None
        recipe = self._recipe
        if isinstance(line_recipe, str):  # steps in a cell are JSON, as the report writes them
            recipe = (
                recipes.parse(line_recipe, "of the line")
                if line_recipe.startswith(("[", "{"))
                else self._resolve(line_recipe)
            )
        elif line_recipe is not None:
            recipe = recipes.from_document(line_recipe, "of the line")
        if outputs is not None:
            recipe = recipes.from_document(recipe.document() | {"outputs": outputs}, recipe.name)
        return None if recipe == self._recipe else recipe

    def _repeat_problems(self, number: int, source: Source, recipe: Recipe | None) -> Iterator[Problem]:
        """Refuse to do the same work twice; the same source with another recipe, mask or span is other work."""
        steps = recipe and recipe.model_dump_json(exclude={"name"})
        before = len(self._sources)
        self._sources.add(hash((source.uri, source.sequence, source.span, source.version_id, source.mask, steps)))
        if len(self._sources) == before:
            message = f"{source.uri!r:.300} is named by an earlier line too, with the same recipe, mask and span"
            yield problem(number, "DUPLICATE_CONTENT", message)

    def _source_problems(self, number: int, source: Source) -> Iterator[Problem]:
        part = source.sequence
        if not self._check_files or source.uri.startswith(S3):
            return
        try:
            status = self._places.status(source.uri)
        except InputError as error:
            yield from_error(number, error)
            return
        yield from _sequence_problems(number, source, status) if part else _file_problems(number, source, status)
        if part:
            yield from self._link_problems(number, source.path, _frame_pattern(source))
        if source.sound and not source.sound.startswith(S3):
            yield from self._companion_problems(number, "sound", source.sound, folders=False)
        if source.mask and not source.mask.startswith(S3):
            yield from self._companion_problems(number, "mask", source.mask, folders=source.kind is ItemKind.REEL)

    def _companion_problems(self, number: int, what: str, uri: str, *, folders: bool) -> Iterator[Problem]:
        try:
            status = self._places.status(uri)
        except InputError as error:
            yield from_error(number, error)
            return
        if not (stat.S_ISREG(status.st_mode) or (folders and stat.S_ISDIR(status.st_mode))):
            yield problem(number, "NOT_A_FILE", f"The {what} {uri!r:.300} is not a regular file")
        elif stat.S_ISDIR(status.st_mode):
            yield from self._link_problems(number, disk_path(uri), _ANY_NAME)

    def _link_problems(self, number: int, folder: str, names: re.Pattern[str]) -> Iterator[Problem]:
        """Yield the first file of a folder that is a link which leads where it must not."""
        try:
            with os.scandir(folder) as found:
                links = sorted(each.path for each in found if each.is_symlink() and names.fullmatch(each.name))
        except OSError:
            return  # said already
        for link in links:
            try:
                self._places.status(link)
            except InputError as error:
                if error.code == "PATH_UNSAFE":
                    yield from_error(number, error)
                    return


def _check_fields(entry: ManifestEntry, problems: list[Problem]) -> dict[str, Any]:
    try:
        return {name: fields.check(name, value) for name, value in entry.fields.items()}
    except InputError:
        pass  # rare: look at each field again to say everything that is wrong
    values = {}
    for name, value in entry.fields.items():
        try:
            values[name] = fields.check(name, value)
        except InputError as error:
            problems.append(from_error(entry.number, error))
    return values


def _kind(values: Mapping[str, Any], uri: str, sequence: Sequence | None) -> ItemKind:
    if sequence is not None:
        return ItemKind.REEL
    kind_name = values.get("kind")
    if kind_name == "sequence":
        raise InputError("A sequence needs sequence.prefix, sequence.suffix, sequence.start and sequence.end")
    if kind_name is not None:
        return kinds.NAMES[kind_name]
    kind = kinds.by_suffix(uri)
    if kind is None:
        hint = nearest(kinds.suffix(uri), kinds.item_suffixes())
        message = f"The suffix {kinds.suffix(uri)!r:.40} of {uri!r:.200} is of no known kind.{hint}"
        raise InputError(message, code="UNKNOWN_FORMAT", remedy="Say kind: image or video if it is one, or convert it.")
    return kind


def _sequence(values: Mapping[str, Any], entry: ManifestEntry) -> Sequence | None:
    if entry.fields.keys().isdisjoint(_SEQUENCE):
        return None
    parts = {name[9:]: values[name] for name in values.keys() & _SEQUENCE}
    if str(values.get("uri", "")).startswith(FILE):
        parts |= {name: decode(parts[name]) for name in _AFFIXES if name in parts}
    lacking = sorted({"suffix", "start", "end"} - parts.keys())
    if lacking:
        raise InputError(f"The sequence has no usable {', '.join(lacking)}")
    if "/" in parts.get("prefix", "") + parts["suffix"]:
        raise InputError("A sequence's prefix and suffix are parts of a file's name, without /", code="PATH_UNSAFE")
    sequence = Sequence(**{"prefix": "", **parts})
    if sequence.end < sequence.start:
        raise InputError(f"The sequence ends at {sequence.end}, before its start at {sequence.start}")
    return sequence


def _spell_sequence(uri: str, sequence: Sequence) -> tuple[str, Sequence]:
    """Return a sequence's folder and what its files are called as they are written down: both encoded, or neither."""
    if not uri.startswith(FILE) and is_text(sequence.prefix + sequence.suffix):
        return uri, sequence
    if uri.startswith(S3):
        message = f"{(sequence.prefix + sequence.suffix)!r:.200} holds control characters or bytes that are no text"
        raise InputError(message, code="PATH_UNSAFE")
    affixes = {name: encode(getattr(sequence, name)) for name in _AFFIXES}
    return uri if uri.startswith(FILE) else FILE + encode(uri), sequence.model_copy(update=affixes)


def _file_problems(number: int, source: Source, status: os.stat_result) -> Iterator[Problem]:
    if not stat.S_ISREG(status.st_mode):
        yield problem(number, "NOT_A_FILE", f"{source.uri!r:.300} is not a regular file")
    elif status.st_size == 0:
        yield problem(number, "ZERO_BYTE", f"{source.uri!r:.300} has no bytes")
    elif source.bytes is not None and source.bytes != status.st_size:
        message = f"{source.uri!r:.300} has {status.st_size} bytes, the manifest says {source.bytes}"
        yield problem(number, "CHECKSUM_MISMATCH", message)


def _sequence_problems(number: int, source: Source, status: os.stat_result) -> Iterator[Problem]:
    part = source.sequence
    if part is None or not stat.S_ISDIR(status.st_mode):
        yield problem(number, "NOT_A_FILE", f"{source.uri!r:.300} is not the folder of a sequence")
        return
    numbers = part.numbers
    present = sorted(frame for frame in _frame_numbers(source) if frame in numbers)
    if not present:
        name = f"{part.prefix}#{part.suffix}"
        message = f"{source.uri!r:.300} holds no file {name!r:.100} between {part.start} and {part.end}"
        yield problem(number, "FILE_MISSING", message)
    elif source.missing != "error":
        try:
            part.check_holes(len(present), repr(source.uri)[:300])
        except InputError as error:
            yield from_error(number, error)
    elif gaps := list(_gaps(numbers, present)):
        gap_list = ", ".join(gaps[:_SHOWN_GAPS]) + (" …" if len(gaps) > _SHOWN_GAPS else "")
        yield problem(number, "SEQUENCE_GAP", f"{source.uri!r:.300} lacks the frames {gap_list}")


def _frame_pattern(source: Source) -> re.Pattern[str]:
    assert source.sequence is not None
    padding = source.sequence.padding
    digits = rf"(\d{{{padding},}})" if padding else r"(0|[1-9]\d*)"
    return re.compile(re.escape(source.file_name("\0")).replace("\0", digits))


def _frame_numbers(source: Source) -> set[int]:
    pattern = _frame_pattern(source)
    try:
        return {int(match[1]) for name in os.listdir(source.path) if (match := pattern.fullmatch(name))}
    except OSError:
        return set()


def _gaps(numbers: range, present: list[int]) -> Iterator[str]:
    """Yield the holes between the frames that are there: 3, 6-8. Never counts through a hole, however wide."""
    step = numbers.step
    for before, after in pairwise([numbers.start - step, *present, numbers[-1] + step]):
        if after - before == 2 * step:
            yield str(before + step)
        elif after - before > step:
            yield f"{before + step}-{after - step}"


def _resolve_shipped(name: str) -> Recipe:
    """A manifest may come from anywhere: it names shipped recipes, never files of this machine."""
    if name not in _SHIPPED:
        raise RecipeError(f"No recipe {name!r:.60}.{nearest(name, _SHIPPED)}", code="UNKNOWN_RECIPE")
    return recipes.resolve(name)
