"""What people and programs see: lines, tables, JSON, progress.

Whatever comes from a manifest or a file name passes ``visible``, so no terminal ever obeys it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from db.errors import ReelwrightError
from orchestrator.terminal_text import json_text, visible
from orchestrator.wording import format_duration, pace_line, progress_line, to_json

if TYPE_CHECKING:
    from db.progress import ProgressRow

LINE_SECONDS = 5.0
"""Pause between lines of progress where there is no terminal to draw on."""
CELL_CHARS = 60
"""Widest cell of a table, but for its last column."""
EVENT_SECONDS = 1.0
"""Pause between JSON lines of progress."""


class Terminal:
    """One command's way of speaking: to a person, or as JSON to a program."""

    def __init__(self, *, as_json: bool) -> None:
        """Choose the listener."""
        self.as_json = as_json
        self._in_lines = False

    def say(self, text: str = "") -> None:
        """Tell a person a line; a program is not told."""
        if not self.as_json:
            print("\n".join(visible(line) for line in text.split("\n")))

    def document(self, value: Any) -> None:
        """Give a program the command's one JSON document, on one line if lines went before; a person is not told."""
        if self.as_json:
            print(json_text(to_json(value), indent=None if self._in_lines else 2))

    def event(self, value: Any) -> None:
        """Give a program one line of JSON while a command goes on."""
        if self.as_json:
            self._in_lines = True
            print(json_text(to_json(value)), flush=True)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Show a person a table; only the last column is as wide as it likes."""
        if self.as_json:
            return
        cells = [[*(_shorten(visible(str(cell))) for cell in row[:-1]), visible(str(row[-1]))] for row in rows]
        widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
        for row in [[name.upper() for name in columns], *cells]:
            padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
            print("  ".join(padded).rstrip())

    def fail(self, error: ReelwrightError, **more: Any) -> None:
        """Say what went wrong: in red on standard error, or as the one JSON document, the last line of several."""
        if self.as_json:
            self._in_lines = True  # whatever another terminal of this process may have said before
            facts = {"code": error.code, "message": error.message, "remedy": error.remedy, **more}
            self.document({"error": facts})
            return
        red, normal = ("\033[31m", "\033[0m") if sys.stderr.isatty() else ("", "")
        with suppress(OSError):  # nobody hears it; the exit code says it too
            print(f"{red}{error.code}: {visible(error.message)}{normal}\n{visible(error.remedy)}", file=sys.stderr)

    @contextmanager
    def show_count(self, what: str, total: int | None = None, *, timed: bool = False) -> Iterator[Counter]:
        """Show a count that grows, with its rate and, if the total is or becomes (``timed``) known, the time to go."""
        has_total = total is not None
        share = " of {task.total}" if has_total or timed else ""
        text = f"{what}: {{task.completed}}{share} · {{task.fields[rate]}}"
        with _progress_bar(self, text, total, timed=has_total or timed) as bar:
            yield Counter(self, what, total, bar)

    @contextmanager
    def show_progress(self) -> Iterator[Follower]:
        """Show a job's progress as it moves."""
        with _progress_bar(self, "{task.description}", None) as bar:
            yield Follower(self, bar)


class Counter:
    """A count on the terminal."""

    def __init__(self, terminal: Terminal, what: str, total: int | None, bar: Any) -> None:
        """Begin at nothing."""
        self._terminal, self._what, self._total, self._bar = terminal, what, total, bar
        self._begun = self._told = time.monotonic()

    def __call__(self, count: int) -> None:
        """Take the count as it stands now."""
        self._show(count)

    def update(self, count: int, total: int) -> None:
        """Take the count, and the total as it has become known."""
        if self._bar is not None and total != self._total:
            self._bar.update(0, total=total)
        self._total = total
        self._show(count)

    def _show(self, count: int) -> None:
        seconds = max(1e-6, time.monotonic() - self._begun)
        rate = f"{count / seconds:,.{0 if count > 10 * seconds else 1}f}/s" if count else ""
        if self._bar is not None:
            self._bar.update(0, completed=count, rate=rate)
        elif time.monotonic() - self._told >= (EVENT_SECONDS if self._terminal.as_json else LINE_SECONDS):
            self._told = time.monotonic()
            time_left = (
                f", {format_duration(seconds / count * (self._total - count))} to go" if self._total and count else ""
            )
            counted = f"{count} of {self._total}" if self._total else str(count)
            self._terminal.say(f"{self._what}: {counted}{rate and f', {rate}'}{time_left}")


class Follower:
    """A job's progress on the terminal."""

    def __init__(self, terminal: Terminal, bar: Any) -> None:
        """Begin before the first report."""
        self._terminal, self._bar = terminal, bar
        self._told = -float("inf")
        self._begun, self._frames = time.monotonic(), [0, 0]
        self._seen = False

    def pace(self) -> str:
        """Return what :func:`pace_line` says of the frames that came while this followed."""
        return pace_line(self._frames[1] - self._frames[0], max(0.1, time.monotonic() - self._begun))

    def __call__(self, progress: ProgressRow, waits_for: str = "") -> None:
        """Take the progress as it stands now, and what it waits for."""
        self._frames = [self._frames[0] if self._seen else progress.frames_done, progress.frames_done]
        self._seen = True
        line = progress_line(progress) + (f" · waits: {waits_for}" if waits_for else "")
        if self._bar is not None:
            total, done = _bar_position(progress)
            self._bar.update(0, total=total, completed=done, description=visible(line))
        elif time.monotonic() - self._told >= (EVENT_SECONDS if self._terminal.as_json else LINE_SECONDS):
            self._told = time.monotonic()
            self._terminal.event({"progress": progress} | ({"waits_for": waits_for} if waits_for else {}))
            self._terminal.say(line)


def _shorten(text: str) -> str:
    """Cut the middle out of a long text: names of an archive differ at their ends."""
    return (
        text if len(text) <= CELL_CHARS else f"{text[: CELL_CHARS // 3]}…{text[-(CELL_CHARS - CELL_CHARS // 3 - 1) :]}"
    )


def _bar_position(progress: ProgressRow) -> tuple[float, float]:
    """Return total and done for the bar: frames once they are known, else items."""
    if progress.frames_total:
        return progress.frames_total, progress.frames_done
    return max(1, progress.items_total), progress.items_done + progress.items_failed


@contextmanager
def _progress_bar(terminal: Terminal, text: str, total: float | None, *, timed: bool = False) -> Iterator[Any]:
    if terminal.as_json or not sys.stdout.isatty():
        yield None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = [BarColumn(bar_width=30), TextColumn(text, markup=False)]
    with Progress(*columns, *([TimeRemainingColumn()] if timed else []), transient=True) as bar:
        bar.add_task("starting …", total=total, rate="")
        yield bar
