"""The catalogue and the files say the same, both ways."""

import ast
from pathlib import Path

import pytest

from db.catalog.metrics import METRICS
from db.catalog.stages import STAGES

WORKERS = Path(__file__).parents[1] / "workers"


def modules(folder: str) -> dict[str, Path]:
    return {path.stem: path for path in (WORKERS / folder).glob("*.py") if path.stem != "__init__"}


def public_functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")}


def test_every_stage_has_its_module_and_every_module_its_stage() -> None:
    shipped = {name for name, spec in STAGES.items() if not spec.module}
    assert set(modules("stages")) == shipped


def test_every_metric_has_its_module_and_every_module_its_metric() -> None:
    assert set(modules("scores")) == set(METRICS)


@pytest.mark.parametrize("path", modules("stages").values(), ids=lambda path: path.stem)
def test_a_stage_has_one_public_function(path: Path) -> None:
    assert public_functions(path) == {"restore"}


@pytest.mark.parametrize("path", modules("scores").values(), ids=lambda path: path.stem)
def test_a_metric_has_two_public_functions(path: Path) -> None:
    assert public_functions(path) == {"update", "compute"}


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_is_described_and_its_defaults_are_allowed(name: str) -> None:
    spec = STAGES[name]
    params = spec.params().model_dump(mode="json")
    assert spec.name == name
    assert spec.summary
    assert spec.source
    assert spec.temporal_radius(params) >= 0
    assert spec.scale(params) >= 1
    assert all(field.description for field in spec.params.model_fields.values())
