"""Sources in S3: objects of a version, of an archive class, and of a bucket that keeps its versions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from db.errors import InputError
from db.s3 import connect
from db.settings import Settings
from db.sources import fetch_source, list_objects


@pytest.fixture(scope="module")
def versioned() -> Iterator[Settings]:
    """A bucket in which ``a.jpg`` has two versions, and ``cold.jpg`` lies in an archive class."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    settings = Settings(s3_endpoint_url=f"http://{host}:{port}", s3_access_key="key", s3_secret_key="secret")
    client = connect(settings)
    client.create_bucket(Bucket="kept")
    client.put_bucket_versioning(Bucket="kept", VersioningConfiguration={"Status": "Enabled"})
    for body in (b"old", b"newer"):
        client.put_object(Bucket="kept", Key="a.jpg", Body=body)
    client.put_object(Bucket="kept", Key="cold.jpg", Body=b"cold", StorageClass="DEEP_ARCHIVE")
    yield settings
    server.stop()


def _versions(settings: Settings) -> list[str]:
    """The versions of ``a.jpg``, the newest first."""
    return [
        each["VersionId"] for each in connect(settings).list_object_versions(Bucket="kept", Prefix="a.")["Versions"]
    ]


def test_an_object_is_fetched_in_the_version_that_is_named(versioned: Settings, tmp_path: Path) -> None:
    newer, old = _versions(versioned)
    for number, (version, body) in enumerate([("", b"newer"), (newer, b"newer"), (old, b"old")]):
        path = tmp_path / str(number)
        fetch_source(versioned, "s3://kept/a.jpg", path, version_id=version)
        assert path.read_bytes() == body


@pytest.mark.parametrize(
    ("key", "version", "code"),
    [("a.jpg", "00000000-0000-0000-0000-000000000000", "FILE_MISSING"), ("b.jpg", "", "FILE_MISSING"),
     ("cold.jpg", "", "SOURCE_ARCHIVED")],
)  # fmt: skip
def test_what_cannot_be_fetched_ends_in_a_code(
    versioned: Settings, tmp_path: Path, key: str, version: str, code: str
) -> None:
    with pytest.raises(InputError) as caught:
        fetch_source(versioned, f"s3://kept/{key}", tmp_path / "x", version_id=version)
    assert caught.value.code == code
    assert not list(tmp_path.iterdir())


def test_a_listing_says_size_and_storage_class_of_the_newest_versions(versioned: Settings) -> None:
    seen = {each.key: (each.bytes, each.storage_class) for each in list_objects(versioned, "s3://kept")}
    assert seen == {"a.jpg": (5, "STANDARD"), "cold.jpg": (4, "DEEP_ARCHIVE")}
