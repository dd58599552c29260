"""The dry run of a manifest: every problem, and what the work would cost.

Files are looked into by a worker process; nothing here touches a pixel, and nothing is written down.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from db.beneath import Roots
from db.child_process import ChildDied
from db.errors import CODES, InputError, RecipeError
from db.recipe import Recipe
from db.session import Database
from db.settings import Settings
from orchestrator import manifest as manifests
from orchestrator import submit, weight_pins
from orchestrator.manifest import Line, Manifest, Problem
from orchestrator.manifest.lines import problem
from orchestrator.processes.errands import WorkerProcess
from orchestrator.submit import Registered

MAX_PROBLEMS = 10_000
"""Problems that are kept; the others are only counted."""
_OUTPUT_SHARE = 1.5
"""Room for results and work in hand, as a share of the sources: lossless masters are about as large as they."""
_BYTES_A_PIXEL = 2.0
_SHOWN_NOTES = 20
_SHOWN_RATES = 5
"""Lines that are named of those whose rate is another than the header's."""


@dataclass
class DryRunReport:
    """What a manifest holds and would cost."""

    recipe_name: str
    lines: int = 0
    good_lines: int = 0
    stills: int = 0
    reels: int = 0
    own_recipes: int = 0
    """Good lines that name a recipe of their own."""
    frames: int = 0
    """Of probed items; a still counts one."""
    source_bytes: int = 0
    expected_bytes: int = 0
    """Rough size of masters and work in hand."""
    start_seconds: float = 0.0
    """That a worker takes to load, as the one took that looked into the files."""
    work_seconds: float = 0.0
    """On one worker that has loaded."""
    longest_seconds: float = 0.0
    """Of one task, such as a segment: one worker does it, however many there are."""
    slots: int = 1
    probed: bool = False
    problem_count: int = 0
    problems: list[Problem] = field(default_factory=list)
    problems_by_code: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    source_notes: dict[str, list[int]] = field(default_factory=dict)
    """What a person should know of sources: how many it is true of, and the first one's line."""
    other_rates: int = 0
    """Reels to which the manifest gives another rate than their header; the manifest is believed."""

    def add(self, entry: Problem) -> None:
        """Count a problem, and keep it while there is room."""
        self.problem_count += 1
        self.problems_by_code[entry.code] += 1
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(entry)

    @property
    def wall_seconds(self) -> float:
        """Estimated time on this machine's workers."""
        return self.start_seconds + max(self.longest_seconds, self.work_seconds / max(1, self.slots))


def dry_run(
    settings: Settings,
    path: Path | str | Manifest,
    *,
    recipe: str | Recipe | None = None,
    probe: bool = True,
    frames: bool = False,
    check_files: bool = True,
    registered: Registered | None = None,
    database: Database | None = None,
    on_lines: Callable[[int], None] = lambda count: None,
) -> DryRunReport:
    """Check a whole manifest and estimate the work.

    Args:
        settings: Whose limits and source roots hold.
        path: A manifest file, a folder, or ``s3://bucket/prefix``; or a manifest that was opened already.
        recipe: The recipe, its name or file; none takes the manifest's own, else the default.
        probe: Whether to look into the files, with a worker process.
        frames: Whether it decodes every frame, as the work does: that takes as long as reading all the sources.
        check_files: Whether to look at the files at all.
        registered: Weights that recipes may run with; none where nothing is registered yet.
        database: Where the job is written down whose report the manifest may be.
        on_lines: Called with the number of lines after each.

    Raises:
        ManifestError: It cannot be read, or lists nothing.
        RecipeError: There is no such recipe, or it is wrong.
        InputError: ``WORKER_EXTRA_MISSING`` when files are to be probed and cannot.
    """
    manifest = manifests.open_manifest(path)
    job_recipe = manifests.recipe_for(manifest, recipe, settings.max_manifest_line_bytes)
    registered = registered or {}
    report = DryRunReport(job_recipe.name, probed=probe, slots=settings.slots or os.cpu_count() or 1)
    roots = submit.source_roots(settings, database, manifest)
    all_lines = submit.validate_lines(settings, manifest, job_recipe, roots, check_files=check_files)
    lines = _count_lines(report, all_lines, on_lines)
    job_recipe = _pin_recipe(report, 0, job_recipe, registered)
    if probe:
        for line, answer in _probe_lines(
            settings, job_recipe, roots, _pin_lines(report, lines, registered), frames=frames
        ):
            _add_answer(report, line, answer, settings.segment_frames)
    else:
        deque(lines, maxlen=0)
    if not report.lines:
        raise submit.no_lines(manifest)
    if report.other_rates > _SHOWN_RATES:
        report.notes.append(f"FPS_CONFLICT: {report.other_rates} reels in all")
    report.notes.extend([*_source_notes(report), *manifest.notes])
    _check_space(report, settings)
    return report


