"""Writes the parts of these pages that the code knows best. Run by ``make docs``; a test holds the pages to it.

``python docs/generate.py`` rewrites what stands between the two marks of a page; ``--check`` only says what differs.
"""

from __future__ import annotations

import functools
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import typer.main

from db import errors as error_codes
from db import recipe as recipes
from db.catalog import shipped, trained
from db.catalog.architectures import ARCHITECTURES, ArchitectureSpec
from db.catalog.metrics import METRICS, MetricSpec
from db.catalog.stages import STAGES
from db.catalog.stages.color import ColorizeParams
from db.catalog.stages.detail import DenoiseParams
from db.catalog.weights import CARDS, FAMILIES, Card
from db.checksums import HEX_CHARS
from db.errors import CODES
from db.settings import PREFIX, Settings
from db.states import ITEM_MOVES, JOB_MOVES, TASK_MOVES
from orchestrator.cli import app
from orchestrator.cli.stages import describe_type
from orchestrator.manifest.fields import MEANINGS
from orchestrator.web.app import make_routes
from orchestrator.web.contract import ROUTES, SHELL_ALONE

FOLDER = Path(__file__).parent
BEGIN, END = "<!-- begin generated -->", "<!-- end generated -->"


def cli() -> Iterator[str]:
    for name, command in _commands(typer.main.get_command(app)):
        arguments = [each for each in command.params if each.param_type_name == "argument"]
        options = [each for each in command.params if each.param_type_name == "option" and not each.hidden]
        words = [f"[{_shown(each)}]" if not each.required else _shown(each) for each in arguments]
        yield f"### `{' '.join(['reelwright', name, *words])}`\n\n{command.help}\n"
        example = command.epilog or f"Example: reelwright {name}"
        yield f"```console\n{_as_console(example)}\n```\n"
        rows = [(f"`{_shown(each)}`", _values(each), _given(each), each.help or "") for each in arguments]
        rows += [
            (
                ", ".join(f"`{word}`" for word in (*each.opts, *each.secondary_opts)),
                _values(each),
                _given(each),
                each.help,
            )
            for each in options
        ]
        if rows:
            yield _table(("argument or option", "values", "default", "meaning"), rows)


def _shown(parameter: Any) -> str:
    name: str = parameter.metavar or parameter.name.rstrip(".").upper()
    return name.strip("[]") + ("…" if parameter.nargs == -1 else "")


def _as_console(example: str) -> str:
    """Return an epilog's example lines as they are typed."""
    lines = [line.strip().removeprefix("Example:").removeprefix("Examples:").strip() for line in example.splitlines()]
    return "\n".join(f"$ {line.removeprefix('$ ')}" for line in lines if line)


def _values(parameter: Any) -> str:
    """Return what an option takes, such as ``whole number, at least 1; repeatable``."""
    if getattr(parameter, "is_flag", False):
        return "flag"
    bare = parameter.bare_type()
    if words := re.findall(r"'(\w+)'", bare):
        return ", ".join(f"`{word}`" for word in words)
    kind = _KINDS[bare.removeprefix("list[").rstrip("]")]
    low, high = parameter.min, parameter.max
    bounds = f" {low} to {high}" if None not in (low, high) else f", at least {low}" if low is not None else ""
    again = "; several" if parameter.nargs == -1 else "; repeatable" if parameter.multiple else ""
    return f"{kind}{bounds}{again}"


_KINDS = {"int": "whole number", "float": "number", "Path": "path", "str": "text"}


def _given(parameter: Any) -> str:
    """Return the default; options of two words show which of them holds."""
    if parameter.required:
        return "required"
    if getattr(parameter, "is_flag", False):
        return f"`{parameter.opts[0]}`" if parameter.default else f"`{parameter.secondary_opts[0]}`" if (
            parameter.secondary_opts
        ) else "off"  # fmt: skip
    return "–" if parameter.default in (None, "", []) else f"`{parameter.default}`"


def manifest_fields() -> Iterator[str]:
    rows = [(f"`{name}`", meaning) for name, meaning in MEANINGS.items() if not name.startswith("checksum.")]
    digests = " ".join(f"`{name}`" for name in HEX_CHARS)
    rows.append((digests, "Digest of the source, compared while it is read; also as `checksum.md5` and so on."))
    rows.append(("any name with a dot, such as `dc.title`, or beginning with `x_`", "Carried to the report."))
    yield _table(("field", "meaning"), rows)


