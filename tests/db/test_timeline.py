from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db import timeline
from db.errors import InputError


@given(st.text(max_size=40), st.binary(max_size=9))
def test_a_head_reads_back_and_columns_begin_where_a_float_may(name: str, values: bytes) -> None:
    head = {"version": 1, "columns": [{"name": name}]}
    data = timeline.pack_head(head) + values
    assert timeline.read_head(data) == head
    assert timeline.columns_at(data) % 4 == 0
    assert data[timeline.columns_at(data) :] == values


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\1", b"\x08\0\0\0{}", b"\2\0\0\0{}", b"\2\0\0\0[]", b"\3\0\0\0{},", b"\xff\xff\xff\xff{}",
        b"\x10\0\0\0" + json.dumps({"columns": 1234}).encode(), b"\4\0\0\0\xff\xff\xff\xff", b"\0\0\0\0",
        (1 << 17).to_bytes(4, "little") + b"[" * (1 << 17),
    ],
)  # fmt: skip
def test_what_is_no_timeline_is_said(data: bytes) -> None:
    with pytest.raises(InputError) as wrong:
        timeline.read_head(data)
    assert wrong.value.code == "RECORD_UNREADABLE"
