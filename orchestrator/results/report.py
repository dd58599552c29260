"""The completion report: what became of every line. Only reads records; writes files into a folder.

``report.csv`` is a manifest in its own right, with the columns of an S3 Batch Operations report behind it; its failed
part ``report-failed.csv`` can be submitted as it is. What a spreadsheet would take for a formula is protected, see
``orchestrator.manifest.cells``.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from db import judgments, placing, progress, source_types
from db import recipe as recipes
from db.errors import CODES, InputError
from db.home_placer import open_placer
from db.judgments import ReviewRow
from db.progress import ItemRow, JobRow, ResultRow
from db.recipe import Recipe
from db.records import deliverables
from db.session import Database
from db.states import ItemState, Verdict
from orchestrator.manifest import cells, fields
from orchestrator.results import sequence_tar

_OURS = (
    "x_state", "x_generation", "x_frames", "x_outputs", "x_scores", "x_steps", "x_notes", "x_sha256", "x_recipe_sha256",
    "x_source_type", "x_review", "x_reviews",
)  # fmt: skip
"""What we say of a line beside S3's own columns: among it what came out, which of ``outputs`` a still has not all,
digests of source and recipe, the IPTC's source type, and what people said of what lies beyond gates."""
COLUMNS = (
    *("id", "kind", "uri", *(name for name in fields.CHECKS if name not in {"id", "kind", "uri"})),
    *("x_extra", *_OURS, *fields.REPORTED),
)
REPORTS = ("report.csv", "report-failed.csv", "report.json")
_HTTP_STATUS = {"FILE_MISSING": 404, "BLOB_MISSING": 404, "SOURCE_DENIED": 403, "PATH_UNSAFE": 403, "CANCELLED": 499}
_NOT_CARRIED = frozenset({"line", "x_extra", *_OURS})
_LISTED_REVIEWS = 20
"""What people decided about one item, the worst first, that a cell names: cells have their limits."""
_PAGE = 200
"""Items whose reviews are read at once."""
_RECIPE_CELLS = frozenset({"recipe", "outputs"})
_PIECE_CHARS = 1 << 16
_FAILED = frozenset({ItemState.FAILED, ItemState.QUARANTINED, ItemState.CANCELLED})


@dataclass(frozen=True)
class Report:
    """Where the report lies, and the sums in it."""

    json_path: Path
    csv_path: Path
    failed_path: Path | None
    """None when nothing failed."""
    failed_by_code: dict[str, int]
    mean_scores: dict[str, float]
    """Each metric's mean over the items that have it."""
    notes: tuple[str, ...] = ()
    """What a person should know of files that lie there."""


class _Sums:
    """What is counted while the items stream by."""

    def __init__(self) -> None:
        self.by_code: Counter[str] = Counter()
        self.scores: dict[str, tuple[float, int]] = {}
        self.reviews: Counter[str] = Counter()
        self.bytes_out = 0

    def add(self, item: ItemRow, result: ResultRow | None, reviews: Sequence[ReviewRow]) -> None:
        self.reviews.update(_review_word(review) for review in reviews)
        if item.state in _FAILED:
            self.by_code[item.code or "WORKER_FAULT"] += 1
        if result is None:
            return
        self.bytes_out += sum(blob.bytes for blob in result.outputs.values())
        for name, score in result.scores.items():
            total, count = self.scores.get(name, (0.0, 0))
            self.scores[name] = (total + score, count + 1)

    def means(self) -> dict[str, float]:
        return {name: total / count for name, (total, count) in sorted(self.scores.items())}


def write_report(database: Database, job_id: int, folder: Path, *, home: Path | None = None) -> Report:
    """Write ``report.json``, ``report.csv`` and, if anything failed, ``report-failed.csv`` into ``folder``.

    Items stream through: a job of millions needs the memory of one page of rows. A report that was corrected by hand,
    or anything else that is not ours, is neither replaced nor removed.

    Args:
        database: Where the job is written down.
        job_id: The job.
        folder: Made when it is not there.
        home: Where it is noted what was written, so that the next report may replace it.

    Raises:
        InputError: ``UNKNOWN_JOB``.
        PutError: ``ALREADY_THERE`` or ``OUTPUT_ON_SOURCE`` for one of the files; the others are written.
    """
    job = progress.job(database, job_id)
    placer = open_placer(database, home)
    paths = {name: folder / name for name in REPORTS}
    faults: list[tuple[str, InputError]] = []
    notes: tuple[str, ...] = ()
    with ExitStack() as stack:
        fresh = {name: stack.enter_context(placer.fresh_name(str(path))) for name, path in paths.items()}
        sums = _write_lines(database, job, Path(fresh["report.csv"]), Path(fresh["report-failed.csv"]))
        _write_text(Path(fresh["report.json"]), _summary_text(database, job, sums))
        for name, path in paths.items():
            if name == "report-failed.csv" and not sums.by_code:
                gone = placer.remove(str(path))
                notes = (
                    () if gone else (f"{name} was not written by this home as it is now, and stays: nothing failed",)
                )
                continue
            try:
                placer.put(fresh[name], str(path))
            except InputError as error:
                faults.append((name, error))
    failed_path = paths["report-failed.csv"] if sums.by_code else None
    report = Report(paths["report.json"], paths["report.csv"], failed_path, dict(sums.by_code), sums.means(), notes)
    if faults:
        raise placing.PutError(faults, report)
    return report


