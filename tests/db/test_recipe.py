from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from db import documents, recipe
from db.bounds import ScoreBound
from db.errors import RecipeError


@pytest.mark.parametrize("name", recipe.names())
def test_shipped_recipes_are_valid(name: str) -> None:
    found = recipe.resolve(name)
    assert found.name == name
    assert "master" in found.outputs


def test_the_default_makes_no_colour_and_no_new_pixels() -> None:
    steps = recipe.resolve(recipe.DEFAULT).steps
    assert {step.stage for step in steps} <= {"deflicker", "dirt", "scratch", "denoise"}
    assert not any(step.cards() for step in steps)


def test_parameters_are_written_out_so_that_later_defaults_change_nothing() -> None:
    (step,) = recipe.parse("- denoise", "r").steps
    assert step.params["strength"] == 1.0
    assert "radius" in step.params


def test_fingerprint_depends_on_what_is_done_not_on_the_name() -> None:
    first, second = recipe.parse("- denoise: {}", "a"), recipe.parse("recipe: [denoise]", "b")
    assert first.fingerprint() == second.fingerprint()
    assert first.fingerprint() != recipe.parse("- denoise: {strength: 0.5}", "a").fingerprint()
    assert first.fingerprint() != recipe.parse("recipe: [denoise]\noutputs: [master]", "a").fingerprint()


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("- denose: {}", "UNKNOWN_STAGE", "Did you mean 'denoise'"),
        ("- denoise: {strenght: 1}", "BAD_PARAMETER", "Did you mean 'strength'"),
        ("- denoise: {strength: 2}", "BAD_PARAMETER", "step 1"),
        ("- upscale\n- denoise: 5", "BAD_PARAMETER", "step 2"),
        ("- [denoise]", "RECIPE_UNREADABLE", "step 1"),
        ("denoise", "RECIPE_UNREADABLE", "list"),
        ("", "RECIPE_UNREADABLE", "nothing in it"),
        ("# - denoise", "RECIPE_UNREADABLE", "nothing in it"),
        ("recipe:\noutputs: [master]", "RECIPE_UNREADABLE", "nothing in it"),
        ("recipe: []\noutput: [master]", "RECIPE_UNREADABLE", "Did you mean 'outputs'"),
        ("recipe: []\noutputs: [acces]", "BAD_PARAMETER", "Did you mean 'access'"),
        ("recipe: []\nbad_frames: maybe", "BAD_PARAMETER", "bad_frames"),
        ("- &a denoise\n- *a", "RECIPE_UNREADABLE", "alias"),
        ("- !!python/object/apply:os.system [ls]", "RECIPE_UNREADABLE", ""),
        ("[" * 5000, "RECIPE_UNREADABLE", ""),
        ("- {", "RECIPE_UNREADABLE", ""),
        ("[!!bool x]", "RECIPE_UNREADABLE", "tags"),
        ("[!!int '']", "RECIPE_UNREADABLE", "tags"),
        ("[!!timestamp x]", "RECIPE_UNREADABLE", "tags"),
        ("- denoise: !!float x", "RECIPE_UNREADABLE", "tags"),
        (f"[{':'.join(['1'] * 200)}.5]", "UNKNOWN_STAGE", ""),
        ("- denoise: {radius: 1:1}", "BAD_PARAMETER", "radius"),
        ("recipe: []\nrecipe: [denoise]", "RECIPE_UNREADABLE", "twice"),
        ("- denoise: {strength: 0.1, strength: 0.9}", "RECIPE_UNREADABLE", "twice"),
        ('[{"denoise": {"strength": 0.1, "strength": 0.9}}]', "RECIPE_UNREADABLE", "twice"),
        (f"[{','.join(['[]'] * 320_000)}]", "RECIPE_UNREADABLE", "more than 65536"),
        (f"[{{denoise: {{shots: [{','.join(['1'] * 25_000)}]}}}}]", "RECIPE_UNREADABLE", "too many"),
        ("- denoise: {shots: [[-5, 3]]}", "BAD_PARAMETER", "shots"),
        ("- denoise: {shots: [[9, 2]]}", "BAD_PARAMETER", "shots"),
        ("- denoise: {shots: [[0, 2], [4, 4]]}", "BAD_PARAMETER", "shots"),
        ("- denoise: {exemptions: [{frames: [9, 2]}]}", "BAD_PARAMETER", "half-open"),
        ("- denoise: {shots: [[0, 99999999999999999999]]}", "BAD_PARAMETER", "half-open"),
        ("- denoise: {variants: [{frames: [0, 99999999999999999999], strength: 0}]}", "BAD_PARAMETER", "half-open"),
        ("- denoise: {exemptions: [{frames: [0, 1000000001]}]}", "BAD_PARAMETER", "half-open"),
    ],
)
def test_what_is_wrong_is_said(text: str, code: str, words: str) -> None:
    with pytest.raises(RecipeError) as wrong:
        recipe.parse(text, "r")
    assert wrong.value.code == code
    assert words in wrong.value.message
    assert wrong.value.remedy


