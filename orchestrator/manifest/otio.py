"""Reader of OpenTimelineIO: every clip is a reel, with its range.

The library reads in a process of its own (``otio_clips``), within limits of time and memory.
"""

from __future__ import annotations

import json
import math
import os
import posixpath
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from db.child_process import ChildProcess, LineTooLong
from db.errors import InputError, ManifestError
from db.local_paths import disk_path
from orchestrator.manifest import fields, kinds, text
from orchestrator.manifest.grouping import Grouping
from orchestrator.manifest.lines import ManifestEntry, Problem, ReaderMatch, Reading, made_or_problem, problem
from orchestrator.manifest.places import PathResolver, is_paper
from orchestrator.manifest.series import SeriesJudge
from orchestrator.terminal_text import visible

MAX_BYTES = 256 << 20
MAX_SECONDS = 120
_SNIFFED_BYTES = 4096
_BUNDLE, _CONTENT = ".otiod", "content.otio"
_MAX_FRAMES = 10**9
_NEAR = 0.01
"""Times that are so near to a whole frame are that frame: they have been through floating point."""
_NTSC = tuple(Fraction(whole * 1000, 1001) for whole in (24, 30, 48, 60, 120))
_NTSC_NEAR = 0.005
_PLUGINS = "OTIO_PLUGIN_MANIFEST_PATH"


def recognizes(path: Path) -> ReaderMatch | None:
    """Know ``.otio``, JSON that begins like it, and a bundle of a timeline with its media, ``.otiod``."""
    if path.suffix.lower() == _BUNDLE and is_paper(path / _CONTENT, path):
        return ReaderMatch(path, (path / _CONTENT,))
    if not path.is_file():
        return None
    suffix = path.suffix.lower()
    is_timeline = suffix == ".otio" or (suffix == ".json" and '"OTIO_SCHEMA"' in text.start(path, _SNIFFED_BYTES))
    return ReaderMatch(path.parent, (path,)) if is_timeline else None


def read(path: Path, reading: Reading) -> Iterator[ManifestEntry | Problem]:
    """Yield an entry for each clip of the picture tracks, in order; a clip that repeats another is left out.

    Raises:
        ManifestError: ``OTIO_EXTRA_MISSING``; or the file is none, is too large, or ends the process that reads it.
    """
    path = path / _CONTENT if path.is_dir() else path
    clips = _ClipEntries(reading.places)
    count = 0
    for count, clip in enumerate(_read_clips(path, reading, clips.left_out), 1):
        entry = made_or_problem(count, partial(clips.entry, count, clip))
        if isinstance(entry, Problem):
            name = visible(str(clip.get("name")))
            yield replace(entry, message=f"Clip {name!r:.100}: {entry.message}")
        elif entry is not None:
            yield entry
    for what, number in clips.left_out.items():
        reading.notes.append(f"Passed over in the timeline: {visible(what)[:60]} ({number})")
    if clips.changed:
        reading.notes.append(f"Clips with effects, of which the plain media is restored: {clips.changed}")


@dataclass
class _ClipEntries:
    """Makes entries of what the library says of clips."""

    places: PathResolver
    left_out: Counter[str] = field(default_factory=Counter)
    changed: int = 0
    _seen: set[int] = field(default_factory=set)
    _names: Counter[int] = field(default_factory=Counter)

    def entry(self, number: int, clip: dict[str, Any]) -> ManifestEntry | None:
        """Return the entry of one clip; none when it names no media, or what an earlier one names.

        Raises:
            InputError: What it says cannot be.
        """
        if "lacks" in clip:
            self.left_out[f"clips with {clip['lacks']}"] += 1
            return None
        problems: list[Problem] = []
        media, rate, total = self._sequence(clip) if "sequence" in clip else self._film(clip)
        rates = [each for each in (rate, *_rates(clip.get("available_range")), *_rates(clip["source_range"])) if each]
        if len({*rates}) > 1:
            rate_texts = " and ".join(str(each) for each in dict.fromkeys(rates))
            problems.append(
                problem(number, "FPS_CONFLICT", f"Clip {clip['name']!r:.100} says {rate_texts} frames a second")
            )
        step = media.get("sequence.step", 1)
        if rates:
            media["fps"] = str(rates[0] / step)
        span = _span(clip, rates[0] if rates else Fraction(1), step, total)
        if span is not None:
            media["span"] = f"{span[0]}-{span[1] - 1}"
        before = len(self._seen)
        self._seen.add(hash(json.dumps(media, sort_keys=True)))
        if len(self._seen) == before:
            self.left_out["clips that repeat another's media and range"] += 1
            return None
        self.changed += bool(clip["effects"])
        track = {"otio.track": clip["track"]} if clip["track"] else {}
        return ManifestEntry(number, {"id": self._id(clip, media), **media, **track}, tuple(problems))

    def _id(self, clip: dict[str, Any], media: dict[str, Any]) -> str:
        """Return the clip's name, else its media's, with a number behind all but the first."""
        name = " ".join(visible(clip["name"]).split()) or fields.id_of(posixpath.basename(media["uri"])) or "clip"
        name = name[: fields.MAX_ID_CHARS - 20]
        name_hash = hash(name.casefold())
        self._names[name_hash] += 1
        count = self._names[name_hash]
        return name if count == 1 else f"{name}#{count}"

    def _film(self, clip: dict[str, Any]) -> tuple[dict[str, Any], Fraction | None, int | None]:
        path = self._path(clip["url"])
        media = {"uri": path, **({} if kinds.by_suffix(path) else {"kind": "video"})}
        return media, None, _media_frames(clip, None)

    def _sequence(self, clip: dict[str, Any]) -> tuple[dict[str, Any], Fraction | None, int | None]:
        sequence = clip["sequence"]
        folder, step, rate = self._path(sequence["base"] or "."), int(sequence["step"]), _rate(sequence["rate"])
        if step < 1:
            raise InputError(f"its frame_step is {step}")
        media = {
            "uri": folder.rstrip("/") or "/",
            "kind": "sequence",
            "missing": str(sequence["missing"]),
            "sequence.prefix": sequence["prefix"],
            "sequence.suffix": sequence["suffix"],
            "sequence.padding": sequence["padding"],
            "sequence.start": sequence["start"],
            "sequence.step": step,
        }
        total = _media_frames(clip, rate)
        media["sequence.end"] = self._last(media) if total is None else sequence["start"] + (total - 1) // step * step
        return {name: value for name, value in media.items() if value != ""}, rate, total

    def _last(self, media: dict[str, Any]) -> int:
        """Return the last frame that is there, where the timeline does not say how many there should be."""
        folder = disk_path(self.places.resolve(media["uri"]))
        self.places.status(folder)
        names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        alike = ("sequence.prefix", "sequence.suffix", "sequence.padding")
        for group in Grouping(SeriesJudge()).groups("", names):
            if group.sequence and all(group.sequence[name] == media[name] for name in alike):
                return int(group.sequence["sequence.end"])
        message = f"{media['uri']!r:.200} holds no sequence {media['sequence.prefix']!r:.100}"
        raise InputError(message, code="FILE_MISSING")

    def _path(self, url: str) -> str:
        """Return the path that a URL names; a text without scheme is a path, or one that is percent-encoded."""
        try:
            parts = urlsplit(url)
        except ValueError as error:
            raise InputError(f"{url!r:.200} is no URL") from error
        if parts.scheme == "file" and parts.netloc in ("", "localhost"):
            return unquote(parts.path, errors="surrogateescape")
        if parts.scheme or "%" not in url or "\0" in url or os.path.lexists(disk_path(self.places.resolve(url))):
            return url
        return unquote(url, errors="surrogateescape")


