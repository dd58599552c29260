"""Submitting: what becomes of good and bad lines, of repeats and of broken-off ingests."""

from __future__ import annotations

import errno
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import bagit
import pytest

from db import ledger, progress
from db.errors import ManifestError, RecipeError, StoreUnavailable
from db.session import Database
from db.settings import Settings
from db.states import ItemState, JobState
from db.store import open_store
from orchestrator import manifest as manifests
from orchestrator import submit as submitting
from orchestrator.submit import StrictRefusal, SubmitOptions, submit
from tests.conftest import Schema


def test_bad_lines_become_failed_items_and_the_rest_waits_for_work(
    settings: Settings, home_database: Database, archive: Path
) -> None:
    made = submit(settings, home_database, archive / "m.csv", SubmitOptions())
    assert (made.created, made.lines, made.bad_lines) == (True, 5, 2)
    items = {item.external_id: item for item in progress.items(home_database, made.job_id)}
    assert list(items) == ["one", "two", "reel", "void", "gone"]
    assert items["one"].state is ItemState.PENDING
    assert (items["void"].state, items["void"].code) == (ItemState.FAILED, "ZERO_BYTE")
    assert (items["gone"].state, items["gone"].code) == (ItemState.FAILED, "FILE_MISSING")
    assert items["one"].extra == {"line": 2, "title": "First"}
    job = progress.job(home_database, made.job_id)
    assert (job.state, job.name, job.recipe_name) == (JobState.READY, "m", "conservation")


def test_a_strict_manifest_is_refused_whole_with_all_its_problems(
    settings: Settings, home_database: Database, archive: Path
) -> None:
    with pytest.raises(StrictRefusal) as caught:
        submit(settings, home_database, archive / "m.csv", SubmitOptions(strict=True))
    assert [(found.line, found.code) for found in caught.value.problems] == [(5, "ZERO_BYTE"), (6, "FILE_MISSING")]
    assert progress.jobs(home_database) == []


def test_the_same_manifest_is_the_same_job_until_another_is_asked_for(
    settings: Settings, home_database: Database, archive: Path
) -> None:
    first = submit(settings, home_database, archive / "m.csv", SubmitOptions())
    again = submit(settings, home_database, archive / "m.csv", SubmitOptions())
    assert (again.job_id, again.created, again.lines) == (first.job_id, False, 0)
    other_recipe = submit(settings, home_database, archive / "m.csv", SubmitOptions(recipe="identity"))
    new = submit(settings, home_database, archive / "m.csv", SubmitOptions(new=True))
    (archive / "m.csv").write_text("uri\na.jpg\n")
    changed = submit(settings, home_database, archive / "m.csv", SubmitOptions())
    assert len({first.job_id, other_recipe.job_id, new.job_id, changed.job_id}) == 4


def test_a_folder_is_the_same_job_until_a_file_changes(
    settings: Settings, home_database: Database, archive: Path
) -> None:
    first = submit(settings, home_database, archive, SubmitOptions())
    assert submit(settings, home_database, archive, SubmitOptions()).job_id == first.job_id
    (archive / "a.jpg").write_bytes(b"longer than before")
    assert submit(settings, home_database, archive, SubmitOptions()).job_id != first.job_id


def test_a_broken_off_ingest_goes_on_where_it_stopped(
    settings: Settings, home_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submitting, "CHUNK_LINES", 10)
    path = tmp_path / "many.csv"
    path.write_text("uri\n" + "".join(f"p{number}.jpg\n" for number in range(95)))

    def stop(count: int) -> None:
        if count == 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        submit(settings, home_database, path, SubmitOptions(check_files=False), on_lines=stop)
    (job,) = progress.jobs(home_database)
    assert job.state is JobState.INGESTING
    made = submit(settings, home_database, path, SubmitOptions(check_files=False))
    assert (made.job_id, made.created, made.lines) == (job.id, False, 65)
    names = [item.external_id for item in progress.items(home_database, job.id)]
    assert names == [f"p{number}.jpg" for number in range(95)]
    assert progress.job(home_database, job.id).state is JobState.READY


