"""``python -m workers``: a worker process; with ``spare``, one that waits for a line first, and loads meanwhile.

Other first arguments are errands that end by themselves.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from db import settings as settings_module
from db.errors import CODES, ReelwrightError, os_error
from db.logs import log_to
from db.recipe import Recipe
from db.records import Source
from db.settings import Settings
from workers import malloc, memory


def main() -> int:
    """Do the errand that the first argument names; without one, work."""
    command = sys.argv[1] if len(sys.argv) > 1 else "serve"
    try:
        settings = settings_module.load()
        log_to(sys.stderr, settings.log_level, libraries=True)
        memory.keep_to_limit(settings)
        malloc.keep_buffers(settings.worker_memory_mb * 10**6)
        if command in _LINE_BY_LINE or command in _SINGLE_ORDER:
            _reserve_stdout()
        if command in _LINE_BY_LINE:
            _answer_lines(partial(_LINE_BY_LINE[command], settings))
        elif command in _SINGLE_ORDER:
            _answer(_SINGLE_ORDER[command], settings)
        elif command == "isolate":
            from workers.process import isolated_child

            isolated_child.child_main(settings)
        else:
            from workers.process import app

            app.serve(settings, spare=command == "spare")
    except ReelwrightError as error:
        print(f"{error.code}: {error.message} {error.remedy}", file=sys.stderr)  # noqa: T201 -- last words
        return 2
    except ModuleNotFoundError as error:
        print(f"WORKER_EXTRA_MISSING: {error}. {CODES['WORKER_EXTRA_MISSING'].remedy}", file=sys.stderr)  # noqa: T201
        return 2
    except KeyboardInterrupt:
        return 130  # whoever sent us was interrupted too, and says so
    return 0


def _reserve_stdout() -> None:
    """Keep standard output for our answers: some libraries print warnings there, which go to standard error instead."""
    stdout_copy = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = os.fdopen(stdout_copy, "w", encoding="utf-8", errors="backslashreplace")


def _answer(command: Callable[[dict[str, Any], Settings], Any], settings: Settings) -> None:
    """Read one order as JSON, do it, and print what came of it as JSON, errors too."""
    order = json.loads(sys.stdin.read())
    print(json.dumps(_outcome(partial(command, order, settings))), flush=True)  # noqa: T201 -- the answer


def _outcome(work: Callable[[], Any]) -> Any:
    """Return what comes of work, or the error that it ends in."""
    try:
        with memory.translate_memory_errors():
            return work()
    except ReelwrightError as error:
        named = error
    except OSError as error:
        named = os_error("The system", error)
    return {"code": named.code, "message": named.message, "remedy": named.remedy}


def _inspect_weights(order: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """Examine files of weights: ``{"files": […], "card": …, "folder": …}``."""
    from workers.on_demand import inspect_weights

    return inspect_weights.examine(order["files"], order["card"], Path(order["folder"]))


def _compare(order: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """Make a contact sheet; ``workers.on_demand.contact_sheet`` says of what."""
    from workers.on_demand import contact_sheet

    return contact_sheet.make_sheet(contact_sheet.SheetOrder.model_validate(order), settings)


def _evaluate(order: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """Judge pictures by references, and say how far it is, a line each second."""
    from workers.on_demand.evaluation import evaluating
    from workers.on_demand.evaluation.order import EvaluateOrder

    last_printed = 0.0

    def print_progress(done: int, total: int) -> None:
        nonlocal last_printed
        if time.monotonic() - last_printed >= 1 or done == total:
            last_printed = time.monotonic()
            print(json.dumps({"done": done, "of": total}), flush=True)  # noqa: T201 -- the progress

    return evaluating.evaluate(EvaluateOrder.model_validate(order), settings, print_progress)


_SINGLE_ORDER = {"weights": _inspect_weights, "compare": _compare, "evaluate": _evaluate}


def _answer_lines(prepare: Callable[[], Callable[[dict[str, Any]], dict[str, Any]]]) -> None:
    """Read an order a line, do it, and print what came of it as one line, errors too: those of beginning as well."""
    begin = cache(prepare)
    for line in sys.stdin:
        order = json.loads(line)
        print(json.dumps(_outcome(lambda: begin()(order))), flush=True)  # noqa: B023, T201 -- asked at once; the answer


def _prober(settings: Settings) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Describe sources: ``{"source": …, "recipe": …}`` in, facts and seconds of work out, and of loading before it.

    With ``"frames": true`` every frame is decoded besides.
    """
    from workers import device
    from workers.on_demand import estimate  # noqa: F401 -- loads what a worker loads before its first frame

    device.make_deterministic("cpu")
    loaded_in = time.process_time()
    seconds_by_case: dict[tuple[Any, ...], float] = {}
    return lambda order: {**_estimate_source(order, settings, seconds_by_case), "loaded_in": loaded_in}


