"""A folder in S3 as a manifest, on a real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from db.errors import StoreUnavailable
from db.s3 import connect
from db.session import Database
from db.settings import Settings
from orchestrator.submit import SubmitOptions, submit
from tests.orchestrator.manifest.reading import codes, read, refused
from tests.support.servers import S3, free_port


@pytest.fixture(scope="module")
def served(s3: S3) -> Settings:
    """Settings that reach a bucket with an archive of a photo, two reels, and things that are none."""
    settings = Settings(**s3.settings)
    client = connect(settings)
    client.create_bucket(Bucket="archive-1")
    names = ["scans/photo.jpg", "scans/reel.wav", "scans/notes.txt", "scans2/other.jpg", "scans/empty.jpg"]
    names += [f"scans/reel/f_{number:04d}.dpx" for number in range(1, 8)]
    names += [f"scans/reel/f_0003x/{number}.jpg" for number in range(2)]
    for name in names:
        client.put_object(Bucket="archive-1", Key=name, Body=b"" if "empty" in name else name.encode())
    return settings


@pytest.mark.parametrize("prefix", ["s3://archive-1/scans", "s3://archive-1/scans/"])
def test_a_prefix_is_read_as_a_folder_is(served: Settings, prefix: str) -> None:
    found, notes = read(prefix, served, check_files=True)
    assert [line.external_id for line in found] == [
        "empty.jpg", "photo.jpg", "reel/f_0001-0007.dpx", "reel/f_0003x/0.jpg", "reel/f_0003x/1.jpg",
    ]  # fmt: skip
    assert [code for _, code in codes(found)] == ["ZERO_BYTE"]
    reel = found[2].source
    assert reel is not None
    assert reel.sequence is not None
    assert (reel.uri, reel.sequence.end, reel.sound) == (
        "s3://archive-1/scans/reel", 7, "s3://archive-1/scans/reel.wav",
    )  # fmt: skip
    assert found[1].source is not None
    assert found[1].source.bytes == len("scans/photo.jpg")
    assert notes == ["Files of other kinds were passed over: txt (1)"]


def test_a_whole_bucket_and_a_single_object(served: Settings) -> None:
    whole, _ = read("s3://archive-1", served)
    assert "scans2/other.jpg" in [line.external_id for line in whole]
    assert {line.source.uri for line in whole if line.source} >= {"s3://archive-1/scans2/other.jpg"}
    ((single,), _) = read("s3://archive-1/scans/photo.jpg", served)
    assert single.source is not None
    assert (single.external_id, single.source.uri) == ("photo.jpg", "s3://archive-1/scans/photo.jpg")


def test_what_is_not_there_is_refused(served: Settings) -> None:
    assert refused("s3://no-such-bucket/x", served) == "FILE_MISSING"
    assert refused("s3://B/x", served) == "FILE_MISSING"
    assert refused("s3://", served) == "MANIFEST_UNREADABLE"
    assert refused("s3://archive-1/a\nb", served) == "MANIFEST_UNREADABLE"
    assert refused("s3://archive-1", served.model_copy(update={"s3_secret_key": "wrong"})) == "SOURCE_DENIED"
    assert read("s3://archive-1/nothing", served)[0] == []
    away = served.model_copy(update={"s3_endpoint_url": f"http://127.0.0.1:{free_port()}"})
    with pytest.raises(StoreUnavailable):
        read("s3://archive-1", away)


def test_a_prefix_is_the_same_job_until_an_object_changes(
    served: Settings, settings: Settings, home_database: Database, tmp_path: Path
) -> None:
    here = served.model_copy(update={"home": settings.home})
    connect(here).put_object(Bucket="archive-1", Key="job/a.jpg", Body=b"one")
    first = submit(here, home_database, "s3://archive-1/job", SubmitOptions())
    assert (first.lines, first.bad_lines) == (1, 0)
    assert submit(here, home_database, "s3://archive-1/job/", SubmitOptions()).job_id == first.job_id
    connect(here).put_object(Bucket="archive-1", Key="job/a.jpg", Body=b"other")
    assert submit(here, home_database, "s3://archive-1/job", SubmitOptions()).job_id != first.job_id


@pytest.fixture
def other_server() -> Iterator[Settings]:
    """One that takes every key, as Amazon's does; the usual one keeps objects in folders."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    yield Settings(s3_endpoint_url=f"http://127.0.0.1:{port}", s3_access_key="k", s3_secret_key="s")
    server.stop()


def test_a_key_keeps_every_slash(other_server: Settings) -> None:
    served = other_server
    client = connect(served)
    client.create_bucket(Bucket="slashes")
    keys = ["in//abs.png", "in///deep//x.png", "in", "/root.png", *(f"in//reel//f_{number}.png" for number in range(5))]
    for key in keys:
        client.put_object(Bucket="slashes", Key=key, Body=b"x")
    found, _ = read("s3://slashes/in", served)
    assert codes(found) == []
    assert [(line.external_id, line.source.uri) for line in found if line.source] == [
        ("/abs.png", "s3://slashes/in//abs.png"),
        ("//deep//x.png", "s3://slashes/in///deep//x.png"),
        ("/reel//f_0-4.png", "s3://slashes/in//reel/"),
    ]
    whole, _ = read("s3://slashes", served)
    assert ("/root.png", "s3://slashes//root.png") in [
        (line.external_id, line.source.uri) for line in whole if line.source
    ]
