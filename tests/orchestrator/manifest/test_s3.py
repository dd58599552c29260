"""Lists of objects in S3: Batch Operations and Inventory."""

from __future__ import annotations

import gzip
import hashlib
import json
import tracemalloc
from pathlib import Path

import pytest

from orchestrator.manifest import Line
from tests.orchestrator.manifest.reading import codes, lines_of, read, refused, written

SCHEMA = (
    "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, ETag, StorageClass, IsMultipartUploaded, EncryptionStatus"
)
ETAG = "0cc175b9c0f1b6a831c399e269772661"


def _inventory(folder: Path, rows: str, schema: str = SCHEMA, **changes: object) -> Path:
    packed = gzip.compress(rows.encode())
    (folder / "data").mkdir(exist_ok=True)
    written(folder / "data", "one.csv.gz", packed)
    files = [{"key": "lists/data/one.csv.gz", "size": len(packed), "MD5checksum": hashlib.md5(packed).hexdigest()}]
    document = {"sourceBucket": "b-1", "fileFormat": "CSV", "fileSchema": schema, "files": files, **changes}
    return written(folder, "manifest.json", json.dumps(document))


def _uris(lines: list[Line]) -> list[str]:
    return [line.source.uri if line.source else "" for line in lines]


def test_a_list_on_this_machine_names_no_objects_that_nobody_allowed(tmp_path: Path) -> None:
    batch = written(tmp_path, "list.csv", "b-1,box/a.tif\nb-1,box%2F..%2Fb.tif\nb-2,box/c.tif\n")
    inventory = _inventory(tmp_path, '"b-1","box/a.tif"\n"b-1","secret/b.tif"\n', "Bucket, Key")
    assert sorted(code for _, code in codes(lines_of(batch, roots=("s3://b-1/box",)))) == ["PATH_UNSAFE"] * 2
    assert [code for _, code in codes(lines_of(inventory, roots=("s3://b-1/box",)))] == ["PATH_UNSAFE"]
    for path, count in ((batch, 3), (inventory, 2)):
        assert [code for _, code in codes(lines_of(path, roots=()))] == ["PATH_UNSAFE"] * count


def test_a_batch_names_objects_with_encoded_keys(tmp_path: Path) -> None:
    text = 'my-bucket,a/Box+1/p%2B1.tif\nmy-bucket,"a/film.mkv"\nmy-bucket,notes.txt\nmy-bucket,a/\n'
    found, notes = read(written(tmp_path, "list.csv", text))
    assert codes(found) == []
    assert _uris(found) == ["s3://my-bucket/a/film.mkv", "s3://my-bucket/a/Box 1/p+1.tif"]
    assert [line.external_id for line in found] == ["my-bucket/a/film.mkv", "my-bucket/a/Box 1/p+1.tif"]
    assert "no header" in notes[0]
    assert notes[1:] == ["Files of other kinds were passed over: txt (1)"]


def test_versions_are_items_of_their_own(tmp_path: Path) -> None:
    text = "".join(f"my-bucket,reel/f_{number:03d}.png,v{number}\n" for number in range(6))
    text += "my-bucket,x.jpg,one\nmy-bucket,x.jpg,two\nmy-bucket,y.jpg,null\n"
    found = lines_of(written(tmp_path, "list.csv", text))
    assert codes(found) == []
    assert [line.source.version_id for line in found if line.source] == ["one", "two", "", *(f"v{n}" for n in range(6))]
    assert [line.external_id for line in found][:3] == ["my-bucket/x.jpg", "my-bucket/x.jpg#two", "my-bucket/y.jpg"]


def test_frames_are_a_reel_in_whatever_order_they_come(tmp_path: Path) -> None:
    numbers = (5, 1, 4, 2, 6, 3)
    text = "".join(f"my-bucket,a/reel/f_{number}.dpx\n" for number in numbers) + "my-bucket,a/reel.wav\n"
    (line,) = lines_of(written(tmp_path, "list.csv.gz", gzip.compress(text.encode())))
    assert line.source is not None
    assert line.source.sequence is not None
    assert (line.source.uri, line.source.sequence.start, line.source.sequence.end) == ("s3://my-bucket/a/reel", 1, 6)
    assert line.source.sound == "s3://my-bucket/a/reel.wav"


def test_an_inventory_is_read_by_its_schema(tmp_path: Path) -> None:
    rows = (
        f'"b-1","a.jpg","v1","true","false","12","{ETAG}","STANDARD","false","SSE-S3"\n'
        f'"b-1","b.jpg","","true","false","12","{ETAG}","STANDARD","true","SSE-S3"\n'
        f'"b-1","c.jpg","","true","false","12","{ETAG}","STANDARD","false","SSE-KMS"\n'
        f'"b-1","d.jpg","v0","false","false","12","{ETAG}","STANDARD","false","SSE-S3"\n'
        f'"b-1","e.jpg","v1","true","true","","","","",""\n'
        f'"b-1","f.jpg","","true","false","0","{ETAG}","STANDARD","false","SSE-S3"\n'
        f'"b-1","g.jpg","","true","false","12","{ETAG}","DEEP_ARCHIVE","false","SSE-S3"\n'
    )
    found, notes = read(_inventory(tmp_path, rows), check_files=True)
    assert codes(found) == [(6, "ZERO_BYTE"), (7, "SOURCE_ARCHIVED")]
    sources = {line.external_id: line.source for line in found if line.source}
    assert sorted(sources) == [f"b-1/{name}.jpg" for name in "abcfg"]
    assert [sources[f"b-1/{name}.jpg"].checksum for name in "abc"] == [{"md5": ETAG}, {}, {}]
    assert (sources["b-1/a.jpg"].bytes, sources["b-1/a.jpg"].version_id) == (12, "v1")
    assert sorted(notes) == [
        "Objects that are deleted were passed over (1)",
        "Versions that are not the latest were passed over (1)",
    ]


