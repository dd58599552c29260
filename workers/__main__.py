"""``python -m workers``: a worker process; ``probe`` and ``isolate`` are its children's errands."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from db import settings as settings_module
from db.errors import CODES, ReelwrightError
from db.recipe import Recipe
from db.records import Source
from db.settings import Settings


def main() -> int:
    """Do the errand that the first argument names; without one, work."""
    errand = sys.argv[1] if len(sys.argv) > 1 else "serve"
    try:
        settings = settings_module.load()
        if errand == "probe":
            _probe(settings)
        elif errand == "isolate":
            from workers import isolate

            isolate.child_main(settings)
        else:
            from workers import app

            app.log_to_stderr(settings.log_level)
            app.serve(settings)
            # Everything is handed back; tearing torch down in order takes seconds that somebody waits for.
            os._exit(0)
    except ReelwrightError as error:
        print(f"{error.code}: {error.message} {error.remedy}", file=sys.stderr)  # noqa: T201 -- last words
        return 2
    except ModuleNotFoundError as error:
        print(f"WORKER_EXTRA_MISSING: {error}. {CODES['WORKER_EXTRA_MISSING'].remedy}", file=sys.stderr)  # noqa: T201
        return 2
    return 0


def _probe(settings: Settings) -> None:
    """Describe one source a line: JSON ``{"source": …, "recipe": …}`` in, facts and seconds of work out."""
    from workers import device

    device.settle("cpu")
    for line in sys.stdin:
        try:
            said = _described(json.loads(line), settings)
        except ReelwrightError as error:
            said = {"code": error.code, "message": error.message, "remedy": error.remedy}
        print(json.dumps(said), flush=True)  # noqa: T201 -- the answer


def _described(order: dict[str, Any], settings: Settings) -> dict[str, Any]:
    from workers import estimate, probe
    from workers.media.source import fetched

    with TemporaryDirectory(prefix="reelwright-probe-") as folder:
        source = fetched(Source.model_validate(order["source"]), Path(folder), settings)
        facts = probe.describe(source, settings)
    recipe = Recipe.model_validate(order["recipe"])
    per_frame = estimate.seconds_per_frame(recipe, facts["width"], facts["height"], facts["mono"])
    return {"facts": facts, "seconds": per_frame * facts["frame_count"]}


if __name__ == "__main__":
    sys.exit(main())
