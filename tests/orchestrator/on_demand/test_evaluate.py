"""``reelwright evaluate``: what is judged, what is asked of a worker, what people see, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from db import progress
from db.catalog.metrics import METRICS, default_metrics, select_metrics
from db.errors import InputError
from db.session import Database
from db.settings import Settings
from db.store import open_store
from orchestrator import cli
from orchestrator.on_demand import weights
from orchestrator.on_demand.evaluate import EvaluateRequest, evaluate, format_number, resolve
from tests.support import tint
from tests.workers.on_demand.evaluation import sets


@pytest.fixture
def at_home(settings: Settings, capsys: pytest.CaptureFixture[str]) -> Any:
    def command(*words: object) -> tuple[int, Any]:
        code = cli.run(["--home", str(settings.home), "--json", *map(str, words)])
        said = capsys.readouterr().out
        # Where lines of progress went before, the document is the last line.
        return code, json.loads(said if said.startswith("{\n") else said.splitlines()[-1])

    return command


@pytest.fixture
def colorizer(settings: Settings, home_database: Database, tmp_path: Path) -> str:
    return weights.add(settings, home_database, open_store(settings), [str(tint.weights(tmp_path))]).card


@pytest.mark.real_process
def test_a_registered_model_is_judged_and_every_figure_says_how(at_home: Any, colorizer: str, tmp_path: Path) -> None:
    references = sets.folder(tmp_path / "true")
    code, found = at_home("evaluate", colorizer, references, "--size", 32, "--out", tmp_path / "out.json")
    assert code == 0
    assert found["pictures"] == 3
    assert [figure["metric"] for figure in found["figures"]] == [
        "psnr", "ssim", "colorfulness", "colorfulness_absolute", "delta_colorfulness", "delta_colorfulness_absolute",
    ]  # fmt: skip
    assert all(figure["convention"] and "grey" in figure["beside"] for figure in found["figures"])
    assert json.loads((tmp_path / "out.json").read_text())["values"].keys() == {"p0", "p1", "p2"}


def test_people_see_figures_floors_conventions_and_what_was_left_out(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    references = sets.folder(tmp_path / "true")
    (references / "p2.png").write_bytes(b"")
    made = sets.folder(tmp_path / "made")
    assert cli.run(["--home", str(settings.home), "evaluate", str(made), str(references)]) == 1
    said = capsys.readouterr().out
    assert "psnr" in said
    assert "100.000 dB" in said
    assert "grey " in said
    assert "10 log10(255^2 / MSE)" in said
    assert "ZERO_BYTE" in said
    assert "1 picture not judged" in said


def test_judges_that_are_registered_are_asked_and_others_never_stand_in(
    at_home: Any, settings: Settings, home_database: Database, tmp_path: Path
) -> None:
    references = sets.folder(tmp_path / "true", height=200, width=200)
    code, found = at_home("evaluate", references, references, "--metrics", "niqe")
    assert (code, found["error"]["code"]) == (2, "MODEL_MISSING")
    weights.add(settings, home_database, open_store(settings), [str(sets.niqe(tmp_path / "niqe_pris_params.npz"))])
    code, found = at_home("evaluate", references, references, "--metrics", "niqe,psnr")
    assert (code, [figure["metric"] for figure in found["figures"]]) == (0, ["niqe", "psnr"])
    code, found = at_home("evaluate", references, references, "--metrics", "fid_clean_fid")
    assert (code, found["error"]["code"]) == (2, "MODEL_MISSING")
    assert "inception-fid" in found["error"]["message"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("eccv61", "true"), "UNKNOWN_MODEL"),
        (("eccv16", "true"), "MODEL_MISSING"),
        (("reelwright-color:mine", "true"), "MODEL_MISSING"),
        (("17", "true"), "UNKNOWN_JOB"),
        (("true", "nowhere"), "FILE_MISSING"),
        (("true", "true", "--metrics", "psnt"), "UNKNOWN_METRIC"),
        (("true", "true", "--size", "enormous"), "BAD_VALUE"),
        (("true", "true", "--option", "sigma"), "BAD_VALUE"),
        (("true", "true", "--queue"), "UNKNOWN_MODEL"),
        (("dncnn-25", "true", "--queue", "--noise", "25"), "BAD_PARAMETER"),
    ],
)
def test_what_cannot_be_judged_ends_in_a_code(
    at_home: Any,
    home_database: Database,
    tmp_path: Path,
    words: tuple[str, ...],
    code: str,
) -> None:
    sets.folder(tmp_path / "true", 1)
    status, found = at_home("evaluate", *(tmp_path / word if word in {"true", "nowhere"} else word for word in words))
    assert (status, found["error"]["code"]) == (2, code)


def test_without_a_home_finished_pictures_are_judged_all_the_same(settings: Settings, tmp_path: Path) -> None:
    references = str(sets.folder(tmp_path / "true", 1))
    assert evaluate(settings, None, EvaluateRequest(references, references))["pictures"] == 1
    with pytest.raises(InputError) as caught:
        evaluate(settings, None, EvaluateRequest("3", references))
    assert caught.value.code == "UNKNOWN_JOB"


def test_through_the_queue_the_figures_are_those_of_a_local_run_and_the_job_can_be_judged_again(
    at_home: Any, colorizer: str, home_database: Database, tmp_path: Path
) -> None:
    references = sets.folder(tmp_path / "true")
    code, local = at_home("evaluate", colorizer, references)
    assert code == 0
    code, queued = at_home("evaluate", colorizer, references, "--queue", "--workers", 2)
    assert code == 0
    values = {figure["metric"]: figure["value"] for figure in queued["figures"]}
    for figure in local["figures"]:
        assert values[figure["metric"]] == pytest.approx(figure["value"], rel=1e-3, abs=1e-3)
    job = progress.job(home_database, queued["job_id"])
    assert job.state.value == "done"
    code, again = at_home("evaluate", job.id, references)
    assert (code, again["figures"][0]["value"]) == (0, queued["figures"][0]["value"])
    code, queued = at_home("evaluate", colorizer, references, "--queue", "--workers", 2)
    assert queued["job_id"] == job.id  # nothing is computed twice


def test_denoisers_and_upscalers_go_through_the_queue_with_the_figures_of_a_local_run(
    at_home: Any, home_database: Database, tmp_path: Path
) -> None:
    references = sets.folder(tmp_path / "true", 2)
    grainy = tmp_path / "grainy"
    grainy.mkdir()
    for path in references.iterdir():
        noise = np.random.default_rng(0).normal(0, 15, (40, 48, 3))
        Image.fromarray(np.clip(sets.picture(int(path.stem[1:])) + noise, 0, 255).astype(np.uint8)).save(
            grainy / path.name
        )
    for words in (
        ("reelwright-upscale-x2", references),
        ("reelwright-denoise", references, "--inputs", grainy, "--option", "sigma=0.06"),
    ):
        code, local = at_home("evaluate", *words)
        assert code == 0, local
        code, queued = at_home("evaluate", *words, "--queue", "--workers", 1)
        assert code == 0, queued
        assert (queued["task"], queued["pictures"]) == (local["task"], 2)
        assert queued["notes"] == local["notes"]
        for one, other in zip(queued["figures"], local["figures"], strict=True):
            assert (one["metric"], one["convention"], one["beside"]) == (
                other["metric"], other["convention"], other["beside"],
            )  # fmt: skip
            assert one["value"] == pytest.approx(other["value"], abs=0.02)
    code, refused = at_home("evaluate", "reelwright-denoise", references, "--inputs", grainy, "--queue")
    assert (code, refused["error"]["code"]) == (2, "BAD_PARAMETER")
    assert "must be told the noise" in refused["error"]["message"]
    assert len(progress.jobs(home_database)) == 2


def test_a_reference_that_cannot_be_read_stops_a_queued_run_before_it_begins(
    at_home: Any, colorizer: str, home_database: Database, tmp_path: Path
) -> None:
    references = sets.folder(tmp_path / "true")
    (references / "p1.png").write_bytes(b"no picture")
    code, found = at_home("evaluate", colorizer, references, "--queue")
    assert (code, found["error"]["code"]) == (2, "UNKNOWN_FORMAT")
    assert progress.jobs(home_database) == []


def test_names_stand_for_weights_as_in_recipes() -> None:
    assert resolve("ddcolor").name == "ddcolor-large"
    assert resolve("deoldify-video").name == "deoldify-video"
    assert resolve("lite-unet:birds").name == "lite-unet:birds"


def test_metrics_are_chosen_by_name_task_and_judge() -> None:
    assert select_metrics((), []) is None
    assert select_metrics(("ssim", "psnr", "ssim"), []) == ("ssim", "psnr")
    everything = select_metrics(("all",), ["niqe"])
    assert everything is not None
    assert "niqe" in everything
    assert "semantic" not in everything
    assert default_metrics("upscaler", []) == ("psnr_y", "ssim_y", "color_consistency", "reference_warp_error")
    assert "semantic" in default_metrics("colorizer", ["squeezenet"])
    assert select_metrics(("cdc",), []) == ("color_consistency",), "a name of the release before"
    with pytest.raises(InputError, match="jobs take it"):
        select_metrics(("luma_psnr",), [])
    with pytest.raises(InputError, match="Did you mean 'psnr'") as caught:
        select_metrics(("psnrr",), [])
    assert caught.value.code == "UNKNOWN_METRIC"


def test_every_metric_says_what_it_is_and_which_judge_it_asks() -> None:
    from db.catalog.architectures import ARCHITECTURES
    from db.catalog.weights import CARDS

    for name, spec in METRICS.items():
        assert spec.name == name
        assert spec.summary
        assert spec.convention
        assert not spec.judge or ARCHITECTURES[CARDS[spec.judge].architecture].task == "judge"


def test_figures_are_written_with_the_digits_that_count() -> None:
    assert [format_number(value) for value in (None, 29.22841, 0.861666, 0.0, -3.5)] == [
        "none", "29.228", "0.8617", "0.0000", "-3.500",
    ]  # fmt: skip


def test_a_job_that_is_not_over_is_not_judged_yet(at_home: Any, colorizer: str, tmp_path: Path) -> None:
    references = sets.folder(tmp_path / "true", 1)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(json.dumps([{"colorize": {"model": colorizer}}]))
    code, made = at_home("submit", references, "--recipe", recipe)
    assert code == 0
    code, found = at_home("evaluate", made["job_id"], references)
    assert (code, found["error"]["code"]) == (4, "WRONG_STATE")


def test_outputs_keep_their_ids_without_the_suffix(at_home: Any, home_database: Database, tmp_path: Path) -> None:
    references = sets.folder(tmp_path / "true", 2)
    with Image.open(references / "p1.png") as picture:
        picture.save(references / "p1.bmp")
    (references / "p1.png").unlink()
    code, done = at_home("run", references, "--recipe", "identity", "--workers", 1, "--out", tmp_path / "out")
    assert code == 0
    code, found = at_home("evaluate", done["job"]["id"], references)
    assert (code, found["figures"][0]["value"], found["pictures"]) == (0, 100, 2)
