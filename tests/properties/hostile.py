"""Values, names and entries that nobody would write who meant well."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from db.catalog.stages import STAGES
from orchestrator.manifest import fields

MANY = settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
FEW = settings(MANY, max_examples=12)
_TRAPS = (
    "", " ", "..", "../x.jpg", "/etc/passwd", "~", "a\0b", "\x1b[31m", "\u202egnp.exe", "\ud800", "\udcff", "=1+1",
    "-1",
    "1e999", "1e99999999", "1:30", "9" * 30, "9" * 400, "1/0", "0/1", "NaN", ".nan", "-.inf", "true", "null", "[", "{}",
    "[[", "[!!bool x]", "[!!timestamp x]", "[&a b, *a]", "[" * 60, "1" + ":1" * 200 + ".5", "s3://",
    "s3://b/",
    "s3://b//k", "http://h/x", "file:///x", "x" * 600, "x" * 5000, "é" * 200, "e\u0301", "\u0661", "a\nb",
    '"', "'", "\\",
    "%2e%2e", "identity", "[{\"denoise\": {}}]", "master", "0-9", "9-0", "01:00:00:00", "md5:0", "a.jpg", "a.mkv",
)  # fmt: skip
TEXTS = st.sampled_from(_TRAPS) | st.text(max_size=12)
_SCALARS = (
    TEXTS
    | st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from([10**18, -(10**30), 10**400, 1e308])
)
VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=6
)
_FIELDS = st.sampled_from(
    [*fields.CHECKS, *fields.REPORTED, "x_a", "dc.title", "sequence", "params", "checksum", "nope"]
)
ENTRIES = st.dictionaries(_FIELDS | TEXTS, VALUES, max_size=5)
"""Mostly fields that are known, with values that are not theirs."""


def _named(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    parameters = sorted({name for spec in STAGES.values() for name in spec.params.model_fields})
    return st.dictionaries(st.sampled_from(parameters) | TEXTS, inner, max_size=4)


STEPS = st.dictionaries(st.sampled_from(sorted(STAGES)) | TEXTS, _named(VALUES) | VALUES, min_size=1, max_size=2)
RECIPES = (
    st.lists(STEPS | VALUES, max_size=4)
    | st.dictionaries(st.sampled_from(["recipe", "outputs", "bad_frames", "master", "access"]), VALUES, max_size=4)
    | st.fixed_dictionaries({"recipe": st.lists(STEPS, max_size=3), "access": VALUES, "master": VALUES})
)
"""Documents that look like recipes for a while."""


_SUFFIXES = st.sampled_from(["", ".jpg", ".png", ".MKV", ".wav", ".md5", ".csv", "_0001.dpx", "_0002.dpx"])


def _file_name(stem: str, suffix: str) -> str:
    plain = (
        stem.replace("/", "_").replace("\0", "_").encode("utf-8", "surrogateescape" if "\udcff" in stem else "replace")
    )
    return plain[:200].decode("utf-8", "surrogateescape") + suffix


FILE_NAMES = st.builds(_file_name, TEXTS, _SUFFIXES).filter(lambda name: name not in ("", ".", ".."))
"""Names that a file may have on this disk: bytes that are no text among them."""
