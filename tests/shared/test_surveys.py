"""Real films, known by their packets and surveyed, against one decode from end to end.

They lie in a shared folder beside the checkout; without it these tests are passed over.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from db.errors import InputError
from db.states import TaskKind
from tests.support.reels import House, house, item, order, surveyed
from workers.media import index
from workers.media.film import packet_scan
from workers.tasks import probe

MEDIA = (Path(__file__).parents[3] / "shared" / "media").resolve()
_SUFFIXES = {".mp4", ".mkv", ".mov", ".avi", ".m2t", ".wmv", ".vob", ".y4m", ".mpg", ".mxf"}
FILMS = sorted(
    path
    for folder in ("film_clean", "film_old", "film_pair", "odd", "field")
    for path in (MEDIA / folder).rglob("*")
    if path.suffix in _SUFFIXES
)

pytestmark = [pytest.mark.shared, pytest.mark.timeout(600)]


@pytest.mark.parametrize("path", FILMS, ids=[path.name for path in FILMS])
def test_both_ways_find_the_same(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packet_scan, "LEAST_FRAMES", 2)
    at = house(tmp_path)
    by_packets = _found(at, path, by_packets=True)
    whole = _found(at, path, by_packets=False)
    assert by_packets == whole


def _found(at: House, path: Path, *, by_packets: bool) -> Any:
    """What is known of a film in the end: facts and index, or code and message of the failure."""
    item_ = item(path)
    try:
        do = probe.probe if by_packets else probe.probe_whole
        facts = do(order(item_, TaskKind.PROBE), at.bench()).facts
        assert facts is not None
        if not facts.surveyed:
            facts = surveyed(at, item_.model_copy(update={"facts": facts}), 16).facts
            assert facts is not None
    except InputError as error:
        return error.code, error.message
    frames = index.loads(at.store.read(facts.index))
    arrays = [np.asarray(getattr(frames, name)).tolist() for name in ("pts", "key", "digest", "shows")]
    said = facts.model_dump(mode="json", exclude={"index", "mezzanine"})
    return said, arrays, frames.time_base, facts.mezzanine is None