@pytest.mark.parametrize("place", [".", "data", "../data"])
def test_the_files_of_an_inventory_are_found_as_they_lie_in_a_bucket(tmp_path: Path, place: str) -> None:
    folder = tmp_path / "2026-01-01T00-00Z"
    folder.mkdir()
    path = _inventory(folder, "b-1,a.jpg\n", "Bucket, Key")
    (folder / place).mkdir(exist_ok=True)
    (folder / "data" / "one.csv.gz").rename(folder / place / "one.csv.gz")
    assert _uris(lines_of(path, check_files=True)) == ["s3://b-1/a.jpg"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"fileFormat": "ORC"}, "MANIFEST_UNREADABLE"),
        ({"fileSchema": "Bucket, Name"}, "BAD_HEADER"),
        ({"fileSchema": 7}, "BAD_HEADER"),
        ({"files": 7}, "BAD_HEADER"),
        ({"files": [{"key": 7}]}, "BAD_HEADER"),
        ({"files": [{"key": "a/gone.csv.gz"}]}, "FILE_MISSING"),
        ({"files": [{"key": "a/.."}]}, "PATH_UNSAFE"),
        ({"files": [{"key": "one.csv.gz", "MD5checksum": "0"}]}, "CHECKSUM_MISMATCH"),
    ],
)
def test_an_inventory_that_is_wrong_is_refused(tmp_path: Path, changes: dict[str, object], code: str) -> None:
    assert refused(_inventory(tmp_path, "b-1,a.jpg\n", **changes)) == code


@pytest.mark.parametrize("damage", ["cut", "noise", "json"])
def test_a_file_that_cannot_be_unpacked_is_refused(tmp_path: Path, damage: str) -> None:
    path = _inventory(tmp_path, "b-1,a.jpg\n" * 1000, "Bucket, Key")
    packed = tmp_path / "data" / "one.csv.gz"
    data = packed.read_bytes()
    if damage == "json":
        path.write_text(path.read_text()[:-10])
    else:
        packed.write_bytes(data[:-9] if damage == "cut" else data[:12] + b"\xff" * 30 + data[42:])
    assert refused(path, check_files=False) == "MANIFEST_UNREADABLE"


@pytest.mark.parametrize(
    ("row", "facts"),
    [
        (f"b-1,a.jpg,12,2026-01-01T00:00:00.000Z,{ETAG},STANDARD,false", (12, "")),
        (f'"b-1","a.jpg","3HL4","true","false","12","2026-01-01T00:00:00Z","{ETAG}-2"', (12, "3HL4")),
        ("b-1,a.jpg,12", (12, "")),
        ("b-1,a.jpg,null", (None, "")),
        ("b-1,a.jpg,3HL4,true", (None, "3HL4")),
    ],
)
def test_columns_without_a_schema_are_known_by_their_looks(
    tmp_path: Path, row: str, facts: tuple[int | None, str]
) -> None:
    (line,) = lines_of(written(tmp_path, "list.csv", row + "\n"))
    assert line.source is not None
    assert (line.source.bytes, line.source.version_id) == facts


def test_bad_rows_are_named_and_good_ones_kept(tmp_path: Path) -> None:
    text = 'my-bucket,a.jpg\nMY_BUCKET,b.jpg\nmy-bucket\nmy-bucket,%FF.jpg\nmy-bucket,a%00.jpg\nmy-bucket,"open\n'
    found = lines_of(written(tmp_path, "list.csv", text))
    assert [line.external_id for line in found if not line.problems] == ["my-bucket/a.jpg"]
    assert {(2, "BAD_VALUE"), (3, "BAD_VALUE"), (4, "PATH_UNSAFE"), (5, "PATH_UNSAFE")} <= {*codes(found)}


def test_the_same_object_twice_is_one_item_and_two_sizes_of_it_are_a_problem(tmp_path: Path) -> None:
    found = lines_of(written(tmp_path, "list.csv", "b-1,a.jpg,12\nb-1,a.jpg,12\nb-1,b.jpg,12\nb-1,b.jpg,13\n"))
    assert codes(found) == [(4, "BAD_VALUE")]
    assert len(found) == 2


def test_an_inventorys_manifest_without_end_is_refused_before_it_is_in_memory(tmp_path: Path) -> None:
    head = '{"sourceBucket":"b","fileFormat":"CSV","fileSchema":"Bucket, Key","files":['
    written(tmp_path, "manifest.json", head + '{"key":"x"},' * 1_000_000)
    tracemalloc.start()
    assert refused(tmp_path / "manifest.json") == "MANIFEST_UNREADABLE"
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 40_000_000
