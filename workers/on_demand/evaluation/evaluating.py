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

from db.catalog.metrics import METRICS, MetricSpec, default_metrics
from db.errors import InputError
from db.home_placer import open_settings_placer
from db.placing import Placer
from db.settings import Settings
from db.store import open_store
from workers import device as devices
from workers.models.checkpoints import registered
from workers.on_demand.evaluation import cases as reading
from workers.on_demand.evaluation import references, runs, sheets
from workers.on_demand.evaluation.cases import Case
from workers.on_demand.evaluation.figures import Accumulator, Batch, open_accumulator
from workers.on_demand.evaluation.order import EvaluateOrder
from workers.on_demand.evaluation.references import Levels, MediaLocation, ReferenceEntry
from workers.workbench import Workbench

_BATCH = 8
"""Pictures that an accelerator is given at once; the CPU takes one."""
_OWN, _TRUE = "own", "reference"
Moved = Callable[[int, int], None]


class Figures:
    """Figures of one evaluation: for every metric one of what was made and one of each thing beside it."""

    def __init__(self, names: Sequence[str], judges: Mapping[str, nn.Module], crop_px: int) -> None:
        """Begin with nothing measured."""
        self.specs = [METRICS[name] for name in names]
        self.judges, self.crop_px = judges, crop_px
        self._accumulators: dict[tuple[str, str], Accumulator] = {}
        self.rows: list[sheets.ValueRow] = []
        self.count = 0
        self.films: set[str] = set()

    def add(self, results: Sequence[runs.CaseResult]) -> None:
        """Add a batch."""
        films = [each.case.film for each in results]
        reference = Batch([each.case.true for each in results], films)
        subjects = {_OWN: Batch([each.picture for each in results], films)}
        for subject in set.intersection(*(set(each.beside) for each in results)):
            subjects[subject] = Batch([each.beside[subject] for each in results], films)
        for spec in self.specs:
            # What needs no reference, or only as a guide along a film, says something of the reference too.
            of_reference = {_TRUE: reference} if spec.compares != "reference" or spec.reduces == "reel" else {}
            for subject, batch in (subjects | of_reference).items():
                values = self._accumulator(spec, subject).add(batch, reference)
                self.rows += [
                    sheets.ValueRow(each.case.id, subject, spec.name, value)
                    for each, value in zip(results, values or (), strict=values is not None)
                ]
        self.count += len(results)
        self.films |= set(films) - {""}

    def document(self) -> list[dict[str, Any]]:
        """Return each metric's figure, what stands beside it, and how it is computed."""
        return [self._figure(spec) for spec in self.specs if self.films or spec.reduces != "reel"]

    def _figure(self, spec: MetricSpec) -> dict[str, Any]:
        accumulators = {subject: each for (name, subject), each in self._accumulators.items() if name == spec.name}
        values = {subject: _plain(each.value()) for subject, each in accumulators.items()}
        note = ""
        if self.count <= spec.reliable_above:
            note = f"unreliable: {self.count} pictures, and more than {spec.reliable_above} are needed"
        elif values.get(_OWN) is None:
            note = "could not be measured on any picture"
        return {
            "metric": spec.name,
            "value": values.pop(_OWN, None),
            "beside": values,
            "unit": spec.unit,
            "higher_is_better": spec.higher_is_better,
            "count": len(self.films) if spec.reduces == "reel" else self.count,
            "reliable": not note,
            "note": note,
            "convention": spec.convention.replace("crop = scale", f"crop = {self.crop_px}"),
        }

    def _accumulator(self, spec: MetricSpec, subject: str) -> Accumulator:
        if (spec.name, subject) not in self._accumulators:
            self._accumulators[spec.name, subject] = open_accumulator(spec, self.judges, self.crop_px)
        return self._accumulators[spec.name, subject]


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
    sheets.check(order.out, order.references, settings)
    entries = references.reference_entries(order.references, order.inputs, source_roots=settings.source_roots)
    entries = _some(entries, order.limit)
    device = devices.open_device(settings.device)
    devices.make_deterministic(device)
    with TemporaryDirectory(prefix="reelwright-evaluate-") as scratch:
        bench = Workbench(open_store(settings), Path(scratch), settings, "evaluate", device)
        desk = reading.CaseReader(settings, Path(scratch), order.size_px)
        if order.prepare:
            with open_settings_placer(settings, _source_paths(entries)) as placer:
                return _write_inputs(entries, desk, Path(order.prepare), runs.input_filler(order), placer)
        find_output = _output_finder(order, bench, entries, desk.problems)
        run = runs.open_run(
            order, bench, lambda: reading.CaseReader(settings, Path(scratch), order.size_px).cases(entries)
        )
        judges = {name: registered.network(pin, bench) for name, pin in order.judges.items()}
        names = order.metrics or default_metrics(run.task, judges)
        figures = Figures(names, {name: judge.eval() for name, judge in judges.items()}, run.crop)
        _walk(run, desk, entries, find_output, figures, moved, 1 if device == "cpu" else _BATCH)
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
    sheets.write(order.out, order.references, settings, document, figures.rows)
    return document


