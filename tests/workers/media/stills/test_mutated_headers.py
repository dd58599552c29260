"""A thousand damaged headers: each is read, or ends in a code that says why; none takes the process with it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from db.errors import CODES
from tests.support import sequences
from tests.workers.media.stills.test_dpx import made as dpx_made

COUNT = 1001
KINDS = ("dpx", "exr", "tif", "png", "jpg", "jp2", "webp")
# Read in a process of its own: a library that dies must not take the tests with it.
_CHILD = """
import json, os, sys
from pathlib import Path
# Some libraries print their warnings where our answers go.
own = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
from db.errors import OutOfMemoryError, ReelwrightError
from db.settings import Settings
from workers.media.stills import files as stills
settings = Settings(home=Path(sys.argv[1]), max_pixels=4_000_000)
for path in sorted(Path(sys.argv[1]).glob("m_*")):
    print(json.dumps([path.name, "begun"]), file=own, flush=True)
    try:
        photo = stills.read(path, settings)
        stills.to_picture(photo)
        said = "read"
    except ReelwrightError as error:
        said = error.code
        assert path.name in error.message, error.message
    print(json.dumps([path.name, said]), file=own, flush=True)
"""


def _sources(folder: Path) -> dict[str, bytes]:
    pixels = sequences.samples(1, 3, 8, 40, 44)
    dpx_made(folder / "a.dpx", ">", sequences.samples(1, 3, 10, 40, 44), film_rate=24.0, timecode=0x01020304)
    sequences.write(folder / "a.exr", sequences.floats(1, 3, np.float16, 40, 44))
    for name in ("tif", "png", "jp2"):
        sequences.write(folder / f"a.{name}", sequences.samples(1, 3, 16, 40, 44))
    for name in ("jpg", "webp"):
        Image.fromarray(pixels).save(folder / f"a.{name}")
    return {name: (folder / f"a.{name}").read_bytes() for name in KINDS}


def _mutated(body: bytes, rng: np.random.Generator) -> bytes:
    """Change a few bytes near the beginning, or cut the file, or put rubbish in."""
    made, reach = bytearray(body), min(len(body), int(rng.choice([64, 400, 2048])))
    for _ in range(int(rng.integers(1, 5))):
        at = int(rng.integers(4, reach))
        made[at] = int(rng.choice([0, 1, 0x7F, 0x80, 0xFF, int(rng.integers(256))]))
    how = rng.integers(6)
    if how == 0:
        return bytes(made[: int(rng.integers(1, len(made)))])
    if how == 1:
        at = int(rng.integers(4, reach))
        return bytes(made[:at]) + rng.bytes(int(rng.integers(1, 40))) + bytes(made[at:])
    return bytes(made)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("mutated")
    sources, rng = _sources(folder), np.random.default_rng(268)
    for number in range(COUNT):
        kind = KINDS[number % len(KINDS)]
        (folder / f"m_{number:04d}.{kind}").write_bytes(_mutated(sources[kind], rng))
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, str(folder)], capture_output=True, text=True, timeout=240, check=False
    )
    found = dict(json.loads(line) for line in done.stdout.splitlines())
    last = list(found.items())[-1] if found else ("", "")
    assert done.returncode == 0, f"{last}: {done.stderr[-2000:]}"
    return found


def test_every_one_is_read_or_named(outcomes: dict[str, str]) -> None:
    assert len(outcomes) == COUNT
    assert set(outcomes.values()) <= {"read", *CODES}, "a file was begun and not ended"
    assert not set(outcomes.values()) & {"WORKER_FAULT", "BAD_VALUE", "STORE_FAILED"}


def test_damage_of_every_kind_was_met(outcomes: dict[str, str]) -> None:
    """Otherwise the thousand would prove little."""
    for kind in KINDS:
        met = Counter(said for name, said in outcomes.items() if name.endswith(kind))
        assert met.total() - met["read"] >= 15, (kind, met)
    assert len(set(outcomes.values())) >= 5


def test_what_a_library_prints_does_not_mix_with_answers(tmp_path: Path) -> None:
    """The JPEG 2000 reader warns on standard output, where errands answer in JSON."""
    path = sequences.write(tmp_path / "a.jp2", sequences.samples(1, 3, 8, 40, 44))
    body = path.read_bytes()
    at = body.index(b"\xff\x51") + 4
    path.write_bytes(body[:at] + b"\xff\xff" + body[at + 2 :])
    source = {"uri": str(path), "kind": "still"}
    order = json.dumps({"source": source, "recipe": {"name": "x", "steps": []}})
    done = subprocess.run(
        [sys.executable, "-m", "workers", "probe"], input=order, capture_output=True, text=True, timeout=120, check=True
    )
    (answer,) = done.stdout.splitlines()
    assert json.loads(answer)["facts"]["kind"] == "still"
    assert "warning" in done.stderr
