"""The command ``stages``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from db.catalog.stages import STAGES
from orchestrator.catalogue import find_stage, stage_facts
from orchestrator.cli.context import cli_context


def stages(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(help="Name of a stage to show with its parameters; if omitted, all stages.")
    ] = None,
) -> None:
    """List the stages, or one with its parameters."""
    terminal = cli_context(context).terminal
    if name is None:
        terminal.table(("stage", "what it does"), [(spec.name, spec.summary) for spec in STAGES.values()])
        terminal.document([{"name": spec.name, "summary": spec.summary} for spec in STAGES.values()])
        return
    spec = find_stage(name)
    schema = spec.params.model_json_schema()
    terminal.say(f"{spec.name}: {spec.summary}\n{spec.reference}\n")
    rows = [
        (field, describe_type(facts), facts.get("default"), facts.get("description", ""))
        for field, facts in schema["properties"].items()
    ]
    terminal.table(("parameter", "values", "default", "meaning"), rows)
    terminal.document(stage_facts(spec))


def describe_type(facts: dict[str, Any]) -> str:
    """Say in a few words which values a parameter's JSON schema allows."""
    if "anyOf" in facts:
        return " or ".join(describe_type(option) for option in facts["anyOf"])
    if "enum" in facts or "const" in facts:
        return ", ".join(map(str, facts.get("enum", [facts.get("const")])))
    names = {"number": "number", "integer": "whole number", "boolean": "true, false", "null": "none", "array": "list"}
    low, high = facts.get("minimum"), facts.get("maximum")
    span = f" {low:g} to {high:g}" if low is not None and high is not None else ""
    return names.get(str(facts.get("type")), str(facts.get("type", "any"))) + span
