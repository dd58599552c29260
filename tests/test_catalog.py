"""The catalogue and the files say the same, both ways."""

import ast
from pathlib import Path

import pytest

from db.catalog.architectures import ARCHITECTURES
from db.catalog.metrics import METRICS
from db.catalog.stages import STAGES
from db.catalog.weights import CARDS, FAMILIES, Card

WORKERS = Path(__file__).parents[1] / "workers"
OF_TASK: dict[str, set[str]] = {
    "colorizer": {"chroma", "reference_output"},
    "denoiser": {"restore"},
    "upscaler": {"restore"},
    "face restorer": {"restore"},
    "inpainter": {"restore"},
    "detector": {"boxes"},
    "judge": set(),
}
"""What a module of an architecture has besides ``build``; a judge's network is simply called."""


def modules(folder: str) -> dict[str, Path]:
    return {path.stem: path for path in (WORKERS / folder).glob("*.py") if path.stem != "__init__"}


def public_functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    own = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    shown = {name.value for node in ast.walk(tree) if isinstance(node, ast.Assign)
             and getattr(node.targets[0], "id", "") == "__all__" for name in node.value.elts}  # fmt: skip
    return {name for name in own | shown if not name.startswith("_")}


def test_every_stage_has_its_module_and_every_module_its_stage() -> None:
    shipped = {name for name, spec in STAGES.items() if not spec.module}
    assert set(modules("stages")) == shipped


def test_every_metric_has_its_module_and_every_module_its_metric() -> None:
    assert set(modules("metrics")) == {name for name, spec in METRICS.items() if not spec.outside}


@pytest.mark.parametrize("path", modules("stages").values(), ids=lambda path: path.stem)
def test_a_stage_has_the_functions_of_its_contract(path: Path) -> None:
    assert {"restore"} <= public_functions(path) <= {"restore", "measure"}


@pytest.mark.parametrize("path", modules("metrics").values(), ids=lambda path: path.stem)
def test_a_metric_has_the_functions_of_its_contract(path: Path) -> None:
    functions = public_functions(path)
    by_rows, on_device = {"row_values", "from_rows"}, {"device_row_values"}
    assert {"update", "compute"} <= functions <= {"update", "compute", "observe", "accumulate"} | by_rows | on_device
    assert by_rows & functions in (set(), by_rows)
    assert not on_device & functions or by_rows <= functions
    assert ("observe" in functions) or METRICS[path.stem].compares != "previous"


@pytest.mark.parametrize("name", [name for name, spec in ARCHITECTURES.items() if not spec.outside])
def test_an_architecture_has_its_module_with_the_functions_of_its_task(name: str) -> None:
    spec = ARCHITECTURES[name]
    functions = public_functions(modules("models")[spec.module_name.rpartition(".")[2]])
    assert ({"build"} if spec.default else {"recognized_family", "from_sets"}) <= functions
    assert OF_TASK[spec.task] <= functions


def test_every_architecture_has_its_module_and_every_module_its_architecture() -> None:
    assert set(modules("models")) == {name for name, spec in ARCHITECTURES.items() if not spec.outside}


@pytest.mark.parametrize("card", CARDS.values(), ids=lambda card: card.name)
def test_a_card_is_complete_and_of_a_known_architecture(card: Card) -> None:
    assert card.architecture in ARCHITECTURES
    assert card.summary
    assert card.license
    assert card.published
    assert card.files


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_architectures_default_weights_are_its_own_or_all_of_them_have_labels(name: str) -> None:
    default = ARCHITECTURES[name].default
    assert CARDS[default].architecture == name if default else name in {each.architecture for each in FAMILIES.values()}


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_is_described_and_its_defaults_are_allowed(name: str) -> None:
    spec = STAGES[name]
    params = spec.params().model_dump(mode="json")
    assert spec.name == name
    assert spec.summary
    assert spec.reference
    assert spec.temporal_radius(params) >= 0
    assert spec.scale(params) >= 1
    assert all(field.description for field in spec.params.model_fields.values())