def _verifier(settings: Settings) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Look again at sources, films and items; ``workers.on_demand.verify`` says how."""
    from workers.on_demand import verify

    verifier = verify.Verifier(settings)
    return lambda order: verifier.answer(verify.VerifyOrder.model_validate(order))


def _looker(settings: Settings) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Show frames and stills; ``workers.on_demand.look`` says how."""
    from workers.on_demand import look

    looker = look.Looker(settings)
    return lambda order: looker.answer(look.LookOrder.model_validate(order))


def _comparer(settings: Settings) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Compare neighbours of numbered pictures; ``workers.on_demand.likeness`` says how."""
    from workers.on_demand import likeness

    return lambda order: likeness.compare_pairs(order, settings)


def _pulse() -> Callable[[], None]:
    """Return what says, at most once a second, that this process is still at work: a line that answers nothing."""
    last_printed = time.monotonic()

    def beat() -> None:
        nonlocal last_printed
        if time.monotonic() - last_printed >= 1:
            last_printed = time.monotonic()
            print(flush=True)  # noqa: T201 -- a sign of life

    return beat


_LINE_BY_LINE = {"probe": _prober, "verify": _verifier, "look": _looker, "likeness": _comparer}


def _estimate_source(
    order: dict[str, Any], settings: Settings, seconds_by_case: dict[tuple[Any, ...], float]
) -> dict[str, Any]:
    """Describe a source and estimate its work; what a recipe costs a size is tried once."""
    from db.store import open_store
    from workers.on_demand import estimate
    from workers.tasks import probe, work_size
    from workers.workbench import Workbench

    source, recipe = Source.model_validate(order["source"]), Recipe.model_validate(order["recipe"])
    with TemporaryDirectory(prefix="reelwright-probe-") as folder:
        # First, as it names all that is wrong.
        notes = probe.look_through(source, recipe, settings, Path(folder), _pulse()) if order.get("frames") else []
        facts = probe.describe(source, settings, Path(folder))
        facts["notes"] = list(dict.fromkeys([*facts["notes"], *notes]))
    size, is_marked = (facts["width"], facts["height"]), bool(order["source"].get("mask"))
    shape = work_size.PictureShape(*size, facts["mono"], facts["kind"] == "reel", is_marked)
    work_size.check(recipe, shape, settings, order["source"]["uri"])
    case = (recipe.fingerprint(), facts["width"], facts["height"], facts["mono"])
    if case not in seconds_by_case:
        with TemporaryDirectory(prefix="reelwright-probe-") as folder:
            # A dry run opens no store unless weights must be read from it.
            has_pins = any(step.pins for step in recipe.steps)
            bench = Workbench(open_store(settings), Path(folder), settings, "probe") if has_pins else None
            seconds_by_case[case] = estimate.seconds_per_frame(recipe, *case[1:], bench)
    besides = estimate.seconds_besides(recipe, *size, facts["mono"], shape.is_reel)
    return {"facts": facts, "seconds": (seconds_by_case[case] + besides) * facts["frame_count"]}


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Everything is answered or handed back; tearing torch down in order takes a second that somebody waits for.
    os._exit(status)