def _pin_lines(report: DryRunReport, lines: Iterator[Line], registered: Registered) -> Iterator[Line]:
    for line in lines:
        yield line._replace(recipe=_pin_recipe(report, line.number, line.recipe, registered)) if line.recipe else line


def _pin_recipe(report: DryRunReport, number: int, recipe: Recipe, registered: Registered) -> Recipe:
    """Pin a recipe's weights; that they are not registered is a problem like others."""
    try:
        return weight_pins.pin_weights(recipe, registered)
    except RecipeError as error:
        report.add(problem(number, error.code, error.message, error.remedy))
        return recipe


def _count_lines(report: DryRunReport, lines: Iterator[Line], on_lines: Callable[[int], None]) -> Iterator[Line]:
    """Pass on the good lines, and put everything about the others into ``report``."""
    for line in lines:
        report.lines += 1
        for each in line.problems:
            report.add(each)
        if line.source is not None and not line.problems:
            _count_good(report, line, 1)
            yield line
        on_lines(report.lines)


def _count_good(report: DryRunReport, line: Line, change: int) -> None:
    is_reel = line.source is not None and line.source.kind == "reel"
    report.good_lines += change
    report.reels += change * is_reel
    report.stills += change * (not is_reel)
    report.own_recipes += change * (line.recipe is not None)


def _add_answer(report: DryRunReport, line: Line, answer: dict[str, Any], segment_frames: int) -> None:
    if "code" in answer:
        report.add(problem(line.number, answer["code"], answer["message"], answer.get("remedy")))
        _count_good(report, line, -1)
        return
    facts = answer["facts"]
    header_rate, rate = facts.get("header_rate"), facts.get("rate")
    if header_rate and header_rate != rate:
        report.other_rates += 1
        if report.other_rates <= _SHOWN_RATES:
            message = f"line {line.number}: the header says {header_rate} frames a second, the manifest {rate}"
            report.notes.append(f"FPS_CONFLICT, {message}; the manifest is believed")
    for note in facts.get("notes", ()):
        report.source_notes.setdefault(note, [0, line.number])[0] += 1
    frames = int(facts.get("frame_count", 1))
    report.frames += frames
    report.source_bytes += int(facts.get("bytes", 0))
    report.expected_bytes += int(frames * facts["width"] * facts["height"] * _BYTES_A_PIXEL * _OUTPUT_SHARE)
    report.start_seconds = report.start_seconds or float(answer["loaded_in"])
    seconds = float(answer["seconds"])
    report.work_seconds += seconds
    report.longest_seconds = max(report.longest_seconds, seconds * min(1, segment_frames / frames))


def _source_notes(report: DryRunReport) -> Iterator[str]:
    """Say what is worth knowing of sources: once what is true of many, and of unlike ones no more than are read."""
    for note, (count, line) in islice(report.source_notes.items(), _SHOWN_NOTES):
        where = f"Line {line}" if count == 1 else f"Line {line} and {count - 1} more"
        yield f"{where}: {note}"
    if len(report.source_notes) > _SHOWN_NOTES:
        yield f"{len(report.source_notes) - _SHOWN_NOTES} more things to know of sources; their reports name them"


def _check_space(report: DryRunReport, settings: Settings) -> None:
    folder = settings.home.resolve()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if report.expected_bytes > free:
        message = f"About {report.expected_bytes / 1e9:.1f} GB are needed, {folder} has {free / 1e9:.1f} GB free"
        report.add(problem(0, "NO_SPACE", message))


def _probe_lines(
    settings: Settings, recipe: Recipe, roots: Roots, lines: Iterator[Line], *, frames: bool
) -> Iterator[tuple[Line, dict[str, Any]]]:
    """Yield each line with a worker's answer, in order. A file that kills the worker is named, and a new one asked."""
    if find_spec("av") is None:
        message = "Files cannot be probed here: the worker extra is not installed"
        remedy = f"{CODES['WORKER_EXTRA_MISSING'].remedy[:-1]}, or add --no-probe."
        raise InputError(message, code="WORKER_EXTRA_MISSING", remedy=remedy)
    with WorkerProcess(settings, "probe", settings.stall_seconds) as worker:
        for line in lines:
            yield line, _probe_line(worker, recipe, roots, line, frames=frames)


def _probe_line(worker: WorkerProcess, recipe: Recipe, roots: Roots, line: Line, *, frames: bool) -> dict[str, Any]:
    assert line.source is not None
    source = line.source.model_copy(update={"roots": roots})
    order = {
        "source": source.model_dump(mode="json"),
        "recipe": (line.recipe or recipe).model_dump(mode="json"),
        "frames": frames,
    }
    try:
        return worker.ask(order)
    except ChildDied as death:
        return {"code": death.code, "message": f"{line.source.uri!r:.300} is not looked into: {death}"}