def settings() -> Iterator[str]:
    rows = []
    for name, field in Settings.model_fields.items():
        default = field.get_default()
        shown = "none" if default in (None, "", ()) else str(default)
        rows.append((f"`{name}`", f"`{PREFIX}{name.upper()}`", shown, field.description))
    yield _table(("setting", "variable", "default", "meaning"), rows)


def stages() -> Iterator[str]:
    for spec in STAGES.values():
        yield f"### `{spec.name}`\n\n{spec.summary}\n\nMethod: {spec.reference}\n"
        fields = spec.params.model_json_schema()["properties"]
        yield _table(
            ("parameter", "values", "default", "meaning"),
            [
                (f"`{name}`", describe_type(facts), _default(facts), facts.get("description", ""))
                for name, facts in fields.items()
            ],
        )


def recipe_list() -> Iterator[str]:
    for name in recipes.names():
        recipe = recipes.resolve(name)
        steps = " → ".join(f"`{step.stage}`" for step in recipe.steps) or "no steps"
        default = " This is the default." if name == recipes.DEFAULT else ""
        yield f"### `{name}`\n\n{steps}; outputs {', '.join(recipe.outputs)}.{default}\n"
        text = (Path(recipes.__file__).parent / "recipes" / f"{name}.yaml").read_text(encoding="utf-8")
        yield f"```yaml\n{text.strip()}\n```\n"


def scores() -> Iterator[str]:
    yield _table(
        ("metric", "what", "unit", "range", "better", "definition"),
        [
            (f"`{each.name}`", each.summary, each.unit, _range(each), _better(each), each.convention)
            for each in METRICS.values()
            if each.in_jobs and not each.outside
        ],
    )


def evaluation() -> Iterator[str]:
    yield _table(
        ("metric", "what", "how", "unit", "better", "taken for", "judge"),
        [
            (
                f"`{each.name}`",
                each.summary,
                each.convention,
                each.unit,
                _better(each),
                ", ".join(each.tasks) or "on request",
                f"[`{each.judge}`](models/{CARDS[each.judge].architecture}.md)" if each.judge else "–",
            )
            for each in METRICS.values()
            if each.in_evaluation and not each.outside
        ],
    )


def _range(spec: MetricSpec) -> str:
    return f"{spec.low:g} to {spec.high:g}" if spec.high is not None else f"from {spec.low:g}"


def errors() -> Iterator[str]:
    for title, codes in _code_groups().items():
        yield f"## {title[0].upper()}{title[1:]}\n"
        yield _table(
            ("code", "what it means", "what to do"),
            [(f"`{code}`", CODES[code].meaning, CODES[code].remedy) for code in codes],
        )


def _code_groups() -> dict[str, list[str]]:
    """Read from the source of the table which codes stand under which heading there."""
    groups: dict[str, list[str]] = {}
    for line in Path(error_codes.__file__).read_text(encoding="utf-8").splitlines():
        if line.startswith("    # -- "):
            codes = groups.setdefault(line.removeprefix("    # -- "), [])
        elif found := re.match(r'    "([A-Z0-9_]+)": CodeFacts\(', line):
            codes.append(found[1])
    assert [code for codes in groups.values() for code in codes] == list(CODES)
    return groups


def states() -> Iterator[str]:
    drawings: Mapping[str, tuple[str, Mapping[Any, Any]]] = {
        "Job": ("ingesting", JOB_MOVES),
        "Item": ("pending", ITEM_MOVES),
        "Task": ("waiting", TASK_MOVES),
    }
    for title, (first, moves) in drawings.items():
        edges = [f"    {one.value} --> {other.value}" for one, others in moves.items() for other in sorted(others)]
        yield "\n".join([f"### {title}\n", "```mermaid", "stateDiagram-v2", f"    [*] --> {first}", *edges, "```\n"])


