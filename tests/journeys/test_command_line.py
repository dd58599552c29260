"""The installed command as people use it: in processes of its own, interrupted, killed, and fed with no media."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from db import progress, session
from db.settings import Settings
from orchestrator import cli
from tests.journeys.house import film, photo
from tests.support import servers
from tests.support.servers import wait_until

REELWRIGHT = str(Path(sys.executable).parent / "reelwright")
QUICK = {
    "REELWRIGHT_DEVICE": "cpu",
    "REELWRIGHT_BATCH_FRAMES": "4",
    "REELWRIGHT_TICK_SECONDS": "0.1",
    "REELWRIGHT_BACKOFF_SECONDS": "0.5",
}
SLOW = "recipe:\n  - trap: {seconds: 0.2}\noutputs: [master, scores]\n"


@dataclass
class Person:
    """Somebody at a shell, with a home and a few variables of their own."""

    home: Path
    variables: dict[str, str] = field(default_factory=dict)
    begun: list[subprocess.Popen[str]] = field(default_factory=list)

    def begin(self, *words: object, **how: Any) -> subprocess.Popen[str]:
        """Start a command and do not wait for it."""
        command = [REELWRIGHT, "--home", str(self.home), *map(str, words)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | how
        started = subprocess.Popen(command, env=os.environ | QUICK | self.variables, text=True, **pipes)
        self.begun.append(started)
        return started

    def run(self, *words: object, code: int = 0, here: bool = False) -> str:
        """Run a command to its end; returns all that it said.

        Args:
            words: The command.
            code: What it must exit with.
            here: Whether in this process. Loading takes a new one a second, which is better spent on a command that no
                other test starts.
        """
        ended, said = self._run_here(*words) if here else self._run_apart(*words)
        assert ended == code, said
        assert "Traceback" not in said
        return said

    def _run_apart(self, *words: object) -> tuple[int, str]:
        command = self.begin(*words, stderr=subprocess.STDOUT)
        said, _ = command.communicate(timeout=120)
        return command.returncode, said

    def _run_here(self, *words: object) -> tuple[int, str]:
        said = io.StringIO()
        with pytest.MonkeyPatch.context() as patched, redirect_stdout(said), redirect_stderr(said):
            for name, text in (QUICK | self.variables).items():
                patched.setenv(name, text)
            return cli.run(["--home", str(self.home), *map(str, words)]), said.getvalue()

    def ask(self, *words: object, code: int = 0, here: bool = False) -> Any:
        """Run a command with ``--json``; returns its document, the last line where lines of progress go before."""
        said = self.run("--json", *words, code=code, here=here)
        try:
            return json.loads(said)
        except json.JSONDecodeError:
            return [json.loads(line) for line in said.splitlines()][-1]

    def error(self, *words: object, code: int = 2, here: bool = False) -> str:
        """Run a command that is refused; returns the error's code."""
        refused = self.ask(*words, code=code, here=here)["error"]
        assert refused["message"]
        assert refused["remedy"]
        return str(refused["code"])

    def segments(self, job_id: int, name: str) -> list[tuple[int, str | None]]:
        """First frame and outcome of every attempt at a segment; none before there is a home."""
        if not (self.home / "reelwright.db").exists():
            return []
        with session.open_database(Settings(home=self.home)) as database:
            session.check(database)
            rows = progress.attempts(database, job_id, name)
        return [(row.start_frame, row.outcome) for row in rows if row.kind == "restore"]

    def wait_for_segments(self, count: int, name: str = "film.mkv") -> None:
        """Wait until so many segments of job 1 are restored."""

        def reached() -> bool:
            try:
                return [outcome for _, outcome in self.segments(1, name)].count("done") >= count
            except Exception:  # the command is still making its database and its job
                return False

        wait_until(reached, 60, f"{count} segments are restored")

    def worker_ids(self) -> list[int]:
        """The process ids of all workers that are registered as alive."""
        return [row["pid"] for row in self.ask("status", 1, here=True)["workers"] if row["state"] == "live"]


@pytest.fixture
def person(tmp_path: Path) -> Iterator[Person]:
    someone = Person(tmp_path / "home")
    yield someone
    for command in someone.begun:
        if command.poll() is None:
            command.kill()
        command.communicate()


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    folder = tmp_path / "archive"
    folder.mkdir()
    return folder


def files_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file's bytes and time of change."""
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


def gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has waited for yet counts as ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def at_terminal(person: Person, *words: object) -> tuple[int, str]:
    """Run a command on a terminal of 100 columns; returns its exit code and everything that was drawn."""
    outside, inside = pty.openpty()
    person.variables |= {"COLUMNS": "100", "TERM": "xterm"}
    command = person.begin(*words, stdin=inside, stdout=inside, stderr=inside)
    os.close(inside)
    drawn = b""
    try:
        while part := os.read(outside, 65536):
            drawn += part
    except OSError:  # how Linux says that nobody holds the other end any more
        pass
    os.close(outside)
    return command.wait(), drawn.decode()


