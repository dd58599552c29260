"""JSON and YAML of unknown origin: what stands there and nothing else."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from db import documents
from db.documents import BrokenDocument, DocumentError

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**17), 10**17) | st.floats(-1e9, 1e9) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(PLAIN)
def test_what_was_written_is_read(document: Any) -> None:
    assert documents.from_text(json.dumps(document)) == document
    assert documents.from_yaml(yaml.safe_dump(document, allow_unicode=False)) == document


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1:30", "1:30"),
        ("[1:1:1:1.5]", ["1:1:1:1.5"]),
        ("2001-02-03", "2001-02-03"),
        ("[yes, no, on, off, y]", ["yes", "no", "on", "off", "y"]),
        ("[true, False, NULL, ~, '', null]", [True, False, None, None, "", None]),
        ("[7, -7, 0.5, .5, 1e3, -1.5E-2]", [7, -7, 0.5, 0.5, 1000.0, -0.015]),
        ("['7', \"true\"]", ["7", "true"]),
        ("{<<: {a: 1}, =: 2}", {"<<": {"a": 1}, "=": 2}),
        ("{1: a, true: b}", {"1": "a", "true": "b"}),
        ("9" * 5000, "9" * 5000),
        (".inf", ".inf"),
        ("", None),
    ],
)
def test_a_bare_word_means_what_it_means_in_json_or_itself(text: str, value: Any) -> None:
    assert documents.from_yaml(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "[&a x, *a]", "!!bool x", "[!!int '']", "!!timestamp x", "!!python/name:os.system", "{a: 1, b: 2, a: 3}",
        "{a: {b: 1, b: 1}}", "{? {a: 1} : b}", "a\n---\nb", '{"a": 1, "a": 1}',
    ],
)  # fmt: skip
def test_what_is_not_plain_is_refused(text: str) -> None:
    with pytest.raises(DocumentError):
        documents.from_text(text)


@pytest.mark.parametrize(
    "text", ["{", "[" * 100_000, "- " * 100, "{a: " * 50, "a: b: c", "\0", "\ud800", "- a\n\tb", '{"a": ']
)
def test_what_is_no_document_is_broken(text: str) -> None:
    with pytest.raises(BrokenDocument):
        documents.from_text(text)


def test_json_is_read_as_json() -> None:
    assert documents.from_text('["\\ud83d\\ude00", "a\\/b"]') == ["\U0001f600", "a/b"]
    for text in ('{"a": NaN}', "1" * 5000, "[" * 5000):
        with pytest.raises(BrokenDocument):
            documents.from_json(text)
    with pytest.raises(DocumentError, match="stands twice"):
        documents.from_json('[{"a": {"b": 1, "b": 1}}]')


def test_a_reader_stands_behind_what_it_refused() -> None:
    reader = documents.YamlReader("- {a: &x 1, b: [*x, {c: 1, c: !t 2}]}\n- {? [a] : [b, [c]]}\n- good\n")
    for _ in range(3):  # the starts of stream, document and list
        reader.step()
    for _ in range(2):
        with pytest.raises(DocumentError):
            reader.value()
    assert reader.value() == "good"
    reader.close()


def test_many_keys_or_lists_are_read_in_no_time() -> None:
    before = time.process_time()
    twice = json.dumps({str(number): 1 for number in range(50_000)})[:-1] + ', "49999": 1}'
    with pytest.raises(DocumentError):
        documents.from_json(twice)
    documents.from_yaml("[" + ",".join(["[]"] * 20_000) + "]")
    with pytest.raises(DocumentError):
        documents.check_extent([[]] * 20_001, 20_000)
    assert time.process_time() - before < 5
