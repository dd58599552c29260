"""Evaluates a model, finished pictures or a job's outputs.

References stream through: at any time a batch of pictures is in memory, and a few numbers for each that went by.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
from torch import nn

from db.catalog.measures import MEASURES, RELIABLE_ABOVE, default_measures
from db.errors import InputError
from db.settings import Settings
from db.store import open_store
from workers import device as devices
from workers.models.checkpoints import registered
from workers.on_demand.evaluation import cases as reading
from workers.on_demand.evaluation import gauges, references, runs, sheets
from workers.on_demand.evaluation.cases import Case
from workers.on_demand.evaluation.gauges import Gauge, Shown
from workers.on_demand.evaluation.order import EvaluateOrder
from workers.on_demand.evaluation.references import Levels, MediaLocation, ReferenceEntry
from workers.workbench import Workbench

_BATCH = 8
"""Pictures that an accelerator is given at once; the CPU takes one."""
_OWN, _TRUE = "own", "reference"
Moved = Callable[[int, int], None]


class Figures:
    """Gauges of one evaluation: for every measure one of what was made and one of each thing beside it."""

    def __init__(self, names: Sequence[str], judges: Mapping[str, nn.Module], crop: int) -> None:
        """Begin with nothing measured."""
        self.names, self.judges, self.crop = names, judges, crop
        self._gauges: dict[tuple[str, str], Gauge] = {}
        self.rows: list[sheets.ValueRow] = []
        self.count = 0
        self.films: set[str] = set()

    def add(self, made: Sequence[runs.CaseResult]) -> None:
        """Add a batch."""
        films = [each.case.film for each in made]
        true = Shown([each.case.true for each in made], films)
        subjects = {_OWN: Shown([each.picture for each in made], films)}
        for subject in set.intersection(*(set(each.beside) for each in made)):
            subjects[subject] = Shown([each.beside[subject] for each in made], films)
        for name in self.names:
            of_reference = {} if MEASURES[name].needs_reference else {_TRUE: true}
            for subject, shown in (subjects | of_reference).items():
                values = self._gauge(name, subject).add(shown, true)
                self.rows += [
                    sheets.ValueRow(each.case.id, subject, name, value)
                    for each, value in zip(made, values or (), strict=values is not None)
                ]
        self.count += len(made)
        self.films |= set(films) - {""}

    def document(self) -> list[dict[str, Any]]:
        """Return each measure's figure, what stands beside it, and how it is computed."""
        found = []
        for name in self.names:
            values = {subject: gauge.value() for (each, subject), gauge in self._gauges.items() if each == name}
            if name in {"cdc", "warp_error"} and not self.films:
                continue
            found.append(self._figure(name, {subject: _plain(value) for subject, value in values.items()}))
        return found

    def _figure(self, name: str, values: dict[str, float | None]) -> dict[str, Any]:
        spec = MEASURES[name]
        note = ""
        if name.startswith("fid_") and self.count <= RELIABLE_ABOVE:
            note = f"unreliable: {self.count} pictures, and more than {RELIABLE_ABOVE} are needed"
        elif values.get(_OWN) is None:
            note = "could not be measured on any picture"
        convention = spec.convention.replace("crop = scale", f"crop = {self.crop}")
        return {
            "metric": name,
            "value": values.pop(_OWN, None),
            "beside": values,
            "unit": spec.unit,
            "higher_is_better": spec.higher_is_better,
            "count": len(self.films) if spec.scope == "reel" else self.count,
            "reliable": not note,
            "note": note,
            "convention": convention,
        }

    def _gauge(self, name: str, subject: str) -> Gauge:
        if (name, subject) not in self._gauges:
            self._gauges[name, subject] = gauges.opened(name, self.judges, self.crop)
        return self._gauges[name, subject]


def evaluate(order: EvaluateOrder, settings: Settings, moved: Moved = lambda done, total: None) -> dict[str, Any]:
    """Judge what an order names.

    Args:
        order: What and how.
        settings: Where weights are kept, and the limits of pictures.
        moved: Told how many references are done, of how many.

    Returns:
        ``figures``, ``task``, ``notes`` (conventions of the whole), ``pictures`` and ``films`` (how many were judged),
        ``problems`` and ``problem_count``, ``seconds``, ``out``.

    Raises:
        InputError: The set cannot be read, nothing of it can be judged, or the order contradicts itself.
    """
    began = time.monotonic()
    sheets.check(order.out, order.references)
    entries = references.reference_entries(order.references, order.inputs)
    entries = _some(entries, order.limit)
    device = devices.open_device(settings.device)
    devices.make_deterministic(device)
    with TemporaryDirectory(prefix="reelwright-evaluate-") as scratch:
        bench = Workbench(open_store(settings), Path(scratch), settings, "evaluate", device)
        desk = reading.CaseReader(settings, Path(scratch), order.size_px)
        if order.prepare:
            return _prepared(entries, desk, Path(order.prepare), runs.input_filler(order))
        made = _made(order, bench, entries, desk.problems)
        run = runs.open_run(
            order, bench, lambda: reading.CaseReader(settings, Path(scratch), order.size_px).cases(entries)
        )
        judges = {name: registered.network(pin, bench) for name, pin in order.judges.items()}
        names = order.metrics or default_measures(run.task, judges)
        figures = Figures(names, {name: judge.eval() for name, judge in judges.items()}, run.crop)
        _walk(run, desk, entries, made, figures, moved, 1 if device == "cpu" else _BATCH)
    if not figures.count:
        first = desk.problems.rows[0]
        raise InputError(f"Nothing could be judged; first {first['id']}: {first['message']}", code=first["code"])
    document = {
        "figures": figures.document(),
        "task": run.task,
        "notes": [*_size_notes(order), *run.notes],
        "pictures": figures.count,
        "films": len(figures.films),
        "problems": desk.problems.rows,
        "problem_count": desk.problems.count,
        "seconds": time.monotonic() - began,
        "device": device,
        "out": order.out,
    }
    sheets.write(order.out, document, figures.rows)
    return document


