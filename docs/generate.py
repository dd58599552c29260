"""Writes the parts of these pages that the code knows best. Run by ``make docs``; a test holds the pages to it.

``python docs/generate.py`` rewrites what stands between the two marks of a page; ``--check`` only says what differs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import typer.main

from db import recipe as recipes
from db.catalog.metrics import METRICS
from db.catalog.stages import STAGES
from db.errors import CODES
from db.settings import PREFIX, Settings
from db.states import ITEM_MOVES, JOB_MOVES, TASK_MOVES
from orchestrator.cli import app
from orchestrator.cli.house import shown_type

FOLDER = Path(__file__).parent
BEGIN, END = "<!-- begin generated -->", "<!-- end generated -->"


def cli() -> Iterator[str]:
    for name, command in _commands(typer.main.get_command(app)):
        arguments = [each for each in command.params if each.param_type_name == "argument"]
        options = [each for each in command.params if each.param_type_name == "option"]
        words = [f"[{each.name.upper()}]" if not each.required else each.name.upper() for each in arguments]
        yield f"### `{' '.join(['reelwright', name, *words])}`\n\n{command.help}\n"
        rows = [(f"`{each.name.upper()}`", getattr(each, "help", "") or "") for each in arguments]
        rows += [(", ".join(f"`{word}`" for word in (*each.opts, *each.secondary_opts)), each.help) for each in options]
        if rows:
            yield _table(("option", "meaning"), rows)


def settings() -> Iterator[str]:
    rows = []
    for name, field in Settings.model_fields.items():
        default = field.get_default()
        shown = "none" if default in (None, "", ()) else str(default)
        rows.append((f"`{name}`", f"`{PREFIX}{name.upper()}`", shown, field.description))
    yield _table(("setting", "variable", "default", "meaning"), rows)


def stages() -> Iterator[str]:
    for spec in STAGES.values():
        yield f"### `{spec.name}`\n\n{spec.summary}\n\nMethod: {spec.source}\n"
        fields = spec.params.model_json_schema()["properties"]
        yield _table(
            ("parameter", "values", "default", "meaning"),
            [
                (f"`{name}`", shown_type(facts), _default(facts), facts.get("description", ""))
                for name, facts in fields.items()
            ],
        )


def recipe_list() -> Iterator[str]:
    for name in recipes.names():
        found = recipes.resolve(name)
        steps = " → ".join(f"`{step.stage}`" for step in found.steps) or "no steps"
        default = " This is the default." if name == recipes.DEFAULT else ""
        yield f"### `{name}`\n\n{steps}; outputs {', '.join(found.outputs)}.{default}\n"
        text = (Path(recipes.__file__).parent / "recipes" / f"{name}.yaml").read_text(encoding="utf-8")
        yield f"```yaml\n{text.strip()}\n```\n"


def scores() -> Iterator[str]:
    yield _table(
        ("metric", "what", "unit", "range", "better", "definition"),
        [
            (f"`{each.name}`", each.summary, each.unit, f"{each.low:g} to {each.high:g}", _better(each), each.source)
            for each in METRICS.values()
        ],
    )


def errors() -> Iterator[str]:
    yield _table(
        ("code", "what it means", "what to do"),
        [(f"`{code}`", facts.meaning, facts.remedy) for code, facts in CODES.items()],
    )


def states() -> Iterator[str]:
    drawings: Mapping[str, tuple[str, Mapping[Any, Any]]] = {
        "Job": ("ingesting", JOB_MOVES),
        "Item": ("pending", ITEM_MOVES),
        "Task": ("waiting", TASK_MOVES),
    }
    for title, (first, moves) in drawings.items():
        edges = [f"    {one.value} --> {other.value}" for one, others in moves.items() for other in sorted(others)]
        yield "\n".join([f"### {title}\n", "```mermaid", "stateDiagram-v2", f"    [*] --> {first}", *edges, "```\n"])


PAGES: dict[str, Callable[[], Iterator[str]]] = {
    "cli.md": cli,
    "errors.md": errors,
    "recipes.md": recipe_list,
    "scores.md": scores,
    "settings.md": settings,
    "stages.md": stages,
    "states.md": states,
}


def main(*, check: bool) -> int:
    stale = 0
    for name, parts in PAGES.items():
        path = FOLDER / name
        text = path.read_text(encoding="utf-8")
        head, _, rest = text.partition(BEGIN)
        tail = rest.partition(END)[2]
        fresh = f"{head}{BEGIN}\n\n{chr(10).join(parts())}\n{END}{tail}"
        if fresh == text:
            continue
        stale += 1
        print(f"docs/{name} {'is out of date: run `make docs`' if check else 'written'}")
        if not check:
            path.write_text(fresh, encoding="utf-8")
    return stale if check else 0


def _commands(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{prefix}{name} ")
        else:
            yield prefix + name, command


def _table(columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    lines = [columns, tuple("---" for _ in columns), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def _default(facts: Mapping[str, Any]) -> str:
    return "required" if "default" not in facts else f"`{json.dumps(facts['default'])}`"


def _better(metric: Any) -> str:
    return "–" if metric.higher_is_better is None else "higher" if metric.higher_is_better else "lower"


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv))
