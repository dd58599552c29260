"""The fields of a manifest's line: their names, and how each is checked.

All forms share one flat vocabulary: ``sequence: {start: 1}`` in YAML is the column ``sequence.start`` in CSV.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from fractions import Fraction
from typing import Any

from db import checksums, local_paths
from db.beneath import S3
from db.blob import Blob
from db.checksums import HEX_CHARS
from db.errors import InputError, ManifestError
from db.records import LEAST_RATE
from orchestrator.manifest.lines import ManifestEntry, Problem, problem
from orchestrator.terminal_text import has_control_characters, has_marks, visible, visible_path

REPORTED = ("task_status", "error_code", "http_status_code", "result_message")
"""Columns that the completion report adds; a manifest may have them, and they are passed over."""
MAX_ID_CHARS = 512
_CUT_DIGEST_CHARS = 16
_MAX_VERSION_CHARS = 1024
_MAX_BOXES, _MAX_BOXES_CHARS = 1000, 100_000
_FINEST_RATE = 1_000_000
"""Largest denominator of a rate: containers keep both its parts in 31 bits."""
_MOST_DIGITS, _FRAME_DIGITS = 19, 9
"""Of a whole number with its sign, and of a frame's number; a longer text is never made a number."""
_OPEN = ("recipe", "outputs")
"""Fields whose value is a document of its own, kept as it is."""
_MISSING = ("error", "hold", "black", "interpolate")
_YES = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}


def entry(number: int, document: Any) -> ManifestEntry | Problem:
    """Make an entry of a JSON or YAML document: a mapping, or a plain text that is the ``uri``."""
    if isinstance(document, str):
        return ManifestEntry(number, {"uri": document})
    if not isinstance(document, dict):
        return problem(number, "BAD_VALUE", f"Line {number}: expected a mapping of fields, found {document!r:.60}")
    flat = _flatten(document)
    unknown = [name for name in flat if not is_known(name)]
    if unknown:
        return problem(number, "UNKNOWN_FIELD", f"Line {number}: {_unknown_message(unknown)}")
    return ManifestEntry(number, flat)


def columns(names: list[str], where: str) -> list[str]:
    """Check the names in a CSV header and return them in the flat vocabulary.

    Columns without a name, which spreadsheets leave behind, stay without; those at the end are left out.

    Raises:
        ManifestError: ``BAD_HEADER`` without ``uri`` or with a name twice, ``UNKNOWN_FIELD`` for unknown names.
    """
    flat_names = [_ALIASES.get(name, name) for name in (name.strip().lower() for name in names)]
    while flat_names and not flat_names[-1]:
        flat_names.pop()
    if "uri" not in flat_names:
        raise ManifestError(f"{where}, line 1: the header has no column `uri`", code="BAD_HEADER", remedy=_HEADER)
    unknown = [name for name in flat_names if name and not is_known(name)]
    if unknown:
        raise ManifestError(f"{where}, line 1: {_unknown_message(unknown)}", code="UNKNOWN_FIELD")
    name, count = Counter(filter(None, flat_names)).most_common(1)[0]
    if count > 1:
        raise ManifestError(f"{where}, line 1: the column {name!r:.60} stands twice", code="BAD_HEADER", remedy=_HEADER)
    return flat_names


def is_known(name: str) -> bool:
    """Whether a field may stand in a manifest: a known one, ``x_…``, or a free one with a dot, such as ``dc.title``."""
    if name in CHECKS or name in REPORTED or name.startswith("x_"):
        return True
    head, dot, _ = name.partition(".")
    return bool(dot) and bool(head) and head not in _CLOSED_HEADS


def check(name: str, value: Any) -> Any:
    """Return the value of one field in its own type; free fields come back as they are.

    Raises:
        InputError: The value is not allowed; the message names the field.
    """
    parser = CHECKS.get(name)
    if parser is None:
        return value
    try:
        return parser(value)
    except InputError as error:
        raise InputError(f"{name}: {error.message}", code=error.code, remedy=error.remedy) from error


def storable_value(value: Any) -> Any:
    """Return a free value as it can be stored and shown: plain JSON, without what a terminal would obey."""
    if isinstance(value, str):
        return visible(value) if has_control_characters(value) else value
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, list) and all(isinstance(word, str) for word in value):
        return [storable_value(word) for word in value]
    return visible(json.dumps(value, default=str, ensure_ascii=False)) if not isinstance(value, float) else str(value)


