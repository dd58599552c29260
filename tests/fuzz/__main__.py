"""Fuzz one target for some seconds; what ends it is kept as ``crash-*`` in the folder of finds."""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

CORPUS = Path(__file__).parent / "corpus"
_INSTRUMENTED = ["workers.media", "workers.models.checkpoints", "orchestrator.manifest", "db", "PIL", "yaml"]
_STRUCTURED = {"stills", "luggage", "films", "tags"}

with atheris.instrument_imports(include=_INSTRUMENTED):
    from tests.fuzz import mutators
    from tests.fuzz.targets import TARGETS


def main(name: str, seconds: str = "60") -> None:
    """Run a target until time is over or something is found."""
    finds = Path(tempfile.gettempdir()) / "reelwright-fuzz" / name
    finds.mkdir(parents=True, exist_ok=True)
    options = [
        sys.argv[0], f"-max_total_time={seconds}", "-timeout=30", "-rss_limit_mb=4096", "-max_len=20000",
        f"-artifact_prefix={finds}/", str(finds), str(CORPUS / name),
    ]  # fmt: skip
    folder = Path(tempfile.mkdtemp(prefix="reelwright-fuzz-"))

    def run(data: bytes) -> None:
        shutil.rmtree(folder, ignore_errors=True)  # a manifest may be a folder, and what was there must not stay
        folder.mkdir()
        TARGETS[name](data, folder)

    more = {"custom_mutator": _mutator()} if name in _STRUCTURED else {}
    atheris.Setup(options, run, **more)
    atheris.Fuzz()


def _mutator() -> Callable[[bytes, int, int], bytes]:
    """Change along the structure half of the time, blindly else."""

    def change(data: bytes, max_size: int, seed: int) -> bytes:
        if random.Random(seed).random() < 0.5:
            return bytes(atheris.Mutate(data, max_size))
        return mutators.mutate(data, seed)[:max_size]

    return change


if __name__ == "__main__":
    main(*sys.argv[1:3])
