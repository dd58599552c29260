"""A whole installation out of docker/compose.yml: it restores, deaths cost nothing, and who is asked to end does so."""

from __future__ import annotations

import hashlib
import io
import shutil
import signal
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.images.composing import GIVEN, SERVICES, Composition, kill, stop
from tests.images.workshop import ROOT, Workshop
from tests.support.servers import wait_until

pytestmark = [pytest.mark.images, pytest.mark.timeout(3600)]
DEMO = ROOT / "examples" / "demo"
PHOTO = "photos/armstrong-1946.jpg"
FILM = "reels/exercise-1950s.mkv"
SEGMENT_FRAMES, FRAMES = 12, 72
# A task for each photo, and a process for each worker, so that two workers have something to do.
MORE = {"REELWRIGHT_BUNDLE_STILLS": "1", "REELWRIGHT_SLOTS": "1"}


@pytest.fixture
def composition(workshop: Workshop, orchestrator: str, worker: str, tmp_path: Path) -> Iterator[Composition]:
    workshop.make_servers()
    images = {SERVICES["orchestrator"]["image"]: orchestrator, SERVICES["worker"]["image"]: worker}
    (tmp_path / "archive").mkdir()
    made = Composition(workshop, tmp_path / "archive", tmp_path, images, MORE)
    try:
        yield made
    finally:
        made.close()


def lay_in(archive: Path, lines: Sequence[str]) -> None:
    """Lay files of the demo into the archive, as the lines of a manifest name them, and the manifest."""
    for source in (line.split(",")[2] for line in lines[1:]):
        (archive / source).parent.mkdir(exist_ok=True)
        shutil.copy(DEMO / source, archive / source)
    (archive / "manifest.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*_AIcolor.*")
            if path.suffix in {".jpg", ".tif"}}  # fmt: skip


def restore_alone(composition: Composition, worker: str) -> dict[str, str]:
    """Restore the archive by the worker's image alone and return the results' digests."""
    words = [*composition.workshop.facts(worker)["Entrypoint"], "run", "/archive/manifest.csv", "--out=/results/alone"]
    mounts = {str(composition.archive): "/archive", str(composition.folder / "results"): "/results:rw"}
    composition.workshop.run(worker, *words, "--workers=2", mounts=mounts)
    return digests(composition.folder / "results" / "alone")


def query(composition: Composition, sql: str) -> list[str]:
    """Ask the database itself: a command of ours takes a second that the workers need."""
    words = ["psql", "--username=reelwright", "--no-align", "--tuples-only", f"--command={sql}"]
    return composition.ask("postgres", *words).split()


def done_items(composition: Composition) -> int:
    return len(query(composition, "SELECT id FROM items WHERE state = 'done'"))


def attempts(composition: Composition, which: str) -> list[str]:
    """Outcomes of attempts."""
    return query(composition, f"SELECT coalesce(outcome, 'running') FROM attempts WHERE outcome {which}")


def frames_done(composition: Composition, job: int) -> int:
    return int(composition.tell("status", str(job))["progress"]["frames_done"])


def test_what_stands_in_for_an_image_is_of_the_version_that_its_tag_names(workshop: Workshop) -> None:
    image = workshop.make_servers()
    said = {
        "postgres": workshop.run(image, "sh", "-c", "/usr/lib/postgresql/*/bin/postgres --version"),
        "redis": workshop.run(image, "redis-server", "--version"),
    }
    for name, text in said.items():
        major = SERVICES[name]["image"].partition(":")[2].partition(".")[0]
        assert any(word.removeprefix("v=").startswith(f"{major}.") for word in text.split()), (name, text)


