"""Whether numbered pictures are the frames of a film or the prints of a box, which are numbered alike.

Used by the readers of ``orchestrator.manifest`` alone. Pixels are looked at by whoever is asked, never here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, NamedTuple

from db.errors import InputError
from db.local_paths import is_text
from db.settings import Numbered
from orchestrator.manifest import kinds
from orchestrator.manifest.places import PathResolver
from orchestrator.terminal_text import visible_path

Ask = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Has pictures compared two by two, as ``workers.on_demand.likeness`` says; nothing in the answer where it cannot."""
_PAIRS = 4
LEAST_LIKENESS = 0.4
"""Films in our test media reach 0.46 at the least, whichever five frames are looked at; photographs 0.26 at most."""
MOST_APART_SECONDS = 600
"""Between neighbours: who photographs a film frame by frame is quicker, and what is taken in a row is not looked at."""
_SHOWN = 5


class SeriesVerdict(NamedTuple):
    """What numbered pictures were taken for, and why."""

    is_reel: bool
    reason: str


@dataclass
class SeriesJudge:
    """Says what numbered pictures are; asked again about the same ones, it says the same."""

    numbered: Numbered = "reel"
    """``reel`` and ``stills`` look at nothing."""
    places: PathResolver | None = None
    roots: Sequence[str] = ()
    ask: Ask | None = None
    """None where nobody can look at pixels."""
    verdicts: MutableMapping[str, SeriesVerdict] = field(default_factory=dict)
    """By folder and label; what stands there is not looked at again."""
    _shown: list[str] = field(default_factory=list)
    _counts: Counter[bool] = field(default_factory=Counter)

    def is_reel(self, folder: str, label: str, names: Sequence[str]) -> bool:
        """Say whether pictures are the frames of one reel.

        Args:
            folder: Path of their folder inside the manifest's, or ``s3://`` address; with its slash, or empty.
            label: What the reel would be called.
            names: Names of the pictures, in the order of their numbers.
        """
        if self.numbered != "auto":
            return self.numbered == "reel"
        place = folder + label
        if place not in self.verdicts:
            self.verdicts[place] = self._judge(folder, names)
        verdict = self.verdicts[place]
        self._counts[verdict.is_reel] += 1
        if self._counts[verdict.is_reel] <= _SHOWN:
            kind, other = ("a reel", "stills") if verdict.is_reel else ("stills", "reel")
            self._shown.append(
                f"{visible_path(place)[-200:]}: {len(names)} numbered pictures were taken for {kind}, "
                f"as {verdict.reason}; "
                f"--numbered {other} takes them for {'stills' if verdict.is_reel else 'a reel'}"
            )
        return verdict.is_reel

    def notes(self) -> Iterator[str]:
        """Yield a sentence for the first series of either kind, and how many there are in all."""
        yield from self._shown
        if max(self._counts.values(), default=0) > _SHOWN:
            yield f"Numbered pictures, all series: {self._counts[True]} are reels, {self._counts[False]} are stills"

    def _judge(self, folder: str, names: Sequence[str]) -> SeriesVerdict:
        if kinds.suffix(names[0]) in kinds.CAPTURES:
            return SeriesVerdict(True, "film scanners write such files")
        if self.ask is None or self.places is None:
            return SeriesVerdict(False, "nobody here can look whether they are alike")
        try:
            uris = [self.places.resolve(folder + name) for name in _pairs(names)]
        except InputError:
            uris = []
        if not all(map(is_text, uris)):  # names in S3
            uris = []
        return _verdict(self.ask({"uris": uris, "roots": self.roots}) if uris else {})


def _pairs(names: Sequence[str]) -> list[str]:
    """Return neighbours from the beginning to the end of the series, pair by pair."""
    last = len(names) - 2
    starts = sorted({round(place * last / (_PAIRS - 1)) for place in range(_PAIRS)})
    return [names[place + beside] for place in starts for beside in (0, 1)]


def _verdict(answer: Mapping[str, Any]) -> SeriesVerdict:
    sizes = Counter(tuple(size) for size in answer.get("sizes", ()))
    values = answer.get("likeness", ())
    if sizes and max(sizes.values()) <= sizes.total() // 2:
        return SeriesVerdict(False, "their sizes differ")
    if len(answer.get("cameras", ())) > 1:
        return SeriesVerdict(False, "several cameras took them")
    if median(answer.get("apart_seconds") or [0]) > MOST_APART_SECONDS:
        return SeriesVerdict(False, "by their EXIF neighbours were taken long after one another")
    if not values:
        return SeriesVerdict(False, "nothing can be compared in them")
    likeness = median(values)
    if likeness < LEAST_LIKENESS:
        return SeriesVerdict(False, f"neighbours are not alike ({likeness:.2f} of 1)")
    return SeriesVerdict(True, f"neighbours are alike ({likeness:.2f} of 1)")
