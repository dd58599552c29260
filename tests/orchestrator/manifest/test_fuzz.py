"""Whatever stands in a manifest, reading it ends in lines, or in an error that says what is wrong."""

from __future__ import annotations

import gzip
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from db.errors import CODES, ManifestError
from db.settings import Settings
from tests.orchestrator.manifest.reading import read

EXAMPLES = Path(__file__).parents[3] / "examples" / "manifests"
SETTINGS = Settings(max_manifest_line_bytes=4096, allow_fetch=True)
MANY = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
FEW = settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
"""OpenTimelineIO is read in a process of its own, which takes a third of a second."""
Damage = Callable[[bytes], bytes]
TRAPS = (
    b"\xff\xfe", b"\0", b'"', b"\r", b"\n", b"\n\n", b"../", b"%0A", b"%25", b"\xc3\xa9", b"e\xcc\x81", b",", b"\\",
    b"  ", b"data/", b"objects/", b"999999999999999999999", b"-1", b"NaN", b"1e999", b"null", b"[]", b"{}", b"//",
    b"\xed\xa0\x80", b"'", b";", b"\t", b"#", b"(", b")", b" = ", b"s3://", b"file:///", b"http://",
)  # fmt: skip


@st.composite
def _damages(draw: st.DrawFn) -> Damage:
    """A change of a valid manifest: pieces cut out, doubled, moved, or traps put in."""
    change = st.tuples(st.floats(0, 1), st.floats(0, 1), st.sampled_from(["cut", "double", "trap", "flip"]))
    changes = draw(st.lists(change, min_size=1, max_size=6))
    traps = draw(st.lists(st.sampled_from(TRAPS) | st.binary(max_size=8), min_size=6, max_size=6))

    def damage(data: bytes) -> bytes:
        for (where, long, change), trap in zip(changes, traps, strict=False):
            start = int(where * len(data))
            stop = min(len(data), start + int(long * 40))
            if change == "cut":
                data = data[:start] + data[stop:]
            elif change == "double":
                data = data[:stop] + data[start:]
            elif change == "trap":
                data = data[:start] + trap + data[start:]
            else:
                data = data[:start] + bytes(byte ^ 1 for byte in data[start:stop]) + data[stop:]
        return data

    return damage


def _ends_well(path: Path) -> None:
    """Read a manifest with and without a look at its files; both must end in lines or in an error of the house."""
    for check_files in (False, True):
        refusal = found = notes = None
        try:
            found, notes = read(path, SETTINGS, check_files=check_files)
        except ManifestError as error:
            refusal = error
        if refusal is not None:
            assert refusal.code in CODES
            assert refusal.message.isprintable()
            continue
        names = [line.external_id for line in found or ()]
        assert len(set(names)) == len(names)
        assert all(note.isprintable() for note in notes or ())
        for line in found or ():
            assert line.problems or line.source is not None
            assert all(each.code in CODES and each.message.isprintable() for each in line.problems)


def _damaged(name: str, paper: str, damage: Damage) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "m"
        shutil.copytree(EXAMPLES / name, place) if (EXAMPLES / name).is_dir() else place.mkdir()
        source = EXAMPLES / name / paper
        (place / paper).write_bytes(damage(source.read_bytes()))
        whole = name in ("bag", "archivematica")
        _ends_well(place if whole else place / ("manifest.json" if name == "inventory" else paper))


@pytest.mark.parametrize(
    ("name", "paper"),
    [
        (".", "native.csv"),
        (".", "native.jsonl"),
        (".", "native.yaml"),
        (".", "checksum.sha256"),
        (".", "s3-batch.csv"),
        ("inventory", "manifest.json"),
        ("bag", "bagit.txt"),
        ("bag", "bag-info.txt"),
        ("bag", "manifest-sha256.txt"),
        ("bag", "tagmanifest-sha256.txt"),
        ("archivematica", "metadata/metadata.csv"),
        ("archivematica", "metadata/checksum.md5"),
    ],
)
@MANY
@given(damage=_damages())
def test_a_damaged_manifest_ends_well(name: str, paper: str, damage: Damage) -> None:
    if name == ".":
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / paper
            path.write_bytes(damage((EXAMPLES / paper).read_bytes()))
            _ends_well(path)
    else:
        _damaged(name, paper, damage)


@MANY
@given(damage=_damages(), packed=st.booleans())
def test_a_damaged_inventory_file_ends_well(damage: Damage, packed: bool) -> None:
    """Damaged as it lies there, or damaged and packed again so that its rows are reached."""

    def inside(data: bytes) -> bytes:
        return gzip.compress(damage(gzip.decompress(data))) if packed else damage(data)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.csv.gz"
        path.write_bytes(inside((EXAMPLES / "inventory" / "data" / "example.csv.gz").read_bytes()))
        _ends_well(path)


@pytest.mark.parametrize(
    "name", ["a.csv", "a.csv.gz", "a.jsonl", "a.yaml", "a.json", "checksum.md5", "metadata.csv", "x"]
)
@MANY
@given(data=st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_arbitrary_bytes_end_well(name: str, data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        _ends_well(path)


@MANY
@given(fetch=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
@example(fetch=b"http://h - data/photo.png\nx 1 ../a\n\xff\n")
def test_arbitrary_lists_of_what_to_fetch_end_well(fetch: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "bag"
        shutil.copytree(EXAMPLES / "bag", place)
        (place / "fetch.txt").write_bytes(fetch)
        _ends_well(place)


@FEW
@given(damage=_damages())
def test_a_damaged_timeline_ends_well(damage: Damage) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cut.otio"
        path.write_bytes(damage((EXAMPLES / "timeline.otio").read_bytes()))
        _ends_well(path)
