from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from db.errors import InputError, StoreUnavailable, TransientError
from db.records import Blob
from db.s3 import connect
from db.settings import Settings
from db.store import keys, open_store
from db.store.base import Store
from db.store.s3 import S3Store
from tests.support import servers

KEY = "jobs/1/items/2/g1/restore/t3-a1-boot"


def test_what_is_put_comes_back_with_its_digest(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"frame" * 500_000)
    moved: list[int] = []
    blob = store.put(f"{KEY}/chunk.mkv", source, moved=moved.append)
    assert blob == Blob(key=f"{KEY}/chunk.mkv", sha256=hashlib.sha256(source.read_bytes()).hexdigest(), bytes=2_500_000)
    assert moved
    copy = tmp_path / "copy"
    store.get(blob, copy)
    assert copy.read_bytes() == source.read_bytes()
    assert store.size(blob.key) == 2_500_000
    store.check(blob)


def test_a_full_disk_is_named_by_where_a_copy_should_go(tmp_path: Path) -> None:
    store = open_store(Settings(home=tmp_path))
    with pytest.raises(TransientError, match="No space left in /dev ") as full:
        store.get(store.put_bytes(f"{KEY}/small", b"abc"), Path("/dev/full"))
    assert full.value.code == "NO_SPACE"


def test_bytes_round_trip(store: Store) -> None:
    blob = store.put_bytes(f"{KEY}/small", b"abc")
    assert store.read(blob) == b"abc"
    assert blob.sha256 == hashlib.sha256(b"abc").hexdigest()


def test_large_files_travel_in_parts(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(range(256)) * 80_000)  # above the multipart bound
    blob = store.put(f"{KEY}/large", source)
    store.get(blob, tmp_path / "copy")
    assert (tmp_path / "copy").stat().st_size == 20_480_000


def test_a_part_of_a_blob_is_streamed(store: Store) -> None:
    data = bytes(range(256)) * 10_000
    blob = store.put_bytes(f"{KEY}/long", data)
    assert b"".join(store.stream(blob)) == data
    assert b"".join(store.stream(blob, 5, 1_500_000)) == data[5:1_500_000]
    with pytest.raises(InputError) as missing:
        next(store.stream(blob.model_copy(update={"key": f"{KEY}/ghost"})))
    assert missing.value.code == "BLOB_MISSING"


def test_missing_blob_is_named(store: Store, tmp_path: Path) -> None:
    ghost = Blob(key=f"{KEY}/ghost", sha256="0" * 64, bytes=1)
    for read in (lambda: store.read(ghost), lambda: store.get(ghost, tmp_path / "x")):
        with pytest.raises(InputError) as missing:
            read()
        assert missing.value.code == "BLOB_MISSING"
    assert store.size(ghost.key) is None


def test_changed_blob_is_noticed(store: Store, tmp_path: Path) -> None:
    blob = store.put_bytes(f"{KEY}/blob", b"abc")
    lie = blob.model_copy(update={"sha256": "f" * 64})
    for read in (lambda: store.read(lie), lambda: store.get(lie, tmp_path / "x"), lambda: store.check(lie)):
        with pytest.raises(InputError) as changed:
            read()
        assert changed.value.code == "CHECKSUM_MISMATCH"


def test_a_folder_is_listed_and_removed_and_its_neighbours_stay(store: Store) -> None:
    for name in ("a/1", "a/2", "ab/3"):
        store.put_bytes(f"jobs/7/{name}", b"x")
    assert sorted(store.keys("jobs/7/a/")) == ["jobs/7/a/1", "jobs/7/a/2"]
    assert store.delete("jobs/7/a/") == 2
    assert list(store.keys("jobs/7/")) == ["jobs/7/ab/3"]
    assert store.delete("jobs/7/a/") == 0


@pytest.mark.parametrize("key", ["../x", "/etc/passwd", "a//b", "a/../b", "a b", ".hidden", "", "a/" + "x" * 200])
def test_unsafe_keys_are_refused(store: Store, key: str) -> None:
    with pytest.raises(InputError) as unsafe:
        store.put_bytes(key, b"x")
    assert unsafe.value.code == "KEY_UNSAFE"


def test_local_blobs_are_read_only_and_nothing_half_written_is_listed(tmp_path: Path) -> None:
    store = open_store(Settings(home=tmp_path))
    blob = store.put_bytes("a/b", b"x")
    path = store.local_path(blob.key)
    assert path is not None
    assert path.stat().st_mode & 0o222 == 0
    (path.parent / ".part").write_bytes(b"torn")
    assert list(store.keys("")) == ["a/b"]


def test_an_attempts_prefix_is_its_own() -> None:
    assert keys.attempt_prefix(1, 2, 3, "restore", (0, 64), "t4-a5-boot") == (
        "jobs/1/items/2/g3/restore-0-64/t4-a5-boot"
    )
    assert keys.attempt_prefix(1, None, 1, "restore", None, "t4-a5-boot") == "jobs/1/bundles/restore/t4-a5-boot"


@pytest.mark.parametrize(
    ("text", "name"), [("reel 1/a", "reel_1_a"), ("../../x", "x"), ("\u202eevil", "evil"), ("", "item")]
)
def test_any_text_becomes_a_safe_name(text: str, name: str) -> None:
    assert keys.safe_name(text) == name
    assert keys.check(keys.safe_name(text))


def test_a_dead_s3_server_is_an_outage_not_a_failure(tmp_path: Path) -> None:
    with servers.s3() as server:
        store = open_store(Settings(store_uri="s3://bucket-x", **server.settings))
        blob = store.put_bytes("a/b", b"x")
        server.kill()
        with pytest.raises(StoreUnavailable):
            store.read(blob)
        with pytest.raises(StoreUnavailable):
            store.put_bytes("a/c", b"x")
        server.start()
        assert store.read(blob) == b"x"


def test_rights_that_a_store_refuses_are_no_outage_however_a_blob_is_sent(s3: servers.S3, tmp_path: Path) -> None:
    """Nobody should wait for rights: the attempts are counted, and the item fails with what the server says."""
    open_store(Settings(store_uri="s3://closed", **s3.settings))
    (tmp_path / "blob").write_bytes(b"x" * 1000)
    stranger = S3Store(connect(Settings(**s3.settings | {"s3_secret_key": "another"})), "closed", "")
    for write in (lambda: stranger.put("a/b", tmp_path / "blob"), lambda: stranger.put_bytes("a/b", b"x")):
        with pytest.raises(TransientError, match="The store refused a/b: ") as caught:
            write()
        assert caught.value.code == "STORE_FAILED"


def test_s3_address_without_a_bucket_is_refused() -> None:
    with pytest.raises(InputError) as bad:
        open_store(Settings(store_uri="s3://"))
    assert bad.value.code == "BAD_SETTING"


def test_a_bucket_that_is_gone_is_a_store_that_is_away(s3: servers.S3, tmp_path: Path) -> None:
    """Not one blob is missing, all are: nobody should be told to restore this one."""
    store = open_store(Settings(store_uri="s3://goes-away/archive", **s3.settings))
    blob = store.put_bytes(f"{KEY}/one", b"x")
    store.delete("jobs/")
    store.client.delete_bucket(Bucket="goes-away")  # type: ignore[attr-defined]
    for read in (lambda: store.read(blob), lambda: store.check(blob), lambda: store.get(blob, tmp_path / "x")):
        with pytest.raises(StoreUnavailable):
            read()
    with pytest.raises(StoreUnavailable):
        list(store.keys("jobs/"))
