"""Whatever stands in a manifest, it is read: a bad line costs itself, and only errors of the house are raised."""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from db.errors import CODES, ManifestError, ReelwrightError
from db.recipe import resolve
from db.settings import Settings
from orchestrator import manifest
from orchestrator.manifest import Line
from tests.properties.hostile import ENTRIES, FEW, FILE_NAMES, MANY, RECIPES, TEXTS

SETTINGS = Settings(max_manifest_line_bytes=20_000, allow_fetch=True)
FIRST, LAST = {"id": "first", "uri": "a.jpg"}, {"id": "last", "uri": "z.jpg"}
MD5 = "0" * 32
ROOTS = ("s3://",)


@contextmanager
def _place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for each in ("a.jpg", "z.jpg", "b.png"):
            (folder / each).write_bytes(each.encode())
        yield folder


def _lines(path: Path) -> list[Line]:
    """Read a manifest with and without a look at its files; whatever is said can be shown and stored."""
    for check_files in (False, True):
        opened = manifest.open_manifest(path)
        found = list(manifest.lines(opened, resolve("identity"), SETTINGS, roots=ROOTS, check_files=check_files))
        for line in found:
            assert line.problems or line.source is not None
            assert all(each.code in CODES and each.message.isprintable() for each in line.problems), line.problems
        assert len({line.external_id for line in found}) == len(found)
        assert all(note.isprintable() for note in opened.notes)
    return found


def _refusal(path: Path) -> ManifestError | None:
    """Read a manifest whose other entries are good unless it is refused as a whole."""
    try:
        found = _lines(path)
    except ManifestError as error:
        return error
    _assert_others_are_good(found)
    return None


def _assert_others_are_good(found: list[Line]) -> None:
    good = [line.external_id for line in found if not line.problems]
    assert "first" in good
    assert "last" in good


def _json(document: Any) -> str:
    return json.dumps(document, default=str)


@MANY
@given(ENTRIES)
@example({"uri": "b.png", "x_\ud800": 1})
@example({"uri": "b.png", "recipe": "[!!bool x]"})
@example({"uri": "b.png", "recipe": "[" + ",".join(["[]"] * 5000) + "]"})
def test_an_entry_of_json_lines_costs_itself_alone(entry: dict[str, Any]) -> None:
    with _place() as folder:
        (folder / "m.jsonl").write_text("\n".join(map(_json, (FIRST, entry, LAST))))
        _assert_others_are_good(_lines(folder / "m.jsonl"))


@MANY
@given(TEXTS)
def test_a_line_of_json_lines_costs_itself_alone(text: str) -> None:
    with _place() as folder:
        middle = text.replace("\n", " ").encode(errors="surrogatepass")
        (folder / "m.jsonl").write_bytes(b"\n".join((_json(FIRST).encode(), middle, _json(LAST).encode())))
        _assert_others_are_good(_lines(folder / "m.jsonl"))


@MANY
@given(RECIPES, st.sampled_from(["jsonl", "cell", "yaml"]))
def test_a_recipe_of_a_line_costs_that_line_alone(recipe: Any, form: str) -> None:
    with _place() as folder:
        path = folder / ("m.yaml" if form == "yaml" else "m.jsonl")
        middle = {"id": "middle", "uri": "b.png", "recipe": _json(recipe) if form == "cell" else recipe}
        mark = "- " if form == "yaml" else ""
        path.write_text("".join(f"{mark}{_json(each)}\n" for each in (FIRST, middle, LAST)))
        refusal = _refusal(path)
        assert refusal is None or form == "yaml"  # which does not know half of a character


@MANY
@given(st.lists(TEXTS, min_size=1, max_size=6), st.sampled_from(",;\t"))
def test_a_row_of_csv_costs_itself_alone(cells: list[str], parts: str) -> None:
    names = ["id", "uri", "recipe", "fps", "span", "params.boxes"]
    rows = io.StringIO()
    writer = csv.writer(rows, delimiter=parts)
    writer.writerows([names, ["first", "a.jpg"], [cell.replace("\0", "") for cell in cells], ["last", "z.jpg"]])
    with _place() as folder:
        (folder / "m.csv").write_bytes(rows.getvalue().encode(errors="surrogatepass"))
        _assert_others_are_good(_lines(folder / "m.csv"))


