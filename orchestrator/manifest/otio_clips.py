"""The clips of an OpenTimelineIO file, a line of JSON each: ``python -m orchestrator.manifest.otio_clips FILE``.

A process of its own, because a crafted file crashes the library or lets it eat all memory. The reader ``otio`` starts
it and believes nothing that it says. The last line is ``{"end": {…}}`` with what was left out, or ``{"error": "…"}``.
"""

from __future__ import annotations

import json
import resource
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

MAX_MEMORY_BYTES = 4 << 30
MAX_CPU_SECONDS = 60
_SOUND_TRACK = "Audio"


def main(path: str) -> None:
    """Print the clips of the file at ``path``."""
    for limit, value in ((resource.RLIMIT_AS, MAX_MEMORY_BYTES), (resource.RLIMIT_CPU, MAX_CPU_SECONDS)):
        resource.setrlimit(limit, (value, value))
    import opentimelineio

    left_out: Counter[str] = Counter()
    try:
        # Not the adapters: they load plug-ins, which are code.
        root = opentimelineio.core.deserialize_json_from_file(path)
        for clip in _clips(opentimelineio.schema, root, "", left_out):
            _print_json(clip)
    except (opentimelineio.exceptions.OTIOError, ValueError, TypeError, AttributeError, RecursionError) as error:
        _print_json({"error": f"{type(error).__name__}: {error}"[:500]})
    else:
        _print_json({"end": dict(left_out)})


def _clips(schema: Any, node: Any, track: str, left_out: Counter[str]) -> Iterator[dict[str, Any]]:
    """Yield the clips inside a timeline, a collection, a composition or a clip, in order."""
    if isinstance(node, schema.Timeline):
        yield from _clips(schema, node.tracks, track, left_out)
    elif isinstance(node, schema.Clip):
        yield _clip_facts(schema, node, track)
    elif isinstance(node, schema.Gap):
        left_out["gaps"] += 1
    elif isinstance(node, schema.Transition):
        left_out["transitions"] += 1
    elif isinstance(node, schema.Track) and node.kind == _SOUND_TRACK:
        left_out["sound tracks"] += 1
    elif isinstance(node, (schema.Stack, schema.Track, schema.SerializableCollection, list)):
        within = node.name if isinstance(node, schema.Track) else track
        for each in node:
            yield from _clips(schema, each, within, left_out)
    else:
        left_out["objects of other kinds"] += 1


def _clip_facts(schema: Any, clip: Any, track: str) -> dict[str, Any]:
    media = clip.media_reference
    facts = {
        "name": clip.name,
        "track": track,
        "source_range": _range_values(clip.source_range),
        "effects": len(clip.effects),
    }
    if isinstance(media, schema.ImageSequenceReference):
        facts["sequence"] = {
            "base": media.target_url_base,
            "prefix": media.name_prefix,
            "suffix": media.name_suffix,
            "padding": media.frame_zero_padding,
            "start": media.start_frame,
            "step": media.frame_step,
            "rate": media.rate,
            "missing": media.missing_frame_policy.name,
        }
    elif isinstance(media, schema.ExternalReference):
        facts["url"] = media.target_url
    else:
        facts["lacks"] = type(media).__name__
        return facts
    facts["available_range"] = _range_values(media.available_range)
    return facts


def _range_values(time_range: Any) -> list[float] | None:
    """Return start, its rate, duration and its rate, the times in frames; none without a range."""
    if time_range is None:
        return None
    return [
        time_range.start_time.value,
        time_range.start_time.rate,
        time_range.duration.value,
        time_range.duration.rate,
    ]


def _print_json(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
