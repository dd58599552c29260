"""The images, each built once and only when a test needs it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.images.workshop import Workshop, check_machine


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    kept = os.environ.get("IMAGES_FOLDER")
    folder = Path(kept) if kept else tmp_path_factory.mktemp("images")
    folder.mkdir(parents=True, exist_ok=True)
    check_machine(folder)
    made = Workshop(folder)
    try:
        yield made
    finally:
        made.close(keep=bool(kept))


@pytest.fixture(scope="session")
def orchestrator(workshop: Workshop) -> str:
    return workshop.build("orchestrator")


@pytest.fixture(scope="session")
def worker(workshop: Workshop) -> str:
    return workshop.build("worker")