def _span(clip: dict[str, Any], rate: Fraction, step: int, total: int | None) -> tuple[int, int] | None:
    """Return the half-open range of the media's images that the clip shows; none for all of them."""
    source = clip["source_range"]
    if source is None:
        return None
    available = clip.get("available_range")
    begins = _seconds(source[0], source[1]) - (_seconds(available[0], available[1]) if available else 0)
    start, count = _whole_frames(begins * rate), _whole_frames(_seconds(source[2], source[3]) * rate)
    if start < 0 or count < 1:
        raise InputError(f"it shows {count} frames from {start} on, counted from its media's first")
    if total is not None and start + count > total:
        raise InputError(f"it ends at frame {start + count}, its media has {total}")
    if start == 0 and count == total:
        return None
    return start // step, -(-(start + count) // step)


def _media_frames(clip: dict[str, Any], rate: Fraction | None) -> int | None:
    """Return how many frames the media has, counted in its own rate; none when the timeline does not say."""
    available = clip.get("available_range")
    if available is None:
        return None
    seconds = _seconds(available[2], available[3])
    count = _whole_frames(seconds * (rate or _rate(available[3]) or 1))
    if count < 1:
        raise InputError(f"its media has {count} frames")
    return count


def _rates(time_range: list[float] | None) -> list[Fraction | None]:
    return [_rate(time_range[1]), _rate(time_range[3])] if time_range else []


def _rate(value: float) -> Fraction | None:
    """Return a rate as the rational that is meant; none for 1, which stands where nothing is said."""
    if not math.isfinite(value) or not 0 < value < 1000:
        raise InputError(f"{value} is not a rate above 0 and below 1000 frames per second")
    near = min(_NTSC, key=lambda rate: abs(rate - Fraction(value)))
    if abs(near - Fraction(value)) < _NTSC_NEAR:
        return near
    return None if value == 1 else Fraction(value).limit_denominator(1001)


def _seconds(value: float, rate: float) -> Fraction:
    if not math.isfinite(value) or abs(value) > _MAX_FRAMES * 1000:
        raise InputError(f"{value} is not a time")
    return Fraction(value) / (_rate(rate) or 1)


def _whole_frames(count: Fraction) -> int:
    whole = round(count)
    if abs(whole) > _MAX_FRAMES:
        raise InputError(f"{float(count):g} frames are more than {_MAX_FRAMES}")
    return whole if abs(whole - count) < _NEAR else math.floor(count)


def _read_clips(path: Path, reading: Reading, left_out: Counter[str]) -> Iterator[dict[str, Any]]:
    """Yield what the library says of each clip; what it left out is counted."""
    where = visible(str(path))
    if find_spec("opentimelineio") is None:
        raise ManifestError(f"{where} cannot be read", code="OTIO_EXTRA_MISSING")
    if path.stat().st_size > MAX_BYTES:
        raise ManifestError(f"{where} has more than {MAX_BYTES} bytes")
    environment = {name: value for name, value in os.environ.items() if name != _PLUGINS}
    arguments = ["-m", "orchestrator.manifest.otio_clips", str(path)]
    with ChildProcess(
        arguments, environment=environment, mute=True, seconds=MAX_SECONDS, line_bytes=reading.limit_bytes
    ) as child:
        try:
            for document in child.stream():
                if "error" in document:
                    raise ManifestError(f"{where} is no timeline: {visible(str(document['error']))[:300]}")
                if "end" in document:
                    left_out.update(document["end"])
                    return
                yield document
        except LineTooLong as error:
            raise ManifestError(f"{where}: a clip needs more than {reading.limit_bytes} bytes") from error
    raise ManifestError(f"{where} ended the process that reads it, or kept it busy for more than {MAX_SECONDS} s")
