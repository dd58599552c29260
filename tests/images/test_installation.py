"""A whole installation out of docker/compose.yml in its own images: it restores, and deaths cost nothing."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.images.composing import SERVICES, Composition, end
from tests.images.workshop import ROOT, USER, Workshop
from tests.support.servers import Postgres, wait_until

pytestmark = [pytest.mark.images, pytest.mark.timeout(3600)]
DEMO = ROOT / "examples" / "demo"


@pytest.fixture
def composition(
    workshop: Workshop, orchestrator: str, worker: str, postgres: Postgres, tmp_path: Path
) -> Iterator[Composition]:
    archive = tmp_path / "archive"
    shutil.copytree(DEMO / "photos", archive / "photos")
    lines = (DEMO / "manifest.csv").read_text(encoding="utf-8").splitlines()
    photos = [line for line in lines if ",video," not in line]
    (archive / "manifest.csv").write_text("\n".join(photos) + "\n", encoding="utf-8")
    (tmp_path / "results").mkdir()
    shutil.chown(tmp_path / "results", USER)
    images = {SERVICES["orchestrator"]["image"]: orchestrator, SERVICES["worker"]["image"]: worker}
    made = Composition(workshop, archive, tmp_path, postgres, images)
    try:
        yield made
    finally:
        made.close()


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*_AIcolor.*")
            if path.suffix in {".jpg", ".tif"}}  # fmt: skip


def test_photos_are_restored_although_a_leader_and_a_worker_die_and_come_to_the_bits_of_one_machine(
    composition: Composition, workshop: Workshop, worker: str
) -> None:
    composition.start_servers()
    assert composition.start("upgrade").wait(120) == 0
    # A task for each photo, so that both workers have something to do.
    leader = composition.start("orchestrator", REELWRIGHT_BUNDLE_STILLS="1")
    composition.await_health("orchestrator")
    composition.start("orchestrator", REELWRIGHT_BUNDLE_STILLS="1")
    first, _ = (composition.start("worker", REELWRIGHT_SLOTS="1") for _ in range(2))
    composition.await_health("worker")
    composition.ask("orchestrator", ["reelwright", "submit", "/archive/manifest.csv"])
    wait_until(lambda: done_items(composition) >= 1, 300, "one photo is restored")
    for process in (leader, first):
        assert end(process, signal.SIGKILL) == -signal.SIGKILL
    assert done_items(composition) < 5, "they died when all was done"
    wait_until(lambda: done_items(composition) == 5, 300, "all are")
    composition.ask("orchestrator", ["reelwright", "get", "1", "--out=/results/installation"])
    alone = [
        *workshop.facts(worker)["Entrypoint"],
        "run",
        "/archive/manifest.csv",
        "--out=/results/alone",
        "--workers=2",
    ]
    workshop.run(
        worker, *alone,
        mounts={str(composition.archive): "/archive", str(composition.folder / "results"): "/results:rw"},
    )  # fmt: skip
    found = digests(composition.folder / "results" / "installation")
    assert len(found) == 5
    assert found == digests(composition.folder / "results" / "alone")


def done_items(composition: Composition) -> int:
    told = json.loads(composition.ask("orchestrator", ["reelwright", "--json", "status", "1"]))
    return int(told["progress"]["items_done"])