def _flatten(document: Mapping[Any, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in document.items():
        name = str(key)
        if isinstance(value, dict) and name not in _OPEN:
            flat.update({f"{name}.{inner}": inner_value for inner, inner_value in value.items()})
        else:
            flat[name] = value
    return {_ALIASES.get(name, name): value for name, value in flat.items() if value is not None and value != ""}


def _unknown_message(names: list[str]) -> str:
    messages = []
    for name in names[:8]:
        near = get_close_matches(name, [field for field in CHECKS if field != name], n=1, cutoff=0.6)
        hint = f"did you mean `{near[0]}`?" if near else f"to carry it to the report, call it `x_{name}`"
        messages.append(f"unknown field {visible(name)[:60]!r} ({visible(hint)[:80]})")
    return "; ".join(messages)


def _bad_value(message: str) -> InputError:
    return InputError(message, code="BAD_VALUE")


def _text(value: Any) -> str:
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise _bad_value(f"expected text, found {value!r:.60}")
    return str(value)


def _id(value: Any) -> str:
    name = value if type(value) is str else _text(value)
    if has_control_characters(name) or not name.strip() or len(name) > MAX_ID_CHARS:
        raise _bad_value(f"{name!r:.80} must be plain text of 1 to {MAX_ID_CHARS} characters")
    if has_marks(name):
        raise _bad_value(f"{name!r:.200} holds marks that are not seen and turn round what is shown")
    return name


def id_of(path: str) -> str:
    """Return the id that a path gives: itself, with marks spelled out that an id must not hold.

    What is no text is per-cent encoded, behind a ``./`` with which no path that is text begins. A very long one is cut.
    """
    if local_paths.is_text(path):
        return visible(path) if has_marks(path) else path
    name = visible_path(path)
    if len(name) > MAX_ID_CHARS - 2:
        digest = hashlib.sha256(name.encode()).hexdigest()[:_CUT_DIGEST_CHARS]
        name = f"{digest}...{name[_CUT_DIGEST_CHARS + 5 - MAX_ID_CHARS :]}"
    return f"./{name}"


def _uri(value: Any) -> str:
    uri = value if type(value) is str else _text(value)
    if uri.startswith(S3) and has_control_characters(uri):
        raise InputError(f"{uri!r:.200} holds control characters or bytes that are no text", code="PATH_UNSAFE")
    local_paths.spell(uri)  # refuses what no file can be called
    return uri


def _one_of(allowed: tuple[str, ...]) -> Callable[[Any], str]:
    def choice(value: Any) -> str:
        word = _text(value).strip().lower()
        if word not in allowed:
            raise _bad_value(f"{word!r:.60} is none of {', '.join(allowed)}")
        return word

    return choice


def _whole_number(low: int = 0, high: int = 10**18) -> Callable[[Any], int]:
    def number(value: Any) -> int:
        text = str(value).strip()
        if isinstance(value, bool) or not re.fullmatch(r"[+-]?\d+", text):
            raise _bad_value(f"{value!r:.60} is not a whole number")
        if len(text) > _MOST_DIGITS or not low <= int(text) <= high:
            raise _bad_value(f"{text:.60} is not between {low} and {high}")
        return int(text)

    return number


def _rate(value: Any) -> Fraction:
    text = str(value).strip()
    # The pattern comes first: Fraction("1e99999999") would count for hours.
    if not re.fullmatch(r"\d{1,9}(\.\d{1,9})?|\d{1,9}/0*[1-9]\d{0,8}", text):
        raise _bad_value(f"{value!r:.60} is not a rate such as 18, 23.976 or 24000/1001")
    rate = Fraction(text).limit_denominator(_FINEST_RATE)
    if not LEAST_RATE <= rate < 1000:
        raise _bad_value(f"{text} is not a rate from {LEAST_RATE} to below 1000 frames per second")
    return rate


def _span(value: Any) -> tuple[int, int]:
    """Read frames ``first-last``, both included, counted from 0; returns them half-open."""
    match = re.fullmatch(r"(\d+)-(\d+)", str(value).strip())
    if match and max(map(len, match.groups())) > _FRAME_DIGITS:
        raise _bad_value(f"{value!r:.60} reaches beyond frame {10**_FRAME_DIGITS - 1}, the last that a reel may have")
    if not match or int(match[2]) < int(match[1]):
        raise _bad_value(f"{value!r:.60} is not a range of frames such as 0-239")
    return int(match[1]), int(match[2]) + 1


def _timecode(value: Any) -> str:
    text = str(value).strip()
    if not re.fullmatch(r"[0-2]\d:[0-5]\d:[0-5]\d[:;]\d\d", text, re.ASCII):
        raise _bad_value(f"{value!r:.60} is not a timecode such as 01:00:00:00")
    return text


def _flag(value: Any) -> bool:
    flag = value if isinstance(value, bool) else _YES.get(str(value).strip().lower())
    if flag is None:
        raise _bad_value(f"{value!r:.60} is neither true nor false")
    return flag


def _digest(name: str) -> Callable[[Any], str]:
    def digest(value: Any) -> str:
        text = str(value).strip().lower()
        if not checksums.is_digest(text, name):
            raise _bad_value(f"{text!r:.80} is not a {name} digest of {HEX_CHARS[name]} hex digits")
        return text

    return digest


def _listing(value: Any) -> Blob:
    return checksums.parse_listing(str(value))


def _digests(value: Any) -> dict[str, str]:
    return checksums.parse_digests(_text(value))


def _version(value: Any) -> str:
    text = _text(value).strip()
    if has_control_characters(text) or len(text) > _MAX_VERSION_CHARS:
        raise _bad_value(f"{text!r:.80} is not the version of an object in S3")
    return text


def _outputs(value: Any) -> list[str]:
    words = re.split(r"[\s,;|]+", value.strip()) if isinstance(value, str) else value
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise _bad_value(f"{value!r:.60} is not a list of names")
    return words


def _boxes(value: Any) -> list[tuple[float, ...]]:
    """Objects as ``[[left, top, right, bottom], …]``; a CSV cell holds that as text."""
    try:
        document = json.loads(value) if isinstance(value, str) and len(value) < _MAX_BOXES_CHARS else value
        boxes = [tuple(float(side) for side in box) for box in document]
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise _bad_value(f"{value!r:.60} is not a list of [left, top, right, bottom]") from error
    for box in boxes[:_MAX_BOXES]:
        if len(box) != 4 or not (0 <= box[0] < box[2] < 1e6 and 0 <= box[1] < box[3] < 1e6):
            raise _bad_value(f"{list(box)!r:.60} is no box: left < right and top < bottom, in pixels")
    if len(boxes) > _MAX_BOXES:
        raise _bad_value(f"{len(boxes)} boxes are more than {_MAX_BOXES}")
    return boxes


def _as_is(value: Any) -> Any:
    return value


CHECKS: dict[str, Callable[[Any], Any]] = {
    "id": _id,
    "kind": _one_of(("image", "still", "video", "sequence", "reel")),
    "uri": _uri,
    "bytes": _whole_number(),
    "fps": _rate,
    "missing": _one_of(_MISSING),
    "span": _span,
    "timecode": _timecode,
    "transfer": _one_of(("gamma", "linear", "log")),
    "sound": _uri,
    "sound_checksum": _digests,
    "mask_uri": _uri,
    "listing": _listing,
    "version_id": _version,
    "recipe": _as_is,
    "outputs": _outputs,
    "title": _as_is,
    "rights": _as_is,
    "reel": _as_is,
    "sequence.prefix": _uri,
    "sequence.suffix": _uri,
    "sequence.padding": _whole_number(0, 18),
    "sequence.start": _whole_number(0, 10**9),
    "sequence.end": _whole_number(0, 10**9),
    "sequence.step": _whole_number(1, 10**9),
    "params.accept_damaged": _flag,
    "params.accept_interlaced": _flag,
    "params.boxes": _boxes,
    **{f"checksum.{name}": _digest(name) for name in HEX_CHARS},
}
"""Every known field and its check."""
MEANINGS: dict[str, str] = {
    "id": "Name of the item, unique in the manifest; if omitted, the `uri`.",
    "uri": "Path relative to the manifest's folder, `file:///PATH` or `s3://bucket/key`; for a sequence its folder. "
    "Required.",
    "kind": "`image`, `video` or `sequence`; if omitted, what the suffix says.",
    "fps": "Frame rate that overrides the header's: `18`, `16.667`, `24000/1001`.",
    "span": "Frames of the source that make the reel, from 0, both included: `0-239`.",
    "timecode": "Start timecode that overrides the header's: `01:00:00:00`.",
    "transfer": "How samples stand for light, overriding the header: `gamma`, `linear` or `log`.",
    "missing": "What stands in for missing frames of a sequence: `error` (the default), `hold`, `black` or "
    "`interpolate`, which makes them of the frames around.",
    "sequence.prefix": "File names of a sequence: what precedes the number.",
    "sequence.suffix": "What follows the number, such as `.dpx`.",
    "sequence.padding": "Digits of the number, filled with zeros; 0 for none.",
    "sequence.start": "First number.",
    "sequence.end": "Last number, included.",
    "sequence.step": "Distance between two numbers; 1 if omitted.",
    "sound": "Sound file for the reel.",
    "sound_checksum": "Digests of the sound file: `md5:… sha256:…`.",
    "mask_uri": "Picture of the same size, white where the item is damaged; for a reel also a film, or a folder of "
    "pictures.",
    "bytes": "Size of the source, compared before any work.",
    "listing": "Digests of a sequence's files, as a report names them in the store.",
    "version_id": "Version of an object in S3.",
    "recipe": "A shipped recipe for this line; or, as in a recipe file, a list of steps.",
    "outputs": "Outputs of this line: `master`, `access`, `scores`, `sequence`, `masks`.",
    "params.accept_damaged": "Restore what can be decoded of a damaged source.",
    "params.accept_interlaced": "Treat interlaced frames as whole.",
    "params.boxes": "Objects for InstColorization: `[[left, top, right, bottom], …]` in pixels.",
    "title": "Carried to the report.",
    "rights": "Carried to the report.",
    "reel": "Carried to the report.",
    **{f"checksum.{name}": f"{name} of the source, compared while it is read." for name in HEX_CHARS},
}
"""What each known field is for, in the order in which they are listed."""
_ALIASES = {**{name: f"checksum.{name}" for name in HEX_CHARS}, "sequence.missing": "missing"}
_CLOSED_HEADS = frozenset(name.partition(".")[0] for name in CHECKS)
_HEADER = "Begin with a line of column names such as: id,uri,kind,fps,recipe."
