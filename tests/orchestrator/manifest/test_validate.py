"""Checks of single lines and of lines against one another."""

from __future__ import annotations

import json
import os
from fractions import Fraction
from pathlib import Path

import pytest

from tests.orchestrator.manifest.reading import codes, lines_of, written


def _jsonl(folder: Path, *entries: dict[str, object]) -> Path:
    return written(folder, "m.jsonl", "".join(json.dumps(entry) + "\n" for entry in entries))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("fps", "0"),
        ("fps", "1000"),
        ("fps", "-18"),
        ("fps", "1/0"),
        ("fps", "1e99999999"),
        ("fps", "fast"),
        ("bytes", -1),
        ("bytes", 1.5),
        ("bytes", True),
        ("sha256", "12"),
        ("checksum", {"md5": "z" * 32}),
        ("kind", "movie"),
        ("missing", "guess"),
        ("id", """ \t """),
        ("id", "a\x1b[31mb"),
        ("id", "x" * 600),
        ("params", {"accept_damaged": "perhaps"}),
        ("outputs", 3),
        ("params", {"boxes": "four"}),
        ("params", {"boxes": [[1, 2, 3]]}),
        ("params", {"boxes": [[9, 2, 3, 4]]}),
        ("params", {"boxes": [[0, 0, 1, "x"]]}),
        ("params", {"boxes": [[0, 0, 1, 1e9]]}),
    ],
)
def test_a_value_that_is_not_allowed_is_named(tmp_path: Path, field: str, value: object) -> None:
    (line,) = lines_of(_jsonl(tmp_path, {"uri": "a.mp4", field: value}))
    assert [found.code for found in line.problems] == ["BAD_VALUE"]
    assert field.split(".")[0] in line.problems[0].message or field == "sha256"


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("bytes", "123456789012345678901234567890", "is not between 0 and"),
        ("bytes", "9" * 19, "is not between 0 and"),
        ("bytes", "x", "is not a whole number"),
        ("span", "0-99999999999999999999", "reaches beyond frame 999999999"),
        ("span", "9-2", "is not a range"),
    ],
)
def test_a_number_that_is_too_large_is_not_called_none(tmp_path: Path, field: str, value: str, said: str) -> None:
    (line,) = lines_of(_jsonl(tmp_path, {"uri": "a.mp4", field: value}))
    assert said in line.problems[0].message


@pytest.mark.parametrize("rate", ["18", "16.667", "24000/1001", 25, "50/3"])
def test_rates_are_kept_exactly(tmp_path: Path, rate: object) -> None:
    (line,) = lines_of(_jsonl(tmp_path, {"uri": "a.mp4", "fps": rate}))
    assert line.source is not None
    assert line.source.fps is not None
    assert line.source.fps == __import__("fractions").Fraction(str(rate))


def test_all_faults_of_a_line_are_said_together(tmp_path: Path) -> None:
    entry = {"uri": "a.mp4", "fps": "x", "bytes": -1, "recipe": "old-foto", "sha1": "0"}
    found = codes(lines_of(_jsonl(tmp_path, entry), check_files=True))
    assert found == [(1, "BAD_VALUE")] * 3 + [(1, "UNKNOWN_RECIPE"), (1, "FILE_MISSING")]


def test_a_line_cannot_read_recipe_files_of_this_machine(tmp_path: Path) -> None:
    recipe = written(tmp_path, "r.yaml", "recipe: []\n")
    assert codes(lines_of(_jsonl(tmp_path, {"uri": "a.mp4", "recipe": str(recipe)}))) == [(1, "UNKNOWN_RECIPE")]


@pytest.mark.parametrize("check_files", [True, False])
def test_an_object_is_named_beneath_an_allowed_prefix_alone(tmp_path: Path, check_files: bool) -> None:
    """Not in another bucket, beside the prefix or out of it; and not as sound or mask either."""
    entries: tuple[dict[str, object], ...] = (
        {"uri": "s3://b/box/a.mkv"},
        {"uri": "s3://private/secret.png"},
        {"uri": "s3://b/boxes/a.png"},
        {"uri": "s3://b/box/../a.png"},
        {"uri": "s3://b/box/b.mkv", "sound": "s3://private/b.wav"},
        {"uri": "s3://b/box/c.mkv", "mask_uri": "s3://private/c.png"},
    )
    path = _jsonl(tmp_path, *entries)
    outside = [(number, "PATH_UNSAFE") for number in range(2, 7)]
    assert codes(lines_of(path, check_files=check_files, roots=("s3://b/box",))) == outside
    assert codes(lines_of(path, check_files=check_files, roots=())) == [(1, "PATH_UNSAFE"), *outside]


