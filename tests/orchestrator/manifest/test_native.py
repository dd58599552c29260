"""Native manifests: CSV, JSON Lines, YAML, well formed and not."""

from __future__ import annotations

import gzip
import itertools
import json
import time
from pathlib import Path

import pytest

from db.errors import ManifestError
from db.recipe import resolve
from orchestrator import manifest
from orchestrator.manifest import yaml_stream
from tests.orchestrator.manifest.reading import LIMIT_BYTES, SETTINGS, codes, lines_of, read, written


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "id,uri,fps\none,a.mp4,18\ntwo,b.jpg,\n"),
        ("a.csv", "\ufeffID;URI;fps\r\none;a.mp4;18\r\ntwo;b.jpg;\r\n"),
        ("a.tsv", "id\turi\tfps\none\ta.mp4\t18\ntwo\tb.jpg"),
        ("list", "id,uri,fps\none,a.mp4,18\n\ntwo,b.jpg\n"),
        ("a.jsonl", '{"id":"one","uri":"a.mp4","fps":18}\n\n{"id":"two","uri":"b.jpg","fps":null}\n'),
        ("list", '{"id":"one","uri":"a.mp4","fps":"18"}\n{"id":"two","uri":"b.jpg"}'),
        ("a.yaml", "- {id: one, uri: a.mp4, fps: 18}\n- {id: two, uri: b.jpg}\n"),
        ("a.yml", "items:\n  - id: one\n    uri: a.mp4\n    fps: '18'\n  - {id: two, uri: b.jpg}\n"),
        ("a.yaml", "id: one\nuri: a.mp4\nfps: 18\n---\nid: two\nuri: b.jpg\n"),
        ("a.json", '[{"id": "one", "uri": "a.mp4", "fps": 18}, {"id": "two", "uri": "b.jpg"}]'),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_every_form_says_the_same(tmp_path: Path, name: str, text: str, packed: bool) -> None:
    path = written(tmp_path, f"{name}.gz", gzip.compress(text.encode())) if packed else written(tmp_path, name, text)
    one, two = lines_of(path)
    assert (one.external_id, two.external_id) == ("one", "two")
    assert one.source is not None
    assert two.source is not None
    assert (one.source.uri, one.source.kind, one.source.fps) == (str(tmp_path / "a.mp4"), "reel", 18)
    assert (two.source.kind, two.source.fps) == ("still", None)
    assert not one.problems
    assert not two.problems


def test_a_line_without_id_is_called_by_its_path(tmp_path: Path) -> None:
    (line,) = lines_of(written(tmp_path, "a.yaml", "- box 1/a.jpg\n"))
    assert line.external_id == "box 1/a.jpg"


def test_line_numbers_count_quoted_line_ends(tmp_path: Path) -> None:
    text = 'id,uri,title\none,a.jpg,"first\nsecond"\ntwo,b.jpg,x,y\nthree,c.what,\n'
    found = lines_of(written(tmp_path, "a.csv", text))
    assert [line.number for line in found] == [2, 4, 5]
    assert codes(found) == [(4, "BAD_VALUE"), (5, "UNKNOWN_FORMAT")]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("id,title\n", "BAD_HEADER"),
        ("id,uri,uri\n", "BAD_HEADER"),
        ("id,uri,recpie\n", "UNKNOWN_FIELD"),
        ("id,uri,frame_rate\n", "UNKNOWN_FIELD"),
        ("id,uri,sequence.begin\n", "UNKNOWN_FIELD"),
        (b"id,uri,t\xefte\n", "MANIFEST_UNREADABLE"),
    ],
)
def test_a_header_that_cannot_be_used_refuses_the_whole_csv(tmp_path: Path, text: str | bytes, code: str) -> None:
    with pytest.raises(ManifestError) as caught:
        lines_of(written(tmp_path, "a.csv", text))
    assert caught.value.code == code


def test_a_misspelt_field_brings_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="did you mean `recipe`"):
        lines_of(written(tmp_path, "a.csv", "id,uri,recpie\n"))