def test_recipes_come_by_name_or_file(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("- upscale: {scale: 3}")
    assert recipe.resolve(str(tmp_path / "mine.yaml")).steps[0].params["scale"] == 3
    with pytest.raises(RecipeError, match="Did you mean 'old-photo'"):
        recipe.resolve("old-foto")
    with pytest.raises(RecipeError):
        recipe.resolve(str(tmp_path / "none.yaml"))


def test_no_stage_is_offered_that_is_not_near() -> None:
    with pytest.raises(RecipeError) as wrong:
        recipe.parse("- sparkle", "r")
    assert "Did you mean" not in wrong.value.message


@pytest.mark.parametrize(
    "fields", ["outputs: [gif]", "bad_frames: maybe", "master: {chroma: half}", "access: {crf: 99}", "gates: 5"]
)
def test_a_fault_outside_the_steps_sends_nobody_to_a_stage(fields: str) -> None:
    with pytest.raises(RecipeError) as wrong:
        recipe.parse(f"recipe: []\n{fields}", "r")
    assert "docs/recipes" in wrong.value.remedy


@pytest.mark.parametrize("text", ["[]", "recipe: []"])
def test_a_recipe_may_say_that_it_has_no_steps(text: str) -> None:
    assert recipe.parse(text, "r").steps == ()


@pytest.mark.parametrize("name", ["x" * 5000, "x" * 5000 + ".yaml", "a\0b", "/dev/zero", "."])
def test_what_is_no_recipe_file_is_said(tmp_path: Path, name: str) -> None:
    with pytest.raises(RecipeError):
        recipe.resolve(name)


def test_a_recipe_file_is_read_within_bounds(tmp_path: Path) -> None:
    (tmp_path / "endless.yaml").write_bytes(b"#" * 10_000_000)
    os.mkfifo(tmp_path / "pipe.yaml")
    for name in ("endless.yaml", "pipe.yaml"):
        with pytest.raises(RecipeError):
            recipe.resolve(str(tmp_path / name))


@pytest.mark.parametrize("rest", [" " * recipe.MAX_CHARS, "#" * recipe.MAX_CHARS])
def test_a_text_without_end_is_no_recipe_whatever_it_says(rest: str) -> None:
    assert recipe.parse("- denoise\n", "r").steps
    with pytest.raises(RecipeError, match="more than"):
        recipe.parse(f"- denoise\n{rest}", "r")


def test_a_document_is_held_to_the_same_bounds_as_a_text() -> None:
    deep: list[object] = []
    for _ in range(500):
        deep = [deep]
    for document in ([{"denoise": {"shots": deep}}], [{"denoise": {"shots": [[0, 1]] * 30_000}}]):
        with pytest.raises(RecipeError):
            recipe.from_document(document, "r")


@given(st.text(max_size=200))
def test_any_text_is_a_recipe_or_a_named_error(text: str) -> None:
    with contextlib.suppress(RecipeError):
        recipe.parse(text, "r")


def test_variants_are_checked_like_the_parameters_of_their_step() -> None:
    (step,) = recipe.parse("- denoise: {strength: 0, variants: [{shot: 2, strength: 0.5, radius: 4}]}", "r").steps
    assert step.has_effect
    assert step.temporal_radius == 4
    assert "variants" not in recipe.parse("- denoise", "r").steps[0].params


@pytest.mark.parametrize(
    ("variant", "said"),
    [
        ("{strength: 0.5}", "`frames` or for a `shot`"),
        ("{shot: 1, frames: [0, 2], strength: 1}", "`frames` or for a `shot`"),
        ("{shot: 1}", "what differs"),
        ("{shot: 1, radus: 2}", "variant 1, radus"),
        ("{shot: 1, radius: 99}", "variant 1, radius"),
        ("{shot: 1, variants: [{shot: 2, strength: 0}]}", "no variants of its own"),
        ("{shot: 1, exemptions: [{}]}", "no exemptions of its own"),
        ("{frames: [5, 5], strength: 0}", "half-open range"),
        ("{frames: [-5, 5], strength: 0}", "half-open range"),
    ],
)
def test_a_wrong_variant_is_refused_with_its_place(variant: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said) as caught:
        recipe.parse(f"- denoise: {{variants: [{variant}]}}", "r")
    assert caught.value.code == "BAD_PARAMETER"


@pytest.mark.parametrize(
    "text",
    ["- upscale: {variants: [{shot: 1, scale: 3}]}", "- denoise: {weights: null, variants: [{shot: 1, weights: x}]}"],
)
def test_a_variant_changes_neither_size_nor_weights(text: str) -> None:
    with pytest.raises(RecipeError):
        recipe.parse(text, "r")


@pytest.mark.parametrize(
    "steps", [["upscale: {scale: 4}"] * 64, ["upscale: {scale: 4}"] * 3, ["upscale: {scale: 3}"] * 3]
)
def test_a_recipe_that_multiplies_is_refused_with_the_step(steps: list[str]) -> None:
    with pytest.raises(RecipeError, match=r"step 3: with upscale pictures become (64|27) times as wide") as caught:
        recipe.parse("\n".join(f"- {step}" for step in steps), "r")
    assert caught.value.code == "BAD_PARAMETER"


def test_two_networks_of_the_largest_factor_may_follow_one_another() -> None:
    assert recipe.parse("- upscale: {scale: 4}\n- denoise\n- upscale: {scale: 4}", "r").scale == 16
    assert recipe.parse("\n".join(["- upscale: {scale: 4, strength: 0}"] * 5), "r").scale == 1


def test_shots_by_number_need_the_cuts() -> None:
    assert recipe.parse("- upscale: {variants: [{shot: 2, strength: 0.5}]}", "r").reel_needs == {"cuts"}
    assert not recipe.parse("- upscale: {variants: [{frames: [0, 2], strength: 0.5}]}", "r").reel_needs


@pytest.mark.parametrize("text", ["24", "'24000/1001'", "23.976", "50"])
def test_an_access_copy_may_have_a_rate_of_its_own(text: str) -> None:
    found = recipe.parse(f"{{recipe: [], access: {{fps: {text}}}}}", "r")
    assert found.access_fps is not None
    assert found.reel_needs == {"cuts"}
    assert recipe.Recipe.model_validate_json(found.model_dump_json()) == found


def test_what_an_access_copy_may_lose_and_how_hard_it_is_tried_are_read_and_asked_for_again() -> None:
    found = recipe.parse("{recipe: [], access: {preset: slow, crf: 21.5}}", "r")
    assert (found.access_preset, found.access_crf, found.access_fps) == ("slow", 21.5, None)
    assert found.reel_needs == set()
    assert recipe.Recipe.model_validate_json(found.model_dump_json()) == found


def test_other_access_copies_are_another_recipe() -> None:
    texts = ["{}", "{preset: slow}", "{crf: 21}", "{crf: 21.5}", "{preset: slow, crf: 21}", "{fps: 24, crf: 21}"]
    prints = {recipe.parse(f"{{recipe: [], access: {text}}}", "r").fingerprint() for text in texts}
    assert len(prints) == len(texts)
    stated = recipe.parse("{recipe: [], access: {preset: faster, crf: 18}}", "r")
    assert stated.fingerprint() == recipe.parse("[]", "r").fingerprint()


def test_a_misspelt_preset_is_told_its_neighbour() -> None:
    with pytest.raises(RecipeError, match="Did you mean 'medium'"):
        recipe.parse("{recipe: [], access: {preset: meduim}}", "r")


@pytest.mark.parametrize(
    "text", ["access: {fps: 0}", "access: {fps: .nan}", "access: {fps: null}", "access: {rate: 2}", "access: 24",
             "access: {fps: 1000}", "access: {fps: true}", "access: {fps: 1e99999999}", "access: {fps: 24/0}",
             "access: {crf: -1}", "access: {crf: 51.5}", "access: {crf: 20.3}", "access: {crf: .nan}",
             "access: {crf: true}", "access: {crf: '20'}", "access: {crf: null}", "access: {preset: best}",
             "access: {preset: [fast]}", "access: {preset: null}", "access: null",
             "master: {chroma: half}", "master: full", "master: {size: 2}"],
)  # fmt: skip
def test_what_master_and_access_do_not_take_is_refused(text: str) -> None:
    with pytest.raises(RecipeError) as caught:
        recipe.parse(f"{{recipe: [], {text}}}", "r")
    assert caught.value.code == "BAD_PARAMETER"


def test_what_is_not_asked_for_does_not_change_a_fingerprint() -> None:
    plain, asked = recipe.parse("[]", "r"), recipe.parse("{recipe: [], master: {chroma: source}}", "r")
    assert plain.fingerprint() == asked.fingerprint()
    assert plain.fingerprint() != recipe.parse("{recipe: [], master: {chroma: full}}", "r").fingerprint()


def test_a_step_with_exemptions_reads_back_from_its_own_spelling() -> None:
    text = "- denoise: {exemptions: [{frames: [3, 9]}, {region: [0, 1, 8, 9]}]}"
    (step,) = recipe.parse(text, "r").steps
    assert [each.frames for each in step.exemptions] == [(3, 9), None]
    again = recipe.from_document([{step.stage: step.params}], "r")
    assert again.steps == (step,)


@pytest.mark.parametrize(
    "wrong", ["{frames: [9, 3]}", "{region: [0, 0, 0, 4]}", f"{{region: [0, 0, {10**30}, 4]}}", "{frame: 3}"]
)
def test_a_wrong_exemption_is_refused(wrong: str) -> None:
    with pytest.raises(RecipeError):
        recipe.parse(f"- denoise: {{exemptions: [{wrong}]}}", "r")


@pytest.mark.parametrize("step", ["deinterlace: {exemptions: [{}]}", "upscale: {exemptions: [{region: [0, 0, 2, 2]}]}"])
def test_an_exemption_that_cannot_be_kept_is_refused(step: str) -> None:
    with pytest.raises(RecipeError, match="left out") as caught:
        recipe.parse(f"- {step}", "r")
    assert caught.value.code == "BAD_PARAMETER"


@pytest.mark.parametrize("shots", ["[[9, 3]]", "[[-1, 3]]"])
def test_shots_are_ranges_that_hold_frames(shots: str) -> None:
    with pytest.raises(RecipeError, match="half-open"):
        recipe.parse(f"- denoise: {{shots: {shots}}}", "r")


GATES = 'recipe: [denoise]\ngates: {luma_psnr: ">= 30", flicker: ["< 0.02", ">0"]}'


def test_gates_are_read_with_their_bounds() -> None:
    found = recipe.parse(GATES, "r").gates
    assert found == (
        ScoreBound("luma_psnr", ">=", 30), ScoreBound("flicker", "<", 0.02), ScoreBound("flicker", ">", 0),
    )  # fmt: skip


def test_gates_count_in_a_fingerprint_where_there_are_any() -> None:
    without = recipe.parse("- denoise", "r")
    assert recipe.parse("recipe: [denoise]\ngates: {}", "r").fingerprint() == without.fingerprint()
    assert "gates" not in without.model_dump_json()
    assert recipe.parse(GATES, "r").fingerprint() != without.fingerprint()


@pytest.mark.parametrize(
    ("gates", "code", "said"),
    [
        ('{luma_psn: "> 3"}', "UNKNOWN_METRIC", "Did you mean 'luma_psnr'"),
        ('{lpips_alex: "< 3"}', "UNKNOWN_METRIC", "jobs take no score 'lpips_alex'"),
        ('{7: "< 3"}', "UNKNOWN_METRIC", "'7'"),
        ("{luma_psnr: 30}", "BAD_PARAMETER", "luma_psnr 30"),
        ('{luma_psnr: "== 30"}', "BAD_PARAMETER", "bound"),
        ('{luma_psnr: ["> 1", [2]]}', "BAD_PARAMETER", "bound"),
        ("[luma_psnr]", "BAD_PARAMETER", "gates must name"),
        ("null", "BAD_PARAMETER", "gates must name"),
        (f"{{luma_psnr: [{', '.join(['1'] * 65)}]}}", "BAD_PARAMETER", "at most 64"),
    ],
)
def test_a_wrong_gate_is_refused(gates: str, code: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said) as wrong:
        recipe.from_document({"recipe": [], "gates": documents.from_text(gates)}, "r")
    assert wrong.value.code == code


@pytest.mark.parametrize(
    "text",
    [
        GATES,
        "recipe: []",
        'recipe: [{denoise: {strength: 0.5}}]\noutputs: [master]\nbad_frames: black\nmaster: {chroma: full}\n'
        'access: {fps: 24000/1001, preset: veryslow, crf: 22.5}\ngates: {noise_sigma: "<= 0.000000001"}',
    ],
)  # fmt: skip
def test_a_recipe_reads_back_from_its_own_document(text: str) -> None:
    found = recipe.parse(text, "r")
    assert recipe.parse(yaml.safe_dump(found.document(), sort_keys=False), "r") == found
    assert recipe.Recipe.model_validate_json(found.model_dump_json()) == found