def test_twice_the_same_id_or_source(tmp_path: Path) -> None:
    found = lines_of(
        _jsonl(
            tmp_path,
            {"id": "Straße", "uri": "a.jpg"},
            {"id": "Straße", "uri": "b.jpg"},
            {"id": "STRASSE", "uri": "c.jpg"},
            {"id": "other", "uri": "./x/../a.jpg"},
            {"id": "re\u0301sume\u0301", "uri": "d.jpg"},
            {"id": "r\u00e9sum\u00e9", "uri": "e.jpg"},
        )
    )
    assert codes(found) == [
        (2, "DUPLICATE_ID"),
        (3, "UNICODE_CLASH"),
        (4, "DUPLICATE_CONTENT"),
        (6, "UNICODE_CLASH"),
    ]
    assert len({line.external_id for line in found}) == len(found)


def test_the_same_source_is_other_work_with_another_recipe_mask_or_span(tmp_path: Path) -> None:
    different = [
        {}, {"recipe": "silent-film"}, {"mask_uri": "m.mkv"}, {"span": "0-9"}, {"outputs": ["master"]},
        {"recipe": [{"denoise": {"strength": 0.1}}]},
    ]  # fmt: skip
    same = [
        {"recipe": "identity"}, {"span": "0-9", "recipe": "silent-film", "mask_uri": "m.mkv"}, {"span": "0-9"},
        {"recipe": '[{"denoise": {"strength": 0.10}}]'}, {"fps": 18}, {"outputs": "master"},
    ]  # fmt: skip
    lines = [{"id": str(number), "uri": "a.mkv", **each} for number, each in enumerate([*different, *same])]
    found = codes(lines_of(_jsonl(tmp_path, *lines)))
    assert found == [(number, "DUPLICATE_CONTENT") for number in (7, 9, 10, 11, 12)]


def test_a_bad_line_does_not_take_the_source_of_a_good_one(tmp_path: Path) -> None:
    path = _jsonl(tmp_path, {"id": "1", "uri": "a.jpg", "recipe": "old-foto"}, {"id": "2", "uri": "a.jpg"})
    assert codes(lines_of(path)) == [(1, "UNKNOWN_RECIPE")]


@pytest.mark.parametrize(
    "entry",
    [
        {"uri": "b.jpg", "recipe": "[!!bool x]"},
        {"uri": "b.jpg", "recipe": "[!!timestamp x]"},
        {"uri": "b.jpg", "recipe": f"[{':'.join(['1'] * 200)}.5]"},
        {"uri": "b.jpg", "recipe": [{"denoise": {"strength": 10**400}}]},
        {"uri": "b.jpg", "recipe": [{"denoise": {"shots": [["x"] * 900] * 3}}]},
        {"uri": "b.jpg", "params": {"boxes": [[10**400, 1, 2, 3]]}},
        {"uri": "b.jpg", "params": {"boxes": {"a": 1}}},
        {"uri": "b.jpg", "outputs": {"a": 1}},
        {"uri": "b.mkv", "fps": 10**300},
        {"uri": "b.mkv", "timecode": "0\u0661:00:00:00"},
    ],
)
def test_a_line_that_nobody_foresaw_costs_itself_alone(tmp_path: Path, entry: dict[str, object]) -> None:
    first, bad, last = lines_of(_jsonl(tmp_path, {"uri": "a.jpg"}, entry, {"uri": "z.jpg"}))
    assert bad.problems
    assert [line.external_id for line in (first, last) if not line.problems] == ["a.jpg", "z.jpg"]


def test_an_objects_side_without_end_is_a_bad_value(tmp_path: Path) -> None:
    for boxes in ([[10**400, 1, 2, 3]], "[[1" + "0" * 400 + ", 1, 2, 3]]"):
        assert codes(lines_of(_jsonl(tmp_path, {"uri": "a.jpg", "params": {"boxes": boxes}}))) == [(1, "BAD_VALUE")]


