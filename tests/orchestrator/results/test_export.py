"""Results that would land on something: sources, sound, masks and frames of any job, people's own files, odd blobs."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from db.errors import InputError
from db.placing import PutError
from db.session import Database
from db.settings import Settings
from db.store import open_store
from db.store.base import Store
from orchestrator.results import export as exporting
from orchestrator.results.export import export
from orchestrator.submit import SubmitOptions, submit
from tests.support.finished import finish

RESULT = b"restored"


@pytest.fixture
def store(settings: Settings) -> Store:
    return open_store(settings)


class Desk:
    """Submits lines whose items are done at once, and puts them out."""

    def __init__(self, settings: Settings, database: Database, store: Store, archive: Path) -> None:
        self.settings, self.database, self.store, self.archive = settings, database, store, archive
        self.count = 0

    def job(self, *lines: dict[str, object], output: str = "still", suffix: str = ".png", body: bytes = RESULT) -> int:
        self.count += 1
        manifest = self.archive / f"m{self.count}.jsonl"
        manifest.write_text("\n".join(map(json.dumps, lines)))
        job_id = submit(self.settings, self.database, manifest, SubmitOptions(recipe="identity", new=True)).job_id
        for number, line in enumerate(lines):
            blob = self.store.put_bytes(f"jobs/{job_id}/{number}/{output}{suffix}", body)
            finish(self.database, job_id, str(line["id"]), {output: blob})
        return job_id

    def export(self, job_id: int, folder: Path, **more: object) -> exporting.ExportSummary:
        return export(self.database, self.store, job_id, folder, home=self.settings.home, **more)  # type: ignore[arg-type]

    def code(self, job_id: int, folder: Path, **more: object) -> str:
        with pytest.raises(InputError) as caught:
            self.export(job_id, folder, **more)
        assert caught.value.message
        return caught.value.code

    def blob(self, job_id: int, number: int = 0) -> Path:
        path = self.store.local_path(f"jobs/{job_id}/{number}/still.png")
        assert path is not None
        return path


@pytest.fixture
def desk(settings: Settings, home_database: Database, store: Store, archive: Path) -> Desk:
    (archive / "film.png").write_bytes(b"source")
    return Desk(settings, home_database, store, archive)


def _tar(frame: bytes = b"x") -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        entry = tarfile.TarInfo("f_1.png")
        entry.size = 1
        tar.addfile(entry, io.BytesIO(frame))
    return made.getvalue()


def _spoil(path: Path, data: bytes = b"rotten!!") -> None:
    path.chmod(0o644)
    path.write_bytes(data)


# -- passing names


@pytest.mark.parametrize("name", ["film.png.part", ".film.png.part"])
def test_no_fixed_passing_name_is_taken(desk: Desk, tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_bytes(b"mine")
    desk.export(desk.job({"id": "film", "uri": "film.png"}), out)
    assert (out / name).read_bytes() == b"mine"
    assert sorted(path.name for path in out.iterdir()) == sorted(["film.png", name])


def test_frames_of_a_sequence_have_no_fixed_passing_name(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "out" / "reel").mkdir(parents=True)
    mine = tmp_path / "out" / "reel" / ".reelwright.part"
    mine.write_bytes(b"mine")
    job = desk.job({"id": "reel", "uri": "film.mkv"}, output="sequence-000000", suffix=".tar", body=_tar())
    assert desk.export(job, tmp_path / "out").files == 1
    assert mine.read_bytes() == b"mine"
    assert (tmp_path / "out" / "reel" / "f_1.png").read_bytes() == b"x"


def test_no_passing_name_stays_behind(desk: Desk, tmp_path: Path) -> None:
    job = desk.job({"id": "film", "uri": "film.png"})
    _spoil(desk.blob(job))
    assert desk.code(job, tmp_path / "out") == "CHECKSUM_MISMATCH"
    assert list((tmp_path / "out").iterdir()) == []


# -- sources of any job


def test_a_source_of_another_job_stays(desk: Desk) -> None:
    desk.job({"id": "first", "uri": "film.png"})
    later = desk.job({"id": "film", "uri": "a.jpg"}, {"id": "other", "uri": "b.png"})
    assert desk.code(later, desk.archive) == "OUTPUT_ON_SOURCE"
    assert (desk.archive / "film.png").read_bytes() == b"source"
    assert (desk.archive / "other.png").read_bytes() == RESULT  # the others go on


def test_a_source_stays_even_if_it_is_a_result_of_ours(desk: Desk, tmp_path: Path) -> None:
    out = desk.archive / "out"
    first = desk.job({"id": "film", "uri": "film.png"})
    desk.export(first, out)
    desk.job({"id": "next", "uri": "out/film.png"})
    again = desk.job({"id": "film", "uri": "a.jpg"})
    assert desk.code(again, out) == "OUTPUT_ON_SOURCE"
    assert desk.export(first, out).files == 1  # it is there already


def test_nothing_is_put_among_frames_of_another_job(desk: Desk) -> None:
    (desk.archive / "reel").mkdir()
    for number in range(1, 7):
        (desk.archive / "reel" / f"f_{number}.png").write_bytes(b"frame")
    numbers = {"prefix": "f_", "suffix": ".png", "start": 1, "end": 6}
    desk.job({"id": "s", "uri": "reel", "sequence": numbers})
    still = desk.job({"id": "reel/f_7", "uri": "film.png"})
    assert desk.code(still, desk.archive) == "OUTPUT_ON_SOURCE"
    frames = desk.job({"id": "reel", "uri": "film.mkv"}, output="sequence-000000", suffix=".tar", body=_tar())
    assert desk.code(frames, desk.archive) == "OUTPUT_ON_SOURCE"
    assert len(list((desk.archive / "reel").iterdir())) == 6


def test_sources_whose_names_are_no_text_stay_too(desk: Desk) -> None:
    (desk.archive / "re\udcffel").mkdir()
    for number in range(1, 7):
        (desk.archive / "re\udcffel" / f"f_{number}.png").write_bytes(b"frame")
    (desk.archive / "fi\nlm.bmp").write_bytes(b"source")
    os.link(desk.archive / "fi\nlm.bmp", desk.archive / "mask.bmp")
    numbers = {"prefix": "f_", "suffix": ".png", "start": 1, "end": 6}
    desk.job({"id": "s", "uri": "re\udcffel", "sequence": numbers, "mask_uri": "fi\nlm.bmp"})
    job = desk.job({"id": "f_7", "uri": "film.png"})
    assert desk.code(job, desk.archive / "re\udcffel") == "OUTPUT_ON_SOURCE"
    mask = desk.job({"id": "mask", "uri": "film.mkv"}, output="master", suffix=".bmp")
    assert desk.code(mask, desk.archive) == "OUTPUT_ON_SOURCE"


def test_a_failed_lines_uri_may_be_anything(desk: Desk, tmp_path: Path) -> None:
    desk.job({"id": "bad", "uri": "file:///%zz"}, {"id": "worse", "uri": "file:///a%00"})
    job = desk.job({"id": "film", "uri": "film.png"})
    desk.export(job, tmp_path / "out")
    assert desk.code(job, desk.archive) == "OUTPUT_ON_SOURCE"


@pytest.mark.parametrize("field", ["sound", "mask_uri"])
def test_sound_and_masks_are_sources(desk: Desk, field: str) -> None:
    name = {"sound": "film.wav", "mask_uri": "film.bmp"}[field]
    (desk.archive / name).write_bytes(b"source")
    job = desk.job({"id": "film", "uri": "film.mkv", field: name}, output="master", suffix=Path(name).suffix)
    assert desk.code(job, desk.archive) == "OUTPUT_ON_SOURCE"
    assert (desk.archive / name).read_bytes() == b"source"


def test_a_disk_without_case_has_one_file_under_two_names(desk: Desk, tmp_path: Path) -> None:
    """A hard link stands for the other spelling: both names lead to the source's inode."""
    os.rename(desk.archive / "film.png", desk.archive / "Film.png")
    os.link(desk.archive / "Film.png", desk.archive / "film.png")
    job = desk.job({"id": "film", "uri": "Film.png"})
    assert desk.code(job, desk.archive) == "OUTPUT_ON_SOURCE"
    assert (desk.archive / "Film.png").read_bytes() == b"source"
    assert (desk.archive / "film.png").samefile(desk.archive / "Film.png")