def model_table(*tasks: str) -> Iterator[str]:
    shown = [spec for spec in ARCHITECTURES.values() if not spec.outside and spec.task in tasks]
    yield _table(
        ("model", "system", "weights", "options", "cost of a picture on one core"),
        [
            (
                f"[`{spec.name}`](models/{spec.name}.md)",
                spec.title,
                ", ".join(f"`{name}`" for name in (*(card.name for card in _cards(spec)), *_labels(spec))),
                ", ".join(f"`{option}`" for option in spec.options) or "–",
                spec.cost or "–",
            )
            for spec in shown
        ],
    )


def model_page(spec: ArchitectureSpec) -> Iterator[str]:
    yield f"{spec.reference}.\n"
    yield f"{spec.idea}\n"
    yield f"**When.** {spec.choose}\n"
    yield f"**What it sees.** {spec.size}.\n"
    if spec.cost:
        yield f"**What it costs.** {spec.cost} (a picture, on one core of a shared server without a GPU).\n"
    if spec.options:
        params = DenoiseParams if spec.task == "denoiser" else ColorizeParams
        fields = params.model_json_schema()["properties"]
        rows = [(f"`{name}`", describe_type(fields[name]), fields[name]["description"]) for name in spec.options]
        yield _table(("option", "values", "meaning"), rows)
    for card in _cards(spec):
        yield f"### `{card.name}`\n\n{card.summary}\n"
        yield from _facts_if_shipped(card)
        yield f"- **Licence:** {card.license}.{f' {card.accept} `--accept-license` accepts it.' if card.accept else ''}"
        yield f"- **Published:** {card.published}."
        for file in card.files:
            holds = f", holds {', '.join(f'`{name}`' for name in file.networks)}" if file.networks else ""
            begins = f", sha256 begins `{file.sha256_prefix}`" if file.sha256_prefix else ""
            yield f"- `{file.name}`: about {file.megabytes} MB{holds}{begins}{', optional' if file.optional else ''}."
        yield ""
    yield _use(spec)


def _facts_if_shipped(card: Card) -> Iterator[str]:
    if not card.shipped:
        return
    yield "- **Ships with Reelwright:** nothing to register."
    record = trained.from_document(shipped.facts(card.name))
    if record.data:
        yield f"- **Trained on:** {record.data}"
    if record.figures:
        yield f"- **Figures:** {', '.join(f'{name} {value:g}' for name, value in record.figures.items())}."


def _labels(spec: ArchitectureSpec) -> list[str]:
    """Return how weights of a family are spelled."""
    return [f"{card.name}:LABEL" for card in FAMILIES.values() if card.architecture == spec.name]


def _use(spec: ArchitectureSpec) -> str:
    if not spec.default:
        weights = _labels(spec)[-1].replace("LABEL", "my-weights")
        step = _step_of_restorer(spec, f'"{weights}"')
        return f"```console\n$ reelwright models add my-weights.pth\n```\n\n{step}"
    card = next(card for card in _cards(spec) if card.name == spec.default)
    files = " ".join(file.name for file in card.files if not file.optional)
    argument = files if len(card.files) == 1 else f"folder-with-{card.name}/"
    accept = " --accept-license" if card.accept else ""
    add = "" if card.shipped else f"```console\n$ reelwright models add {argument}{accept}\n```\n"
    if spec.task in ("denoiser", "upscaler"):
        return f"{add}\n{_step_of_restorer(spec, card.name)}".lstrip()
    if spec.task != "colorizer":
        return add
    needed = "{imagenet_class: 263}" if spec.name == "gcp" else ""
    step = f"{{model: {spec.name}{', ' + needed.strip('{}') if needed else ''}}}"
    return f"{add}\n```yaml\nrecipe:\n  - colorize: {step}\n```\n".lstrip()


def _step_of_restorer(spec: ArchitectureSpec, weights: str) -> str:
    stages = {"denoiser": "denoise", "upscaler": "upscale", "inpainter": "inpaint", "face restorer": "face"}
    method = "" if spec.task == "face restorer" else "method: network, "
    return f"```yaml\nrecipe:\n  - {stages[spec.task]}: {{{method}weights: {weights}}}\n```\n"


def _cards(spec: ArchitectureSpec) -> list[Card]:
    return [card for card in CARDS.values() if card.architecture == spec.name]