@MANY
@given(st.lists(TEXTS, min_size=1, max_size=8))
def test_any_header_is_a_header_or_refused(names: list[str]) -> None:
    rows = io.StringIO()
    csv.writer(rows).writerows([["uri", *names], ["a.jpg", *names]])
    with _place() as folder:
        (folder / "m.csv").write_bytes(rows.getvalue().encode(errors="replace"))
        with suppress(ManifestError):
            _lines(folder / "m.csv")


@MANY
@given(
    ENTRIES,
    st.sampled_from(["- {}\n- {}\n- {}\n", "items: [{}, {}, {}]\n", "[{}, {}, {}]\n", "---\n{}\n---\n{}\n---\n{}\n"]),
)
def test_an_entry_of_yaml_costs_itself_or_the_manifest(entry: dict[str, Any], form: str) -> None:
    with _place() as folder:
        (folder / "m.yaml").write_text(form.replace("{}", "%s") % tuple(map(_json, (FIRST, entry, LAST))))
        refusal = _refusal(folder / "m.yaml")
        assert refusal is None or str(folder / "m.yaml") in refusal.message


@MANY
@given(st.lists(FILE_NAMES, max_size=8, unique=True), st.lists(FILE_NAMES, max_size=3, unique=True))
def test_files_of_any_name_are_read(names: list[str], links: list[str]) -> None:
    with _place() as folder:
        below = folder / "below"
        below.mkdir()
        for name in names:
            (below / name).write_bytes(b"x")
        for link in links:
            if not os.path.lexists(folder / link):
                (folder / link).symlink_to(link)
        good = [line.external_id for line in _lines(folder) if not line.problems]
        clashing = {name.casefold() for name in links}
        assert {"a.jpg", "z.jpg"} <= {*good, *clashing}
        for form in (below, folder / "a.jpg"):
            _lines(form)


@MANY
@given(TEXTS, st.sampled_from([f"{MD5}  {{}}", f"{MD5} *{{}}", f"MD5 ({{}}) = {MD5}", "{}", f"\\{MD5}  {{}}"]))
def test_a_line_of_a_list_of_digests_costs_itself_alone(name: str, form: str) -> None:
    with _place() as folder:
        line = form.format(name.replace("\n", "")).encode(errors="surrogatepass")
        lines = (f"{MD5}  a.jpg".encode(), line, f"{MD5}  z.jpg".encode())
        (folder / "checksum.md5").write_bytes(b"\n".join(lines))
        found = _lines(folder / "checksum.md5")
        said = " ".join(each.message for line in found for each in line.problems)
        good = [line.external_id for line in found if not line.problems]
        assert all(each in good or each in said for each in ("a.jpg", "z.jpg"))  # unless it spoke of them


@MANY
@given(TEXTS, TEXTS)
def test_a_row_of_a_transfer_costs_itself_alone(name: str, title: str) -> None:
    rows = io.StringIO()
    cells = [cell.replace("\0", "") for cell in (name, title)]
    csv.writer(rows).writerows([["filename", "dc.title", "recipe"], ["a.jpg"], [*cells, cells[0]], ["z.jpg"]])
    with _place() as folder:
        (folder / "metadata").mkdir()
        (folder / "metadata" / "metadata.csv").write_bytes(rows.getvalue().encode(errors="surrogatepass"))
        good = [line.external_id for line in _lines(folder / "metadata" / "metadata.csv") if not line.problems]
        assert {"a.jpg", "z.jpg"} <= {*good, name.strip(), os.path.normpath(name)}