def test_a_link_to_a_source_is_neither_followed_nor_replaced(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "film.png").symlink_to(desk.archive / "film.png")
    assert desk.code(desk.job({"id": "film", "uri": "film.png"}), tmp_path / "out") == "OUTPUT_ON_SOURCE"
    assert (tmp_path / "out" / "film.png").is_symlink()


def test_the_folder_of_frames_is_known_under_another_name(desk: Desk, tmp_path: Path) -> None:
    (desk.archive / "reel").mkdir()
    numbers = {"prefix": "f_", "suffix": ".png", "start": 1, "end": 6}
    desk.job({"id": "s", "uri": "reel", "sequence": numbers})
    (tmp_path / "reel-by-link").symlink_to(desk.archive / "reel")
    assert desk.code(desk.job({"id": "x", "uri": "film.png"}), tmp_path / "reel-by-link") == "OUTPUT_ON_SOURCE"


# -- what is there


def test_what_reelwright_put_there_is_replaced(desk: Desk, tmp_path: Path) -> None:
    first = desk.job({"id": "x", "uri": "film.png"})
    second = desk.job({"id": "x", "uri": "a.jpg"}, body=b"another")
    for job, body in ((first, RESULT), (second, b"another"), (first, RESULT)):
        for copies in (False, True):
            desk.export(job, tmp_path / "out", copies=copies)
            assert (tmp_path / "out" / "x.png").read_bytes() == body
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["x.png"]


