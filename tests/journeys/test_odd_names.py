"""Files of old drives, whose names are bytes of some other system: restored, exported, verified and submitted again."""

from __future__ import annotations

import csv
from pathlib import Path

import bagit
import pytest

from tests.journeys.house import photo
from tests.journeys.test_command_line import Person, person

__all__ = ["person"]

ROOT = "dri\udcffve"


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    folder = tmp_path / ROOT
    for name in ("plain.png", "caf\udce9.png", "caf%E9.png", "a\tb.png", "\udcff/good.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        photo(folder / name, len(name))
    for number in range(6):
        photo(folder / "\udcff" / f"f\n_{number:03d}.png", 1)
    (folder / "bad\udcfe.png").touch()
    return folder


def test_names_that_are_no_text_go_all_the_way(person: Person, drive: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text("recipe: []\noutputs: [master, sequence]\n")
    person.run("plan", drive, "--recipe", recipe, "--numbered", "reel", code=1)
    said = person.run("run", drive, "--recipe", recipe, "--numbered", "reel", "--workers", 1, code=1)
    assert said.replace("\n", "").isprintable()
    results = person.home / "results" / "job-1"
    with (results / "report.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    good = {"plain.png", "caf%E9.png"} | {
        f"./{name}" for name in ("plain.png", "caf%E9.png", "a%09b.png", "%FF/good.png")
    }
    assert {name: row["error_code"] for name, row in rows.items() if row["error_code"]} == {"./bad%FE.png": "ZERO_BYTE"}
    assert rows["caf%E9.png"]["uri"] == f"file://{tmp_path}/dri%FFve/caf%25E9.png"
    assert rows["./caf%E9.png"]["uri"] == f"file://{tmp_path}/dri%FFve/caf%E9.png"
    assert {*rows} == (good - {"./plain.png"}) | {"./bad%FE.png", "./%FF/f%0A_000-005.png"}
    made = {str(path.relative_to(results)) for path in results.rglob("*.png")}
    assert all(name.isprintable() for name in made)
    assert {name.rsplit("/")[-1] for name in made if "f_0A_000-005" in name} == {f"f_0A_{n:03d}.png" for n in range(6)}
    assert "verified" in person.run("verify", 1, here=True)
    person.run("get", 1, "--bag", "--out", tmp_path / "bag\udcff", "--item", "./caf%E9.png")
    assert bagit.Bag(str(tmp_path / "bag\udcff")).is_valid()

    photo(drive / "bad\udcfe.png")
    person.run("run", results / "report-failed.csv", "--recipe", recipe, "--workers", 1)
    assert [item["state"] for item in person.ask("status", 2, here=True)["items"]] == ["done"]
    person.run("rerun", 1, here=True)
    person.run("run", "--job", 1, "--workers", 1)
    assert person.run("plan", results / "report.csv", "--no-probe", here=True).startswith("7 lines, 7 good")
