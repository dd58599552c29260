"""Writes what was measured: JSON, or Parquet with a row for each value."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from db.errors import InputError
from db.home_placer import open_settings_placer
from db.placing import create
from db.settings import Settings

_SUFFIXES = (".json", ".parquet")


@dataclass(frozen=True)
class ValueRow:
    """One value of one picture."""

    id: str
    subject: str
    """``own`` for what was made, ``reference``, or the name of what stands beside it."""
    metric: str
    value: float


def check(out: str | None, source: str, settings: Settings) -> None:
    """Make sure that a sheet can be written there.

    Raises:
        InputError: ``BAD_VALUE``, ``OUTPUT_ON_SOURCE`` or ``ALREADY_THERE``.
    """
    if out is None:
        return
    path = Path(out)
    if path.suffix.lower() not in _SUFFIXES:
        raise InputError(f"{out}: figures are written as {' or '.join(_SUFFIXES)}")
    if not path.parent.is_dir():
        raise InputError(f"{path.parent}: there is no such folder", code="FILE_MISSING")
    with open_settings_placer(settings, (source,)) as placer:
        placer.check(out)


def write(out: str | None, source: str, settings: Settings, document: dict[str, Any], rows: Sequence[ValueRow]) -> None:
    """Write the sheet that its suffix names, whole or not at all; raises as :func:`check`."""
    if out is None:
        return
    with open_settings_placer(settings, (source,)) as placer, placer.fresh_name(out) as fresh:
        os.close(create(fresh))
        if Path(out).suffix.lower() == ".json":
            values = document | {"values": _by_picture(rows)}
            Path(fresh).write_text(json.dumps(values, indent=1, ensure_ascii=False), "utf-8")
        else:
            _parquet(Path(fresh), document, rows)
        placer.put(fresh, out)


def _by_picture(rows: Sequence[ValueRow]) -> dict[str, dict[str, dict[str, float | None]]]:
    values: dict[str, dict[str, dict[str, float | None]]] = {}
    for row in rows:
        value = row.value if math.isfinite(row.value) else None
        values.setdefault(row.id, {}).setdefault(row.subject, {})[row.metric] = value
    return values


def _parquet(path: Path, document: dict[str, Any], rows: Sequence[ValueRow]) -> None:
    """One row a value; the document with figures and conventions is the file's own metadata."""
    columns = {name: [getattr(row, name) for row in rows] for name in ("id", "subject", "metric", "value")}
    schema = pa.schema(
        [("id", pa.string()), ("subject", pa.string()), ("metric", pa.string()), ("value", pa.float64())],
        metadata={"reelwright.evaluation": json.dumps(document, ensure_ascii=False)},
    )
    pq.write_table(pa.table(columns, schema=schema), path)