@MANY
@given(
    TEXTS, TEXTS, st.sampled_from(["manifest-md5.txt", "bag-info.txt", "bagit.txt", "fetch.txt", "tagmanifest-md5.txt"])
)
def test_any_paper_of_a_bag_is_read_or_refuses_it(first: str, second: str, paper: str) -> None:
    with _place() as folder:
        bag = folder / "bag"
        (bag / "data").mkdir(parents=True)
        (bag / "data" / "a.jpg").write_bytes(b"x")
        (bag / "bagit.txt").write_text("BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n")
        (bag / "manifest-md5.txt").write_text(f"{MD5}  data/a.jpg\n")
        with (bag / paper).open("ab") as file:
            for text in (f"{MD5}  {first}", f"{first}: {second}", f"{first} {second} data/{first}", second):
                file.write(text.encode(errors="surrogatepass") + b"\n")
        with suppress(ManifestError):
            _lines(bag)


@MANY
@given(TEXTS, TEXTS)
def test_a_row_of_a_list_of_objects_costs_itself_alone(bucket: str, key: str) -> None:
    rows = io.StringIO()
    cells = [cell.replace("\0", "") for cell in (bucket, key)]
    csv.writer(rows).writerows([["archive", "scans/a.jpg"], cells, ["archive", "scans/z.jpg"]])
    with _place() as folder:
        (folder / "m.csv").write_bytes(rows.getvalue().encode(errors="surrogatepass"))
        good = [line.external_id for line in _lines(folder / "m.csv") if not line.problems]
        assert {"archive/scans/a.jpg", "archive/scans/z.jpg"} <= set(good)


@FEW
@given(
    st.dictionaries(
        st.sampled_from(["fileFormat", "fileSchema", "files", "sourceBucket"]), TEXTS | st.lists(ENTRIES, max_size=2)
    )
)
def test_any_manifest_of_an_inventory_is_read_or_refused(document: dict[str, Any]) -> None:
    with _place() as folder:
        (folder / "manifest.json").write_text(_json({"fileSchema": "Bucket, Key", "sourceBucket": "b", **document}))
        with pytest.raises(ManifestError):
            _lines(folder / "manifest.json")


def _clip(name: str, media: dict[str, Any]) -> dict[str, Any]:
    return {"OTIO_SCHEMA": "Clip.1", "name": name, "media_reference": media, "source_range": None}


@settings(FEW, max_examples=5)
@given(st.lists(st.tuples(TEXTS, TEXTS, st.integers(-5, 10**12), st.floats(allow_nan=True)), min_size=3, max_size=6))
def test_a_clip_costs_itself_alone(facts: list[tuple[str, str, int, float]]) -> None:
    """The library runs in a process of its own, which takes half a second each time."""
    clips = [_clip("first", {"OTIO_SCHEMA": "ExternalReference.1", "target_url": "a.mkv"})]
    for name, text, number, rate in facts:
        clips.append(_clip(name, {"OTIO_SCHEMA": "ExternalReference.1", "target_url": text}))
        sequence = {"target_url_base": text, "name_prefix": name, "name_suffix": ".dpx", "start_frame": number}
        more = {
            "frame_step": number % 3,
            "rate": rate,
            "frame_zero_padding": number % 40,
            "missing_frame_policy": "hold",
        }
        clips.append(_clip("", {"OTIO_SCHEMA": "ImageSequenceReference.1", **sequence, **more}))
    clips.append(_clip("last", {"OTIO_SCHEMA": "ExternalReference.1", "target_url": "z.mkv"}))
    with _place() as folder:
        path = folder / "cut.otio"
        for name in ("a.mkv", "z.mkv"):
            (folder / name).write_bytes(b"x")
        path.write_text(_json({"OTIO_SCHEMA": "SerializableCollection.1", "name": "c", "children": clips}))
        refusal = _refusal(path)  # half of a character, or a number without end, is refused by the library
        assert refusal is None or str(path) in refusal.message


@MANY
@given(TEXTS)
def test_any_place_is_a_manifest_or_refused(place: str) -> None:
    with _place() as folder, suppress(ReelwrightError):
        opened = manifest.open_manifest(place if place.startswith("s3://") else folder / place.lstrip("/"))
        manifest.recipe_for(opened, None, 1000)
