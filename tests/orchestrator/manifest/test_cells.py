"""No cell of a report is a formula, and every cell comes back."""

from __future__ import annotations

import csv
import io
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.manifest.cells import is_report, original, protect

CELLS = st.text(st.sampled_from("'=+-@;,\t\r\n\" aé＝＠") | st.characters(codec="utf-8"), max_size=12)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(CELLS)
def test_every_cell_comes_back(cell: str) -> None:
    assert original(protect(cell)) == cell


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(CELLS, min_size=1, max_size=4))
def test_no_formula_begins_wherever_a_country_parts_cells(row: list[str]) -> None:
    written = io.StringIO()
    csv.writer(written).writerow(map(protect, row))
    for part in re.split(r'[,;\t\r\n"]', written.getvalue()):
        assert part[:1] not in tuple("=+-@＝＋－＠")


def test_only_reports_of_ours_are_taken_back() -> None:
    assert not is_report(["id", "uri", "task_status", "result_message"])
    assert is_report(["id", "uri", "x_state", "x_recipe_sha256", "task_status", "result_message"])
