"""The completion report, and results put out."""

from __future__ import annotations

import csv
import json
import os
import re
from pathlib import Path

import bagit
import opentimelineio
import pytest
from sqlalchemy import insert, select

from db import ledger, progress
from db.errors import InputError
from db.placing import PutError
from db.session import Database
from db.settings import Settings
from db.states import Verdict
from db.store import open_store
from db.store.base import Store
from db.tables import Item, Review
from orchestrator.manifest.cells import original
from orchestrator.on_demand.dry_run import dry_run
from orchestrator.results import export as exporting
from orchestrator.results.export import check_folder, export, safe_path
from orchestrator.results.report import write_report
from orchestrator.submit import SubmitOptions, submit
from tests.support.finished import finish


@pytest.fixture
def store(settings: Settings) -> Store:
    return open_store(settings)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_report_says_what_became_of_every_line(
    settings: Settings, home_database: Database, store: Store, archive: Path, tmp_path: Path
) -> None:
    job_id = submit(settings, home_database, archive / "m.csv", SubmitOptions()).job_id
    facts = {"sha256": "5" * 64, "recipe_fingerprint": "f" * 64, "digital_source_type": "algorithmicallyEnhanced"}
    finish(home_database, job_id, "one", {"still": store.put_bytes("jobs/1/x/one.jpg", b"restored")}, facts)
    report = write_report(home_database, job_id, tmp_path / "out")
    rows = {row["id"]: row for row in _rows(report.csv_path)}
    assert (rows["one"]["task_status"], rows["one"]["http_status_code"]) == ("succeeded", "200")
    assert rows["one"]["title"] == "First"
    assert (rows["one"]["x_sha256"], rows["one"]["x_recipe_sha256"]) == ("5" * 64, "f" * 64)
    assert rows["one"]["x_source_type"] == "algorithmicallyEnhanced"
    assert (rows["one"]["outputs"], rows["one"]["x_outputs"]) == ("master access scores masks", "still")
    assert rows["two"]["x_outputs"] == ""
    assert (rows["gone"]["error_code"], rows["gone"]["http_status_code"]) == ("FILE_MISSING", "404")
    assert rows["two"]["task_status"] == "pending"
    summary = json.loads(report.json_path.read_text())
    assert summary["bytes_out"] == 8
    assert {entry["code"]: entry["items"] for entry in summary["failed"]} == {"ZERO_BYTE": 1, "FILE_MISSING": 1}
    assert report.mean_scores == {"luma_psnr": 40.0}


def test_the_failed_part_is_a_manifest_that_asks_for_the_same_again(
    settings: Settings, home_database: Database, archive: Path
) -> None:
    lines = [
        '{"id":"s","uri":".","sequence":{"prefix":"f","suffix":".dpx","start":1,"end":3},"missing":"hold","fps":"50/3"}',
        '{"id":"m","uri":"a2.jpg","md5":"00000000000000000000000000000007","recipe":[{"deflicker":{"strength":0.25}}]}',
        '{"id":"d","uri":"b2.mkv","params":{"accept_damaged":true},"outputs":["master"],"x_box":"=7, \\"it\\""}',
        '{"id":"u","uri":"../escape.jpg"}',
    ]
    path = archive / "m.jsonl"
    path.write_text("\n".join(lines))
    first = submit(settings, home_database, path, SubmitOptions(recipe="identity"))
    report = write_report(home_database, first.job_id, settings.home / "results" / "job-1")
    assert report.failed_path is not None
    again = submit(settings, home_database, report.failed_path, SubmitOptions(recipe="identity"))

    def told(job_id: int) -> list[tuple[object, ...]]:
        with home_database.read() as connection:
            wanted = select(Item.external_id, Item.source_json, Item.recipe_json, Item.error_code)
            found = connection.execute(wanted.where(Item.job_id == job_id).order_by(Item.seq)).all()
        return [tuple(row) for row in found]

    def steps(recipe_json: str | None) -> object:
        return recipe_json and {key: value for key, value in json.loads(recipe_json).items() if key != "name"}

    before, after = told(first.job_id), told(again.job_id)
    assert [row[0] for row in before] == [row[0] for row in after] == ["s", "m", "d", "u"]
    assert [row[1] for row in before] == [row[1] for row in after]
    assert [steps(row[2]) for row in before] == [steps(row[2]) for row in after]  # type: ignore[arg-type]
    assert [row[3] for row in before] == [row[3] for row in after]
    assert before[3][3] == "PATH_UNSAFE"