def test_frames_that_were_taken_out_before_are_replaced(desk: Desk, tmp_path: Path) -> None:
    line: dict[str, object] = {"id": "reel", "uri": "film.mkv"}
    for frame in (b"x", b"y", b"y"):
        job = desk.job(line, output="sequence-000000", suffix=".tar", body=_tar(frame))
        desk.export(job, tmp_path / "out")
        assert (tmp_path / "out" / "reel" / "f_1.png").read_bytes() == frame


def test_a_link_to_a_blob_that_rotted_makes_way_for_a_good_one(desk: Desk, tmp_path: Path) -> None:
    first = desk.job({"id": "x", "uri": "film.png"})
    desk.export(first, tmp_path / "out")
    _spoil(desk.blob(first))
    assert desk.code(first, tmp_path / "out") == "CHECKSUM_MISMATCH"
    assert (tmp_path / "out" / "x.png").read_bytes() == b"rotten!!"
    desk.export(desk.job({"id": "x", "uri": "film.png"}), tmp_path / "out")
    assert (tmp_path / "out" / "x.png").read_bytes() == RESULT


@pytest.mark.parametrize("kind", ["file", "folder", "link", "pipe"])
def test_a_file_of_a_persons_own_stays_and_the_others_go_on(desk: Desk, tmp_path: Path, kind: str) -> None:
    out = tmp_path / "out"
    (out / "inner").mkdir(parents=True)
    mine = out / "film.png"
    {
        "file": lambda: mine.write_bytes(b"mine"),
        "folder": mine.mkdir,
        "link": lambda: mine.symlink_to("nowhere"),
        "pipe": lambda: os.mkfifo(mine),
    }[kind]()
    before = _status(mine)
    job = desk.job({"id": "film", "uri": "film.png"}, {"id": "other", "uri": "a.jpg"})
    with pytest.raises(PutError, match=r"^film: .* is there already") as caught:
        desk.export(job, out)
    assert caught.value.code == "ALREADY_THERE"
    assert (caught.value.outcome.files, caught.value.outcome.items) == (1, 1)
    assert _status(mine) == before
    assert (out / "other.png").read_bytes() == RESULT


def test_papers_are_replaced_only_as_they_were_written(desk: Desk, tmp_path: Path) -> None:
    out, body = tmp_path / "out", [b"one"]

    def papers(subject: exporting.ExportItem, _: Path) -> list[exporting.Sidecar]:
        return [exporting.Sidecar(f"{subject.stem}.premis.xml", body[0])]

    job = desk.job({"id": "film", "uri": "film.png"})
    for text in (b"one", b"two"):
        body[0] = text
        desk.export(job, out, papers=papers)
        assert (out / "film.premis.xml").read_bytes() == text
    (out / "film.premis.xml").write_bytes(b"two, with a note of mine")
    assert desk.code(job, out, papers=papers) == "ALREADY_THERE"
    assert (out / "film.premis.xml").read_bytes() == b"two, with a note of mine"


