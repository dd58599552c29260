"""The command line: exit codes, JSON, what is imported, what is written into the pages."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import threading
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import bagit
import pytest
import typer.main
from sqlalchemy import update

from db import ledger, progress
from db.errors import CODES, BrokerUnavailable, InputError, ReelwrightError, TransientError
from db.placing import PutError
from db.session import Database
from db.settings import Settings
from db.store import open_store
from db.tables import Job, JobProgress
from orchestrator import cli
from orchestrator.cli import submission
from orchestrator.cli.commands import COMMANDS, Group
from orchestrator.cli.terminal import Terminal
from orchestrator.embedded import lock_home
from orchestrator.exit_codes import BAD_INPUT, FAILURES, FAULT, INTERRUPTED, OK, REFUSED, UNAVAILABLE, exit_code
from orchestrator.submit import SubmitOptions, submit
from tests.support.finished import finish

ROOT = Path(__file__).parents[2]
PIXELS = ("torch", "numpy", "cv2", "av")
HEAVY = (*PIXELS, "celery", "sqlalchemy", "alembic", "boto3")


def test_work_is_submitted_and_looked_at(at_home: Any, archive: Path) -> None:
    code, made = at_home("submit", archive / "m.csv")
    assert (code, made["job_id"], made["bad_lines"]) == (0, 1, 2)
    code, jobs = at_home("status")
    assert (code, jobs[0]["job"]["state"], jobs[0]["progress"]["items_failed"]) == (0, "ready", 2)
    code, job = at_home("status", 1, "--state", "failed")
    assert (code, [item["external_id"] for item in job["items"]]) == (0, ["void", "gone"])
    code, failed = at_home("failures", 1)
    assert code == 0
    assert [(row["id"], row["line"], row["code"]) for row in failed] == [
        ("void", 5, "ZERO_BYTE"),
        ("gone", 6, "FILE_MISSING"),
    ]
    assert all(row["remedy"] for row in failed)


def test_items_are_shown_a_page_at_a_time_by_what_they_are(
    at_home: Any, archive: Path, settings: Settings, home_database: Database
) -> None:
    at_home("submit", archive / "m.csv")
    finish(home_database, 1, "one", {})

    def shown(*words: object) -> tuple[list[str], bool]:
        code, job = at_home("status", 1, *words)
        assert code == 0
        return [item["external_id"] for item in job["items"]], job["more"]

    assert shown("--limit", 2) == (["one", "two"], True)
    assert shown("--limit", 3, "--after", 2) == (["reel", "void", "gone"], False)
    assert shown("--code", "ZERO_BYTE") == (["void"], False)
    assert shown("--text", "O") == (["one", "two", "void", "gone"], False)
    assert shown("--score", "luma_psnr >= 40") == (["one"], False)
    assert shown("--score", "luma_psnr > 40") == ([], False)
    assert at_home("rerun", 1, "--score", "luma_psnr < 50", "--text", "one") == (0, {"job_id": 1, "items": 1})
    assert at_home("status", 1, "--score", "luma_psnr is low")[1]["error"]["code"] == "BAD_VALUE"


def test_a_job_is_paused_resumed_moved_up_rerun_and_cancelled(at_home: Any, archive: Path) -> None:
    at_home("submit", archive / "m.csv")
    assert at_home("pause", 1)[1]["state"] == "paused"
    code, refused = at_home("pause", 1)
    assert (code, refused["error"]["code"]) == (REFUSED, "WRONG_STATE")
    assert at_home("resume", 1)[1]["state"] == "running"
    assert at_home("priority", 1, 7)[1]["priority"] == 7
    (archive / "c.jpg").write_bytes(b"sent at last")
    assert at_home("rerun", 1, "--code", "FILE_MISSING") == (0, {"job_id": 1, "items": 1})
    code, nothing = at_home("rerun", 1, "--item", "one")
    assert (code, nothing["error"]["code"]) == (BAD_INPUT, "NOTHING_SELECTED")
    assert at_home("cancel", 1)[1]["state"] == "cancelled"


def test_watching_ends_with_the_job_and_speaks_in_lines(
    at_home: Any, archive: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    at_home("submit", archive / "m.csv")
    at_home("cancel", 1)
    assert cli.run(["watch", "1", "--json", "--home", str(settings.home)]) == FAILURES
    first, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["progress"]["items_total"] == 5
    assert last["job"]["state"] == "cancelled"


@pytest.mark.parametrize("works", [False, True])
def test_who_watches_is_told_when_nobody_works(
    at_home: Any, archive: Path, settings: Settings, home_database: Database,
    capsys: pytest.CaptureFixture[str], works: bool,
) -> None:  # fmt: skip
    at_home("submit", archive / "m.csv")
    with home_database.write() as connection:  # as a run that ended leaves it
        connection.execute(update(Job).values(state="running"))
        connection.execute(update(JobProgress).values(frames_per_second=2.0))
    if works:
        ledger.register_worker(home_database, ledger.WorkerIdentity("w1", "host", 1, "cpu", "sig", {}))
    over = threading.Timer(0.2, ledger.pause_job, (home_database, 1))
    over.start()
    assert cli.run(["watch", "1", "--json", "--home", str(settings.home)]) == FAILURES
    over.join()
    first, *_ = map(json.loads, capsys.readouterr().out.splitlines())
    assert first.get("waits_for") == (None if works else "no worker is at work; `reelwright run --job 1` goes on")
    assert first["progress"]["eta_seconds"] == (1.0 if works else None)


def test_a_job_that_another_run_keeps_waiting_says_how_to_go_on(
    at_home: Any, archive: Path, settings: Settings, home_database: Database, tmp_path: Path
) -> None:
    (tmp_path / "out place").mkdir()
    words = ("run", archive / "m.csv", "--recipe", "identity", "--out", tmp_path / "out place")
    with lock_home(settings.home):
        code, said = at_home(*words)
    assert (code, said["error"]["code"]) == (REFUSED, "HOME_IN_USE")
    assert said["error"]["message"] == f"Another run or server works in {settings.home}; job 1 waits"
    to_go_on = re.findall(r"`reelwright ([^`]+)`", said["error"]["remedy"])[0]
    assert shlex.split(to_go_on) == [
        "--home", str(settings.home), "run", "--job", "1", "--out", str(tmp_path / "out place"),
    ]  # fmt: skip
    ledger.cancel_job(home_database, 1)  # what is left of it is nothing then
    assert cli.run(shlex.split(to_go_on)) == FAILURES
    assert (tmp_path / "out place" / "report.csv").is_file()


def test_a_dry_run_lists_every_problem_and_writes_nothing(at_home: Any, archive: Path, settings: Settings) -> None:
    code, found = at_home("plan", archive / "m.csv", "--no-probe")
    assert (code, found["lines"], found["good_lines"], found["problem_count"]) == (1, 5, 3, 2)
    assert {each["code"] for each in found["problems"]} == {"ZERO_BYTE", "FILE_MISSING"}
    assert not settings.home.exists()
    (archive / "m.csv").write_text("uri\na.jpg\n")
    assert at_home("plan", archive / "m.csv", "--no-probe")[0] == 0


def test_a_problem_too_long_for_its_table_is_said_in_full_below_it(
    archive: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"{'long-' * 20}the-middle-{'name-' * 20}.jpg"
    (archive / "m.csv").write_text(f"uri\n{name}\ngone.jpg\n")
    cli.run(["--home", str(settings.home), "plan", "--no-probe", str(archive / "m.csv")])
    table, told = capsys.readouterr().out.split("\nLine 2: ", 1)
    assert "the-middle" not in table
    assert told.startswith(repr(f"{archive}/{name}")[:300])


def test_a_strict_refusal_brings_all_problems(at_home: Any, archive: Path) -> None:
    code, refused = at_home("submit", archive / "m.csv", "--strict")
    assert code == BAD_INPUT
    assert [each["line"] for each in refused["error"]["problems"]] == [5, 6]


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense"],
        ["status", "--nope"],
        ["status", "one"],
        ["plan"],
        ["run"],
        ["plan", "absent.csv"],
        ["stages", "denoyse"],
        ["status", "1"],
        ["submit", ".", "--recipe", "old-foto"],
        ["rerun", "1", "--state", "borken"],
        ["rerun", "1", "--item", "a", "--without", "dirt", "--frames", ""],
        ["rerun", "1", "--item", "a", "--without", "dirt", "--region", "0,0,00,4"],
    ],
)
def test_wrong_usage_or_input_leaves_with_2_and_one_document(at_home: Any, words: list[str]) -> None:
    code, said = at_home(*words)
    assert code == BAD_INPUT
    assert said["error"]["code"] in CODES
    assert said["error"]["code"] != "WORKER_FAULT"
    assert said["error"]["message"]
    assert said["error"]["remedy"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("x"), 2),
        (InputError("x", code="WRONG_STATE"), 4),
        (InputError("x", code="HOME_IN_USE"), 4),
        (InputError("x", code="CHECKSUM_MISMATCH"), 1),
        (InputError("x", code="BLOB_MISSING"), 1),
        (InputError("x", code="DATABASE_OUTDATED"), 4),
        (InputError("x", code="WORKER_EXTRA_MISSING"), 3),
        (BrokerUnavailable("x"), 3),
        (TransientError("x"), 3),
        (ReelwrightError("x"), 70),
    ],
)
def test_every_class_of_error_has_its_exit_code(error: ReelwrightError, code: int) -> None:
    assert exit_code(error) == code


def test_an_outdated_or_missing_database_says_so(at_home: Any, settings: Settings) -> None:
    assert at_home("db", "check")[1]["error"]["code"] == "BAD_SETTING"
    settings.home.mkdir()
    (settings.home / "reelwright.db").touch()
    code, said = at_home("db", "check")
    assert (code, said["error"]["code"]) == (REFUSED, "DATABASE_OUTDATED")
    assert at_home("status")[1]["error"]["code"] == "DATABASE_OUTDATED"
    revision = at_home("db", "upgrade")[1]["revision"]
    assert at_home("db", "check") == (0, {"revision": revision})


def test_a_service_that_is_away_leaves_with_3(at_home: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REELWRIGHT_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none?connect_timeout=1")
    code, said = at_home("status")
    assert (code, said["error"]["code"]) == (UNAVAILABLE, "DATABASE_UNAVAILABLE")
    code, seen = at_home("doctor")
    assert (code, seen["healthy"]) == (UNAVAILABLE, False)


def test_a_bag_that_is_not_complete_is_taken_when_that_is_allowed(at_home: Any, archive: Path) -> None:
    bagit.make_bag(str(archive))
    (archive / "fetch.txt").write_text("http://host/x - data/a.jpg\n")
    code, refused = at_home("plan", "--no-probe", archive)
    assert (code, refused["error"]["code"]) == (BAD_INPUT, "FETCH_REFUSED")
    assert at_home("plan", "--no-probe", "--allow-fetch", archive)[1]["lines"] == 4
    code, made = at_home("submit", archive / "bagit.txt", "--allow-fetch")
    assert (code, made["lines"]) == (0, 4)
    assert at_home("status", 1)[1]["job"]["manifest_uri"] == str(archive)


def test_what_cannot_be_put_out_is_said_and_the_rest_is_there(
    at_home: Any, archive: Path, settings: Settings, home_database: Database, tmp_path: Path
) -> None:
    at_home("submit", archive / "m.csv")
    for name in ("one", "two"):
        finish(home_database, 1, name, {"still": open_store(settings).put_bytes(f"jobs/1/{name}/s.png", b"restored")})
    out = tmp_path / "out"
    assert at_home("get", 1, "--out", out)[1]["files"] == 2
    (out / "one.png").unlink()
    (out / "one.png").write_text("mine")
    (out / "two.png").unlink()
    code, refused = at_home("get", 1, "--out", out)
    assert (code, refused["error"]["code"]) == (BAD_INPUT, "ALREADY_THERE")
    assert refused["error"]["message"].startswith("one: ")
    assert (out / "one.png").read_text() == "mine"
    assert (out / "two.png").read_text() == "restored"


def test_each_line_is_shown_with_the_recipe_that_holds_for_it(
    archive: Path, settings: Settings, home_database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    (archive / "m.csv").write_text("uri,recipe\na.jpg,old-photo\nb.png,\n")
    job_id = submit(settings, home_database, archive / "m.csv", SubmitOptions()).job_id

    def shown() -> str:
        assert cli.run(["--home", str(settings.home), "status", str(job_id)]) == OK
        return capsys.readouterr().out

    said = shown()
    assert "recipe conservation (some lines have others), from" in said
    assert re.search(r"^a\.jpg .* old-photo", said, re.MULTILINE)
    assert re.search(r"^b\.png .* conservation", said, re.MULTILINE)
    ledger.cancel_job(home_database, job_id)
    assert cli.run(["--home", str(settings.home), "rerun", str(job_id), "--recipe", "identity"]) == OK
    assert re.search(r"^a\.jpg .* identity", shown(), re.MULTILINE)


@pytest.mark.parametrize("harm", ["changed", "gone"])
def test_of_an_item_whose_master_is_spoilt_nothing_is_put_out(
    at_home: Any, archive: Path, settings: Settings, home_database: Database, tmp_path: Path, harm: str
) -> None:
    job_id = submit(settings, home_database, archive / "m.csv", SubmitOptions()).job_id
    store, out = open_store(settings), tmp_path / "out"
    blobs = {name: store.put_bytes(f"jobs/1/1/r.{name}", b"film") for name in ("framemd5", "master")}
    finish(home_database, job_id, "reel", blobs)
    finish(home_database, job_id, "one", {"still": store.put_bytes("jobs/1/2/s.png", b"restored")})
    path = store.local_path(blobs["master"].key)
    assert path is not None
    path.unlink()
    if harm == "changed":
        path.write_bytes(b"fill")
    code, said = at_home("get", job_id, "--out", out)
    assert (code, said["error"]["code"]) == (FAILURES, "CHECKSUM_MISMATCH" if harm == "changed" else "BLOB_MISSING")
    assert [each.name for each in out.iterdir()] == ["one.png"]


def test_a_run_that_cannot_put_out_everything_reports_nevertheless(
    archive: Path, settings: Settings, home_database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job_id = submit(settings, home_database, archive / "m.csv", SubmitOptions()).job_id
    store, out = open_store(settings), tmp_path / "out"
    finish(home_database, job_id, "one", {"still": store.put_bytes("jobs/1/1/s.png", b"restored")})
    out.mkdir()
    (out / "one.png").write_text("mine")
    (out / "report-failed.csv").write_text("mine")
    with pytest.raises(PutError, match=r"^one: "):
        submission.finish(Terminal(as_json=False), home_database, store, job_id, out, settings.home)
    said = capsys.readouterr().out
    assert "Job 1 is" in said
    assert f"{out / 'report-failed.csv'} --source-root {archive}\n" in said
    assert {path.read_text() for path in (out / "one.png", out / "report-failed.csv")} == {"mine"}
    assert "succeeded" in (out / "report.csv").read_text()


def test_the_doctor_finds_a_fresh_installation_healthy(at_home: Any) -> None:
    code, seen = at_home("doctor")
    assert (code, seen["healthy"]) == (0, True)
    assert {each["what"] for each in seen["findings"]} >= {"python", "database", "broker", "store", "workers"}


@pytest.mark.parametrize("place", [0, 1, 2])
def test_global_options_may_stand_anywhere(
    place: int, settings: Settings, home_database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["status", "--limit=3"]
    words[place:place] = ["--home", str(settings.home), "--json"]
    assert cli.run(words) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_a_fault_of_ours_is_one_line_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, home_database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("of all things")

    monkeypatch.setattr(progress, "jobs", broken)
    assert cli.run(["status", "--home", str(settings.home)]) == FAULT
    said = capsys.readouterr().err
    assert "ZeroDivisionError: of all things" in said
    assert "Traceback" not in said
    monkeypatch.setenv("REELWRIGHT_LOG_LEVEL", "DEBUG")
    cli.run(["status", "--home", str(settings.home)])
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupt_leaves_with_130(
    monkeypatch: pytest.MonkeyPatch, archive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ledger, "open_job", interrupted)
    assert cli.run(["submit", str(archive / "m.csv"), "--home", str(archive / "home")]) == INTERRUPTED
    said = capsys.readouterr().out
    assert "Interrupted" in said
    assert "begin anew" not in said


def test_who_interrupts_the_work_is_told_what_of_it_is_done_again(
    monkeypatch: pytest.MonkeyPatch, archive: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(progress, "useful_workers", interrupted)
    words = ["run", str(archive / "m.csv"), "--recipe", "identity", "--home", str(settings.home)]
    assert cli.run(words) == INTERRUPTED
    _, stays, finished = capsys.readouterr().out.rstrip().rsplit("\n", 2)
    assert stays.startswith("Finished segments of reels stay; those in work begin anew")
    assert finished.startswith("Interrupted.")


def test_help_and_stages_are_there_at_once() -> None:
    script = (
        "import sys; from orchestrator import cli; code = cli.run(sys.argv[1:]);"
        f"loaded = [name for name in {HEAVY} if name in sys.modules]; sys.exit(f'{{code}} {{loaded}}')"
    )
    for words in (["--help"], ["--version"], ["models", "--help"], ["stages"], ["stages", "denoise"]):
        begun = time.monotonic()
        found = subprocess.run(
            [sys.executable, "-c", script, *words], capture_output=True, text=True, cwd=ROOT, check=False
        )
        assert found.stderr.strip() == "0 []"
        assert time.monotonic() - begun < 3.0  # far below on a quiet machine; this one may be busy


def test_the_release_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--version"]) == OK
    assert capsys.readouterr().out == f"reelwright {metadata.version('reelwright')}\n"
    for words in (["--version", "--json"], ["--json", "--version"]):
        assert cli.run(words) == OK
        assert json.loads(capsys.readouterr().out) == {"reelwright": metadata.version("reelwright")}


@pytest.mark.parametrize("words", [["get", "--out", ""], ["get", "--out="], ["backup", ""], ["--home", "", "status"]])
def test_an_empty_path_is_not_the_present_folder(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(words) == BAD_INPUT
    assert "PATH_UNUSABLE: An empty path" in capsys.readouterr().err


def test_no_command_imports_what_touches_pixels_or_a_broker() -> None:
    script = (
        "import importlib, pkgutil, sys; from orchestrator import cli;"
        "[importlib.import_module(f'orchestrator.cli.{each.name}') for each in pkgutil.iter_modules(cli.__path__)];"
        f"sys.exit(str([name for name in {(*PIXELS, 'celery', 'alembic', 'boto3')} if name in sys.modules]))"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    assert found.stderr.strip() == "[]"


def all_commands() -> dict[str, Any]:
    group: Any = typer.main.get_command(cli.app)
    groups = {name: command for name, command in group.commands.items() if hasattr(command, "commands")}
    inner = {f"{name} {each}": one for name, held in groups.items() for each, one in held.commands.items()}
    return dict(group.commands) | inner


def test_every_command_and_option_says_what_it_is_for() -> None:
    for name, command in all_commands().items():
        assert command.help, name
        assert all(getattr(parameter, "help", None) for parameter in command.params), name


def test_the_list_of_commands_says_what_each_command_says_of_itself() -> None:
    entries = dict(COMMANDS) | {
        f"{name} {each}": one
        for name, group in COMMANDS.items()
        if isinstance(group, Group)
        for each, one in group.commands.items()
    }
    assert {name: entry.summary for name, entry in entries.items()} == {
        name: command.help.splitlines()[0] for name, command in all_commands().items()
    }


def test_every_command_shows_an_example_that_it_understands(capsys: pytest.CaptureFixture[str]) -> None:
    for name, command in all_commands().items():
        if hasattr(command, "commands"):
            continue
        words = shlex.split(command.epilog.removeprefix("Example: "))
        depth = 1 + len(name.split())
        assert words[:depth] == ["reelwright", *name.split()]
        command.make_context(name, words[depth:])
        assert cli.run([*name.split(), "--help"]) == 0
        assert re.search(rf"^  {re.escape(command.epilog)}$", capsys.readouterr().out, re.MULTILINE), name


@pytest.mark.parametrize("words", [[], ["models"], ["db"]])
def test_a_group_without_a_command_shows_its_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(words) == BAD_INPUT
    shown = capsys.readouterr()
    assert shown.err.startswith(f"Usage: {' '.join(['reelwright', *words])} [OPTIONS] COMMAND")
    assert "BAD_VALUE" not in shown.err
    assert cli.run([*words, "--json"]) == BAD_INPUT
    assert json.loads(capsys.readouterr().out)["error"]["message"] == "Missing command."


def test_the_list_of_commands_cuts_no_line_short(capsys: pytest.CaptureFixture[str]) -> None:
    cli.run(["--help"])
    shown = capsys.readouterr().out
    assert "..." not in shown.replace("[ARGS]...", "")
    for name, entry in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(entry.summary)}$", shown, re.MULTILINE), name


def test_the_pages_say_what_the_code_says() -> None:
    found = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"],
        capture_output=True, text=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT), "PATH": ""}, check=False,
    )  # fmt: skip
    assert found.stdout == ""
    assert (found.returncode, found.stderr) == (0, "")


def test_the_drawn_states_are_the_tables() -> None:
    from db.states import ITEM_MOVES, JOB_MOVES, TASK_MOVES

    drawings = (ROOT / "docs" / "states.md").read_text().split("stateDiagram-v2")[1:]
    for drawing, moves in zip(drawings, (JOB_MOVES, ITEM_MOVES, TASK_MOVES), strict=True):
        arrows = [line.split(" --> ") for line in drawing.split("```")[0].splitlines() if " --> " in line]
        drawn = {(one.strip(), other.strip()) for one, other in arrows if "[*]" not in one}
        assert drawn == {(one.value, other.value) for one, others in moves.items() for other in others}


def test_every_exit_code_is_documented() -> None:
    page = (ROOT / "docs" / "cli.md").read_text()
    codes = (OK, FAILURES, BAD_INPUT, UNAVAILABLE, REFUSED, FAULT, INTERRUPTED)
    assert all(f"| {code} | " in page for code in codes)


def test_documents_can_be_shown_and_read_back(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"id": "a\u202eb\x9b\U000e0001\u2028", "é": "…"}
    Terminal(as_json=True).document(value)
    shown = capsys.readouterr().out
    assert json.loads(shown) == value
    assert "\\u202e" in shown
    assert "é" in shown
    assert all(char.isprintable() or char == "\n" for char in shown)


def test_doctors_do_not_disturb_one_another(at_home: Any, settings: Settings) -> None:
    store = open_store(settings)
    theirs = store.put_bytes("doctor/another/probe", b"reelwright")
    assert at_home("doctor")[0] == 0
    assert store.read(theirs) == b"reelwright"
    assert list(store.keys("doctor/")) == ["doctor/another/probe"]


@pytest.mark.parametrize(("mode", "said"), [(0o700, "owner alone"), (0o755, "chmod 700")])
def test_the_doctor_tells_who_may_enter_the_home(at_home: Any, settings: Settings, mode: int, said: str) -> None:
    settings.home.mkdir()
    settings.home.chmod(mode)
    (found,) = (each for each in at_home("doctor")[1]["findings"] if each["what"] == "home")
    assert (found["ok"], said in found["detail"]) == (True, True)


@pytest.mark.parametrize(
    "command", ["status", "get 1", "verify 1", "rerun 1", "cancel 1", "priority 1 2", "db upgrade"]
)
def test_no_command_works_on_a_newer_or_a_damaged_database(
    at_home: Any, settings: Settings, home_database: Database, command: str
) -> None:
    with home_database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    code, refused = at_home(*command.split())
    assert (code, refused["error"]["code"]) == (REFUSED, "DATABASE_NEWER")
    home_database.engine.dispose()
    (settings.home / "reelwright.db").write_bytes(b"\xff" * 10_000)
    code, refused = at_home(*command.split())
    assert (code, refused["error"]["code"]) == (REFUSED, "DATABASE_DAMAGED")


@pytest.mark.parametrize("bag", [False, True])
def test_copies_of_closed_results_are_closed(
    at_home: Any, archive: Path, settings: Settings, home_database: Database, tmp_path: Path, bag: bool
) -> None:
    at_home("submit", archive / "m.csv")
    blob = open_store(settings).put_bytes("jobs/1/one/s.png", b"restored", mode=0o400)
    finish(home_database, 1, "one", {"still": blob})
    assert at_home("get", 1, "--out", tmp_path / "out", *(["--bag"] if bag else []))[0] == 0
    (path,) = (tmp_path / "out").rglob("one.png")
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("words", [("failures",), ("get",), ("verify",)])
def test_without_a_number_the_newest_job_is_taken_and_named(
    words: tuple[str, ...],
    settings: Settings,
    home_database: Database,
    archive: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    submit(settings, home_database, archive / "m.csv", SubmitOptions(recipe="identity", name="older"))
    newest = submit(
        settings, home_database, archive / "m.csv", SubmitOptions(recipe="identity", name="newer", new=True)
    )
    code = cli.run([*words, "--home", str(settings.home)])
    assert code in (OK, FAILURES)
    assert f"Job {newest.job_id} newer, the newest." in capsys.readouterr().out


def test_without_any_job_none_is_the_newest(settings: Settings, home_database: Database, at_home: Any) -> None:
    code, said = at_home("failures")
    assert (code, said["error"]["code"]) == (BAD_INPUT, "UNKNOWN_JOB")