def test_a_yaml_manifest_that_breaks_off_leaves_no_half_job_behind(
    settings: Settings, home_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.yaml"
    path.write_text("".join(f"- p{number}.jpg\n" for number in range(30)) + "- {broken\n")
    with pytest.raises(ManifestError):
        submit(settings, home_database, path, SubmitOptions(check_files=False))
    assert progress.jobs(home_database) == []
    monkeypatch.setattr(submitting, "CHUNK_LINES", 10)
    with pytest.raises(ManifestError):
        submit(settings, home_database, path, SubmitOptions(check_files=False))
    assert [job.state for job in progress.jobs(home_database)] == [JobState.CANCELLED]


class _Stop(Exception):
    """A fault of ours."""


def _submit_and_stop(settings: Settings, database: Database, path: Path, error: BaseException) -> JobState:
    """Submit a manifest, meet an error after three chunks, and return the state of the job."""

    def stop(count: int) -> None:
        if count == 30:
            raise error

    with pytest.raises(type(error)):
        submit(settings, database, path, SubmitOptions(check_files=False), on_lines=stop)
    return progress.jobs(database)[0].state


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (_Stop("odd \ud800"), JobState.CANCELLED),
        (ManifestError("breaks off"), JobState.CANCELLED),
        (OSError(errno.EIO, "bad disk"), JobState.CANCELLED),
        (OSError(errno.ENOSPC, "full"), JobState.INGESTING),
        (ManifestError("full", code="NO_SPACE"), JobState.INGESTING),
        (StoreUnavailable("away"), JobState.INGESTING),
        (MemoryError(), JobState.INGESTING),
        (KeyboardInterrupt(), JobState.INGESTING),
    ],
)
def test_a_job_is_cancelled_or_goes_on_whatever_stops_its_submission(
    settings: Settings,
    home_database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    state: JobState,
) -> None:
    monkeypatch.setattr(submitting, "CHUNK_LINES", 10)
    path = tmp_path / "many.csv"
    path.write_text("uri\n" + "".join(f"p{number}.jpg\n" for number in range(95)))
    assert _submit_and_stop(settings, home_database, path, error) is state
    (job,) = progress.jobs(home_database)
    assert bool(job.pause_reason) is (state is JobState.CANCELLED)
    again = submit(settings, home_database, path, SubmitOptions(check_files=False))
    assert again.job_id == job.id
    assert again.lines == (0 if state is JobState.CANCELLED else 65)
    if state is JobState.INGESTING:
        assert progress.job(home_database, job.id).state is JobState.READY


def test_a_bad_line_behind_the_first_chunk_costs_itself_alone(
    settings: Settings, home_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submitting, "CHUNK_LINES", 10)
    lines = [f'{{"uri":"p{number}.jpg"}}' for number in range(30)]
    lines[25] = '{"uri":"p25.jpg","recipe":"[!!bool x]"}'
    lines[26] = '{"uri":"p26.jpg","x_\\ud800":{"\\ud800":"\\ud800"}}'
    path = tmp_path / "many.jsonl"
    path.write_text("\n".join(lines))
    made = submit(settings, home_database, path, SubmitOptions(check_files=False))
    assert (made.lines, made.bad_lines) == (30, 1)
    assert progress.job(home_database, made.job_id).state is JobState.READY


def test_submissions_of_one_manifest_at_once_make_one_job_with_every_line_once(
    schema: Schema, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submitting, "CHUNK_LINES", 7)
    path = tmp_path / "many.csv"
    path.write_text("uri\n" + "".join(f"p{number}.jpg\n" for number in range(200)))

    def send(_: int) -> submitting.Submission:
        with schema.open() as database:
            return submit(settings, database, path, SubmitOptions(check_files=False))

    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(send, range(4)))
    assert len({each.job_id for each in made}) == 1
    assert sum(each.lines for each in made) == 200
    assert sum(each.created for each in made) == 1
    with schema.open() as database:
        (job,) = progress.jobs(database)
        assert job.state is JobState.READY
        assert [item.seq for item in progress.items(database, job.id)] == list(range(200))
        assert progress.progress(database, job.id).items_total == 200


def test_a_manifest_in_a_folder_whose_name_is_no_text_is_a_job(
    settings: Settings, home_database: Database, tmp_path: Path
) -> None:
    folder = tmp_path / "bad\udcff"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"x")
    (folder / "m.csv").write_text("uri\na.jpg\n")
    (tmp_path / "link").symlink_to(folder)
    root = f"file://{tmp_path}/bad%FF"
    for place in (folder, folder / "m.csv", folder / "a.jpg", tmp_path / "link", f"{root}/m.csv"):
        made = submit(settings, home_database, place, SubmitOptions())
        assert [item.uri for item in progress.items(home_database, made.job_id)] == [f"{root}/a.jpg"]
        assert progress.job_roots(home_database, made.job_id) == (f"{root}/",)
    assert {job.manifest_uri for job in progress.jobs(home_database)} == {root, f"{root}/m.csv", f"{root}/a.jpg"}


def test_a_name_and_a_tenant_that_are_no_text_are_spelled_out(
    settings: Settings, home_database: Database, archive: Path
) -> None:
    made = submit(settings, home_database, archive / "m.csv", SubmitOptions(name="odd\udcff", tenant="\ud800"))
    job = progress.job(home_database, made.job_id)
    assert (job.name, job.tenant) == ("odd\\udcff", "\\ud800")


def test_a_folder_whose_files_come_and_go_or_cannot_be_listed_is_submitted(
    settings: Settings, home_database: Database, archive: Path
) -> None:
    (archive / "m.csv").unlink()
    (archive / "loop.jpg").symlink_to("loop.jpg")
    first = submit(settings, home_database, archive, SubmitOptions())
    assert (first.lines, first.bad_lines) == (5, 2)
    (archive / "reelwright.db").touch()
    with pytest.raises(ManifestError, match="left out") as caught:
        submit(settings, home_database, archive, SubmitOptions())
    assert caught.value.code == "MANIFEST_EMPTY"