def test_what_archives_manifests_say_comes_through_the_report(
    settings: Settings, home_database: Database, archive: Path
) -> None:
    """Every field of a source: a job of the failed part is given what the first one was."""
    root = archive / "bag"
    (root / "reel").mkdir(parents=True)
    for number in range(1, 7):
        (root / "reel" / f"f_{number}.dpx").write_bytes(b"x")
    (root / "reel.wav").write_bytes(b"x")
    bagit.make_bag(str(root), checksums=["sha3_256", "md5"])
    (root / "data" / "reel" / "f_3.dpx").unlink()  # so that it fails
    own = archive / "m.jsonl"
    own.write_text(
        '{"id":"t","uri":"gone.mkv","span":"3-9","timecode":"01:00:00;02","transfer":"log","sound":"gone.wav",'
        '"sound_checksum":"md5:00000000000000000000000000000007"}\n'
        '{"id":"v","uri":"s3://bucket/a.mkv","version_id":"3HL4","fps":"fast"}\n'
        '{"id":"s","uri":".","sequence":{"prefix":"f","suffix":".dpx","start":1,"end":30},"span":"3-9","fps":16}\n'
    )

    def told(job_id: int) -> list[object]:
        with home_database.read() as connection:
            wanted = select(Item.source_json).where(Item.job_id == job_id, Item.external_id.not_like("line-%"))
            wanted = wanted.where(Item.state == "failed")
            return [source and json.loads(source) for source in connection.scalars(wanted.order_by(Item.seq))]

    transfer = archive / "metadata"
    transfer.mkdir()
    (transfer / "metadata.csv").write_text("filename,dc.title\nobjects/film.mkv,A film\nobjects/gone.mkv,Gone\n")
    allowing = settings.model_copy(update={"source_roots": ("s3://bucket",)})
    for number, manifest in enumerate((root, own, transfer / "metadata.csv")):
        first = submit(allowing, home_database, manifest, SubmitOptions())
        report = write_report(home_database, first.job_id, settings.results(first.job_id))
        assert report.failed_path is not None
        again = submit(settings, home_database, report.failed_path, SubmitOptions())
        before, after = told(first.job_id), told(again.job_id)
        assert before == after
        assert any(before)
        if number == 2:
            assert before[0]["uri"] == str(archive / "gone.mkv")  # type: ignore[index]
        elif number:
            assert before[0]["span"] == [3, 10]  # type: ignore[index]
        else:
            assert before[0]["listing"]["key"].startswith("listings/")  # type: ignore[index]
            assert before[0]["sound_checksum"].keys() == {"md5", "sha3_256"}  # type: ignore[index]


def test_each_line_of_the_failed_part_names_the_recipe_that_held(
    settings: Settings, home_database: Database, archive: Path
) -> None:
    """Submitted under no recipe at all, or under another one, it asks for the same."""
    own = archive / "own.yaml"
    own.write_text("recipe:\n  - deflicker: {strength: 0.25}\noutputs: [scores]\nbad_frames: black\n")
    (archive / "m.csv").write_text(
        "uri,recipe,outputs\n1.jpg,,\n2.jpg,conservation,\n3.jpg,conservation,scores\n4.jpg,,access\n"
    )

    def wanted(job_id: int) -> list[str]:
        job = progress.job(home_database, job_id)
        return [(item.recipe or job.recipe).fingerprint() for item in progress.items(home_database, job_id)]

    for number, name in enumerate((str(own), "silent-film")):
        first = submit(settings, home_database, archive / "m.csv", SubmitOptions(recipe=name)).job_id
        report = write_report(home_database, first, settings.home / "results" / f"job-{number}")
        assert report.failed_path is not None
        again = submit(settings, home_database, report.failed_path, SubmitOptions()).job_id
        assert wanted(again) == wanted(first)
        assert len(set(wanted(again))) == 4
    recipes = [row["recipe"] for row in _rows(report.failed_path)]
    assert recipes == ["silent-film", "conservation", "conservation", "silent-film"]