def test_free_columns_and_report_columns_are_welcome(tmp_path: Path) -> None:
    (line,) = lines_of(written(tmp_path, "a.csv", "uri,x_box,dc.title,task_status\na.jpg,7,Boys,failed\n"))
    assert line.extra == {"x_box": "7", "dc.title": "Boys"}
    assert not line.problems


def test_bad_bytes_cost_their_own_line_alone(tmp_path: Path) -> None:
    for name, text in [
        ("a.csv", b"uri\na.jpg\nb\xff.jpg\nc.jpg\n"),
        ("a.jsonl", b'{"uri":"a.jpg"}\n{"uri":"b\xff.jpg"}\n{"uri":"c.jpg"}\n'),
    ]:
        found = lines_of(written(tmp_path, name, text))
        assert sorted(line.external_id for line in found if not line.problems) == ["a.jpg", "c.jpg"]
        ((number, code),) = codes(found)
        assert code == "BAD_VALUE"
        assert number == (3 if name == "a.csv" else 2)


def test_a_line_too_long_costs_itself_alone(tmp_path: Path) -> None:
    text = "uri\na.jpg\n" + "b" * (3 * LIMIT_BYTES) + ".jpg\nc.jpg\n"
    found = lines_of(written(tmp_path, "a.csv", text))
    assert codes(found) == [(3, "BAD_VALUE")]
    assert len(found) == 3


def test_an_open_quote_does_not_swallow_the_manifest(tmp_path: Path) -> None:
    text = 'uri,title\na.jpg,"open\n' + "".join(f"b{number}.jpg,x\n" for number in range(1000))
    found = lines_of(written(tmp_path, "a.csv", text))
    assert codes(found)[0] == (2, "BAD_VALUE")
    assert "quote" in found[0].problems[0].remedy
    assert sum(not line.problems for line in found) > 300


@pytest.mark.parametrize(
    "line",
    [
        '{"uri": ',
        "[" * 4000,
        '{"uri": "a.jpg", "fps": NaN}',
        "[1]",
        "17",
        "null",
        '{"uri": "a.jpg", "bytes": ' + "9" * 4100 + "}",
        '{"uri": "a.jpg", "nope": 1}',
        '{"uri": {"deep": 1}}',
        "{}",
    ],
)
def test_a_bad_json_line_becomes_one_problem_and_the_next_is_read(tmp_path: Path, line: str) -> None:
    bad, good = lines_of(written(tmp_path, "a.jsonl", line + '\n{"uri": "good.jpg"}\n'))
    assert bad.problems[0].line == 1
    assert bad.source is None
    assert not good.problems


@pytest.mark.parametrize(
    "text",
    [
        "- {uri: a.jpg\n",
        "items: [a.jpg]\nrecipe: []\n",
        "items: [a.jpg]\nitems: [b.jpg]\n",
        "recipe: []\nrecipe: [denoise]\nitems: [a.jpg]\n",
        "{? [uri] : a.jpg}\n",
        "- " + "[" * 100 + "]" * 100 + "\n",
        "- " + "[" * 3000,
        "- a.jpg\n\tb\n",
        "recipe: []\nitmes: []\nitems: [a.jpg]\n",
        "- " + "a" * 1_000_000 + "\n",
    ],
)
def test_yaml_that_is_broken_or_a_trap_refuses_the_manifest(tmp_path: Path, text: str) -> None:
    with pytest.raises(ManifestError):
        lines_of(written(tmp_path, "a.yaml", text))


@pytest.mark.parametrize(
    "entry",
    [
        "*a",
        "{uri: *a}",
        "!!python/object/apply:os.system [ls]",
        "{uri: b.jpg, recipe: [!!bool x]}",
        "{uri: b.jpg, uri: c.jpg}",
        "{uri: b.jpg, recipe: [denoise: {strength: 0.1, strength: 0.9}]}",
        "{? [uri] : b.jpg}",
    ],
)
def test_an_entry_that_is_a_trap_costs_itself_alone(tmp_path: Path, entry: str) -> None:
    first, bad, last = lines_of(written(tmp_path, "a.yaml", f"- &a x.jpg\n- {entry}\n- z.jpg\n"))
    assert [(each.line, each.code) for each in bad.problems] == [(2, "BAD_VALUE")]
    assert [line.external_id for line in (first, last) if not line.problems] == ["x.jpg", "z.jpg"]