def _walk(
    run: runs.Run,
    desk: reading.CaseReader,
    entries: Sequence[ReferenceEntry],
    made: reading.FindOutput | None,
    figures: Figures,
    moved: Moved,
    most: int,
) -> None:
    done = 0

    def counted() -> Iterator[Case]:
        nonlocal done
        for done, entry in enumerate(entries):
            moved(done, len(entries))
            yield from desk.cases([entry], made)
        moved(len(entries), len(entries))

    for batch in reading.batches(counted(), most):
        try:
            found = run.make(batch)
        except InputError as error:
            if error.code != "SIZE_MISMATCH":
                raise
            # One picture of a batch may differ where its neighbours do not.
            found = list(chain.from_iterable(_alone(run, case, desk) for case in batch))
        if found:
            figures.add(found)


def _alone(run: runs.Run, case: Case, desk: reading.CaseReader) -> list[runs.CaseResult]:
    try:
        return run.make([case])
    except InputError as error:
        desk.problems.add(case.id, error)
        return []


def _made(
    order: EvaluateOrder, bench: Workbench, entries: Sequence[ReferenceEntry], problems: reading.Problems
) -> reading.FindOutput | None:
    """Return what says where finished pictures lie, by the id of their reference; writes down those that have none."""
    if order.model is not None and order.outputs is None:
        return None
    if order.made is not None:
        listed = {each.id: each.reference for each in references.reference_entries(order.made)}
        _without_reference(listed, order, entries, problems)
        return listed.get
    if order.outputs is None:
        raise InputError("Name a model, a job or finished pictures", code="BAD_PARAMETER")
    blobs = {references.id_without_suffix(each.id): each.blob for each in order.outputs}
    _without_reference(blobs, order, entries, problems)
    return lambda name: MediaLocation(bench.fetch(blobs[name])) if name in blobs else None


def _without_reference(
    made: Collection[str], order: EvaluateOrder, entries: Sequence[ReferenceEntry], problems: reading.Problems
) -> None:
    if order.limit is not None:
        return  # it was asked for
    known = {entry.id for entry in entries}
    for name in sorted(set(made) - known):
        problems.add(name, InputError(f"{name}: there is no reference for this output", code="OUTPUT_MISSING"))


def _prepared(
    entries: Sequence[ReferenceEntry], desk: reading.CaseReader, folder: Path, given: Callable[[Case], Case]
) -> dict[str, Any]:
    """Write references, and what a model is given instead, as PNG, each under its id."""
    count = 0
    for case in desk.cases(entries):
        try:
            filled = given(case)
            own, inputs = _inside(folder / "references", case.id), _inside(folder / "inputs", case.id)
        except InputError as error:
            desk.problems.add(case.id, error)
            continue
        _write(filled.true, own)
        if filled.given is not None:
            _write(filled.given, inputs)
        count += 1
    return {"prepared": count, "problems": desk.problems.rows, "problem_count": desk.problems.count}


def _inside(folder: Path, name: str) -> Path:
    path = folder / f"{name}.png"
    if not path.resolve().is_relative_to(folder.resolve()):  # ids come from manifests and shards
        raise InputError(f"{name}: this id leaves the folder", code="PATH_UNSAFE")
    return path


def _write(picture: Levels, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), picture[..., ::-1] if picture.shape[2] == 3 else picture):
        raise InputError(f"{path}: cannot be written", code="STORE_FAILED")


def _some(entries: list[ReferenceEntry], limit: int | None) -> list[ReferenceEntry]:
    if limit is None or limit >= len(entries):
        return entries
    return [entries[number * len(entries) // limit] for number in range(limit)]


def _size_notes(order: EvaluateOrder) -> list[str]:
    if order.size_px is None:
        return ["size: each reference's own"]
    return [f"size: {order.size_px} x {order.size_px}, references stretched, by areas where they shrink (OpenCV)"]


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None