# -- the good way -------------------------------------------------------------------------------------------------


def test_a_folder_is_restored_and_nothing_in_it_is_touched(person: Person, archive: Path, tmp_path: Path) -> None:
    photo(archive / "boy.png"), photo(archive / "sea.jpg", 2), film(archive / "film.mkv", 16)
    (archive / "notes.txt").write_text("not for us")
    before = files_of(archive)
    planned = person.ask("plan", archive)
    assert (planned["lines"], planned["frames"], planned["problem_count"]) == (3, 18, 0)
    out = tmp_path / "out"
    code, drawn = at_terminal(person, "run", archive, "--out", out, "--workers", 1, "--segment-frames", 8)
    assert code == 0, drawn
    assert "3/3 items" in drawn
    assert "/18 frames" in drawn  # the bar
    assert "Files of other kinds were passed over: txt (1)" in drawn
    assert f"results  {out}" in drawn
    assert "luma_psnr" in drawn
    assert files_of(archive) == before
    put_out = {path.name for path in out.iterdir()}
    assert put_out == {
        "boy.png", "boy.scores.npz", "sea.jpg", "sea.scores.npz", "film.mkv", "film.access.mp4", "film.framemd5",
        "film.scores.parquet", "film.dirt.mask.mkv", "film.scratch.mask.mkv", "report.csv", "report.json",
    }  # fmt: skip

    again = person.run("run", archive, "--out", out)
    assert "This manifest is already job 1; --new submits it again." in again
    assert [item["state"] for item in person.ask("status", 1)["items"]] == ["done"] * 3
    assert person.ask("failures", 1) == []
    assert person.ask("get", 1, "--item", "film.mkv", "--out", tmp_path / "one")["items"] == 1
    assert person.ask("watch", 1)["job"]["state"] == "done"
    assert person.ask("doctor")["healthy"]
    assert person.error("run", archive, "--out", archive) == "OUTPUT_ON_SOURCE"
    assert files_of(archive) == before
    assert person.error("pause", 1, code=4) == "WRONG_STATE"
    assert person.ask("rerun", 1, "--item", "boy.png", "--recipe", "identity")["items"] == 1
    assert person.ask("cancel", 1)["state"] == "cancelled"


# -- what happens on the way --------------------------------------------------------------------------------------


def test_an_interrupted_and_a_killed_run_go_on_where_they_were(person: Person, archive: Path, tmp_path: Path) -> None:
    film(archive / "film.mkv", 40)
    recipe = tmp_path / "slow.yaml"
    recipe.write_text(SLOW)
    command = ("run", archive, "--recipe", recipe, "--workers", 1, "--segment-frames", 8)

    interrupted = person.begin(*command)
    person.wait_for_segments(1)
    workers = person.worker_ids()
    interrupted.send_signal(signal.SIGINT)
    said, complained = interrupted.communicate(timeout=40)
    assert interrupted.returncode == 130, complained
    assert "The same command continues" in said
    assert complained == ""
    assert len(workers) == 1
    assert all(map(gone, workers))

    killed = person.begin(*command)
    person.wait_for_segments(2)
    workers = person.worker_ids()
    killed.kill()
    killed.wait()
    wait_until(lambda: all(map(gone, workers)), 10, "the workers of a killed run end by themselves")

    assert "Job 1 is done" in person.run(*command)
    outcomes = person.segments(1, "film.mkv")
    assert sorted(start for start, outcome in outcomes if outcome == "done") == [0, 8, 16, 24, 32]
    assert {outcome for _, outcome in outcomes} <= {"done", "released", "lost"}


