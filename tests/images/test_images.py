"""The images are built as their files say, hold what was pinned, and their own command restores a photo."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from tests.images.workshop import ROOT, USER, Workshop

pytestmark = [pytest.mark.images, pytest.mark.timeout(3600)]
DEMO = ROOT / "examples" / "demo"
BOTH = ("orchestrator", "worker")
PIXELS = {"av", "numpy", "opencv-python-headless", "pillow", "torch"}


@pytest.fixture(params=BOTH)
def image(request: pytest.FixtureRequest) -> str:
    """Each of the two."""
    return str(request.getfixturevalue(request.param))


def packages(workshop: Workshop, image: str) -> dict[str, str]:
    """Names and versions of what is installed in an image, our own package left out; builds' names are cut off."""
    lines = workshop.run(image, "pip", "freeze").splitlines()
    pairs = (line.partition("==") for line in lines if "==" in line)
    return {name.lower().replace("_", "-"): version.partition("+")[0] for name, _, version in pairs}


def test_an_image_is_healthy_as_a_plain_user_who_can_write_nothing_but_its_home(workshop: Workshop, image: str) -> None:
    check = workshop.facts(image)["Healthcheck"]["Test"]
    assert check[0] == "CMD"
    assert json.loads(workshop.run(image, *check[1:]))["healthy"]
    assert workshop.run(image, "id", "--user").strip() == str(USER)
    look = "find / -xdev -writable -not -type l -not -path '/proc/*' -not -path '/dev/*' 2>/dev/null || true"
    places = workshop.run(image, "sh", "-c", look).splitlines()
    allowed = re.compile(r"/home/reelwright\b|/scratch\b|/tmp\b|/var/tmp\b|/run/lock\b")
    assert [place for place in places if not allowed.match(place)] == []


def test_an_image_holds_the_versions_that_are_pinned_and_no_others(workshop: Workshop, image: str) -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = dict(line.lower().replace("_", "-").split("==") for line in lines if "==" in line)
    found = packages(workshop, image)
    assert {name: version for name, version in found.items() if pinned.get(name) != version} == {}
    assert ("torch" in found) == ("worker" in image)


def test_the_orchestrators_image_holds_nothing_that_touches_pixels(workshop: Workshop, orchestrator: str) -> None:
    assert PIXELS & set(packages(workshop, orchestrator)) == set()


def test_the_workers_own_command_restores_a_photo_of_the_demo_and_writes_only_into_volumes(
    workshop: Workshop, worker: str, tmp_path: Path
) -> None:
    archive, results, home, bare = (tmp_path / name for name in ("archive", "results", "home", "bare"))
    (archive / "photos").mkdir(parents=True)
    for volume in (results, home):
        volume.mkdir()
        shutil.chown(volume, USER)
    # As on Kubernetes, where everything but the volumes is read-only.
    (bare / "home").mkdir(parents=True)
    mounts = {bare: "/home/reelwright", home: "/home/reelwright/home:rw", results: "/results:rw", archive: "/archive"}
    lines = (DEMO / "manifest.csv").read_text(encoding="utf-8").splitlines()[:2]
    (archive / "manifest.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    photo = Path(lines[1].split(",")[2])
    shutil.copy(DEMO / photo, archive / photo)
    words = [*workshop.facts(worker)["Entrypoint"], "run", "/archive/manifest.csv", "--workers=1", "--out=/results"]
    workshop.run(worker, *words, mounts={str(place): target for place, target in mounts.items()})
    with Image.open(next(results.glob("*.jpg"))) as restored, Image.open(DEMO / photo) as source:
        assert restored.mode == "RGB"
        assert restored.width >= source.width
    assert json.loads((results / "report.json").read_text(encoding="utf-8"))