def _status(path: Path) -> tuple[int, ...]:
    """All that the disk says of a file, but when it was last read."""
    there = path.lstat()
    return (*there[:7], there.st_mtime_ns)


def _put_out(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("names", "output", "suffix"),
    [
        (("x", "x.png/y", "z"), "still", ".png"),
        (("x.png/y", "x", "z"), "still", ".png"),
        (("x", "X.PNG/y", "z"), "still", ".png"),
        (("x", "x.scores.npz/deep/y", "z"), "scores", ".npz"),
        (("a/x", "a/x.png/y", "z"), "still", ".png"),
    ],
)
def test_a_file_gets_another_name_than_a_folder_of_others(
    desk: Desk, tmp_path: Path, names: tuple[str, ...], output: str, suffix: str
) -> None:
    out = tmp_path / "out"
    job = desk.job(*({"id": name, "uri": "a.jpg"} for name in names), output=output, suffix=suffix)
    assert desk.export(job, out).items == 3
    there = _put_out(out)
    assert len(there) == 3
    plain = [name for name in there if "-" not in name]
    assert len(plain) == 2  # only the one that has to give way has a piece of its id's digest
    desk.export(job, out)
    assert _put_out(out) == there


def test_a_paper_gets_another_name_than_a_folder(desk: Desk, tmp_path: Path) -> None:
    job = desk.job({"id": "x", "uri": "a.jpg"}, {"id": "x.premis.xml/y", "uri": "b.png"})
    papers = lambda subject, folder: [exporting.Sidecar(f"{subject.stem}.premis.xml", b"paper")]  # noqa: E731
    assert desk.export(job, tmp_path / "out", papers=papers).items == 2


def test_names_that_exclude_one_another_cost_one_item_alone(desk: Desk, tmp_path: Path) -> None:
    """Somebody took the trouble to foresee also the name that the file would get instead."""
    digest = hashlib.sha256(b"x").hexdigest()[:8]
    job = desk.job(*({"id": name, "uri": "a.jpg"} for name in ("x", "x.png/y", f"x-{digest}.png/y", "z")))
    assert desk.code(job, tmp_path / "out") == "PATH_UNUSABLE"
    assert _put_out(tmp_path / "out") == [f"x-{digest}.png", "x.png/y.png", "z.png"]


# -- blobs


@pytest.mark.parametrize("data", [b"rotten!!", b"cut"])
@pytest.mark.parametrize("copies", [False, True])
def test_a_rotten_blob_is_not_handed_out(desk: Desk, tmp_path: Path, data: bytes, copies: bool) -> None:
    job = desk.job({"id": "film", "uri": "film.png"}, {"id": "other", "uri": "a.jpg"})
    _spoil(desk.blob(job), data)
    assert desk.code(job, tmp_path / "out", copies=copies) == "CHECKSUM_MISMATCH"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["other.png"]


@pytest.mark.parametrize("copies", [False, True])
def test_a_blob_that_became_a_link_is_not_handed_out(desk: Desk, tmp_path: Path, copies: bool) -> None:
    job = desk.job({"id": "film", "uri": "film.png"})
    blob = desk.blob(job)
    (tmp_path / "same").write_bytes(RESULT)
    blob.unlink()
    blob.symlink_to(tmp_path / "same")
    assert desk.code(job, tmp_path / "out", copies=copies) == "CHECKSUM_MISMATCH"
    assert list((tmp_path / "out").iterdir()) == []


def test_copies_share_nothing_with_the_store(desk: Desk, tmp_path: Path) -> None:
    job = desk.job({"id": "film", "uri": "film.png"})
    desk.export(job, tmp_path / "links")
    desk.export(job, tmp_path / "copies", copies=True)
    assert (tmp_path / "links" / "film.png").samefile(desk.blob(job))
    assert not (tmp_path / "copies" / "film.png").samefile(desk.blob(job))
    _spoil(tmp_path / "copies" / "film.png")
    assert desk.blob(job).read_bytes() == RESULT