def _walk(
    run: runs.Run,
    desk: reading.CaseReader,
    entries: Sequence[ReferenceEntry],
    find_output: reading.FindOutput | None,
    figures: Figures,
    moved: Moved,
    most: int,
) -> None:
    done = 0

    def read_cases() -> Iterator[Case]:
        nonlocal done
        for done, entry in enumerate(entries):
            moved(done, len(entries))
            yield from desk.cases([entry], find_output)
        moved(len(entries), len(entries))

    for batch in reading.batches(read_cases(), most):
        try:
            results = run.make(batch)
        except InputError as error:
            if error.code != "SIZE_MISMATCH":
                raise
            # One picture of a batch may differ where its neighbours do not.
            results = list(chain.from_iterable(_alone(run, case, desk) for case in batch))
        if results:
            figures.add(results)


def _alone(run: runs.Run, case: Case, desk: reading.CaseReader) -> list[runs.CaseResult]:
    try:
        return run.make([case])
    except InputError as error:
        desk.problems.add(case.id, error)
        return []


def _output_finder(
    order: EvaluateOrder, bench: Workbench, entries: Sequence[ReferenceEntry], problems: reading.Problems
) -> reading.FindOutput | None:
    """Return what says where finished pictures lie, by the id of their reference; writes down those that have none."""
    if order.model is not None and order.outputs is None:
        return None
    if order.made is not None:
        locations = {each.id: each.reference for each in references.reference_entries(order.made)}
        _without_reference(locations, order, entries, problems)
        return locations.get
    if order.outputs is None:
        raise InputError("Name a model, a job or finished pictures", code="BAD_PARAMETER")
    blobs = {references.id_without_suffix(each.id): each.blob for each in order.outputs}
    _without_reference(blobs, order, entries, problems)
    return lambda name: MediaLocation(bench.fetch(blobs[name])) if name in blobs else None


def _without_reference(
    output_ids: Collection[str], order: EvaluateOrder, entries: Sequence[ReferenceEntry], problems: reading.Problems
) -> None:
    if order.limit is not None:
        return  # it was asked for
    reference_ids = {entry.id for entry in entries}
    for name in sorted(set(output_ids) - reference_ids):
        problems.add(name, InputError(f"{name}: there is no reference for this output", code="OUTPUT_MISSING"))


def _write_inputs(
    entries: Sequence[ReferenceEntry], desk: reading.CaseReader, folder: Path, fill_input: Callable[[Case], Case],
    placer: Placer,
) -> dict[str, Any]:  # fmt: skip
    """Write references, and what a model is given instead, as PNG, each under its id."""
    count = 0
    for case in desk.cases(entries):
        try:
            filled = fill_input(case)
            placer.write(_inside(folder / "references", case.id), _encode(filled.true))
            if filled.given is not None:
                placer.write(_inside(folder / "inputs", case.id), _encode(filled.given))
        except InputError as error:
            desk.problems.add(case.id, error)
            continue
        count += 1
    return {"prepared": count, "problems": desk.problems.rows, "problem_count": desk.problems.count}


def _source_paths(entries: Sequence[ReferenceEntry]) -> list[str]:
    return [str(place.path) for entry in entries for place in (entry.reference, entry.given) if place]


def _inside(folder: Path, name: str) -> str:
    path = folder / f"{name}.png"
    if not path.resolve().is_relative_to(folder.resolve()):  # ids come from manifests and shards
        raise InputError(f"{name}: this id leaves the folder", code="PATH_UNSAFE")
    return str(path)


def _encode(picture: Levels) -> bytes:
    _, data = cv2.imencode(".png", picture[..., ::-1] if picture.shape[2] == 3 else picture)
    return data.tobytes()


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