def _write_lines(database: Database, job: JobRow, every: Path, failed: Path) -> _Sums:
    """Write one line an item, those that failed into a file of their own as well."""
    sums = _Sums()
    with _open_text(every) as every_file, _open_text(failed) as failed_file:
        lines, failures = _csv_writer(every_file), _csv_writer(failed_file)
        for item, result, reviews in _reviewed_results(database, job.id):
            sums.add(item, result, reviews)
            row = _protected_row(job.recipe, item, result, reviews)
            lines.writerow(row)
            if item.state in _FAILED:
                failures.writerow(row)
    return sums


def csv_pieces(database: Database, job_id: int, *, failed: bool = False) -> Iterator[bytes]:
    """Yield ``report.csv``, or ``report-failed.csv``, piece by piece; raises ``UNKNOWN_JOB`` at first."""
    job = progress.job(database, job_id)
    text = io.StringIO(newline="")
    lines = _csv_writer(text)
    for item, result, reviews in _reviewed_results(database, job.id):
        if not failed or item.state in _FAILED:
            lines.writerow(_protected_row(job.recipe, item, result, reviews))
        if text.tell() > _PIECE_CHARS:
            yield text.getvalue().encode()
            text.seek(0)
            text.truncate()
    yield text.getvalue().encode()


def summary_text(database: Database, job_id: int) -> str:
    """Return what stands in ``report.json``; raises ``UNKNOWN_JOB``."""
    job = progress.job(database, job_id)
    sums = _Sums()
    for item, result, reviews in _reviewed_results(database, job.id):
        sums.add(item, result, reviews)
    return _summary_text(database, job, sums)


def _reviewed_results(
    database: Database, job_id: int
) -> Iterator[tuple[ItemRow, ResultRow | None, Sequence[ReviewRow]]]:
    """Yield items with their newest result and what lies beyond gates in it."""
    results = progress.results(database, job_id)
    while page := list(islice(results, _PAGE)):
        reviews = judgments.item_reviews(database, [item.id for item, _ in page])
        for item, result in page:
            number = result.generation if result else None
            yield item, result, [each for each in reviews.get(item.id, ()) if each.generation == number]


def _summary_text(database: Database, job: JobRow, sums: _Sums) -> str:
    summary = {
        "job": asdict(job) | {"recipe": job.recipe.model_dump(mode="json")},
        "progress": asdict(progress.progress(database, job.id)),
        "bytes_out": sums.bytes_out,
        "mean_scores": sums.means(),
        "reviews": {word: sums.reviews[word] for word in ("open", Verdict.ACCEPTED, Verdict.REJECTED)},
        "failed": [{"code": code, "items": count, **asdict(CODES[code])} for code, count in sums.by_code.most_common()],
    }
    return json.dumps(summary, indent=2, ensure_ascii=False) + "\n"


def _protected_row(
    recipe: Recipe, item: ItemRow, result: ResultRow | None, reviews: Sequence[ReviewRow]
) -> dict[str, str]:
    """Return one line of the report as its cells are written."""
    row = report_row(recipe, item, result, reviews)
    return {name: cells.protect(str(value)) for name, value in row.items()}


