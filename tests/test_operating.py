"""What the page for operators promises is played by tests that exist, and what is to be watched is exported."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from db.session import Database
from db.settings import Settings, load
from orchestrator.web.figures import InstallationFigures, Requests

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
DASHBOARD = json.loads((ROOT / "docker" / "grafana" / "reelwright.json").read_text(encoding="utf-8"))
DRILLS = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)


@pytest.mark.parametrize(("path", "name"), DRILLS, ids=[name for _, name in DRILLS])
def test_every_drill_is_played(path: str, name: str) -> None:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_line_of_what_to_do_has_a_drill() -> None:
    table = PAGE.split("| played by |")[1].split("\n## ")[0]
    rows = [line for line in table.splitlines()[2:] if line.startswith("|")]
    assert len(rows) == len(DRILLS) > 10


def test_what_is_watched_is_exported(database: Database) -> None:
    exported = {family.name for family in InstallationFigures(database, 60.0, Requests()).collect()}
    watched = set(re.findall(r"\breelwright_\w+", PAGE + json.dumps(DASHBOARD)))
    assert {name.removesuffix("_total") for name in watched} <= exported
    assert len(watched) > 8


def test_the_shares_that_are_shown_can_be_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "settings.toml").write_text(re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)[0])
    monkeypatch.setenv("REELWRIGHT_CONFIG", str(tmp_path / "settings.toml"))
    settings: Settings = load()
    assert {name: share.weight for name, share in settings.tenants.items()} == {
        "feature-film": 3, "newsreels": 1, "*": 1,
    }  # fmt: skip


def test_the_dashboard_asks_the_source_that_is_chosen_and_nothing_overlaps() -> None:
    places = [tuple(panel["gridPos"].values()) for panel in DASHBOARD["panels"]]
    assert len(set(places)) == len(places)
    assert {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]} == {"${datasource}"}