def test_names_of_fields_are_cleaned_like_their_values(tmp_path: Path) -> None:
    text = '{"uri":"a.jpg","x_\\ud800":1,"dc":{"\\ud800":"\\ud800"},"x_\\u001b[31m":{"\\udfff":2}}\n'
    (line,) = lines_of(written(tmp_path, "m.jsonl", text))
    assert not line.problems
    assert all(name.isprintable() and str(value).isprintable() for name, value in line.extra.items())
    assert line.extra["x_\\ud800"] == 1


@pytest.mark.parametrize("mark", ["\u202e", "\u2066", "\u200f", "\ufeff", "\u2028"])
def test_ids_hold_no_mark_that_turns_round_what_is_shown(tmp_path: Path, mark: str) -> None:
    written(tmp_path, f"a{mark}gnp.jpg", "x")
    (line,) = lines_of(tmp_path, check_files=True)
    assert (line.problems, line.external_id) == ((), f"a{mark.encode('unicode_escape').decode()}gnp.jpg")
    assert codes(lines_of(_jsonl(tmp_path, {"id": f"a{mark}b", "uri": "a.jpg"}))) == [(1, "BAD_VALUE")]


def test_letters_that_join_are_letters(tmp_path: Path) -> None:
    names = ["\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u3042\u3000\u3044", "\U0001f468\u200d\U0001f469"]
    entries = [{"id": name, "uri": f"{number}.jpg"} for number, name in enumerate(names)]
    assert [line.external_id for line in lines_of(_jsonl(tmp_path, *entries)) if not line.problems] == names


@pytest.mark.parametrize(
    "uri", ["../a.jpg", "x/../../a.jpg", "/etc/passwd.jpg", "a\x00.jpg", "a\ud800.jpg", "s3://b/a\t.jpg"]
)
def test_paths_that_leave_the_folder_or_can_be_no_file_are_unsafe(tmp_path: Path, uri: str) -> None:
    (line,) = lines_of(_jsonl(tmp_path, {"uri": uri}))
    assert "PATH_UNSAFE" in [found.code for found in line.problems]
    assert line.source is None
    assert all(found.message.isprintable() for found in line.problems)


