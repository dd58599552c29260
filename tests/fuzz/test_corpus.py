"""Everything that fuzzing began with or found, read again: nothing comes out but what a caller is told to catch."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz import mutators
from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
FILES = sorted(path for path in CORPUS.rglob("*") if path.is_file())
CHANGES = 6
"""Of each file, along its structure."""


def test_every_target_has_a_corpus_and_every_corpus_a_target() -> None:
    assert {path.parent.name for path in FILES} == set(TARGETS)
    assert sum(path.stat().st_size for path in FILES) < 60_000


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_a_file_of_the_corpus_and_its_like_end_in_an_answer(path: Path, tmp_path: Path) -> None:
    data = path.read_bytes()
    for number, changed in enumerate([data, *(mutators.mutate(data, seed) for seed in range(CHANGES))]):
        folder = tmp_path / str(number)
        folder.mkdir()
        TARGETS[path.parent.name](changed, folder)