def report_row(
    recipe: Recipe, item: ItemRow, result: ResultRow | None, reviews: Sequence[ReviewRow] = ()
) -> dict[str, Any]:
    """Return one line of the report: the manifest's own fields, then what became of it.

    ``recipe`` is the job's; every line names the one that held for it, so that it asks for the same in another job.
    ``reviews`` are those of the result.
    """
    extra_fields = dict(item.extra)
    manifest_fields = {name: extra_fields.pop(name) for name in list(extra_fields) if name in fields.CHECKS}
    free_fields = {name: value for name, value in extra_fields.items() if name not in _NOT_CARRIED}
    failed = item.state in _FAILED
    return {
        **_recipe_cells(item.recipe or recipe),
        **{
            name: _cell_value(value)
            for name, value in manifest_fields.items()
            if item.recipe is None or name not in _RECIPE_CELLS
        },
        "id": item.external_id,
        "uri": item.uri or manifest_fields.get("uri", ""),
        "x_extra": json.dumps(free_fields, ensure_ascii=False) if free_fields else extra_fields.get("x_extra", ""),
        "x_state": item.state.value,
        "x_generation": item.generation,
        "x_frames": item.frames_done,
        "x_outputs": " ".join(_output_words(result)) if result else "",
        "x_scores": json.dumps(result.scores) if result else "",
        "x_steps": json.dumps(result.facts.get("steps", [])) if result else "",
        "x_notes": " ".join(result.notes) if result else "",
        "x_sha256": result.facts.get("sha256", "") if result else "",
        "x_recipe_sha256": result.facts.get("recipe_fingerprint", "") if result else "",
        "x_source_type": result.facts.get(source_types.FACT, "") if result else "",
        "x_review": _review_summary(reviews),
        "x_reviews": _review_cell(reviews),
        "task_status": "failed" if failed else "succeeded" if item.state is ItemState.DONE else item.state.value,
        "error_code": item.code or "",
        "http_status_code": _http_status(item),
        "result_message": item.message or "",
    }


def _output_words(result: ResultRow) -> list[str]:
    """Name what came out; the tar files of a sequence are one output."""
    names = deliverables(result.outputs)
    return sorted({"sequence" if sequence_tar.is_part(name) else name for name in names})


def _review_word(review: ReviewRow) -> str:
    return review.verdict or "open"


def _review_summary(reviews: Sequence[ReviewRow]) -> str:
    """Return the one word for an item: rejected in part is rejected; empty where nothing lies beyond a gate."""
    words = {_review_word(review) for review in reviews}
    return next((word for word in (Verdict.REJECTED, "open", Verdict.ACCEPTED) if word in words), "")


def _review_cell(reviews: Sequence[ReviewRow]) -> str:
    """Spell what people decided, as JSON."""
    told = [
        {
            "metric": each.metric, "gate": each.gate, "value": each.value,
            "frames": None if each.start_frame is None else [each.start_frame, each.stop_frame],
            "verdict": each.verdict, "by": each.by, "note": each.note,
        }
        for each in reviews
        if each.decided_at is not None
    ]  # fmt: skip
    return json.dumps(told[:_LISTED_REVIEWS], ensure_ascii=False) if told else ""


def _recipe_cells(recipe: Recipe) -> dict[str, str]:
    """Spell a recipe as a manifest does: a shipped one by its name, any other as JSON."""
    original = _find_shipped(recipe.name)
    document = recipe.document()
    del document["outputs"]  # they have a cell of their own
    same = original is not None and original.model_copy(update={"outputs": recipe.outputs}) == _without_pins(recipe)
    return {"recipe": recipe.name if same else json.dumps(document), "outputs": " ".join(recipe.outputs)}


def _without_pins(recipe: Recipe) -> Recipe:
    """Return a recipe as a manifest asks for it: its weights are pinned when a job is made."""
    return recipe.model_copy(update={"steps": tuple(step.model_copy(update={"pins": ()}) for step in recipe.steps)})


@lru_cache(64)
def _find_shipped(name: str) -> Recipe | None:
    return recipes.resolve(name) if name in recipes.names() else None


def _http_status(item: ItemRow) -> int | str:
    if item.state is ItemState.DONE:
        return 200
    return _HTTP_STATUS.get(item.code or "", 422) if item.state in _FAILED else ""


def _cell_value(value: Any) -> Any:
    return " ".join(map(str, value)) if isinstance(value, list) else value


def _open_text(path: Path) -> TextIO:
    return open(placing.create(str(path)), "w", encoding="utf-8", newline="")


def _write_text(path: Path, text: str) -> None:
    with _open_text(path) as file:
        file.write(text)


def _csv_writer(file: TextIO) -> csv.DictWriter[str]:
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    writer.writeheader()
    return writer


def failure_rows(items: Iterator[ItemRow]) -> Iterator[Mapping[str, Any]]:
    """Yield what people and programs are told about each failed item."""
    for item in items:
        yield {
            "id": item.external_id,
            "line": item.extra.get("line"),
            "uri": item.uri,
            "state": item.state.value,
            "code": item.code,
            "message": item.message,
            "remedy": item.remedy,
            "generation": item.generation,
        }
