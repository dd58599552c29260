"""A process that probes the films named on its standard input, a line each, and answers with what came of each.

A decoder that a hostile file kills takes this process with it and not the tests.
"""

from __future__ import annotations

import sys
import tempfile
import traceback
from pathlib import Path

from db.errors import ReelwrightError
from tests.support.reels import house, item, probed


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        at = house(Path(folder), max_pixels=4_000_000)
        for line in sys.stdin:
            try:
                facts = probed(at, item(Path(line.rstrip("\n")), "[deinterlace]")).facts
                answer = f"probed {facts.frame_count if facts else 0}"
            except ReelwrightError as error:
                answer = f"{error.code} {error.message}"
            except Exception:
                answer = f"UNCAUGHT {traceback.format_exc()}"
            sys.stdout.write(" ".join(answer.split()) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