def test_a_shipped_recipe_keeps_its_name_though_its_weights_are_pinned(
    settings: Settings, home_database: Database, archive: Path
) -> None:
    (archive / "m.csv").write_text("uri,recipe\na.jpg,\nb.png,old-film\n")
    job_id = submit(settings, home_database, archive / "m.csv", SubmitOptions(recipe="old-photo")).job_id
    held = [item.recipe for item in progress.items(home_database, job_id)]
    assert held[1] is not None
    assert any(step.pins for step in held[1].steps)
    report = write_report(home_database, job_id, settings.results(job_id))
    assert [row["recipe"] for row in _rows(report.csv_path)] == ["old-photo", "old-film"]


def test_the_tar_files_of_a_sequence_are_one_output_in_the_report(
    settings: Settings, home_database: Database, store: Store, archive: Path
) -> None:
    job_id = submit(settings, home_database, archive / "m.csv", SubmitOptions()).job_id
    parts = {f"sequence-{number:06}": store.put_bytes(f"jobs/1/x/{number}.tar", b"tar") for number in range(2)}
    finish(home_database, job_id, "one", {"timeline": store.put_bytes("jobs/1/x/t", b"page"), **parts})
    rows = {row["id"]: row for row in _rows(write_report(home_database, job_id, settings.results(job_id)).csv_path)}
    assert rows["one"]["x_outputs"] == "sequence"


def test_a_job_without_failures_leaves_no_failed_part(
    settings: Settings, home_database: Database, archive: Path, tmp_path: Path
) -> None:
    (archive / "m.csv").write_text("uri\na.jpg\n")
    job_id = submit(settings, home_database, archive / "m.csv", SubmitOptions()).job_id
    report = write_report(home_database, job_id, tmp_path)
    assert report.failed_path is None
    assert not (tmp_path / "report-failed.csv").exists()


def _failing(settings: Settings, database: Database, archive: Path) -> int:
    return submit(settings, database, archive / "m.csv", SubmitOptions(new=True)).job_id


def test_a_report_replaces_the_one_before(settings: Settings, home_database: Database, archive: Path) -> None:
    folder = archive.parent / "out"
    first = write_report(home_database, _failing(settings, home_database, archive), folder, home=settings.home)
    assert first.failed_path is not None
    failed_lines = first.failed_path.read_text()
    assert "gone" in failed_lines
    (archive / "m.csv").write_text("uri\na.jpg\n")
    job_id = _failing(settings, home_database, archive)
    finish(home_database, job_id, "a.jpg", {})
    second = write_report(home_database, job_id, folder, home=settings.home)
    assert second.notes == ()
    assert sorted(path.name for path in folder.iterdir()) == ["report.csv", "report.json"]
    assert [row["id"] for row in _rows(second.csv_path)] == ["a.jpg"]


def test_a_report_without_a_home_replaces_only_the_same(
    settings: Settings, home_database: Database, archive: Path, tmp_path: Path
) -> None:
    job_id = _failing(settings, home_database, archive)
    for _ in range(2):
        write_report(home_database, job_id, tmp_path / "out")
    finish(home_database, job_id, "one", {})
    with pytest.raises(InputError) as caught:
        write_report(home_database, job_id, tmp_path / "out")
    assert caught.value.code == "ALREADY_THERE"


@pytest.mark.parametrize("name", ["report.json", "report.csv", "report-failed.csv"])
def test_a_report_is_not_written_through_a_link(
    settings: Settings, home_database: Database, archive: Path, tmp_path: Path, name: str
) -> None:
    job_id = _failing(settings, home_database, archive)
    (tmp_path / "out").mkdir()
    for target, code in ((archive / "b.png", "OUTPUT_ON_SOURCE"), (tmp_path / "mine.txt", "ALREADY_THERE")):
        target.write_bytes(b"mine")
        (tmp_path / "out" / name).symlink_to(target)
        with pytest.raises(InputError, match=f"^{name}: ") as caught:
            write_report(home_database, job_id, tmp_path / "out", home=settings.home)
        assert caught.value.code == code
        assert target.read_bytes() == b"mine"
        assert len(list((tmp_path / "out").iterdir())) == 3  # the others are written
        (tmp_path / "out" / name).unlink()