@pytest.fixture
def heard() -> Iterator[None]:
    """Have programs that are begun hear the end of a terminal, although `nohup make test` asks them not to."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_is_told_to_end_hands_its_work_back_and_leaves_nothing_in_scratch(
    person: Person, archive: Path, tmp_path: Path, number: signal.Signals
) -> None:
    film(archive / "film.mkv", 40)
    (tmp_path / "slow.yaml").write_text(SLOW)
    ended = person.begin("run", archive, "--recipe", tmp_path / "slow.yaml", "--workers", 1, "--segment-frames", 8)
    person.wait_for_segments(1)
    workers = person.worker_ids()
    ended.send_signal(number)
    said, complained = ended.communicate(timeout=40)
    assert (ended.returncode, complained) == (130, "")
    assert "The same command continues" in said
    assert all(map(gone, workers))
    assert {outcome for _, outcome in person.segments(1, "film.mkv")} <= {"done", "released"}
    assert list((person.home / "scratch").iterdir()) == []


def test_people_at_other_shells_speak_with_a_run_that_works(person: Person, archive: Path, tmp_path: Path) -> None:
    film(archive / "film.mkv", 200)
    (archive / "broken.jpg").write_text("no picture")
    photo(archive / "sea.jpg")
    recipe = tmp_path / "slow.yaml"
    recipe.write_text(SLOW)
    command = ("run", archive, "--recipe", recipe, "--workers", 1, "--segment-frames", 4)

    first = person.begin(*command)
    person.wait_for_segments(1)
    assert person.error(*command, code=4) == "HOME_IN_USE"
    (worker,) = person.worker_ids()
    os.kill(worker, signal.SIGKILL)
    assert person.ask("status", 1, here=True)["job"]["state"] == "running"
    assert [row["code"] for row in person.ask("failures", 1, here=True)] == ["UNKNOWN_FORMAT"]
    assert person.ask("rerun", 1, here=True)["items"] == 1
    assert person.ask("get", 1, "--out", tmp_path / "half", here=True)["files"] >= 1
    watcher = person.begin("watch", 1)
    person.wait_for_segments(3)
    wait_until(lambda: worker not in person.worker_ids(), 20, "the run notices that its worker died")
    assert person.ask("pause", 1)["state"] == "paused"
    said, complained = first.communicate(timeout=40)
    assert (first.returncode, complained) == (1, "")
    assert "paused: paused by a person" in said
    assert watcher.wait(20) == 1

    second = person.begin(*command)
    wait_until(lambda: person.ask("status", 1, here=True)["job"]["state"] == "running", 60, "the second run goes on")
    assert person.ask("cancel", 1, here=True)["state"] == "cancelled"
    said, complained = second.communicate(timeout=40)
    assert (second.returncode, complained) == (1, "")
    (told,) = [line for line in said.splitlines() if line.startswith("Job 1 is cancelled: ")]
    assert re.search(r"\d cancelled( |$)", told)
    assert "film.mkv" in (person.home / "results" / "job-1" / "report-failed.csv").read_text()


def test_a_paused_job_is_resumed_by_another_shell_and_a_dead_worker_is_replaced(
    person: Person, archive: Path, tmp_path: Path
) -> None:
    film(archive / "film.mkv", 24)
    recipe = tmp_path / "once.yaml"
    recipe.write_text(f"recipe:\n  - trap: {{frame: 12, action: kill_once, flag: {tmp_path / 'flag'}}}\n")
    person.ask("submit", archive, "--recipe", recipe, "--segment-frames", 8)
    person.ask("pause", 1, here=True)
    assert person.ask("resume", 1)["state"] == "running"
    done = person.ask("run", "--job", 1, "--workers", 1)
    assert done["job"]["state"] == "done"
    assert (tmp_path / "flag").exists()
    assert sorted(person.segments(1, "film.mkv")) == [(0, "done"), (8, "done"), (8, "lost"), (16, "done")]


# -- what is no media ---------------------------------------------------------------------------------------------

SPELLED = ("./new%0Aline.png", "./red%1B[31m%1B]0;title%07.png")
"""Ids of the first two of the following."""
HOSTILE = ("new\nline.png", "red\x1b[31m\x1b]0;title\x07.png", "\u202egnp.exe.png", "-rf.png", "n" * 200 + ".png")


def huge_png(side_px: int) -> bytes:
    """A whole PNG file whose header promises far more than there is."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", side_px, side_px, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(10_000_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def spoil(archive: Path, outside: Path) -> dict[str, str]:
    """Fill a folder with what can be wrong; returns the code that each file must get."""
    photo(outside / "secret.png")
    photo(archive / "whole.png")
    film(archive / "whole.mkv", 24)
    for name in HOSTILE:
        photo(archive / name)
    (archive / "half.png").write_bytes((archive / "whole.png").read_bytes()[:1500])
    cut = (archive / "whole.mkv").read_bytes()
    (archive / "half.mkv").write_bytes(cut[: len(cut) * 2 // 3])
    (archive / "empty.jpg").touch()
    (archive / "text.jpg").write_text("Dear sir, enclosed please find no picture at all.\n" * 20)
    (archive / "bomb.png").write_bytes(huge_png(100_000))
    (archive / "large.png").write_bytes(huge_png(1100))
    (archive / "link.png").symlink_to(outside / "secret.png")
    return {
        "half.png": "TRUNCATED", "half.mkv": "TRUNCATED", "empty.jpg": "ZERO_BYTE", "text.jpg": "UNKNOWN_FORMAT",
        "bomb.png": "BAD_HEADER", "large.png": "TOO_LARGE",
        "link.png": "PATH_UNSAFE",
    }  # fmt: skip


def test_whatever_is_wrong_has_a_code_and_a_remedy_and_the_rest_is_done(
    person: Person, archive: Path, tmp_path: Path
) -> None:
    expected = spoil(archive, tmp_path)
    person.variables["REELWRIGHT_MAX_PIXELS"] = "1000000"
    lines = [{"uri": name} for name in (*sorted(expected), "gone.png", "../secret.png", "whole.png", "whole.mkv")]
    lines += [{"id": "evil\x1b[2J", "uri": "whole.png"}, {"id": "odd", "uri": "boy.png", "recipe": "colourise"}]
    (archive / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)))
    said = person.run("run", archive, "--recipe", "identity", "--workers", 1, code=1)
    failed = {row["id"]: row for row in person.ask("failures", 1, here=True)}
    assert {name: failed[name]["code"] for name in expected} == expected
    assert failed.keys() == expected.keys()
    assert all(row["message"] and row["remedy"] for row in failed.values())
    done = {item["external_id"] for item in person.ask("status", 1, "--state", "done", here=True)["items"]}
    assert done == {"whole.png", "whole.mkv", r"\u202egnp.exe.png", *SPELLED, *HOSTILE[3:]}
    assert said.replace("\n", "").isprintable()
    assert person.run("status", 1).replace("\n", "").isprintable()
    assert person.run("failures", 1).replace("\n", "").isprintable()
    names = [path.name for path in (person.home / "results" / "job-1").iterdir()]
    assert all(name.isprintable() and not name.startswith("-") for name in names)

    person.run("submit", archive / "manifest.jsonl", "--recipe", "identity", here=True)
    codes = {row["line"]: row["code"] for row in person.ask("failures", 2, here=True)}
    assert [codes[number] for number in (8, 9, 12, 13)] == [
        "FILE_MISSING", "PATH_UNSAFE", "BAD_VALUE", "UNKNOWN_RECIPE",
    ]  # fmt: skip
    assert person.error("submit", archive / "manifest.jsonl", "--strict", here=True) in codes.values()
    (archive / "broken.yaml").write_text("- uri: whole.png\n- {uri: [whole.mkv\n")
    assert person.error("run", archive / "broken.yaml", here=True) == "MANIFEST_UNREADABLE"
    (archive / "recipe.yaml").write_text("recipe:\n  - denoyse: {}\n")
    assert person.error("run", archive, "--recipe", archive / "recipe.yaml", here=True) == "UNKNOWN_STAGE"
    assert person.error("plan", archive / "nothing\x1b[2J.csv") == "MANIFEST_UNREADABLE"


# -- servers ------------------------------------------------------------------------------------------------------


@contextmanager
def serving(person: Person, *words: object) -> Iterator[subprocess.Popen[str]]:
    """A command that serves; told to stop, it must leave in order and within seconds."""
    service = person.begin(*words, stderr=subprocess.STDOUT)
    try:
        yield service
    finally:
        service.send_signal(signal.SIGTERM)
        said, _ = service.communicate(timeout=40)
    assert service.returncode == 0, said
    assert "Traceback" not in said


def test_the_house_on_servers_from_schema_to_results(
    tmp_path: Path, archive: Path, postgres: servers.Postgres, redis: servers.Redis, s3: servers.S3
) -> None:
    photo(archive / "boy.png"), film(archive / "film.mkv", 16)
    variables = {
        "database_url": postgres.new_database(), "broker_url": redis.url(3), "store_uri": "s3://shell/archive",
        **s3.settings, "slots": "1",
    }  # fmt: skip
    person = Person(tmp_path / "home", {f"REELWRIGHT_{name.upper()}": text for name, text in variables.items()})
    assert person.error("status", code=4, here=True) == "DATABASE_OUTDATED"
    assert person.error("submit", archive, code=4, here=True) == "DATABASE_OUTDATED"
    assert person.ask("db", "upgrade") == person.ask("db", "check", here=True)
    with serving(person, "orchestrate"), serving(person, "worker"):
        assert person.ask("submit", archive, "--segment-frames", 8)["lines"] == 2
        assert person.ask("watch", 1, here=True)["job"]["state"] == "done"
        seen = person.ask("doctor", here=True)
        assert seen["healthy"]
        assert {row["what"]: row["detail"] for row in seen["findings"]}["workers"].startswith("1 alive")
        workers = person.worker_ids()
        found = person.ask("get", 1, "--out", tmp_path / "out", here=True)
        assert found["items"] == 2
        assert (tmp_path / "out" / "film.mkv").stat().st_size > 1000
    assert all(map(gone, workers))
    assert person.worker_ids() == []