@pytest.mark.parametrize(
    ("inside", "code"),
    [
        ("..%2fout.jpg", "PATH_UNSAFE"), ("%2e%2e/out.jpg", "PATH_UNSAFE"), ("x/..%2F..%2Fout.jpg", "PATH_UNSAFE"),
        ("%2e%2e%2fin-2%2fa.jpg", "PATH_UNSAFE"), ("a%00.jpg", "PATH_UNSAFE"), ("..%252fout.jpg", "FILE_MISSING"),
        ("%c0%ae%c0%ae/out.jpg", "FILE_MISSING"), ("..%c0%afout.jpg", "FILE_MISSING"), ("%ff/../a.jpg", ""),
        ("caf%e9.jpg", ""), ("caf%E9.jpg", ""), ("%61.jpg", ""), ("li%FFnk.jpg", "PATH_UNSAFE"),
    ],
)  # fmt: skip
def test_a_file_url_leads_nowhere_else(tmp_path: Path, inside: str, code: str) -> None:
    root = tmp_path / "in"
    for name in ("in/a.jpg", "in/caf\udce9.jpg", "in-2/a.jpg", "out.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    (root / "li\udcffnk.jpg").symlink_to(tmp_path / "out.jpg")
    (line,) = lines_of(_jsonl(root, {"uri": f"file://{root}/{inside}"}), check_files=True)
    assert [found.code for found in line.problems] == ([code] if code else [])
    assert all(found.message.isprintable() for found in line.problems)


def test_one_file_in_two_spellings_is_one_source(tmp_path: Path) -> None:
    for name in ("a b.jpg", "caf\udce9.jpg"):
        (tmp_path / name).write_text("x")
    root = f"file://{tmp_path}"
    uris = ["a b.jpg", f"{root}/a%20b.jpg", "caf\udce9.jpg", f"{root}/caf%E9.jpg", f"{root}/x/../caf%e9.jpg"]
    found = lines_of(_jsonl(tmp_path, *({"id": str(number), "uri": uri} for number, uri in enumerate(uris))))
    assert [line.source.uri for line in found if line.source] == [f"{tmp_path}/a b.jpg"] * 2 + [
        f"{root}/caf%E9.jpg"
    ] * 3
    assert codes(found) == [(2, "DUPLICATE_CONTENT"), (4, "DUPLICATE_CONTENT"), (5, "DUPLICATE_CONTENT")]


def test_parts_of_a_sequences_names_are_encoded_where_its_folder_is(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"50%\udce9_{number}.png").write_text("x")
    part = {"start": 0, "end": 2}
    found = lines_of(
        _jsonl(
            tmp_path,
            {"id": "a", "uri": f"file://{tmp_path}", "sequence": {"prefix": "50%25%E9_", "suffix": "%2Epng", **part}},
            {"id": "b", "uri": ".", "sequence": {"prefix": "50%\udce9_", "suffix": ".png", **part}},
            {"id": "c", "uri": f"file://{tmp_path}", "sequence": {"prefix": "..%2fx", "suffix": ".png", **part}},
            {"id": "d", "uri": f"file://{tmp_path}", "sequence": {"prefix": "50%", "suffix": ".png", **part}},
            {"id": "e", "uri": "s3://b/c", "sequence": {"prefix": "\t", "suffix": ".png", **part}},
        ),
        check_files=True,
    )
    assert codes(found) == [
        (2, "DUPLICATE_CONTENT"), (3, "PATH_UNSAFE"), (4, "BAD_VALUE"), (5, "PATH_UNSAFE"),
    ]  # fmt: skip
    assert found[0].source == found[1].source


def test_a_link_that_leads_outside_is_unsafe_and_a_root_allows_it(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    written(outside, "a.jpg", "x")
    (inside / "link.jpg").symlink_to(outside / "a.jpg")
    (inside / "folder").symlink_to(outside)
    path = _jsonl(inside, {"uri": "link.jpg"}, {"uri": "folder/a.jpg"}, {"uri": str(outside / "a.jpg")})
    assert [code for _, code in codes(lines_of(path, check_files=True))] == ["PATH_UNSAFE"] * 3
    assert codes(lines_of(path, check_files=True, roots=[outside])) == []


def test_a_frame_or_a_mask_that_is_a_link_outside_is_unsafe(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", written(tmp_path, "outside.png", "x")
    for folder in ("frames", "masks"):
        (inside / folder).mkdir(parents=True)
        for number in range(3):
            written(inside / folder, f"f{number}.png", "x")
    sequence = {"prefix": "f", "suffix": ".png", "start": 0, "end": 2}
    path = _jsonl(inside, {"uri": "frames", "mask_uri": "masks", "sequence": sequence})
    (inside / "frames" / "notes.png").symlink_to(outside)  # no frame of it
    (inside / "frames" / "f0.png").unlink()
    (inside / "frames" / "f0.png").symlink_to("f1.png")
    assert codes(lines_of(path, check_files=True)) == []
    for folder in ("frames", "masks"):
        (inside / folder / "f2.png").unlink()
        (inside / folder / "f2.png").symlink_to(outside)
    assert codes(lines_of(path, check_files=True)) == [(1, "PATH_UNSAFE")] * 2
    assert codes(lines_of(path, check_files=True, roots=[tmp_path])) == []


def test_files_are_looked_at(tmp_path: Path) -> None:
    written(tmp_path, "good.jpg", "12345")
    written(tmp_path, "empty.jpg", "")
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    names = ["good.jpg", "absent.jpg", "empty.jpg", "folder.jpg", "pipe.jpg"]
    path = _jsonl(tmp_path, *({"uri": name} for name in names), {"id": "size", "uri": "./good.jpg", "bytes": 4})
    assert codes(lines_of(path, check_files=True)) == [
        (2, "FILE_MISSING"),
        (3, "ZERO_BYTE"),
        (4, "NOT_A_FILE"),
        (5, "NOT_A_FILE"),
        (6, "DUPLICATE_CONTENT"),
        (6, "CHECKSUM_MISMATCH"),
    ]
    assert codes(lines_of(path)) == [(6, "DUPLICATE_CONTENT")]


@pytest.mark.parametrize(
    ("numbers", "step", "missing", "said"),
    [
        ([1, 2, 3, 4, 5], 1, "error", ""),
        ([1, 2, 4, 8], 1, "error", "the frames 3, 5-7, 9"),
        ([2, 4, 8], 1, "error", "the frames 1, 3, 5-7, 9"),
        ([1, 3, 7], 2, "error", "the frames 5, 9"),
        ([1, 2, 4], 1, "hold", ""),
    ],
)
def test_gaps_of_a_sequence_are_told_by_their_numbers(
    tmp_path: Path, numbers: list[int], step: int, missing: str, said: str
) -> None:
    for number in numbers:
        written(tmp_path, f"f_{number:04d}.dpx", "x")
    end = 5 if not said and missing == "error" else 9
    sequence = {"prefix": "f_", "suffix": ".dpx", "padding": 4, "start": 1, "end": end, "step": step}
    (line,) = lines_of(_jsonl(tmp_path, {"uri": ".", "sequence": sequence, "missing": missing}), check_files=True)
    assert [found.code for found in line.problems] == (["SEQUENCE_GAP"] if said else [])
    assert not said or line.problems[0].message.endswith(said)


def test_a_sequence_of_a_thousand_million_frames_is_checked_at_once(tmp_path: Path) -> None:
    written(tmp_path, "f_0001.dpx", "x")
    sequence = {"prefix": "f_", "suffix": ".dpx", "padding": 4, "start": 0, "end": 10**9}
    found = codes(lines_of(_jsonl(tmp_path, {"uri": ".", "sequence": sequence}), check_files=True))
    assert found == [(1, "SEQUENCE_GAP")]


@pytest.mark.parametrize("missing", ["hold", "black", "interpolate"])
def test_a_reel_may_not_be_made_of_next_to_nothing(tmp_path: Path, missing: str) -> None:
    for number in range(6):
        written(tmp_path, f"f_{number:04d}.dpx", "x")
    ends = (605, 606, 20_000_000, 10**9)
    lines = [
        {"id": str(end), "uri": ".", "missing": missing,
         "sequence": {"prefix": "f_", "suffix": ".dpx", "padding": 4, "start": 0, "end": end}}
        for end in ends
    ]  # fmt: skip
    found = lines_of(_jsonl(tmp_path, *lines), check_files=True)
    assert [[each.code for each in line.problems if each.code != "DUPLICATE_CONTENT"] for line in found] == [
        [], ["SEQUENCE_GAP"], ["SEQUENCE_GAP"], ["SEQUENCE_GAP"],
    ]  # fmt: skip
    assert "6 of 20,000,001 frames are there" in found[2].problems[-1].message


@pytest.mark.parametrize("fps", ["1/999999999", "999.999999999", "1/1001", "1000", "0", "999999999/1", "0.0000001"])
def test_a_rate_that_no_film_has_is_refused(tmp_path: Path, fps: str) -> None:
    assert codes(lines_of(_jsonl(tmp_path, {"uri": "a.mp4", "fps": fps}))) == [(1, "BAD_VALUE")]


@pytest.mark.parametrize(
    ("fps", "rate"),
    [("1/1000", "1/1000"), ("999.99", "99999/100"), ("24000/1001", "24000/1001"), ("23.976", "2997/125"),
     ("16.666666667", "50/3"), ("123456789/9876543", "123456789/9876543")],
)  # fmt: skip
def test_any_other_rate_is_taken_as_finely_as_a_container_can_keep_it(tmp_path: Path, fps: str, rate: str) -> None:
    (line,) = lines_of(_jsonl(tmp_path, {"uri": "a.mp4", "fps": fps}))
    assert line.source is not None
    assert line.source.fps == pytest.approx(Fraction(rate))
    assert max(line.source.fps.as_integer_ratio()) < 2**31


def test_the_suffix_says_the_kind_and_the_line_overrides_it(tmp_path: Path) -> None:
    path = _jsonl(
        tmp_path,
        {"uri": "A.JPEG"},
        {"uri": "b.MXF"},
        {"uri": "c.scan", "kind": "image"},
        {"uri": "d.scan"},
        {"uri": "s3://bucket/e.tif"},
        {"uri": "http://host/f.tif"},
    )
    found = lines_of(path)
    assert [line.source.kind if line.source else None for line in found] == [
        "still",
        "reel",
        "still",
        None,
        "still",
        None,
    ]
    assert codes(found) == [(4, "UNKNOWN_FORMAT"), (6, "BAD_VALUE")]


def test_objects_are_given_as_lists_or_in_a_csv_cell_as_text(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"a")
    boxes = [[10, 20, 30.5, 40], [0, 0, 5, 5]]
    cell = json.dumps(boxes)
    forms = [
        _jsonl(tmp_path, {"uri": "a.jpg", "params": {"boxes": boxes}}),
        written(tmp_path, "m.csv", f'uri,params.boxes\na.jpg,"{cell}"\n'),
    ]
    for form in forms:
        (line,) = lines_of(form)
        assert line.source is not None
        assert line.source.boxes == ((10, 20, 30.5, 40), (0, 0, 5, 5))
