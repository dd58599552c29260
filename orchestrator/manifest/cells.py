"""Cells of our own reports that no spreadsheet obeys, and that a manifest's reader takes back as they were.

A spreadsheet takes what begins with ``=``, ``+``, ``-`` or ``@`` for a formula, and that may send what stands beside it
to anybody. It is so for the beginning of a cell, and, where a country's own settings part cells elsewhere, behind each
``;``, tabulator, quote or line end inside one. At these places an apostrophe is put in.
"""

from __future__ import annotations

import re
from collections.abc import Collection

_PLACE = r"(?:(?<=[,;\t\r\n\"])|^)"
_FORMULA = r"(?='*[=+\-@\t\r\n＝＋－＠])"
_UNSAFE = re.compile(_PLACE + _FORMULA)
_SAFE = re.compile(_PLACE + "'" + _FORMULA)
REPORT_MARKS = frozenset({"x_state", "x_recipe_sha256", "task_status", "result_message"})
"""Columns that only a report of ours has: a person's own manifest is read as it stands."""


def protect(cell: str) -> str:
    """Return a cell with an apostrophe before all that a spreadsheet would take for a formula."""
    return _UNSAFE.sub("'", cell)


def original(cell: str) -> str:
    """Return what a cell was before :func:`protect`."""
    return _SAFE.sub("", cell) if "'" in cell else cell


def is_report(columns: Collection[str]) -> bool:
    """Whether a table has the columns of a report, in which cells are protected."""
    return REPORT_MARKS.issubset(columns)
