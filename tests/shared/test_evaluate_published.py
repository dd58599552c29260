"""Published weights, published sets, published tables: from the file that a user registers to the figure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from db import session
from db.catalog import shipped
from db.settings import Settings
from orchestrator import cli

pytestmark = [pytest.mark.shared, pytest.mark.timeout(1200)]
SHARED = Path(__file__).parents[3] / "shared"
SETS = SHARED / "media" / "benchmarks"


@pytest.fixture
def at_home(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    if not SETS.is_dir():
        pytest.skip("published sets are not here")
    settings = Settings(home=tmp_path / "home")
    with session.open_database(settings) as database:
        session.upgrade(database)

    def command(*words: object) -> Any:
        code = cli.run(["--home", str(settings.home), "--json", *map(str, words)])
        said = json.loads(capsys.readouterr().out)
        assert code == 0, said
        return said

    return command


@pytest.mark.parametrize(("name", "figure", "beside"), [("set12", 30.436, 27.8), ("bsd68", 29.23, 26.8)])
def test_dncnn_gives_its_table(at_home: Any, name: str, figure: float, beside: float) -> None:
    at_home("models", "add", SHARED / "weights" / "dncnn_25.pth")
    found = at_home("evaluate", "dncnn-25", SETS / name, "--noise", 25, "--metrics", "psnr")["figures"][0]
    assert found["value"] == pytest.approx(figure, abs=0.02)
    assert found["beside"]["noisy"] == pytest.approx(20.4, abs=0.2)
    assert beside < found["beside"]["nlm"] < figure - 2


@pytest.mark.parametrize(("scale", "figure", "bicubic"), [(2, 38.25, 33.66), (4, 32.53, 28.42)])
def test_dctlsa_gives_its_table(at_home: Any, scale: int, figure: float, bicubic: float) -> None:
    at_home("models", "add", SHARED / "weights" / f"dctlsa_x{scale}.pt")
    small = SETS / "set5_sr" / f"*_x{scale}_LR.png"
    found = at_home("evaluate", f"dctlsa-x{scale}", SETS / "set5_sr" / "*_HR.png", "--inputs", small)["figures"][0]
    assert found["metric"] == "psnr_y"
    assert found["value"] == pytest.approx(figure, abs=0.02)
    assert found["beside"]["bicubic"] == pytest.approx(bicubic, abs=0.03)
    assert f"crop = {scale}" in found["convention"]


def test_the_same_files_give_the_same_tables_as_networks_that_spandrel_reads(at_home: Any) -> None:
    for name, file in {"spandrel:dncnn": "dncnn_25.pth", "spandrel-x2:dctlsa": "dctlsa_x2.pt"}.items():
        assert at_home("models", "add", SHARED / "weights" / file, "--as", name)["card"] == name
    found = at_home("evaluate", "spandrel:dncnn", SETS / "set12", "--noise", 25, "--metrics", "psnr")["figures"][0]
    assert found["value"] == pytest.approx(30.436, abs=0.02)
    large, small = SETS / "set5_sr" / "*_HR.png", SETS / "set5_sr" / "*_x2_LR.png"
    found = at_home("evaluate", "spandrel-x2:dctlsa", large, "--inputs", small)["figures"][0]
    assert found["value"] == pytest.approx(38.25, abs=0.02)


def test_a_registered_classifier_is_asked_what_it_sees(at_home: Any) -> None:
    photos = SHARED / "media" / "photos_color" / "kodak"
    at_home("models", "add", SHARED / "weights" / "squeezenet1_0.safetensors")
    found = at_home("evaluate", photos, photos, "--metrics", "semantic")["figures"][0]
    assert found["value"] == 1
    assert found["beside"]["grey"] < 1


def test_the_shipped_colorizer_gives_its_card(at_home: Any) -> None:
    photos = SHARED / "train" / "val-0000.tar"
    at_home("models", "add", SHARED / "weights" / "squeezenet1_0.safetensors")
    found = at_home(
        "evaluate", "reelwright-color", photos, "--metrics", "psnr,colorfulness,colorfulness_absolute,semantic"
    )["figures"]
    psnr, _, colorfulness, semantic = found
    card = shipped.facts("reelwright-color")["figures"]
    assert psnr["value"] == pytest.approx(card["psnr"], abs=0.02)
    assert psnr["value"] > psnr["beside"]["grey"] + 1
    assert colorfulness["value"] == pytest.approx(card["colorfulness_absolute"], abs=0.1)
    assert 0.6 < colorfulness["value"] / colorfulness["beside"]["reference"] < 1.1
    # A few photos lie between two classes, and another machine's rounding may decide.
    assert semantic["value"] == pytest.approx(card["semantic_agreement"], abs=0.01)
    assert semantic["value"] > semantic["beside"]["grey"] + 0.05