@pytest.mark.parametrize(("text", "code"), [("uri\n", "MANIFEST_EMPTY"), ("", "MANIFEST_UNREADABLE")])
def test_an_empty_manifest_makes_no_job(
    settings: Settings, home_database: Database, tmp_path: Path, text: str, code: str
) -> None:
    path = tmp_path / "m"
    path.write_text(text)
    with pytest.raises(ManifestError) as caught:
        submit(settings, home_database, path, SubmitOptions())
    assert caught.value.code == code
    assert progress.jobs(home_database) == []


def test_an_unknown_recipe_makes_no_job(settings: Settings, home_database: Database, archive: Path) -> None:
    with pytest.raises(RecipeError, match="old-photo"):
        submit(settings, home_database, archive / "m.csv", SubmitOptions(recipe="old-foto"))
    assert progress.jobs(home_database) == []


def test_only_what_was_mended_outside_can_be_rerun(
    settings: Settings, home_database: Database, archive: Path, tmp_path: Path
) -> None:
    path = archive / "m.csv"
    path.write_text("id,uri,fps\none,c.jpg,\ntwo,a.jpg,quick\nthree,../x.jpg,\n")
    made = submit(settings, home_database, path, SubmitOptions())
    assert made.bad_lines == 3
    (archive / "c.jpg").write_bytes(b"sent at last")
    assert ledger.rerun(home_database, made.job_id, ledger.Selection()) == 1
    states = {item.external_id: item.state for item in progress.items(home_database, made.job_id)}
    assert states == {"one": ItemState.PENDING, "two": ItemState.FAILED, "three": ItemState.FAILED}


def test_memory_does_not_grow_with_the_manifest(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "many.jsonl"
    path.write_text("".join(f'{{"id":"i{number}","uri":"p{number}.jpg"}}\n' for number in range(5_000)))
    opened = manifests.open_manifest(path)
    recipe = manifests.recipe_for(opened, None, 1000)
    lines = submitting.validate_lines(settings, opened, recipe, (), check_files=False)
    list(islice(lines, 1000))
    tracemalloc.start()
    for _ in lines:
        pass
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 300 * 4_000  # hashes alone; a dictionary a line would take a kilobyte


def test_digests_of_frames_go_into_the_store_once(settings: Settings, home_database: Database, tmp_path: Path) -> None:
    folder = tmp_path / "bag"
    folder.mkdir()
    for number in range(1, 7):
        (folder / f"f_{number}.dpx").write_bytes(b"x")
    bagit.make_bag(str(folder), checksums=["sha256"])
    refused = submit(settings, home_database, folder, SubmitOptions(strict=True))
    made = submit(settings, home_database, folder, SubmitOptions(new=True))
    assert (refused.bad_lines, made.lines, made.bad_lines) == (0, 1, 0)
    (key,) = open_store(settings).keys("listings/")
    (item,) = progress.items(home_database, made.job_id)
    sha256, _, size = item.extra["listing"].partition(":")
    assert key == f"listings/{sha256}"
    assert int(size) == 6 * len(f"sha256 {'0' * 64} f_1.dpx\n")


def test_a_list_that_was_corrected_makes_another_job(
    settings: Settings, home_database: Database, archive: Path
) -> None:
    (archive / "metadata").mkdir()
    (archive / "metadata" / "metadata.csv").write_text("filename\nobjects/a.jpg\n")
    sums = archive / "metadata" / "checksum.md5"
    jobs = set()
    for digest in ("0" * 32, "0" * 32, "1" * 32):
        sums.write_text(f"{digest}  objects/a.jpg\n")
        jobs.add(submit(settings, home_database, archive / "metadata" / "metadata.csv", SubmitOptions()).job_id)
    assert len(jobs) == 2


def test_a_bag_with_a_list_of_what_to_fetch_makes_no_job(
    settings: Settings, home_database: Database, archive: Path
) -> None:
    bagit.make_bag(str(archive))
    (archive / "fetch.txt").write_text("http://host/x - data/a.jpg\n")
    with pytest.raises(ManifestError) as caught:
        submit(settings, home_database, archive, SubmitOptions())
    assert caught.value.code == "FETCH_REFUSED"
    allowed = settings.model_copy(update={"allow_fetch": True})
    assert submit(allowed, home_database, archive, SubmitOptions()).lines == 4


def test_a_job_that_was_made_before_a_root_was_allowed_says_so(
    settings: Settings, home_database: Database, archive: Path, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    allowing = settings.model_copy(update={"source_roots": (str(tmp_path / "other"), str(archive))})
    first = submitting.submit(settings, home_database, archive / "m.csv", SubmitOptions())
    assert first.notes == ()
    again = submitting.submit(allowing, home_database, archive / "m.csv", SubmitOptions())
    assert (again.job_id, len(again.notes)) == (first.job_id, 1)
    assert f"before {tmp_path / 'other'} was allowed" in again.notes[0]
    anew = submitting.submit(allowing, home_database, archive / "m.csv", SubmitOptions(new=True))
    assert (anew.job_id == first.job_id, anew.notes) == (False, ())
