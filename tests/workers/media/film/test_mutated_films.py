"""Films with bytes changed at random, through the probe in a child process: each ends in facts or in a named code."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from db.errors import CODES
from tests.support.reels import film, moving

MUTANTS = 25
"""Of each film."""


def _films(folder: Path) -> Iterator[Path]:
    yuv = [[plane[0], plane[0][::2, ::2], plane[0][1::2, 1::2]] for plane in moving(6, 48, 64)]
    half = [[plane[0], plane[0][:, ::2].copy(), plane[0][:, 1::2].copy()] for plane in moving(6, 48, 64, bits=10)]
    for name, frames, pixels, codec, sound in (
        ("a.mkv", moving(6), "gray", "ffv1", "pcm_s16le"),
        ("a.mp4", yuv, "yuv420p", "libx264", "aac"),
        ("a.mov", half, "yuv422p10le", "prores_ks", "pcm_s16le"),
        ("a.avi", yuv, "yuv420p", "ffvhuff", "pcm_s16le"),
        ("a.mpg", yuv, "yuv420p", "mpeg2video", ""),
        ("a.ts", yuv, "yuv420p", "mpeg2video", "aac"),
        ("a.mxf", yuv, "yuv420p", "mpeg2video", ""),
        ("a.y4m", yuv, "yuv420p", "wrapped_avframe", ""),
    ):
        yield film(folder / name, frames, pixels, codec=codec, sound=sound, rate=Fraction(25))


def _mutant(data: bytes, dice: random.Random) -> bytes:
    """Change, cut, double or overwrite some of a file's bytes, its head more often than the rest."""
    out = bytearray(data)
    for _ in range(dice.choice((1, 3, 12))):
        reach = min(len(out), 600) if dice.random() < 0.6 else len(out)
        at = dice.randrange(max(1, reach))
        kind = dice.randrange(5)
        if kind == 0:
            out[at : at + 1] = bytes([dice.randrange(256)])
        elif kind == 1:
            out[at : at + 4] = dice.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\x80\0\0\0"))
        elif kind == 2:
            del out[at : at + dice.randrange(1, 40)]
        elif kind == 3:
            out[at:at] = out[at : at + dice.randrange(1, 40)]
        else:
            out[at : at + 8] = dice.randbytes(8)
    return bytes(out[: dice.randrange(len(out)) + 1] if dice.random() < 0.15 else out)


@pytest.mark.timeout(250)
def test_every_mutated_film_ends_in_facts_or_in_a_named_code(tmp_path: Path) -> None:
    dice = random.Random(20)
    paths = []
    for source in list(_films(tmp_path)):
        for number in range(MUTANTS):
            path = source.with_name(f"{number}-{source.name}")
            path.write_bytes(_mutant(source.read_bytes(), dice))
            paths.append(path)
    asked = "".join(f"{path}\n" for path in paths)
    child = [sys.executable, "-m", "tests.support.prober"]
    done = subprocess.run(child, input=asked, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[4])
    answers = done.stdout.splitlines()
    assert done.returncode == 0, f"{paths[len(answers)].name} ended the process that probed it"
    wrong = [(path.name, answer) for path, answer in zip(paths, answers, strict=True) if not _named(answer)]
    assert not wrong
    refused = sum(not answer.startswith("probed") for answer in answers)
    assert 20 < refused < len(answers)


def _named(answer: str) -> bool:
    return answer.split()[0] in {*CODES, "probed"}