def api() -> Iterator[str]:
    document = make_routes().openapi()
    schemas = document["components"]["schemas"]
    by_tag: dict[str, list[tuple[str, str, dict[str, Any]]]] = {}
    for path, methods in document["paths"].items():
        for method, facts in methods.items():
            by_tag.setdefault(facts["tags"][0], []).append((method.upper(), path, facts))
    for tag, routes in by_tag.items():
        yield f"### {tag.capitalize()}\n"
        for method, path, facts in routes:
            yield f"#### `{method} {path}`\n\n{facts['description']} Role: {facts['x-role'] or 'none'}.\n"
            rows = [(f"`{each['name']}`", _place(each), _meaning(each)) for each in facts.get("parameters", ())]
            body = facts.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            fields = schemas.get(body.get("$ref", "").rpartition("/")[2], {})
            needed = fields.get("required", ())
            rows += [
                (f"`{name}`", "body" if name not in needed else "body, needed", each.get("description", ""))
                for name, each in fields.get("properties", {}).items()
            ]
            if rows:
                yield _table(("name", "where", "meaning"), rows)
    yield "### Commands and routes\n"
    yield _table(
        ("command", "route"),
        [(f"`{name}`", ", ".join(f"`{each}`" for each in named)) for name, named in ROUTES.items()],
    )
    yield _table(("command", "why it has none"), [(f"`{name}`", why) for name, why in SHELL_ALONE.items()])


def _place(parameter: dict[str, Any]) -> str:
    needed = parameter["in"] == "query" and parameter.get("required")
    return f"{parameter['in']}, needed" if needed else parameter["in"]


def _meaning(parameter: dict[str, Any]) -> str:
    """Return what a parameter means, and which words it takes where there are but some."""
    words = parameter["schema"].get("enum", ())
    return " ".join([parameter.get("description", ""), *([f"One of: {_code_words(words)}."] if words else [])]).strip()


def _code_words(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


PAGES: dict[str, Callable[[], Iterator[str]]] = {
    "api.md": api,
    "cli.md": cli,
    "colour.md": functools.partial(model_table, "colorizer", "detector"),
    "errors.md": errors,
    "evaluation.md": evaluation,
    "manifests.md": manifest_fields,
    "recipes.md": recipe_list,
    "restorers.md": functools.partial(model_table, "denoiser", "upscaler", "face restorer", "inpainter"),
    "scores.md": scores,
    "settings.md": settings,
    "stages.md": stages,
    "states.md": states,
    **{
        f"models/{spec.name}.md": functools.partial(model_page, spec)
        for spec in ARCHITECTURES.values()
        if not spec.outside
    },
}


def main(*, check: bool) -> int:
    stale = 0
    for name, parts in PAGES.items():
        path = FOLDER / name
        text = path.read_text(encoding="utf-8") if path.exists() else _new_model_page(path.stem)
        head, _, rest = text.partition(BEGIN)
        tail = rest.partition(END)[2]
        fresh = f"{head}{BEGIN}\n\n{chr(10).join(parts())}\n{END}{tail}"
        if fresh == text and path.exists():
            continue
        stale += 1
        print(f"docs/{name} {'is out of date: run `make docs`' if check else 'written'}")
        if not check:
            path.write_text(fresh, encoding="utf-8")
    stale += _write_openapi(check=check)
    return stale if check else 0


def _write_openapi(*, check: bool) -> int:
    path = FOLDER / "openapi.json"
    fresh = json.dumps(make_routes().openapi(), indent=1, sort_keys=True) + "\n"
    if path.exists() and path.read_text(encoding="utf-8") == fresh:
        return 0
    print(f"docs/openapi.json {'is out of date: run `make docs`' if check else 'written'}")
    if not check:
        path.write_text(fresh, encoding="utf-8")
    return 1


def _new_model_page(name: str) -> str:
    spec = ARCHITECTURES[name]
    title, page = {
        "denoiser": ("denoising and enlarging", "restorers.md"),
        "upscaler": ("denoising and enlarging", "restorers.md"),
        "face restorer": ("denoising and enlarging", "restorers.md"),
        "inpainter": ("denoising and enlarging", "restorers.md"),
        "judge": ("evaluation", "evaluation.md"),
    }.get(spec.task, ("colour", "colour.md"))
    return f"# {spec.title}\n\n{BEGIN}\n{END}\n\nBack to [{title}](../{page}).\n"


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
