"""Where photographs come from, and what is no photograph."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

from db.errors import InputError
from tests.support.refusals import refused
from tests.workers.training import album
from workers.training import __main__ as training
from workers.training import photos


def test_a_folder_a_manifest_and_shards_give_the_same_pictures(tmp_path: Path) -> None:
    folder = album.folder(tmp_path / "photos", 3)
    (tmp_path / "list.csv").write_text("id,path\n" + "".join(f"{n},photos/{n:03d}.png\n" for n in range(3)))
    (tmp_path / "list.jsonl").write_text("".join(json.dumps({"path": f"photos/{n:03d}.png"}) + "\n" for n in range(3)))
    members = {f"{n:03d}.png": (folder / f"{n:03d}.png").read_bytes() for n in range(3)}
    shards = tmp_path / "shards"
    album.shard(shards / "a-0.tar", dict(list(members.items())[:2]))
    album.shard(shards / "a-1.tar", dict(list(members.items())[2:]))
    sources = [folder, tmp_path / "list.csv", tmp_path / "list.jsonl", shards, shards / "a-*.tar"]
    for source in sources:
        found = [picture for _, picture in photos.open_photos(source)]
        assert len(found) == 3
        assert all(np.array_equal(found[n], album.picture(n)) for n in range(3)), source


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("a.tar", b"", "BAD_SHARD"),
        ("a.tar", b"no shard at all" * 100, "BAD_SHARD"),
        ("a.csv", b"id,colour\n1,red\n", "MANIFEST_UNREADABLE"),
        ("a.csv", b"\xff\xfe\x00", "MANIFEST_UNREADABLE"),
        ("a.jsonl", b"[1, 2]\n", "MANIFEST_UNREADABLE"),
        ("a.jsonl", b"{", "MANIFEST_UNREADABLE"),
    ],
)
def test_what_is_no_source_of_pictures_is_refused_by_a_code(tmp_path: Path, name: str, data: bytes, code: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError) as caught:
        photos.open_photos(tmp_path / name)
    assert caught.value.code == code
    assert name in caught.value.message


def test_a_shard_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    whole = album.shard(tmp_path / "a.tar", {f"{n}.png": album.encoded(album.picture(n)) for n in range(4)})
    data = whole.read_bytes()
    whole.write_bytes(data[: len(data) // 2])
    with refused("BAD_SHARD"):
        photos.open_photos(whole)


def test_nothing_is_unpacked_from_a_shard_and_links_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    album.shard(path, {"../../escaped.png": album.encoded(album.picture(1))})
    with tarfile.open(path, "a") as archive:
        link = tarfile.TarInfo("secret.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    found = list(photos.open_photos(path))
    assert [name for name, _ in found] == ["../../escaped.png"]
    assert not (tmp_path.parent.parent / "escaped.png").exists()


def test_unreadable_pictures_are_named_and_the_next_one_stands_in(tmp_path: Path) -> None:
    folder = album.folder(tmp_path, 4)
    (folder / "001.png").write_bytes(b"")
    (folder / "002.png").write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    found = photos.open_photos(folder)
    assert np.array_equal(found.picture(1), album.picture(3))
    assert set(found.bad) == {"001.png", "002.png"}
    assert [name for name, _ in found] == ["000.png", "003.png"]


def test_only_some_are_chosen_by_the_index_beside_the_shards(tmp_path: Path) -> None:
    album.shard(tmp_path / "a.tar", {f"p{n}.png": album.encoded(album.picture(n)) for n in range(3)})
    (tmp_path / "index.csv").write_text("id,terms\np0,free\np1,research\np2,free\n")
    found = photos.open_photos(tmp_path, {"terms": "free"})
    assert [found.name(n) for n in range(len(found))] == ["p0.png", "p2.png"]
    with refused("FILE_MISSING"):
        photos.open_photos(tmp_path, {"terms": "stolen"})
    with refused("MANIFEST_UNREADABLE"):
        photos.open_photos(tmp_path, {"colour": "red"})


def test_a_split_shares_nothing_and_loses_nothing(tmp_path: Path) -> None:
    found = photos.open_photos(album.folder(tmp_path, 10))
    rest, held_out = found.split(4)
    names = [{each.name(n) for n in range(len(each))} for each in (rest, held_out)]
    assert names[0] | names[1] == {f"{n:03d}.png" for n in range(10)}
    assert not names[0] & names[1]


def test_what_a_manifest_names_outside_its_folder_is_not_read(tmp_path: Path) -> None:
    """By its whole path, by dots, by a link, or as a pipe; what is allowed besides is read."""
    inside, outside = tmp_path / "in", tmp_path / "out"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "a.png").write_bytes(album.encoded(album.picture(1)))
    (inside / "link.png").symlink_to(outside / "a.png")
    os.mkfifo(inside / "pipe.png")
    names = ["a.png", str(outside / "a.png"), "../out/a.png", "link.png", "pipe.png"]
    (inside / "m.jsonl").write_text("".join(json.dumps({"path": name}) + "\n" for name in names))
    found = photos.open_photos(inside / "m.jsonl")
    assert [name for name, _ in found] == ["a.png"]
    assert found.bad.keys() == {*names[1:]}
    assert "leads outside" in found.bad["link.png"]
    allowed = photos.open_photos(inside / "m.jsonl", source_roots=(str(outside),))
    assert [name for name, _ in allowed] == names[:-1]
    assert photos.open_photos(inside).files() == [str(inside / name) for name in ("a.png", "link.png")]
    assert [name for name, _ in photos.open_photos(inside)] == ["a.png"]


def test_a_training_and_its_judges_read_beneath_the_same_roots(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "a.png").write_bytes(album.encoded(album.picture(1)))
    (inside / "m.csv").write_text("path\na.png\n../out/a.png\n")
    order = ["train", "folded-cnn", str(inside / "m.csv"), "--out", str(tmp_path), "--held-out", str(inside / "m.csv")]
    for more, count in (([], 1), ([f"--source-root={outside}"], 2)):
        options = training._parser().parse_args([*order, *more])
        assert [len(list(each)) for each in training._open_photos(options)] == [count, count]
