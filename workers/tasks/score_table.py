"""The table of a reel's scores: a Parquet file with a row a frame.

pyarrow is loaded at the first table: photos need none, and it would be a tenth of every worker's start.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workers.media.film.timing import Clock

_CLOCK = ("frame", "seconds", "pts")
"""Columns that are made anew for each table."""


def write(path: Path, values: Mapping[str, NDArray[np.float64]], clock: Clock) -> None:
    """Write the values of all frames, named series of equal length in frame order, and when the frames are shown."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    count = len(next(iter(values.values())))
    seconds = [clock.seconds(number) for number in range(count)]
    table = pa.table(
        {
            "frame": pa.array(np.arange(count, dtype=np.int64)),
            "seconds": pa.array([float(time) for time in seconds], pa.float64()),
            "pts": pa.array([str(time) for time in seconds], pa.string()),
            **{name: pa.array(series) for name, series in values.items()},
        }
    )
    pq.write_table(table, path)


def read(parquet: bytes, span: tuple[int, int]) -> dict[str, NDArray[np.float64]]:
    """Return the values of the frames ``[start, stop)`` by name."""
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(parquet))
    names = [name for name in table.column_names if name not in _CLOCK]
    return {name: table[name].to_numpy()[span[0] : span[1]] for name in names}