@pytest.mark.parametrize("read_ahead", [7, 1 << 17])
def test_characters_that_json_writes_in_two_halves_are_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_ahead: int
) -> None:
    monkeypatch.setattr(yaml_stream, "_READ_AHEAD_BYTES", read_ahead)
    titles = ["\U0001f600\U0002000b", "a\\U0001f600", "\\ud83d", "\\\\\U0001f600\\", "\ud800", "\udc00\ud83d"]
    entries = [{"uri": f"{number}.jpg", "title": title} for number, title in enumerate(titles)]
    found = lines_of(written(tmp_path, "a.json", json.dumps(entries, indent=1)))
    assert [line.extra["title"] for line in found] == [*titles[:4], "\ufffd", "\ufffd\ufffd"]
    assert codes(found) == []


def test_a_file_of_back_slashes_is_given_up(tmp_path: Path) -> None:
    path = written(tmp_path, "a.json", b'["' + b"\\" * 3_000_000 + b'"]')
    before = time.process_time()
    with pytest.raises(ManifestError):
        lines_of(path)
    assert time.process_time() - before < 3


def test_yaml_keeps_what_stands_there(tmp_path: Path) -> None:
    text = "- {id: 0012, uri: a.jpg, title: 1927-01-02, x_on: yes, x_length: 1:30, x_empty: ~}\n"
    for form in (text, text[2:]):
        (line,) = lines_of(written(tmp_path, "a.yaml", form))
        assert line.external_id == "0012"
        assert line.extra == {"title": "1927-01-02", "x_on": "yes", "x_length": "1:30"}


def test_a_manifest_carries_its_own_recipe_and_a_line_another(tmp_path: Path) -> None:
    text = (
        "recipe:\n  - denoise: {strength: 0.5}\noutputs: [master]\n"
        "items:\n  - a.jpg\n  - {uri: b.jpg, recipe: old-photo}\n  - {uri: c.jpg, recipe: [upscale: {scale: 3}]}\n"
    )
    opened = manifest.open_manifest(written(tmp_path, "a.yaml", text))
    recipe = manifest.recipe_for(opened, None, LIMIT_BYTES)
    assert [step.stage for step in recipe.steps] == ["denoise"]
    assert recipe.outputs == ("master",)
    one, two, three = manifest.lines(opened, recipe, SETTINGS, check_files=False)
    assert one.recipe is None
    assert two.recipe == resolve("old-photo")
    assert three.recipe is not None
    assert three.recipe.steps[0].params["scale"] == 3
    assert manifest.recipe_for(opened, "identity", LIMIT_BYTES) == resolve("identity")


def test_entries_come_before_the_end_has_been_read(tmp_path: Path) -> None:
    many = "".join(f"- {{uri: p{number}.jpg}}\n" for number in range(200_000))
    opened = manifest.open_manifest(written(tmp_path, "a.yaml", many + "- [broken\n"))
    lines = manifest.lines(opened, resolve("identity"), SETTINGS, check_files=False)
    assert [line.external_id for line in itertools.islice(lines, 2)] == ["p0.jpg", "p1.jpg"]


def test_what_no_reader_knows_is_refused(tmp_path: Path) -> None:
    binary = written(tmp_path, "noise", bytes(range(256)) + b"\r,uri\r\n")
    for path in (written(tmp_path, "notes.txt", "hello\n"), binary, tmp_path / "absent.csv"):
        with pytest.raises(ManifestError) as caught:
            manifest.open_manifest(path)
        assert caught.value.code == "MANIFEST_UNREADABLE"
    with pytest.raises(ManifestError) as caught:
        manifest.open_manifest(written(tmp_path, "bag.zip", b"PK"))
    assert "Unpack" in caught.value.remedy


