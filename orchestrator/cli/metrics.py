"""The command ``metrics``."""

from __future__ import annotations

from typing import Annotated

import typer

from db.catalog.metrics import METRICS, MetricSpec, find_metric
from orchestrator.catalogue import metric_facts
from orchestrator.cli.context import cli_context

_COMPARES = {
    "none": "nothing: it looks at the picture alone",
    "source": "the frame as it came in",
    "reference": "a picture that is known to be right",
    "previous": "earlier frames of the same film",
}
_REDUCES = {
    "picture": "the mean of one value a picture",
    "reel": "one value of a reel; of several reels the mean",
    "set": "one value of all pictures",
}
_TAKEN_BY = {"jobs": "jobs", "evaluate": "evaluate", "both": "jobs and evaluate"}


def metrics(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="Name of a metric to explain; if omitted, all.")] = None,
) -> None:
    """List the metrics, or explain one with its convention."""
    terminal = cli_context(context).terminal
    if name is None:
        rows = [(spec.name, _TAKEN_BY[spec.taken_by], spec.unit, spec.summary) for spec in METRICS.values()]
        terminal.table(("metric", "taken by", "unit", "what it measures"), rows)
        terminal.document([metric_facts(spec) for spec in METRICS.values()])
        return
    spec = find_metric(name)
    terminal.say(f"{spec.name}: {spec.summary}\n{spec.convention}\n")
    terminal.table(("fact", "value"), _rows(spec))
    terminal.document(metric_facts(spec))


def _rows(spec: MetricSpec) -> list[tuple[str, str]]:
    better = {True: "higher", False: "lower", None: "neither by itself"}[spec.higher_is_better]
    reach = f"from {spec.low:g}" if spec.high is None else f"{spec.low:g} to {spec.high:g}"
    rows = [
        ("unit", "none" if spec.unit == "1" else spec.unit),
        ("range", reach),
        ("better", better),
        ("compares with", _COMPARES[spec.compares]),
        ("figure", _REDUCES[spec.reduces]),
        ("taken by", _TAKEN_BY[spec.taken_by]),
        ("needs weights", spec.judge or "no"),
    ]
    if spec.in_jobs:
        relation, of = (">=" if spec.higher_is_better else "<="), "a frame" if spec.reduces == "picture" else "a reel"
        rows.append(("as a recipe's gate", f'gates: {{{spec.name}: "{relation} NUMBER"}}, of {of}'))
    return rows + ([("was called", ", ".join(spec.aliases))] if spec.aliases else [])
