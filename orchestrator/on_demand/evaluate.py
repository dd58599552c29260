"""Asks a worker process to judge pictures by references: a model's, a job's, or finished ones."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from db import progress
from db.catalog.architectures import ARCHITECTURES
from db.catalog.metrics import METRICS, select_metrics
from db.catalog.weights import CARDS, Card, card, find
from db.errors import InputError, nearest
from db.progress import ProgressRow, WeightsRow
from db.session import Database
from db.settings import Settings
from db.states import JOB_OVER, JobState
from db.store import open_store
from db.store.keys import safe_name
from orchestrator import embedded, weight_pins
from orchestrator.on_demand import worker_process
from orchestrator.submit import SubmitOptions, submit

_CHIEF = ("still", "master")
"""Outputs of an item that are pictures to compare, the first that is there."""
_WATCH_SECONDS = 1.0


@dataclass(frozen=True)
class EvaluateRequest:
    """What a person wants to know."""

    subject: str
    """Weights or a model, a job's number, or a path with finished pictures."""
    references: str
    inputs: str | None = None
    metrics: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the model."""
    size_px: int | None = None
    noise: float | None = None
    seed: int = 0
    limit: int | None = None
    out: str | None = None


def evaluate(
    settings: Settings,
    database: Database | None,
    request: EvaluateRequest,
    moved: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Judge a model, a job's outputs or finished pictures, in a process of this machine.

    Args:
        settings: Where to work.
        database: Where jobs and registered weights are looked up; none where there is no home yet.
        request: What is wanted.
        moved: Told how many references are done, of how many.

    Returns:
        What ``workers.on_demand.evaluation`` says, and ``subject``.

    Raises:
        InputError: ``UNKNOWN_MODEL``, ``MODEL_MISSING``, ``UNKNOWN_METRIC``, ``UNKNOWN_JOB``, ``FILE_MISSING`` …
    """
    registered = progress.weights_at_hand(database)
    order = _order(request, registered) | _subject_order(request, database, registered)
    return {"subject": request.subject, **worker_process.run(settings, "evaluate", order, moved=moved)}


def evaluate_in_queue(
    settings: Settings,
    database: Database,
    request: EvaluateRequest,
    *,
    moved: Callable[[int, int], None] = lambda done, total: None,
    on_progress: Callable[[ProgressRow, str], None] = lambda now, waits_for: None,
) -> dict[str, Any]:
    """Run a model as an ordinary job, shared by all workers, and judge what came of it.

    The references, and what the model is given, are written as PNG into a folder of the home, at the size that is asked
    for; the same request finds its job again and goes on with it.

    Args:
        settings: Where to work.
        database: Where the job goes.
        request: What is wanted; its subject is a model that makes pictures of pictures of 8 bits.
        moved: As for :func:`evaluate`.
        on_progress: Shown the job's progress, and what it waits for.

    Returns:
        As :func:`evaluate`, and ``job_id``.

    Raises:
        InputError: As :func:`evaluate`; ``BAD_PARAMETER`` where a job would not do the same work; ``WRONG_STATE`` when
            the job was paused or cancelled.
    """
    model_card = _card_for_queue(request)
    registered = progress.weights_at_hand(database)
    # What is asked for must be there before hours of work.
    order = _order(request, registered) | _subject_order(request, database, registered)
    folder = settings.home.resolve() / "evaluations" / _folder_name(request)
    references, inputs = folder / "references", folder / "inputs"
    if not (folder / "recipe.yaml").exists():
        _check_prepared(worker_process.run(settings, "evaluate", order | {"prepare": str(folder)}, moved=moved))
        (folder / "recipe.yaml").write_text(
            json.dumps([weight_pins.single_step(model_card, request.options)]), encoding="utf-8"
        )
    options = SubmitOptions(str(folder / "recipe.yaml"), f"evaluation of {model_card.name}")
    manifest = inputs if inputs.is_dir() else references
    job_id = submit(settings, database, manifest, options).job_id
    _wait_for_job(settings, database, job_id, on_progress)
    # What was made of the references is made of them again: it says so, and costs little.
    order |= {"references": str(references), "inputs": str(inputs) if request.inputs else None, "limit": None}
    report = worker_process.run(settings, "evaluate", order | {"outputs": _outputs(database, job_id)}, moved=moved)
    return {"subject": request.subject, **report, "job_id": job_id}


def resolve(name: str) -> Card:
    """Return the weights that a name means: a card's, or a model's default ones.

    Raises:
        InputError: ``UNKNOWN_MODEL``.
    """
    return find(name) or card(ARCHITECTURES[name].default if name in ARCHITECTURES else name)


