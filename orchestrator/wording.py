"""How facts are worded: the same on the terminal and on pages."""

from __future__ import annotations

import dataclasses
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from db.progress import ProgressRow


def progress_line(progress: ProgressRow) -> str:
    """Return one line about a job's progress."""
    over = progress.items_over
    parts = [f"{over}/{progress.items_total} items"]
    if progress.frames_total:
        parts.append(f"{progress.frames_done}/{progress.frames_total} frames")
    if progress.frames_per_second > 0:
        parts.append(f"{progress.frames_per_second:.1f} frames/s")
    if progress.eta_seconds is not None and over < progress.items_total:
        parts.append(f"{format_duration(progress.eta_seconds)} to go")
    failed = progress.items_failed + progress.items_quarantined
    sums = ((failed, "failed"), (progress.items_cancelled, "cancelled"))
    return " · ".join([*parts, *(f"{count} {word}" for count, word in sums if count)])


def pace_line(frames: int, seconds: float) -> str:
    """Return how long frames took and how many a second that is; empty where there were none."""
    return (
        f" · {pluralize(frames, 'frame')} in {format_duration(seconds)}, {frames / seconds:.1f}/s" if frames > 0 else ""
    )


def pluralize(count: int, word: str) -> str:
    """Write a number of things: one item, two items."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def format_duration(seconds: float) -> str:
    """Write seconds as people say them."""
    if 0 < seconds < 0.5:
        return "less than a second"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, minutes = whole // 3600, whole % 3600 // 60
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {whole % 60:02d} s"


def format_size(count: float) -> str:
    """Write bytes as people say them."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} TB"


def to_json(value: Any) -> Any:
    """Return a value as JSON knows it: records become mappings, paths and states text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, dict):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_json(held) for held in value]
    if isinstance(value, Enum):
        return value.value
    return str(value) if isinstance(value, Path) else value
