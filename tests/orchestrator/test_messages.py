"""What people read: nothing from outside reaches a terminal raw."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from db.errors import CODES
from db.progress import ProgressRow
from db.settings import Settings
from orchestrator import cli
from orchestrator.terminal_text import visible
from orchestrator.wording import format_duration, format_size, pace_line, progress_line

_OBEYED = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

_TRANSLATED = re.compile(
    r"\bleaves? with\b|\bnone (takes|means|leaves|holds)\b|(?<!there )\b(is|are) no (?!longer)|\bput out\b|^Of ",
    re.IGNORECASE,
)
"""Turns of phrase that no English program has: exits with, if omitted, is not a, written, Random seed of."""


def texts_of(command: Any) -> Iterator[str]:
    yield command.help or ""
    yield from (parameter.help or "" for parameter in command.params)
    for inner in getattr(command, "commands", {}).values():
        yield from texts_of(inner)


def test_help_is_plain_english() -> None:
    texts = [*texts_of(typer.main.get_command(cli.app))]
    texts += [field.description or "" for field in Settings.model_fields.values()]
    texts += [text for facts in CODES.values() for text in (facts.meaning, facts.remedy)]
    assert [text for text in texts if _TRANSLATED.search(text)] == []


def test_hostile_names_are_spelled_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "bad\x1b[31m"
    folder.mkdir()
    for name in ("\x1b]0;owned\x07.jpg", "two\nlines.jpg", "abc\u202egpj.exe.jpg", "[bold]x.jpg"):
        (folder / name).write_bytes(b"x")
    home = ["--home", str(tmp_path / "home")]
    for words in (
        ["submit", str(folder)],
        ["status"],
        ["status", "1"],
        ["failures", "1"],
        ["plan", str(folder), "--no-probe"],
    ):
        cli.run([*words, *home])
        shown = capsys.readouterr()
        assert not _OBEYED.search(shown.out + shown.err), words
    cli.run(["status", "1", *home])
    assert "[bold]x.jpg" in capsys.readouterr().out


def test_hostile_words_on_the_command_line_are_spelled_out(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["\x1b[2J"], ["plan", "\x1b[2J"], ["stages", "\x1b[2J"], ["status", "--\x1b[2J"]):
        cli.run(words)
        shown = capsys.readouterr()
        assert "\x1b" not in shown.out + shown.err


@pytest.mark.parametrize(
    ("text", "shown"),
    [("plain ü", "plain ü"), ("a\nb", "a\\nb"), ("\x1b", "\\x1b"), ("\u202e", "\\u202e"), ("\udcff", "\\udcff")],
)
def test_visible_text(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_numbers_as_people_say_them() -> None:
    shown = [format_duration(seconds) for seconds in (0, 0.4, 59, 61, 3661)]
    assert shown == ["0 s", "less than a second", "59 s", "1 min 01 s", "1 h 01 min"]
    assert [format_size(count) for count in (0, 999, 1500, 2.5e9, 3e12)] == [
        "0 bytes",
        "999 bytes",
        "1.5 kB",
        "2.5 GB",
        "3.00 TB",
    ]


def test_a_line_of_progress_says_items_frames_rate_and_failures() -> None:
    moved = ProgressRow(
        items_total=10, items_pending=1, items_running=2, items_done=4, items_failed=2, items_quarantined=1,
        items_cancelled=0, frames_total=100, frames_done=40, bytes_out=0, frames_per_second=2.0, eta_seconds=30.0,
    )  # fmt: skip
    assert progress_line(moved) == "7/10 items · 40/100 frames · 2.0 frames/s · 30 s to go · 3 failed"


def test_the_pace_is_the_mean_of_what_came() -> None:
    assert pace_line(0, 3.0) == ""
    assert pace_line(1, 4.0) == " · 1 frame in 4 s, 0.2/s"
    assert pace_line(387, 12.9) == " · 387 frames in 13 s, 30.0/s"