def _order(request: EvaluateRequest, registered: Mapping[str, WeightsRow]) -> dict[str, Any]:
    judges = {name: row.pin for name, row in registered.items() if ARCHITECTURES[row.pin.architecture].task == "judge"}
    metrics = select_metrics(request.metrics, judges)
    judge_names = {spec.judge for name, spec in METRICS.items() if metrics is None or name in metrics}
    return {
        "references": request.references,
        "inputs": request.inputs,
        "options": dict(request.options),
        "metrics": metrics,
        "judges": {name: pin.model_dump(mode="json") for name, pin in judges.items() if name in judge_names},
        "size_px": request.size_px,
        "noise": request.noise,
        "seed": request.seed,
        "limit": request.limit,
        "out": request.out,
    }


def _subject_order(
    request: EvaluateRequest, database: Database | None, registered: Mapping[str, WeightsRow]
) -> dict[str, Any]:
    """Return the part of the order that says what is judged."""
    name = request.subject
    if name.isdecimal():
        return {"outputs": _outputs(database, int(name))}
    if find(name) is None and name not in ARCHITECTURES and (Path(name).exists() or "*" in name):
        return {"made": name}
    model_card = _find_card(name)
    if model_card.name not in registered:
        files = ", ".join(file.name for file in model_card.files if not file.optional)
        remedy = f"Get {files} ({model_card.published}), then `reelwright models add FILE`."
        if model_card.shipped:
            remedy = "This installation lacks their file. Install Reelwright again."
        raise InputError(f"The weights {model_card.name} are not registered here", code="MODEL_MISSING", remedy=remedy)
    return {"model": registered[model_card.name].pin.model_dump(mode="json")}


def _find_card(name: str) -> Card:
    try:
        return resolve(name)
    except InputError as error:
        hint = nearest(name, [*CARDS, *ARCHITECTURES])
        message = f"{name!r:.100} is no model, no job's number and no path that is there.{hint}"
        raise InputError(message, code=error.code) from error


def _outputs(database: Database | None, job_id: int) -> list[dict[str, Any]]:
    if database is None:
        raise InputError(f"There is no job {job_id} here", code="UNKNOWN_JOB")
    job = progress.job(database, job_id)
    if job.state not in JOB_OVER:
        message = f"Job {job_id} is {job.state.value}: it is judged when it is over"
        raise InputError(message, code="WRONG_STATE", remedy=f"`reelwright watch {job_id}` waits for it.")
    outputs = []
    for item, result in progress.results(database, job_id):
        blob = next((result.outputs[name] for name in _CHIEF if name in result.outputs), None) if result else None
        if blob is not None:
            outputs.append({"id": item.external_id, "blob": blob.model_dump(mode="json")})
    return outputs


# -- through the queue


def _card_for_queue(request: EvaluateRequest) -> Card:
    model_card = _find_card(request.subject)
    if request.noise is not None:
        raise InputError(
            "Noise that is added here is not rounded, so no file can carry it to a job",
            code="BAD_PARAMETER",
            remedy="Leave out --queue, or give noisy pictures with --inputs.",
        )
    return model_card


def _folder_name(request: EvaluateRequest) -> str:
    """Return the folder's name of a request: the same for the same work on sets that were not touched since."""
    paths = [Path(each) for each in (request.references, request.inputs) if each is not None]
    sets = [(str(path.resolve()), path.stat().st_mtime_ns if path.exists() else 0) for path in paths]
    work = [request.subject, sets, request.size_px, request.limit, dict(request.options)]
    digest = hashlib.sha256(json.dumps(work, sort_keys=True).encode()).hexdigest()
    return f"{safe_name(request.subject)}-{digest[:12]}"


def _check_prepared(report: Mapping[str, Any]) -> None:
    if report["problem_count"]:
        first = report["problems"][0]
        raise InputError(
            f"{report['problem_count']} references cannot be read; first {first['message']}",
            code=first["code"],
            remedy="Mend or remove them; without --queue they are left out and counted.",
        )


def _wait_for_job(
    settings: Settings, database: Database, job_id: int, on_progress: Callable[[ProgressRow, str], None]
) -> None:
    if settings.embedded:
        embedded.run_job(settings, database, open_store(settings), job_id, on_progress=on_progress)
    while (state := progress.job(database, job_id).state) not in JOB_OVER:
        if state is JobState.PAUSED:
            raise InputError(f"Job {job_id} is paused", code="WRONG_STATE", remedy=f"`reelwright resume {job_id}`.")
        on_progress(progress.progress(database, job_id), progress.outage(database, job_id))
        time.sleep(_WATCH_SECONDS)


def format_baselines(
    values: Mapping[str, Any], order: Sequence[str] = ("grey", "bicubic", "noisy", "nlm", "reference")
) -> str:
    """Write what stands beside a figure."""
    names = [*(name for name in order if name in values), *(name for name in values if name not in order)]
    return ", ".join(f"{name} {format_number(values[name])}" for name in names)


def format_number(value: float | None) -> str:
    """Write a figure with four digits that count, decibels with two or more decimals."""
    return "none" if value is None else f"{value:.3f}" if abs(value) >= 1 else f"{value:.4f}"
