"""Rows of CSV: bounded as lines, as cells and as a whole."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path

from orchestrator.manifest import fields, table
from orchestrator.manifest.lines import Problem
from tests.orchestrator.manifest.reading import LIMIT_BYTES, codes, lines_of, written


def test_a_row_of_many_long_cells_is_given_up_before_it_is_in_memory(tmp_path: Path) -> None:
    """Each line and each cell is short enough; the row goes on and on in quotes."""
    cell = b'"' + b"x" * 3000 + b'\n",'
    after = b"".join(b"z%d.jpg,last\n" % number for number in range(1000))
    path = written(tmp_path, "a.csv", b"uri,title\na.jpg,first\n" + cell * 2000 + b"\n" + after)
    tracemalloc.start()
    for _ in table.rows(path, LIMIT_BYTES):
        pass
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 1_000_000
    found = lines_of(path)
    assert {code for _, code in codes(found)} == {"BAD_VALUE", "UNKNOWN_FORMAT"}
    good = [line.external_id for line in found if not line.problems]
    assert good[0] == "a.jpg"
    assert good[-1] == "z999.jpg"
    assert len(good) > 500  # an open quote takes no more than its row's share


def test_the_line_that_makes_a_row_too_long_begins_the_next(tmp_path: Path) -> None:
    text = 'a,b\n"' + "x" * 60 + "\n" + "y" * 60 + '\nc,"d\ne"\n'
    rows = list(table.rows(written(tmp_path, "a.csv", text), 100))
    assert [(number, row) for number, row in rows if not isinstance(row, Problem)] == [
        (1, ["a", "b"]),
        (3, ["y" * 60]),
        (4, ["c", "d\ne"]),
    ]
    assert ["characters" in row.message for _, row in rows if isinstance(row, Problem)] == [True]


def test_a_row_over_several_lines_is_one(tmp_path: Path) -> None:
    title = "line\n" * (LIMIT_BYTES // 10)
    (line,) = lines_of(written(tmp_path, "a.csv", f'uri,x_note\na.jpg,"{title}"\n'))
    assert not line.problems


def test_a_header_of_a_hundred_thousand_columns_is_read_at_once(tmp_path: Path) -> None:
    names = ",".join(f"x_{number}" for number in range(100_000))
    path = written(tmp_path, "a.csv", f"uri,{names}\na.jpg\n")
    before = time.process_time()
    rows = list(table.rows(path, 2_000_000))
    assert len(fields.columns(rows[0][1], "a.csv")) == 100_001  # type: ignore[arg-type]
    assert time.process_time() - before < 4
