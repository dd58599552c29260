"""A whole evaluation: each task, each way of naming pictures, and everything that may be wrong with them."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from db.catalog.metrics import METRICS
from db.errors import InputError
from db.settings import Settings
from db.store import open_store
from db.store.base import Store
from tests.support import placeholders
from tests.support.reels import film
from tests.workers.on_demand.evaluation import sets
from workers.on_demand.evaluation.evaluating import evaluate
from workers.on_demand.evaluation.order import EvaluateOrder, Output
from workers.ops import colorfulness, likeness, planes


@dataclass
class House:
    settings: Settings
    store: Store


@pytest.fixture
def at(tmp_path: Path) -> House:
    settings = Settings(home=tmp_path / "home", device="cpu")
    return House(settings, open_store(settings))


def judged(at: House, references: object, **more: Any) -> dict[str, Any]:
    found = evaluate(EvaluateOrder(references=str(references), **more), at.settings)
    found["by"] = {figure["metric"]: figure for figure in found["figures"]}
    return found


def test_finished_pictures_are_compared_by_id_and_grey_stands_beside(at: House, tmp_path: Path) -> None:
    references, made = sets.folder(tmp_path / "true"), sets.folder(tmp_path / "made")
    Image.fromarray(likeness.gray(sets.picture(0))).save(made / "p0.png")
    found = judged(at, references, made=str(made))
    psnr = found["by"]["psnr"]
    assert found["task"] == "compare"
    assert found["pictures"] == psnr["count"] == 3
    floor = [likeness.psnr(likeness.gray(sets.picture(seed)), sets.picture(seed)) for seed in range(3)]
    assert psnr["value"] == pytest.approx((floor[0] + 2 * likeness.MOST_DB) / 3)
    assert psnr["beside"] == {"grey": pytest.approx(np.mean(floor))}
    true = np.mean([colorfulness.absolute(planes.from_levels(sets.picture(seed))) for seed in range(3)])
    assert found["by"]["colorfulness_absolute"]["beside"]["reference"] == pytest.approx(true)
    assert found["by"]["colorfulness"]["beside"]["grey"] == pytest.approx(0, abs=0.5)
    assert all(figure["convention"] for figure in found["figures"])
    assert "semantic" not in found["by"]


def test_every_metric_is_taken_when_its_judge_is_registered(at: House, tmp_path: Path) -> None:
    references, made = sets.folder(tmp_path / "true", height=200, width=200), tmp_path / "made"
    sets.folder(made, height=200, width=200)
    names = ("squeezenet", "inception-fid", "inception-imagenet", "lpips-alex", "niqe")
    judges = {name: sets.judge(at.store, tmp_path, name) for name in names}
    # Each distance of 2048 features takes seconds, and the ways of resizing are tested by themselves.
    left_out = {"lpips_vgg", "fid_pytorch_fid", "fid_clean_fid", "fid_imagenet_01"}
    wanted = tuple(
        name
        for name, spec in METRICS.items()
        if spec.in_evaluation and spec.reduces != "reel" and not spec.outside and name not in left_out
    )
    found = judged(at, references, made=str(made), judges=judges, metrics=wanted)
    assert tuple(found["by"]) == wanted
    assert found["by"]["semantic"]["value"] == 1
    assert found["by"]["lpips_alex"]["value"] == 0
    assert found["by"]["lpips_alex"]["beside"]["grey"] > 0
    assert found["by"]["niqe"]["value"] == found["by"]["niqe"]["beside"]["reference"] > 0
    for name in wanted:
        if name.startswith("fid_"):
            assert found["by"][name]["value"] == pytest.approx(0, abs=1e-3)
            assert found["by"][name]["beside"]["grey"] > 0
            assert not found["by"][name]["reliable"]
            assert "3 pictures, and more than 2048" in found["by"][name]["note"]


def test_a_colorizer_colours_the_references_own_lightness(at: House, tmp_path: Path) -> None:
    pin = placeholders.pin(at.store, tmp_path, "reelwright-color")
    found = judged(at, sets.folder(tmp_path / "true"), model=pin, size_px=64)
    assert found["task"] == "colorizer"
    assert found["by"]["psnr"]["beside"].keys() == {"grey"}
    assert any("64 x 64" in note for note in found["notes"])


def test_a_denoiser_is_given_the_same_noise_each_time_and_told_its_level(at: House, tmp_path: Path) -> None:
    pin = placeholders.pin(at.store, tmp_path, "reelwright-denoise")
    references = sets.folder(tmp_path / "true", 2)
    found, again = (judged(at, references, model=pin, noise=25.0) for _ in range(2))
    other = judged(at, references, model=pin, noise=25.0, seed=1)
    assert found["by"]["psnr"] == again["by"]["psnr"] != other["by"]["psnr"]
    beside = found["by"]["psnr"]["beside"]
    assert beside["noisy"] == pytest.approx(20.3, abs=0.5)  # 20 log10(255 / 25), a little more by clipping
    assert beside["nlm"] > beside["noisy"] + 3


def test_an_upscaler_is_given_small_copies_or_ones_that_are_there(at: House, tmp_path: Path) -> None:
    pin = placeholders.pin(at.store, tmp_path, "reelwright-upscale-x2")
    references = sets.folder(tmp_path / "true", 2, height=41, width=48)
    found = judged(at, references, model=pin)
    assert found["by"]["psnr_y"]["beside"]["bicubic"] > 25
    assert "crop = 2" in found["by"]["psnr_y"]["convention"]
    small = tmp_path / "small"
    small.mkdir()
    for seed in range(2):
        Image.fromarray(sets.picture(seed, 20, 24)).save(small / f"p{seed}_LR.png")
    found = judged(at, references / "*.png", model=pin, inputs=str(small / "*_LR.png"))
    assert found["pictures"] == 2
    assert found["problem_count"] == 0


def test_manifests_and_shards_are_read_too(at: House, tmp_path: Path) -> None:
    made = sets.folder(tmp_path / "made")
    (tmp_path / "set.csv").write_text("id,reference\np0,made/p0.png\np2,made/p2.png\n")
    (tmp_path / "set.jsonl").write_text('{"source": "made/p1.png", "id": "p1"}\n')
    with tarfile.open(tmp_path / "set-0.tar", "w") as shard:
        for path in sorted(made.iterdir()):
            shard.add(path, path.name)
    csv = judged(at, tmp_path / "set.csv", made=str(made))
    assert csv["pictures"] == 2
    assert csv["problems"] == [
        {"id": "p1", "code": "OUTPUT_MISSING", "message": "p1: there is no reference for this output"}
    ]
    assert judged(at, tmp_path / "set.jsonl", made=str(made))["pictures"] == 1
    whole = judged(at, tmp_path / "set-*.tar", made=str(made))
    assert (whole["pictures"], whole["problem_count"], whole["by"]["psnr"]["value"]) == (3, 0, likeness.MOST_DB)


def test_what_cannot_be_judged_is_counted_and_named_and_the_rest_is_judged(at: House, tmp_path: Path) -> None:
    references, made = sets.folder(tmp_path / "true", 6), sets.folder(tmp_path / "made", 6)
    (references / "p0.png").write_bytes((references / "p0.png").read_bytes()[:200])
    (references / "p1.png").write_bytes(b"")
    (made / "p2.png").unlink()
    Image.fromarray(sets.picture(3, 20, 20)).save(made / "p3.png")
    (made / "p4.png").write_bytes(b"no picture at all")
    found = judged(at, references, made=str(made))
    assert found["pictures"] == 1
    codes = {problem["id"]: problem["code"] for problem in found["problems"]}
    assert found["problem_count"] == 5
    assert codes["p0"] in {"TRUNCATED", "CORRUPT"}
    assert codes == {
        "p0": codes["p0"], "p1": "ZERO_BYTE", "p2": "OUTPUT_MISSING", "p3": "SIZE_MISMATCH", "p4": "UNKNOWN_FORMAT",
    }  # fmt: skip
    assert found["by"]["psnr"]["count"] == 1


def test_a_model_given_inputs_of_a_wrong_size_judges_the_others(at: House, tmp_path: Path) -> None:
    pin = placeholders.pin(at.store, tmp_path, "reelwright-upscale-x2")
    references = sets.folder(tmp_path / "true", 2)
    small = sets.folder(tmp_path / "small", 2, height=20, width=24)
    Image.fromarray(sets.picture(1, 10, 24)).save(small / "p1.png")
    found = judged(at, references, model=pin, inputs=str(small))
    assert found["pictures"] == 1
    assert found["problems"][0]["code"] == "SIZE_MISMATCH"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"references": "nowhere"}, "FILE_MISSING"),
        ({"references": "empty"}, "MANIFEST_EMPTY"),
        ({"references": "odd.csv"}, "MANIFEST_UNREADABLE"),
        ({"references": "odd.tar"}, "MANIFEST_UNREADABLE"),
        ({"references": "cut.tar"}, "MANIFEST_UNREADABLE"),
        ({"references": "twice.csv"}, "DUPLICATE_ID"),
        ({"made": "empty"}, "MANIFEST_EMPTY"),
        ({"made": "strange"}, "OUTPUT_MISSING"),
        ({"out": "figures.txt"}, "BAD_VALUE"),
        ({"out": "no/folder/figures.json"}, "FILE_MISSING"),
        ({"made": None}, "BAD_PARAMETER"),
    ],
)
def test_a_set_that_cannot_be_judged_at_all_ends_in_a_code(
    at: House, tmp_path: Path, change: dict[str, str | None], code: str
) -> None:
    sets.folder(tmp_path / "true")
    (tmp_path / "empty").mkdir()
    (tmp_path / "strange").mkdir()
    Image.fromarray(sets.picture(0)).save(tmp_path / "strange" / "q.png")
    (tmp_path / "odd.csv").write_text("name,size\na,1\n")
    (tmp_path / "odd.tar").write_bytes(b"no tar")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as shard:
        shard.add(tmp_path / "true" / "p0.png", "p0.png")
    (tmp_path / "cut.tar").write_bytes(buffer.getvalue()[:700])
    (tmp_path / "twice.csv").write_text("id,reference\na,true/p0.png\na,true/p1.png\n")
    order = {"references": "true", "made": "true"} | change
    places = {key: str(tmp_path / value) for key, value in order.items() if value is not None}
    with pytest.raises(InputError) as caught:
        evaluate(EvaluateOrder(**places), at.settings)  # type: ignore[arg-type]
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("reelwright-denoise", {}),
        ("reelwright-denoise", {"inputs": "same"}),
        ("reelwright-color", {"options": {"render_factor": 3}}),
        ("squeezenet", {}),
    ],
)
def test_an_order_that_a_model_cannot_follow_is_refused(
    at: House, tmp_path: Path, name: str, more: dict[str, Any]
) -> None:
    pin = placeholders.pin(at.store, tmp_path, name)
    references = str(sets.folder(tmp_path / "true", 1))
    with pytest.raises(InputError) as caught:
        judged(
            at, references, model=pin, **{key: references if value == "same" else value for key, value in more.items()}
        )
    assert caught.value.code == "BAD_PARAMETER"


def test_films_are_judged_frame_by_frame_and_for_their_steadiness(at: House, tmp_path: Path) -> None:
    still = np.stack([sets.picture(0, 48, 64)[None, ..., 0]] * 6)
    flicker = still.copy()
    flicker[::2] = (flicker[::2] * 0.8).astype(np.uint8)
    for name, frames in (("true", still), ("made", flicker)):
        (tmp_path / name).mkdir()
        film(tmp_path / name / "a.mkv", list(frames), "gray", rate=Fraction(16))
    found = judged(at, tmp_path / "true", made=str(tmp_path / "made"))
    assert (found["films"], found["pictures"]) == (1, 6)
    assert found["by"]["psnr"]["value"] < likeness.MOST_DB
    for name in ("color_consistency", "reference_warp_error"):
        assert found["by"][name]["value"] > 0
        assert found["by"][name]["beside"]["reference"] == pytest.approx(0, abs=1e-6)
        assert found["by"][name]["count"] == 1
    film(tmp_path / "made" / "a.mkv", list(flicker[:4]), "gray", rate=Fraction(16))
    found = judged(at, tmp_path / "true", made=str(tmp_path / "made"))
    assert found["problems"][0]["code"] == "SIZE_MISMATCH"
    assert found["pictures"] == 4


def test_a_jobs_outputs_are_fetched_by_their_ids(at: House, tmp_path: Path) -> None:
    references = sets.folder(tmp_path / "true", 2)
    outputs = []
    for path in sorted(references.iterdir()):
        outputs.append(Output(id=path.name, blob=at.store.put(f"made/{path.name}", path)))
    found = judged(at, references, outputs=tuple(outputs))
    assert found["by"]["psnr"]["value"] == likeness.MOST_DB
    assert judged(at, references, outputs=tuple(outputs[:1]))["problems"][0]["code"] == "OUTPUT_MISSING"


def test_values_of_every_picture_are_written_with_the_figures(at: House, tmp_path: Path) -> None:
    references = sets.folder(tmp_path / "true", 2)
    for name in ("out.json", "out.parquet"):
        judged(at, references, made=str(references), out=str(tmp_path / name), metrics=("psnr", "delta_colorfulness"))
    document = json.loads((tmp_path / "out.json").read_text())
    assert document["values"]["p1"]["own"] == {"psnr": likeness.MOST_DB}
    assert document["figures"][0]["convention"]
    table = pq.read_table(tmp_path / "out.parquet")
    assert sorted(zip(table["id"].to_pylist(), table["subject"].to_pylist(), strict=True)) == [
        ("p0", "grey"), ("p0", "own"), ("p1", "grey"), ("p1", "own"),
    ]  # fmt: skip
    figures = json.loads(table.schema.metadata[b"reelwright.evaluation"])["figures"]
    assert [figure["metric"] for figure in figures] == ["psnr", "delta_colorfulness"]


def test_a_sheet_never_replaces_the_references(at: House, tmp_path: Path) -> None:
    sets.folder(tmp_path / "true", 1)
    manifest = tmp_path / "set.json"
    manifest.write_text("id,reference\np0,true/p0.png\n")
    with pytest.raises(InputError) as caught:
        judged(at, manifest, made=str(tmp_path / "true"), out=str(manifest))
    assert caught.value.code == "OUTPUT_ON_SOURCE"


@pytest.mark.parametrize("name", ["out.json", "out.parquet"])
def test_a_sheet_replaces_one_of_its_kind_and_nothing_else(at: House, tmp_path: Path, name: str) -> None:
    references, out = sets.folder(tmp_path / "true", 1), tmp_path / name
    (tmp_path / f"{name}.part").write_text("mine")
    for metric in ("psnr", "delta_colorfulness"):
        judged(at, references, made=str(references), out=str(out), metrics=(metric,))
    assert (tmp_path / f"{name}.part").read_text() == "mine"
    out.write_text("mine")
    with pytest.raises(InputError) as caught:
        judged(at, references, made=str(references), out=str(out), metrics=("psnr",))
    assert caught.value.code == "ALREADY_THERE"
    assert out.read_text() == "mine"


def test_part_of_a_set_is_spread_evenly_and_progress_is_told(at: House, tmp_path: Path) -> None:
    references = sets.folder(tmp_path / "true", 6)
    told: list[tuple[int, int]] = []
    order = EvaluateOrder(references=str(references), made=str(references), limit=3, out=str(tmp_path / "out.json"))
    found = evaluate(order, at.settings, lambda done, total: told.append((done, total)))
    assert found["pictures"] == 3
    assert list(json.loads((tmp_path / "out.json").read_text())["values"]) == ["p0", "p2", "p4"]
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_references_are_written_out_at_their_size_for_a_job(at: House, tmp_path: Path) -> None:
    references, here = sets.folder(tmp_path / "true", 2), tmp_path / "here"
    pin = placeholders.pin(at.store, tmp_path, "reelwright-color")
    order = EvaluateOrder(references=str(references), model=pin, size_px=32, prepare=str(here))
    assert evaluate(order, at.settings)["prepared"] == 2
    with Image.open(here / "references" / "p1.png") as picture:
        assert picture.size == (32, 32)
    assert not (here / "inputs").exists()
    with pytest.raises(InputError, match="Name the model"):
        evaluate(order.model_copy(update={"model": None}), at.settings)


def test_what_an_upscaler_is_given_is_written_out_too(at: House, tmp_path: Path) -> None:
    references, here = sets.folder(tmp_path / "true", 2, height=41, width=31), tmp_path / "here"
    pin = placeholders.pin(at.store, tmp_path, "subpixel-cnn:trial")
    order = EvaluateOrder(references=str(references), model=pin, prepare=str(here))
    assert evaluate(order, at.settings)["prepared"] == 2
    sizes = {}
    for name in ("references", "inputs"):
        with Image.open(here / name / "p1.png") as picture:
            sizes[name] = picture.size
    assert sizes == {"references": (30, 40), "inputs": (15, 20)}


def test_what_a_job_made_with_a_model_is_judged_as_the_models_own(at: House, tmp_path: Path) -> None:
    references = sets.folder(tmp_path / "true", 2, height=41, width=31)
    pin = placeholders.pin(at.store, tmp_path, "subpixel-cnn:trial")
    made = [
        Output(id=path.name, blob=at.store.put(f"made/{path.name}", path))
        for path in sorted(sets.folder(tmp_path / "made", 2, height=40, width=30).iterdir())
    ]
    local = judged(at, references, model=pin)
    found = judged(at, references, model=pin, outputs=tuple(made))
    assert (found["task"], found["notes"], found["pictures"]) == ("upscaler", local["notes"], 2)
    assert found["by"]["psnr_y"]["convention"] == local["by"]["psnr_y"]["convention"]
    assert found["by"]["psnr_y"]["beside"] == local["by"]["psnr_y"]["beside"]
    assert found["by"]["psnr_y"]["value"] > local["by"]["psnr_y"]["value"] + 5


def test_no_reference_is_written_outside_the_folder(at: House, tmp_path: Path) -> None:
    references = sets.folder(tmp_path / "true", 2)
    (tmp_path / "set.csv").write_text(
        f"id,path\n../out,{references.name}/p0.png\n{tmp_path}/out,{references.name}/p1.png\nfine,{references.name}/p1.png\n"
    )
    pin = placeholders.pin(at.store, tmp_path, "reelwright-color")
    order = EvaluateOrder(references=str(tmp_path / "set.csv"), model=pin, prepare=str(tmp_path / "here"))
    found = evaluate(order, at.settings)
    assert found["prepared"] == 1
    assert [row["code"] for row in found["problems"]] == ["PATH_UNSAFE", "PATH_UNSAFE"]
    assert not (tmp_path / "out.png").exists()


def test_preparing_replaces_nothing_but_what_was_prepared(at: House, tmp_path: Path) -> None:
    """Twice into one folder is fine; a file of someone's own, a reference, and what a link leads to stay."""
    references = sets.folder(tmp_path / "true", 3)
    here, mine = tmp_path / "here", tmp_path / "mine"
    (here / "references").mkdir(parents=True)
    (here / "references" / "p0.png").write_bytes(b"mine")
    mine.write_bytes(b"mine")
    (here / "references" / "p1.png").symlink_to(mine)
    pin = placeholders.pin(at.store, tmp_path, "reelwright-color")
    order = EvaluateOrder(references=str(references), model=pin, prepare=str(here))
    for _ in range(2):
        found = evaluate(order, at.settings)
        assert found["prepared"] == 1
        assert [row["code"] for row in found["problems"]] == ["ALREADY_THERE", "PATH_UNSAFE"]
    assert (here / "references" / "p0.png").read_bytes() == mine.read_bytes() == b"mine"
    again = EvaluateOrder(references=str(references), model=pin, prepare=str(here), size_px=8)
    assert evaluate(again, at.settings)["prepared"] == 1  # it made the other one itself


def test_a_reference_that_leads_out_of_its_set_is_a_problem(at: House, tmp_path: Path) -> None:
    references = sets.folder(tmp_path / "set" / "true", 2)
    outside = sets.folder(tmp_path / "out", 1) / "p0.png"
    (references / "p2.png").symlink_to(outside)
    lines = [f"a,{references.name}/p0.png,", f"b,{outside},", f"c,{references.name}/p1.png,{outside}"]
    (tmp_path / "set" / "m.csv").write_text("id,path,input\n" + "\n".join(lines) + "\n")
    pin = placeholders.pin(at.store, tmp_path, "reelwright-color")
    for source, codes in ((references, ["PATH_UNSAFE"]), (tmp_path / "set" / "m.csv", ["PATH_UNSAFE"] * 2)):
        found = evaluate(EvaluateOrder(references=str(source), model=pin), at.settings)
        assert [row["code"] for row in found["problems"]] == codes
    allowing = at.settings.model_copy(update={"source_roots": (str(outside.parent),)})
    found = evaluate(EvaluateOrder(references=str(tmp_path / "set" / "m.csv"), model=pin), allowing)
    assert found["problems"] == []