def test_missing_frames_that_shall_be_made_up_bring_their_step_along(tmp_path: Path) -> None:
    text = (
        "recipe:\n  - deflicker\n  - denoise\nitems:\n"
        "  - {uri: a, kind: sequence, missing: interpolate, sequence: {prefix: f_, suffix: .png, start: 1, end: 9}}\n"
        "  - {uri: b, kind: sequence, missing: hold, sequence: {prefix: f_, suffix: .png, start: 1, end: 9}}\n"
    )
    opened = manifest.open_manifest(written(tmp_path, "a.yaml", text))
    recipe = manifest.recipe_for(opened, None, LIMIT_BYTES)
    made_up, held = manifest.lines(opened, recipe, SETTINGS, check_files=False)
    assert made_up.recipe is not None
    assert [step.stage for step in made_up.recipe.steps] == ["deflicker", "missing_frames", "denoise"]
    assert held.recipe is None


def test_a_mask_is_found_beside_the_manifest(tmp_path: Path) -> None:
    text = "items:\n  - {uri: a.png, mask_uri: masks/a.png}\n"
    opened = manifest.open_manifest(written(tmp_path, "a.yaml", text))
    (line,) = manifest.lines(opened, resolve("identity"), SETTINGS, check_files=False)
    assert line.source is not None
    assert line.source.mask == str(tmp_path / "masks" / "a.png")
    (line,) = manifest.lines(opened, resolve("identity"), SETTINGS, check_files=True)
    assert {problem.code for problem in line.problems} == {"FILE_MISSING"}


@pytest.mark.parametrize(
    "text",
    [
        "id,uri,,\n1,a.png,,\n,,,\n",
        "id,,uri\n1,,a.png\n",
        "sep=;\r\nid;uri\r\n1;a.png\r\n",
        '"sep=,"\nid,uri\n1,a.png\n',
        "sep=\t\nid\turi\n1\ta.png\n",
        "id;uri;;\n1;a.png;;\n",
        " id , uri \n 1 , a.png \n",
        "id,uri\r1,a.png\r",
        "id,uri\n1,a.png,,,\n",
        "ID,URI\n1,a.png\n\n \n",
        '"id","uri"\n"1","a.png"\n',
        "id|uri\n1|a.png\n".replace("|", "\t"),
        "sep=|\nid|uri\n1|a.png\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("name", ["m.csv", "m.txt"])
def test_what_spreadsheets_leave_behind_does_no_harm(tmp_path: Path, text: str, encoding: str, name: str) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    start = b"\xfe\xff" if encoding == "utf-16-be" else b""
    found, _ = read(written(tmp_path, name, start + text.encode(encoding)), check_files=True)
    assert codes(found) == []
    assert [(line.external_id, line.source and line.source.uri) for line in found] == [("1", str(tmp_path / "a.png"))]


def test_a_cell_without_a_column_is_said(tmp_path: Path) -> None:
    found = lines_of(written(tmp_path, "m.csv", "uri,,title,\na.png,lost,t,\nb.png,,t,\nc.png,,t,,,x\n"))
    assert codes(found) == [(2, "BAD_VALUE"), (4, "BAD_VALUE")]
    assert "without a name" in found[0].problems[0].message


def test_paths_are_taken_as_they_lie_there(tmp_path: Path) -> None:
    for name in ("box/a.png", "b\\c.png", " d.png", "e.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    text = "uri,sound\nbox\\a.png,\nb\\c.png,\n d.png,\n e.png ,\n..\\f.png,\n"
    found, notes = read(written(tmp_path, "m.csv", text), check_files=True)
    names = [line.source.uri.removeprefix(f"{tmp_path}/") for line in found if line.source]
    assert names == ["box/a.png", "b\\c.png", " d.png", "e.png", "..\\f.png"]
    assert codes(found) == [(6, "FILE_MISSING")]
    assert len(notes) == 1