def test_photos_are_restored_although_a_leader_and_a_worker_die_and_come_to_the_bits_of_one_machine(
    composition: Composition, worker: str
) -> None:
    lines = (DEMO / "manifest.csv").read_text(encoding="utf-8").splitlines()
    lay_in(composition.archive, [line for line in lines if ",video," not in line])
    leader = composition.up("orchestrator")
    composition.await_health("orchestrator")
    composition.up("orchestrator")
    first, _ = (composition.up("worker") for _ in range(2))
    composition.await_health("worker")
    job = composition.tell("submit", "/archive/manifest.csv")["job_id"]
    wait_until(lambda: done_items(composition) >= 1, 300, "one photo is restored")
    for service in (leader, first):
        assert kill(service) == -signal.SIGKILL
    assert done_items(composition) < 5, "they died when all was done"
    wait_until(lambda: done_items(composition) == 5, 300, "all are")
    composition.ask("orchestrator", "reelwright", "get", str(job), "--out=/results/installation")
    found = digests(composition.folder / "results" / "installation")
    assert len(found) == 5
    assert found == restore_alone(composition, worker)


def test_a_photo_that_is_sent_to_the_pages_comes_back_restored_although_the_leader_dies(
    composition: Composition,
) -> None:
    leader = composition.up("orchestrator")
    composition.await_health("orchestrator")
    composition.up("orchestrator")
    token = composition.tell("tokens", "add", "lab", "--role=operator")["token"]
    web = composition.up("web")
    composition.await_health("web")
    composition.up("worker")

    def ask(method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"Host": GIVEN["PUBLIC_URL"].partition("//")[2], "Authorization": f"Bearer {token}"}
        answer = composition.network.request(method, f"http://127.0.0.1:8765{path}", headers=headers, **options)
        return answer.raise_for_status()

    sent = ask("PUT", "/api/v1/uploads/armstrong.jpg?kind=photo", content=(DEMO / PHOTO).read_bytes()).json()
    assert kill(leader) == -signal.SIGKILL
    order = ask("POST", "/api/v1/jobs", json={"upload": sent["id"], "recipe": "old-photo"}).headers["Location"]
    wait_until(lambda: ask("GET", order).json()["state"] not in ("waiting", "running"), 120, "it is a job")
    job = ask("GET", order).json()["result"]["job_id"]
    wait_until(lambda: ask("GET", f"/api/v1/jobs/{job}").json()["job"]["state"] == "done", 300, "it is restored")
    with tarfile.open(fileobj=io.BytesIO(ask("GET", f"/api/v1/jobs/{job}/results.tar").content)) as results:
        (name,) = (each for each in results.getnames() if each.endswith("_AIcolor.jpg"))
        with Image.open(io.BytesIO(results.extractfile(name).read())) as restored:  # type: ignore[union-attr]
            assert restored.mode == "RGB"
            restored.load()
    assert 'reelwright_items{state="done"} 1.0' in ask("GET", "/metrics").text
    stop(web)


def test_who_is_asked_to_end_in_the_middle_of_a_reel_hands_it_back_in_time_and_what_was_finished_stays(
    composition: Composition,
) -> None:
    lay_in(composition.archive, ["id,kind,uri", f"exercise,video,{FILM}"])
    leader = composition.up("orchestrator")
    composition.await_health("orchestrator")
    composition.up("orchestrator")
    first = composition.up("worker")
    job = composition.tell("submit", "/archive/manifest.csv", f"--segment-frames={SEGMENT_FRAMES}")["job_id"]
    wait_until(lambda: frames_done(composition, job) >= SEGMENT_FRAMES, 300, "a segment is restored")
    stop(first)
    # The worker itself handed it back: no lease has to run out, and no attempt counts as a failure.
    assert attempts(composition, "IS DISTINCT FROM 'done'") == ["released"]
    stop(leader)
    assert SEGMENT_FRAMES <= frames_done(composition, job) < FRAMES
    finished = len(attempts(composition, "= 'done'"))
    composition.up("worker")
    wait_until(lambda: done_items(composition) == 1, 300, "the reel is restored")
    assert attempts(composition, "IS DISTINCT FROM 'done'") == ["released"]
    assert len(attempts(composition, "= 'done'")) > finished