@pytest.mark.parametrize("fails", [True, False])
def test_corrections_in_a_failed_part_stay(
    settings: Settings, home_database: Database, archive: Path, tmp_path: Path, fails: bool
) -> None:
    job_id = _failing(settings, home_database, archive)
    report = write_report(home_database, job_id, tmp_path / "out", home=settings.home)
    assert report.failed_path is not None
    corrected = report.failed_path.read_text().replace("c.jpg", "a.jpg")
    report.failed_path.write_text(corrected)
    if fails:
        finish(home_database, job_id, "one", {})
        with pytest.raises(PutError, match=r"^report-failed\.csv: ") as caught:
            write_report(home_database, job_id, tmp_path / "out", home=settings.home)
        assert caught.value.code == "ALREADY_THERE"
        assert "succeeded" in caught.value.outcome.csv_path.read_text()
    else:
        for name in ("one", "two", "reel", "void", "gone"):
            finish(home_database, job_id, name, {})
        again = write_report(home_database, job_id, tmp_path / "out", home=settings.home)
        assert again.failed_path is None
        assert "report-failed.csv" in again.notes[0]
    assert report.failed_path.read_text() == corrected


def test_results_are_linked_under_the_items_names(
    settings: Settings, home_database: Database, store: Store, archive: Path, tmp_path: Path
) -> None:
    job_id = submit(settings, home_database, archive / "m.csv", SubmitOptions()).job_id
    outputs = {
        "master": store.put_bytes("jobs/1/x/master.mkv", b"m"),
        "access": store.put_bytes("jobs/1/x/access.mp4", b"a"),
        "scores": store.put_bytes("jobs/1/x/scores.parquet", b"s"),
        "framemd5": store.put_bytes("jobs/1/x/master.framemd5", b"f"),
    }
    finish(home_database, job_id, "reel", outputs)
    for _ in range(2):  # a second export replaces the first
        found = export(home_database, store, job_id, tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["reel.access.mp4", "reel.framemd5", "reel.mkv", "reel.scores.parquet"]
    assert (found.files, found.bytes) == (4, 4)
    local = store.local_path(outputs["master"].key)
    assert local is not None
    assert os.path.samefile(local, tmp_path / "out" / "reel.mkv")


def test_a_result_drops_its_sources_suffix_unless_names_would_clash(
    settings: Settings, home_database: Database, store: Store, archive: Path, tmp_path: Path
) -> None:
    ids = ["Boy.jpg", "sea.jpg", "sea.tif", "film.avi", "box/film.avi", "reel", "reel.avi", "reel.mkv", "reel.avi.mov"]
    (archive / "m.jsonl").write_text("\n".join(json.dumps({"id": name, "uri": f"{name}.mkv"}) for name in ids))
    job_id = submit(settings, home_database, archive / "m.jsonl", SubmitOptions()).job_id
    for number, name in enumerate(ids):
        master = store.put_bytes(f"jobs/1/{number}/m{'.jpg' if name == 'Boy.jpg' else '.mkv'}", b"m")
        outputs = {"master": master, "access": store.put_bytes(f"jobs/1/{number}/a.mp4", b"a")}
        finish(home_database, job_id, name, outputs)
    assert export(home_database, store, job_id, tmp_path / "out").files == 18
    names = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*")}
    assert len(names) == 18
    assert names > {"Boy.jpg", "Boy.access.mp4", "film.mkv", "box/film.mkv", "sea.jpg.mkv", "sea.tif.mkv", "reel.mkv"}
    export(home_database, store, job_id, tmp_path / "one", external_ids=["sea.tif"])
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == ["sea.tif.access.mp4", "sea.tif.mkv"]


def test_only_the_items_asked_for_are_put_out(
    settings: Settings, home_database: Database, store: Store, archive: Path, tmp_path: Path
) -> None:
    job_id = submit(settings, home_database, archive / "m.csv", SubmitOptions()).job_id
    for name in ("one", "two"):
        finish(home_database, job_id, name, {"still": store.put_bytes(f"jobs/1/{name}/{name}.png", b"x")})
    assert export(home_database, store, job_id, tmp_path / "out", external_ids=["two"]).files == 1
    with pytest.raises(InputError) as caught:
        export(home_database, store, job_id, tmp_path / "out", external_ids=["nobody"])
    assert caught.value.code == "UNKNOWN_ITEM"


def test_a_source_is_never_replaced(settings: Settings, home_database: Database, store: Store, archive: Path) -> None:
    job_id = submit(settings, home_database, archive, SubmitOptions()).job_id
    finish(home_database, job_id, "a.jpg", {"still": store.put_bytes("jobs/1/x/still.jpg", b"restored")})
    (archive.parent / "elsewhere").symlink_to(archive)
    for folder in (archive, archive.parent / "elsewhere"):
        with pytest.raises(InputError) as caught:
            export(home_database, store, job_id, folder)
        assert caught.value.code == "OUTPUT_ON_SOURCE"
    assert (archive / "a.jpg").read_bytes() == b"a.jpg"


def test_results_do_not_go_among_the_sources(settings: Settings, home_database: Database, archive: Path) -> None:
    home = archive / "home"
    by_folder = progress.job(home_database, submit(settings, home_database, archive, SubmitOptions()).job_id)
    by_file = progress.job(home_database, submit(settings, home_database, archive / "m.csv", SubmitOptions()).job_id)
    for folder in (archive, archive / "restored"):
        with pytest.raises(InputError) as caught:
            check_folder(folder, by_folder.manifest_uri, home)
        assert caught.value.code == "OUTPUT_ON_SOURCE"
    check_folder(home / "results", by_folder.manifest_uri, home)
    check_folder(archive / "restored", by_file.manifest_uri, home)


def test_nothing_is_put_outside_the_folder(
    settings: Settings, home_database: Database, store: Store, archive: Path, tmp_path: Path
) -> None:
    (archive / "m.csv").write_text("id,uri\n../../evil,a.jpg\nsub/name,b.png\n")
    job_id = submit(settings, home_database, archive / "m.csv", SubmitOptions()).job_id
    for number, name in enumerate(("../../evil", "sub/name")):
        finish(home_database, job_id, name, {"still": store.put_bytes(f"jobs/1/{number}/s.jpg", b"x")})
    out = tmp_path / "deep" / "out"
    export(home_database, store, job_id, out)
    assert sorted(path.name for path in out.rglob("*.jpg")) == [f"{safe_path('../../evil')}.jpg", "name.jpg"]
    (out / "sub" / "name.jpg").unlink()
    (out / "sub").rmdir()
    (out / "sub").symlink_to(tmp_path)
    with pytest.raises(InputError) as caught:
        export(home_database, store, job_id, out)
    assert caught.value.code == "PATH_UNSAFE"


def test_without_links_a_checked_copy_is_made(
    settings: Settings,
    home_database: Database,
    store: Store,
    archive: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job_id = submit(settings, home_database, archive / "m.csv", SubmitOptions()).job_id
    finish(home_database, job_id, "one", {"still": store.put_bytes("jobs/1/x/still.jpg", b"restored")})

    def refuse(*_: object) -> None:
        raise OSError("links are not to be had here")

    monkeypatch.setattr(exporting.os, "link", refuse)
    export(home_database, store, job_id, tmp_path / "out")
    assert (tmp_path / "out" / "one.jpg").read_bytes() == b"restored"


@pytest.mark.parametrize("name", ["a b/c.jpg", "фото.jpg", "box-1/f_0001-0240.dpx", "Ünïcode (1).tif"])
def test_names_that_any_disk_can_hold_are_kept(name: str) -> None:
    assert safe_path(name) == name


@pytest.mark.parametrize(
    "name", ["/etc/x", "../x", "a//b", ".hidden", "a:b", "x\u202egpj.exe", "n" * 400, "..", "a\nb"]
)
def test_other_names_are_changed_and_stay_apart(name: str) -> None:
    made = safe_path(name)
    assert made != name
    assert made.isprintable()
    assert ".." not in made.split("/")
    assert not made.startswith(("/", "."))
    assert all(len(part.encode()) < 200 for part in made.split("/"))
    assert safe_path(name) != safe_path(name + "_")


def test_what_a_report_may_name_again(
    settings: Settings, home_database: Database, archive: Path, tmp_path: Path
) -> None:
    """The report of a job may name what that job might, mended or not; no other file and no other job's may.

    The dry run says the same as the submission.
    """
    job_id = submit(settings, home_database, archive / "m.csv", SubmitOptions()).job_id
    other = tmp_path / "other"
    other.mkdir()
    (other / "o.csv").write_text("id,uri\nnone,none.png\n")
    other_id = submit(settings, home_database, other / "o.csv", SubmitOptions()).job_id
    homes = {
        settings.results(job_id) / "report-failed.csv": 0,
        settings.results(job_id) / "report-mended.csv": 0,
        settings.results(job_id) / "evil.csv": 1,
        settings.results(other_id) / "report.csv": 1,
        settings.results(99) / "report.csv": 1,
        settings.home / "inbox" / "report.csv": 1,
        settings.home / "again.csv": 1,
        tmp_path / "x" / f"job-{job_id}" / "report.csv": 1,
    }
    for number, (path, bad) in enumerate(homes.items()):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"id,uri\n{number},{archive / 'a.jpg'}\n")
        assert dry_run(settings, path, probe=False, database=home_database).problem_count == bad, path
        assert submit(settings, home_database, path, SubmitOptions()).bad_lines == bad, path


def test_a_line_that_was_refused_stays_refused_in_its_report(
    settings: Settings, home_database: Database, archive: Path, tmp_path: Path
) -> None:
    """However many jobs of the home may read there, and however often the report is run again."""
    submit(settings, home_database, archive / "m.csv", SubmitOptions())
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (inbox / "m.csv").write_text(f"id,uri\nsteal,{archive / 'a.jpg'}\n")
    path: Path | None = inbox / "m.csv"
    for _ in range(3):
        assert path is not None
        job_id = submit(settings, home_database, path, SubmitOptions()).job_id
        report = write_report(home_database, job_id, settings.results(job_id))
        assert report.failed_by_code == {"PATH_UNSAFE": 1}
        path = report.failed_path


def test_a_report_of_a_job_with_roots_of_its_own_may_name_them_again(
    settings: Settings, home_database: Database, archive: Path, tmp_path: Path
) -> None:
    (tmp_path / "m.jsonl").write_text('{"uri": "s3://bucket/a.png", "fps": "fast"}')
    allowed = settings.model_copy(update={"source_roots": ("s3://bucket",)})
    job_id = submit(allowed, home_database, tmp_path / "m.jsonl", SubmitOptions()).job_id
    report = write_report(home_database, job_id, settings.results(job_id))
    assert report.failed_path is not None
    again = submit(settings, home_database, report.failed_path, SubmitOptions())
    roots = (settings.results(job_id).resolve(), tmp_path)
    assert progress.job_roots(home_database, again.job_id) == (f"{roots[0]}/", f"{roots[1]}/", "s3://bucket/")


def test_a_clip_whose_rates_conflict_can_be_submitted_with_its_medias_rate(
    settings: Settings, home_database: Database, archive: Path
) -> None:
    schema, time = opentimelineio.schema, opentimelineio.opentime
    media = schema.ExternalReference("film.mkv", time.TimeRange(time.RationalTime(0, 24), time.RationalTime(240, 24)))
    shown = time.TimeRange(time.RationalTime(25, 25), time.RationalTime(50, 25))
    timeline = schema.Timeline("t", tracks=[schema.Track("V1", [schema.Clip("shot", media, shown)])])
    path = archive / "cut.otio"
    opentimelineio.adapters.write_to_file(timeline, str(path), adapter_name="otio_json")
    first = submit(settings, home_database, path, SubmitOptions())
    report = write_report(home_database, first.job_id, settings.home / "results" / "job-1")
    assert report.failed_by_code == {"FPS_CONFLICT": 1}
    assert report.failed_path is not None
    again = submit(settings, home_database, report.failed_path, SubmitOptions())
    assert again.bad_lines == 0
    with home_database.read() as connection:
        source = json.loads(connection.scalar(select(Item.source_json).where(Item.job_id == again.job_id)) or "")
    assert (source["uri"], source["fps"], source["span"]) == (str(archive / "film.mkv"), "24", [24, 72])


FORMULAS = (
    "=HYPERLINK(0)",
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "'=already",
    "x;=1+1",
    'x"=1',
    "\uff1d1+1",
    "''-1",
    "\t=1",
    "\r@x",
)


def test_no_cell_of_a_report_is_a_formula_and_every_one_comes_back(
    settings: Settings, home_database: Database, archive: Path
) -> None:
    lines = [
        {"id": f"{text}{number}", "uri": f"{number}.jpg", "title": text, "x_own": text, "rights": [text, text]}
        for number, text in enumerate(FORMULAS)
    ]
    own = archive / "own.jsonl"
    own.write_text("\n".join(map(json.dumps, lines)))
    (archive / "=1.jpg").write_bytes(b"")
    made = submit(settings, home_database, own, SubmitOptions())
    report = write_report(home_database, made.job_id, settings.home / "results" / "job-1")
    text = report.csv_path.read_text()
    assert not [part for part in re.split(r'[,;\t\r\n"]', text) if part[:1] in tuple("=+-@\uff1d")]
    assert report.failed_path is not None
    again = submit(settings, home_database, report.failed_path, SubmitOptions())
    found = [
        [(item.external_id, item.extra.get("title")) for item in progress.items(home_database, job)] for job in (1, 2)
    ]
    assert found[0] == found[1]
    assert {line["title"] for line in lines} >= {title for _, title in found[1] if "\\" not in str(title)}
    second = write_report(home_database, again.job_id, settings.home / "results" / "job-2")
    for name in ("id", "title", "rights", "uri"):
        assert [row[name] for row in _rows(second.csv_path)] == [row[name] for row in _rows(report.csv_path)]


def test_a_manifest_of_somebody_elses_is_read_as_it_stands(
    settings: Settings, home_database: Database, archive: Path
) -> None:
    (archive / "'=1.jpg").write_bytes(b"x")
    (archive / "own.csv").write_text("id,uri,title,task_status,result_message\n'-2,'=1.jpg,'+1,failed,'=x\n")
    made = submit(settings, home_database, archive / "own.csv", SubmitOptions())
    (item,) = progress.items(home_database, made.job_id)
    assert (made.bad_lines, item.external_id, item.extra["title"]) == (0, "'-2", "'+1")


# -- what people said of what lies beyond gates


def test_verdicts_stand_beside_what_they_are_about(
    settings: Settings, home_database: Database, store: Store, archive: Path, tmp_path: Path
) -> None:
    job_id = submit(settings, home_database, archive / "m.csv", SubmitOptions()).job_id
    for name in ("one", "two"):
        finish(home_database, job_id, name, {"still": store.put_bytes(f"jobs/1/x/{name}.jpg", b"r")})
    ids = {row.external_id: row.id for row in progress.items(home_database, job_id)}
    place = {"job_id": job_id, "item_id": ids["one"], "metric": "luma_psnr", "gate": ">= 30", "value": 25.0}
    rows = [(1, 3, 9, 0.4), (1, None, None, 0.3), (2, 1, 2, 0.9)]  # the last is of a generation without a result
    with home_database.write() as connection:
        for generation, start, stop, distance in rows:
            frames = {"start_frame": start, "stop_frame": stop, "distance": distance}
            connection.execute(insert(Review).values(**place, **frames, generation=generation))

    def cells() -> list[str]:
        report = write_report(home_database, job_id, tmp_path / "out", home=settings.home)
        (row,) = [row for row in _rows(report.csv_path) if row["id"] == "one"]
        counts = json.loads(report.json_path.read_text())["reviews"]
        return [row["x_review"], row["x_reviews"], *(str(counts[word]) for word in ("open", "accepted", "rejected"))]

    assert cells() == ["open", "", "2", "0", "0"]
    ledger.decide(home_database, 1, Verdict.ACCEPTED, "anna", "=1+1, as it was")
    told = [{"metric": "luma_psnr", "gate": ">= 30", "value": 25.0, "frames": [3, 9], "verdict": "accepted",
             "by": "anna", "note": "=1+1, as it was"}]  # fmt: skip
    open_, cell, *counts = cells()
    assert (open_, json.loads(original(cell)), counts) == ("open", told, ["1", "1", "0"])
    ledger.decide(home_database, 2, Verdict.REJECTED, "bert")
    word, cell, *counts = cells()
    assert (word, [each["verdict"] for each in json.loads(original(cell))]) == ("rejected", ["accepted", "rejected"])
    assert json.loads(original(cell))[1]["frames"] is None
    assert counts == ["0", "1", "1"]
    ledger.decide(home_database, 2, Verdict.ACCEPTED, "bert")
    assert cells()[0] == "accepted"
