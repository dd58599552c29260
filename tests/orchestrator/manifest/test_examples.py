"""The examples that the documentation shows are read as it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.manifest import READERS
from tests.orchestrator.manifest.reading import codes, read

EXAMPLES = Path(__file__).parents[3] / "examples" / "manifests"
DOCUMENT = EXAMPLES.parents[1] / "docs" / "manifests.md"
FORMS = {
    "native.csv": ["portrait", "reel"],
    "native.jsonl": ["portrait", "reel"],
    "native.yaml": ["portrait", "reel"],
    "media": ["photo.png", "reel/f_0001-0008.png"],
    "checksum.sha256": ["media/photo.png", "media/reel/f_0001-0008.png"],
    "archivematica": ["objects/photo.png", "objects/reel"],
    "bag": ["data/photo.png", "data/reel/f_0001-0008.png"],
    "s3-batch.csv": ["example-archive/scans/reel+2.mkv", "example-archive/scans/Box 1/portrait.tif"],
    "inventory/manifest.json": ["example-archive/scans/portrait.tif", "example-archive/scans/reel/f_0001-0008.dpx"],
    "timeline.otio": ["first shot", "second shot"],
}


@pytest.mark.parametrize("name", FORMS)
def test_an_example_is_read_as_the_documentation_says(name: str) -> None:
    found, _ = read(EXAMPLES / name, check_files=True)
    assert [line.external_id for line in found] == FORMS[name]
    assert codes(found) == ([(9, "SOURCE_ARCHIVED")] if name.startswith("inventory") else [])
    assert f"`{name}`" in DOCUMENT.read_text()


def test_there_is_an_example_of_every_form() -> None:
    known = {reader for name in FORMS for reader in READERS if reader.recognizes(EXAMPLES / name)}
    assert known == set(READERS)
