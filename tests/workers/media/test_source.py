"""Fixity, over a whole source and over each file of a sequence; and what may be read at all: what roots hold."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from db import beneath, checksums
from db.errors import InputError
from db.records import ItemView, Sequence
from db.states import ItemKind, TaskKind
from tests.support.reels import House, film, house, item, moving, order, probed, restored
from workers.media.source import fixity, locate_mask
from workers.on_demand import verify
from workers.tasks import assemble, inspect, probe, restore
from workers.tasks.restore_still import restore_still


def _files(folder: Path, count: int = 3) -> list[Path]:
    paths = [folder / f"f_{number}.dpx" for number in range(count)]
    for path in paths:
        path.write_bytes(path.name.encode() * 1000)
    return paths


def _code(paths: list[Path], listed: dict[str, dict[str, str]]) -> tuple[str, str]:
    with pytest.raises(InputError) as caught:
        fixity(paths, {}, lambda: None, listed=listed)
    return caught.value.code, caught.value.message


@pytest.mark.parametrize("algorithm", checksums.HEX_CHARS)
def test_every_algorithm_is_checked_while_streaming(tmp_path: Path, algorithm: str) -> None:
    paths = _files(tmp_path)
    whole = hashlib.new(algorithm, b"".join(path.read_bytes() for path in paths)).hexdigest()
    listed = {path.name: {algorithm: hashlib.new(algorithm, path.read_bytes()).hexdigest()} for path in paths}
    moves: list[None] = []
    found = fixity(paths, {algorithm: whole}, lambda: moves.append(None), listed=listed)
    assert found == hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()
    assert len(moves) == 3


def test_a_wrong_file_of_a_sequence_is_named(tmp_path: Path) -> None:
    paths = _files(tmp_path)
    listed = {path.name: {"md5": hashlib.md5(path.read_bytes()).hexdigest()} for path in paths}
    listed["f_1.dpx"] = {"md5": "0" * 32, "sha1": hashlib.sha1(paths[1].read_bytes()).hexdigest()}
    code, message = _code(paths, listed)
    assert code == "CHECKSUM_MISMATCH"
    assert "f_1.dpx: md5" in message


def test_a_file_that_the_list_does_not_name_is_unexpected(tmp_path: Path) -> None:
    code, message = _code(_files(tmp_path), {})
    assert code == "FILE_UNEXPECTED"
    assert "f_0.dpx" in message


def test_an_unknown_algorithm_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="crc32"):
        fixity(_files(tmp_path), {"crc32": "0"}, lambda: None)


def test_another_size_than_the_manifests_is_refused(tmp_path: Path) -> None:
    (path,) = _files(tmp_path, 1)
    assert fixity([path], {}, lambda: None, size_bytes=7000)
    with pytest.raises(InputError, match="7000 bytes were read, the manifest says 6999") as caught:
        fixity([path], {}, lambda: None, size_bytes=6999)
    assert caught.value.code == "CHECKSUM_MISMATCH"


@pytest.fixture
def at(tmp_path: Path) -> House:
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    return house(tmp_path)


def _picture(path: Path, value: int = 90) -> Path:
    cv2.imwrite(str(path), np.full((24, 32), value, np.uint8))
    return path


def _item(path: Path, recipe: str = "[]", **more: object) -> ItemView:
    return item(path, recipe, roots=beneath.real_roots((str(path.parent),)), **more)


def _lead_out(path: Path) -> Path:
    """Move a file or folder out of the allowed folder, and leave a link to it."""
    away = path.parent.parent / "out" / path.name
    path.rename(away)
    path.symlink_to(away)
    return path


def _frames(folder: Path) -> dict[str, object]:
    folder.mkdir()
    for number in range(4):
        _picture(folder / f"f_{number}.png", 40 * number)
    return {"sequence": Sequence(prefix="f_", suffix=".png", start=0, end=3)}


def _refusal(work: object) -> str:
    with pytest.raises(InputError) as caught:
        work()  # type: ignore[operator]
    return caught.value.code


def test_a_still_that_was_exchanged_for_a_link_is_not_read(at: House, tmp_path: Path) -> None:
    view = _item(_picture(tmp_path / "in" / "a.png"), kind=ItemKind.STILL)
    assert restore_still(view, at.bench()).facts["sha256"]
    _lead_out(tmp_path / "in" / "a.png")
    assert _refusal(lambda: restore_still(view, at.bench())) == "PATH_UNSAFE"
    assert _refusal(lambda: probe.describe(view.source, at.settings, at.bench().scratch)) == "PATH_UNSAFE"


def test_a_folder_on_the_way_that_was_exchanged_leads_nowhere(at: House, tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir()
    path = _picture(tmp_path / "in" / "deep" / "a.png")
    view = item(path, kind=ItemKind.STILL, roots=beneath.real_roots((str(tmp_path / "in"),)))
    assert restore_still(view, at.bench()).outputs
    _lead_out(tmp_path / "in" / "deep")
    assert _refusal(lambda: restore_still(view, at.bench())) == "PATH_UNSAFE"


def _exchange_root(folder: Path) -> None:
    """Put a link to another folder with the same names in the place of a root."""
    private = folder.parent / "private"
    shutil.copytree(folder, private)
    folder.rename(folder.parent / "away")
    folder.symlink_to(private)


def test_a_root_that_was_exchanged_for_a_link_allows_nothing_else(at: House, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    mask = _picture(folder / "m.png")
    still = _item(_picture(folder / "a.png"), kind=ItemKind.STILL, mask=str(mask))
    reel = _item(folder / "reel", **_frames(folder / "reel"))
    film_view = _item(film(folder / "b.mkv", moving(8), "gray"))
    for view in (still, reel, film_view):
        assert probe.describe(view.source, at.settings, at.bench().scratch)
    _exchange_root(folder)
    for view in (still, reel, film_view):
        assert _refusal(lambda at_hand=view: probe.describe(at_hand.source, at.settings, at.bench().scratch)) == (
            "PATH_UNSAFE"
        )
    assert _refusal(lambda: locate_mask(still.source, at.bench())) == "PATH_UNSAFE"


def test_a_job_of_the_first_release_has_no_roots_and_reads_what_it_names(at: House, tmp_path: Path) -> None:
    view = item(_lead_out(_picture(tmp_path / "in" / "a.png")), kind=ItemKind.STILL)
    assert view.source.roots is None
    assert restore_still(view, at.bench()).outputs


def test_a_film_that_was_exchanged_is_not_read_by_any_task(at: House, tmp_path: Path) -> None:
    path = film(tmp_path / "in" / "a.mkv", moving(8), "gray")
    view = _item(path)
    known = probed(at, view)
    parts = restored(at, known, 8)
    _lead_out(path)
    tasks = (
        lambda: probe.probe(order(view, TaskKind.PROBE), at.bench()),
        lambda: inspect.inspect(order(known, TaskKind.INSPECT, 0, 8), at.bench()),
        lambda: restore.restore_segment(order(known, TaskKind.RESTORE, 0, 8), at.bench()),
        lambda: assemble.assemble(order(known, TaskKind.ASSEMBLE, parts=parts), at.bench()),
        lambda: verify.Verifier(at.settings).answer(verify.VerifyOrder(source=view.source)),
    )
    assert [_refusal(task) for task in tasks] == ["PATH_UNSAFE"] * len(tasks)


def test_a_frame_that_is_a_link_outside_is_not_read(at: House, tmp_path: Path) -> None:
    """Not while its digest is taken, and not when it is exchanged between the tasks of the reel."""
    folder = tmp_path / "in" / "seq"
    view = _item(folder, **_frames(folder))
    known = probed(at, view)
    (folder / "f_2.png").rename(tmp_path / "out" / "f_2.png")
    (folder / "f_2.png").symlink_to(tmp_path / "out" / "f_2.png")
    assert _refusal(lambda: probe.probe(order(view, TaskKind.PROBE), at.bench())) == "PATH_UNSAFE"
    whole = order(known, TaskKind.RESTORE, 0, 4)
    assert _refusal(lambda: restore.restore_segment(whole, at.bench())) == "PATH_UNSAFE"
    assert restore.restore_segment(order(known, TaskKind.RESTORE, 0, 2), at.bench()).frames == 2


def test_a_frame_may_be_a_link_inside(at: House, tmp_path: Path) -> None:
    folder = tmp_path / "in" / "seq"
    view = _item(folder, **_frames(folder))
    (folder / "f_1.png").unlink()
    (folder / "f_1.png").symlink_to("f_3.png")
    assert probed(at, view).facts


def test_a_sound_file_that_leads_outside_is_not_heard(at: House, tmp_path: Path) -> None:
    path = film(tmp_path / "in" / "a.mkv", moving(4), "gray")
    sound = film(tmp_path / "in" / "s.mkv", moving(4), "gray")
    view = _item(path, sound=str(_lead_out(sound)))
    assert _refusal(lambda: probe.probe(order(view, TaskKind.PROBE), at.bench())) == "PATH_UNSAFE"


def test_a_mask_that_leads_outside_is_not_read(at: House, tmp_path: Path) -> None:
    mask = _lead_out(_picture(tmp_path / "in" / "m.png"))
    view = _item(_picture(tmp_path / "in" / "a.png"), kind=ItemKind.STILL, mask=str(mask))
    assert _refusal(lambda: restore_still(view, at.bench())) == "PATH_UNSAFE"


@pytest.mark.parametrize("whole", [True, False])
def test_a_folder_of_masks_that_leads_outside_is_not_read(at: House, tmp_path: Path, whole: bool) -> None:
    path, masks = film(tmp_path / "in" / "a.mkv", moving(4), "gray"), tmp_path / "in" / "masks"
    _frames(masks)
    if whole:
        _lead_out(masks)
    else:
        (masks / "f_2.png").rename(tmp_path / "out" / "m.png")
        (masks / "f_2.png").symlink_to(tmp_path / "out" / "m.png")
    view = _item(path, mask=str(masks))
    assert _refusal(lambda: probe.probe(order(view, TaskKind.PROBE), at.bench())) == "PATH_UNSAFE"


def test_an_object_outside_the_prefixes_is_not_asked_for(at: House, tmp_path: Path) -> None:
    """No server is needed for the answer: none is asked."""
    path = film(tmp_path / "in" / "a.mkv", moving(4), "gray")
    for more in ({"uri": "s3://private/a.mkv"}, {"sound": "s3://private/a.wav"}, {"mask": "s3://private/m.png"}):
        source = _item(path).source.model_copy(
            update=more | {"roots": beneath.real_roots((str(path.parent), "s3://private/box"))}
        )
        view = _item(path).model_copy(update={"source": source})
        assert _refusal(lambda v=view: probe.probe(order(v, TaskKind.PROBE), at.bench())) == "PATH_UNSAFE"
