from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from db import sources
from db.errors import InputError
from db.records import Sequence
from db.s3 import client_for, connect, reach
from db.settings import Settings
from db.sources import PIECE_BYTES, Ranges
from db.states import TaskKind
from tests.support.reels import House, film, house, item, moving, order, planes_of, probed, whole_life
from tests.support.servers import S3
from workers.media.remote import MAX_CACHED_FILES
from workers.tasks import probe, restore

BUCKET = "archive-of-films"


@pytest.fixture
def at(tmp_path: Path, s3: S3) -> House:
    made = house(tmp_path, **s3.settings)
    client = connect(made.settings)
    if BUCKET not in [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]:
        client.create_bucket(Bucket=BUCKET)
    return made


def _sent(at: House, path: Path) -> str:
    connect(at.settings).upload_file(str(path), BUCKET, path.name)
    return f"s3://{BUCKET}/{path.name}"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ranges that are asked for."""
    found: list[str] = []

    def spied(settings: Settings, **more: Any) -> Any:
        client = client_for.__wrapped__(*reach(settings), **more)  # one of its own, not that which all share
        client.meta.events.register(
            "before-call.s3.GetObject", lambda params, **_: found.append(params["headers"]["Range"])
        )
        return client

    monkeypatch.setattr(sources, "connect", spied)
    return found


def test_any_part_is_what_the_object_holds(at: House, tmp_path: Path, asked: list[str]) -> None:
    data = np.random.default_rng(0).bytes(3 * PIECE_BYTES + 17)
    (tmp_path / "any.bin").write_bytes(data)
    with Ranges(at.settings, _sent(at, tmp_path / "any.bin")) as file:
        assert file.size_bytes == len(data)
        for place in (0, 5, PIECE_BYTES - 3, 3 * PIECE_BYTES, len(data) - 1):
            file.seek(place)
            assert file.read(9) == data[place : place + 9][: PIECE_BYTES - place % PIECE_BYTES]
        assert file.seek(-4, 2) == len(data) - 4
        assert file.read(9) == data[-4:]
        assert file.read(9) == b""
        fetched = len(asked)
        file.seek(1)
        assert file.read(3) == data[1:4]
        assert len(asked) == fetched
        file.seek(0)
        assert b"".join(iter(lambda: file.read(1 << 16), b"")) == data


def test_a_film_in_s3_is_restored_as_one_in_a_folder(at: House, tmp_path: Path) -> None:
    path = film(tmp_path / "there.mkv", moving(24), "gray", sound="pcm_s16le", tags={"ARTIST": "Unknown"})
    _, here = whole_life(at, item(path))
    remote = item(path).model_copy(update={"external_id": "there"})
    source = remote.source.model_copy(update={"uri": _sent(at, path)})
    _, there = whole_life(at, remote.model_copy(update={"source": source}))
    assert there.outputs["master"].sha256 == here.outputs["master"].sha256
    assert len(planes_of(at.path(there.outputs["master"]))) == 24


def test_a_film_in_s3_is_not_fetched_whole_for_a_segment(at: House, tmp_path: Path, asked: list[str]) -> None:
    frames = moving(48, 320, 400, channels=3, bits=16, seed=1)
    path = film(tmp_path / "long.mkv", frames, "gbrp16le")
    size_bytes = path.stat().st_size
    assert size_bytes > 12 * PIECE_BYTES
    item_ = item(path)
    item_ = probed(at, item_.model_copy(update={"source": item_.source.model_copy(update={"uri": _sent(at, path)})}))
    assert item_.facts is not None
    assert item_.facts.mezzanine is None
    asked.clear()
    restore.restore_segment(order(item_, TaskKind.RESTORE, 40, 48), at.bench())
    assert len(asked) * PIECE_BYTES < 0.5 * size_bytes


def test_nothing_of_a_film_in_s3_is_put_into_scratch(at: House, tmp_path: Path) -> None:
    item_ = item(film(tmp_path / "there.mkv", moving(8), "gray"))
    uri = _sent(at, tmp_path / "there.mkv")
    item_ = item_.model_copy(update={"source": item_.source.model_copy(update={"uri": uri})})
    bench = at.bench()
    probe.probe(order(item_, TaskKind.PROBE), bench)
    assert list(bench.scratch.iterdir()) == []


def test_an_object_that_changes_is_noticed(at: House, tmp_path: Path) -> None:
    (tmp_path / "any.bin").write_bytes(b"a" * 2 * PIECE_BYTES)
    with Ranges(at.settings, _sent(at, tmp_path / "any.bin")) as file:
        assert file.read(2) == b"aa"
        (tmp_path / "any.bin").write_bytes(b"b" * 2 * PIECE_BYTES)
        _sent(at, tmp_path / "any.bin")
        file.seek(PIECE_BYTES)
        with pytest.raises(InputError) as refused:
            file.read(2)
        assert refused.value.code == "CHANGED_DURING_WORK"


@pytest.mark.parametrize(("name", "code"), [("none.mkv", "FILE_MISSING"), ("empty.mkv", "ZERO_BYTE")])
def test_an_object_that_cannot_be_read_ends_in_a_code(at: House, tmp_path: Path, name: str, code: str) -> None:
    (tmp_path / "empty.mkv").write_bytes(b"")
    _sent(at, tmp_path / "empty.mkv")
    with pytest.raises(InputError) as refused:
        Ranges(at.settings, f"s3://{BUCKET}/{name}")
    assert refused.value.code == code


def _frames(folder: Path, count: int) -> Path:
    folder.mkdir()
    for number, planes in enumerate(moving(count, 48, 64, bits=16)):
        Image.fromarray(planes[0]).save(folder / f"f{number + 7:04d}.png")
    return folder


@pytest.mark.parametrize("missing", ["error", "hold"])
def test_a_sequence_in_s3_is_restored_as_one_in_a_folder(at: House, tmp_path: Path, missing: str) -> None:
    folder = _frames(tmp_path / f"scan-{missing}", 20)
    if missing == "hold":
        (folder / "f0010.png").unlink()
    for path in folder.iterdir():
        connect(at.settings).upload_file(str(path), BUCKET, f"{folder.name}/{path.name}")
    part = Sequence(prefix="f", suffix=".png", padding=4, start=7, end=26)
    recipe = "{recipe: [], outputs: [master, sequence]}"
    here = item(folder, recipe, sequence=part, missing=missing)
    there = here.model_copy(update={"source": here.source.model_copy(update={"uri": f"s3://{BUCKET}/{folder.name}"})})
    ours, theirs = whole_life(at, there, 8)[1], whole_life(at, here, 8)[1]
    assert {name: blob.sha256 for name, blob in ours.outputs.items() if name != "scores"} == {
        name: blob.sha256 for name, blob in theirs.outputs.items() if name != "scores"
    }
    assert ours.facts["sha256"] == theirs.facts["sha256"]
    found = probe.describe(there.source, at.settings, tmp_path)
    assert (found["frame_count"], found["bytes"]) == (20, sum(path.stat().st_size for path in folder.iterdir()))


def test_few_files_of_a_sequence_in_s3_lie_in_scratch_at_once(at: House, tmp_path: Path) -> None:
    folder = _frames(tmp_path / "few", 20)
    for path in folder.iterdir():
        connect(at.settings).upload_file(str(path), BUCKET, f"few/{path.name}")
    bench = at.bench()
    source = item(folder, sequence=Sequence(prefix="f", suffix=".png", padding=4, start=7, end=26))
    there = source.model_copy(update={"source": source.source.model_copy(update={"uri": f"s3://{BUCKET}/few"})})
    probe.probe(order(there, TaskKind.PROBE), bench)
    assert len(list((bench.scratch / "frames").iterdir())) == MAX_CACHED_FILES


@pytest.mark.parametrize(("folder", "code"), [("nowhere", "FILE_MISSING"), ("gaps", "SEQUENCE_GAP")])
def test_a_sequence_in_s3_that_lacks_files_ends_in_a_code(at: House, tmp_path: Path, folder: str, code: str) -> None:
    (tmp_path / "f0001.png").write_bytes(b"no matter")
    for number in (1, 3):
        connect(at.settings).upload_file(str(tmp_path / "f0001.png"), BUCKET, f"gaps/f{number:04d}.png")
    source = item(tmp_path, sequence=Sequence(prefix="f", suffix=".png", padding=4, start=1, end=3))
    there = source.model_copy(update={"source": source.source.model_copy(update={"uri": f"s3://{BUCKET}/{folder}"})})
    with pytest.raises(InputError) as refused:
        probed(at, there)
    assert refused.value.code == code
