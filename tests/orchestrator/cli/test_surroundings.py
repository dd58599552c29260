"""What a command does where its output has no place, takes little, or where it is told to stop."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from db import session
from db.settings import Settings
from orchestrator import cli, exit_codes
from orchestrator.cli import surroundings

Shell = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def shell(settings: Settings, archive: Path, tmp_path: Path) -> Shell:
    """Run a command in a shell that may redirect what it says; no command ever shows a traceback there."""

    def run(words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        command = f"exec {shlex.quote(sys.executable)} -m reelwright --home {shlex.quote(str(settings.home))} {words}"
        done = subprocess.run(
            ["sh", "-c", command],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            cwd=archive,
            env=os.environ | variables,
        )
        assert "Traceback" not in done.stderr
        assert "Exception ignored" not in done.stderr
        return done

    return run


@pytest.mark.parametrize(
    ("words", "code"),
    [("stages", 3), ("--json stages", 3), ("db upgrade", 3), ("stages absent", 2), ("--json stages absent", 2)],
)
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_behind_standard_output_is_named(shell: Shell, words: str, code: int, unbuffered: str) -> None:
    done = shell(f"{words} >/dev/full", PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == code
    assert done.stderr.startswith("NO_SPACE" if code == 3 else "UNKNOWN_STAGE")
    assert len(done.stderr.splitlines()) == 2


def test_both_streams_may_be_full(shell: Shell) -> None:
    assert shell("stages >/dev/full 2>/dev/full").returncode == 3


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_nobody_elses(shell: Shell, settings: Settings, closed: str) -> None:
    assert shell(f"plan --no-probe m.csv {closed}").returncode == 1
    assert shell(f"submit m.csv {closed}").returncode == 0
    with session.open_database(settings) as database:
        session.check(database)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_what_an_encoding_lacks_is_spelled(shell: Shell, archive: Path, encoding: str) -> None:
    (archive / "…·é").mkdir()
    (archive / "…·é" / "…·é\u202e.png").write_bytes(b"")
    done = shell("plan --no-probe …·é", PYTHONIOENCODING=encoding)
    assert done.returncode == 1
    assert "\\u2026" in done.stdout
    assert "1 line, 0 good" in done.stdout


def test_a_reader_who_leaves_is_no_failure(shell: Shell) -> None:
    assert "PIPE" not in shell("stages | head -1; exit ${PIPESTATUS:-0}").stderr


@pytest.fixture
def _own_signals() -> Iterator[None]:
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_own_signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_to_end_are_taken_as_an_interruption(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    signal.signal(number, signal.SIG_DFL)
    surroundings.heed_signals()
    monkeypatch.setattr(cli, "app", lambda *_, **__: os.kill(os.getpid(), number))
    assert cli.run(["status"]) == exit_codes.INTERRUPTED
    assert "What is finished stays" in capsys.readouterr().out


@pytest.mark.usefixtures("_own_signals")
def test_who_was_told_to_ignore_a_hangup_goes_on() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    surroundings.heed_signals()
    os.kill(os.getpid(), signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
