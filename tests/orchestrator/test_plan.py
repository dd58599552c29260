from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.ledger import NewTask, ReelView, WorkerKind
from db.recipe import Recipe, parse
from db.records import ItemView, ReelFacts, Source
from db.settings import Settings
from db.states import ItemKind, TaskKind
from orchestrator import plan
from tests.db.desk import blob, facts

SETTINGS = Settings(segment_frames=16, batch_frames=8)
PLAIN, FLICKERING = parse("- upscale", "plain"), parse("- deflicker", "flickering")


def view(recipe: Recipe, found: ReelFacts | None, **given: object) -> ReelView:
    values: dict[str, object] = {
        "job_options_json": "{}", "done": {}, "live": {}, "signature": None, "batch_frames": None, "seen_at": 1.0,
    }  # fmt: skip
    profile = given.pop("profile", None)
    source = Source(uri="/a", kind=ItemKind.REEL)
    item = ItemView(id=1, external_id="a", source=source, recipe=recipe, generation=1, facts=found, profile=profile)
    return ReelView(item=item, **(values | given))  # type: ignore[arg-type]


def tasks(seen: ReelView, signature: str | None = "sig") -> list[NewTask]:
    found = plan.next_tasks(seen, SETTINGS, signature)
    assert found is not None
    return list(found.tasks)


def test_after_the_probe_come_restore_segments() -> None:
    assert tasks(view(PLAIN, facts(40), done={TaskKind.PROBE: 1})) == [
        NewTask(TaskKind.RESTORE, 0, 16), NewTask(TaskKind.RESTORE, 16, 32), NewTask(TaskKind.RESTORE, 32, 40),
    ]  # fmt: skip


def test_a_reel_level_need_brings_in_inspect_merge_restore_read_back_and_assemble_in_turn() -> None:
    done = {TaskKind.PROBE: 1}
    assert {task.kind for task in tasks(view(FLICKERING, facts(40), done=done))} == {TaskKind.INSPECT}
    done[TaskKind.INSPECT] = 3
    assert tasks(view(FLICKERING, facts(40), done=done)) == [NewTask(TaskKind.MERGE)]
    done[TaskKind.MERGE] = 1
    seen = view(FLICKERING, facts(40), done=done, profile=blob("profile"))
    assert {task.kind for task in tasks(seen)} == {TaskKind.RESTORE}
    done[TaskKind.RESTORE] = 3
    seen = view(FLICKERING, facts(40), done=done, profile=blob("profile"))
    assert tasks(seen) == [NewTask(TaskKind.READ_BACK, 0, 40)]
    done[TaskKind.READ_BACK] = 1
    assert tasks(view(FLICKERING, facts(40), done=done, profile=blob("profile"))) == [NewTask(TaskKind.ASSEMBLE)]


def test_nothing_is_planned_while_tasks_are_under_way() -> None:
    seen = view(PLAIN, facts(40), done={TaskKind.PROBE: 1, TaskKind.RESTORE: 2}, live={TaskKind.RESTORE: 1})
    assert tasks(seen) == []


def test_a_reel_waits_for_a_worker_before_it_is_bound_to_one() -> None:
    seen = view(PLAIN, facts(40), done={TaskKind.PROBE: 1})
    assert plan.next_tasks(seen, SETTINGS, None) is None


def test_a_bound_reel_keeps_its_signature_and_its_cells() -> None:
    seen = view(PLAIN, facts(40), done={TaskKind.PROBE: 1}, signature="old", batch_frames=4)
    found = plan.next_tasks(seen, SETTINGS, "new")
    assert found is not None
    assert (found.signature, found.batch_frames, found.handle_frames) == ("old", 4, 0)


def test_a_job_may_have_its_own_segments() -> None:
    seen = view(PLAIN, facts(40), done={TaskKind.PROBE: 1}, job_options_json='{"segment_frames": 1000}')
    assert tasks(seen) == [NewTask(TaskKind.RESTORE, 0, 40)]


@given(st.integers(1, 5000), st.integers(1, 300), st.integers(1, 64))
def test_segments_cover_a_reel_without_gap_or_overlap_and_lie_on_the_grid(
    frame_count: int, segment_frames: int, batch_frames: int
) -> None:
    spans = plan.cut(frame_count, segment_frames, batch_frames)
    assert spans[0][0] == 0
    assert spans[-1][1] == frame_count
    assert all(stop == start for (_, stop), (start, _) in itertools.pairwise(spans))
    assert all(start % batch_frames == 0 for start, _ in spans)


@pytest.mark.parametrize(
    ("text", "frames"),
    [
        ("[]", 0),
        ("- upscale", 0),
        ("- denoise: {radius: 2}", 8),
        ("- denoise: {radius: 2}\n- denoise: {radius: 3}", 16),
    ],
)
def test_handles_are_radii_in_whole_cells(text: str, frames: int) -> None:
    assert plan.handles(parse(text, "r"), 8) == frames


def test_a_step_of_no_strength_needs_no_profile() -> None:
    assert FLICKERING.reel_needs
    assert not parse("- deflicker: {strength: 0}", "r").reel_needs


CORES = (WorkerKind("b", 8, accelerated=False), WorkerKind("c", 1, accelerated=False))
GPUS = (WorkerKind("d", 1, accelerated=True), WorkerKind("e", 2, accelerated=True))
NETWORK = parse("- denoise: {method: network}", "network")


@pytest.mark.parametrize(
    ("kinds", "recipe", "signature"),
    [
        ((), PLAIN, None),
        ((), NETWORK, None),
        ((*CORES, WorkerKind("a", 8, accelerated=False)), PLAIN, "a"),
        ((*CORES, *GPUS), PLAIN, "b"),
        ((*CORES, *GPUS), NETWORK, "e"),
        (CORES, NETWORK, "b"),
        (GPUS, PLAIN, "e"),
    ],
)
def test_a_reel_goes_to_the_most_workers_and_with_a_network_to_those_on_gpus(
    kinds: tuple[WorkerKind, ...], recipe: Recipe, signature: str | None
) -> None:
    assert plan.choose_signature(kinds, recipe) == signature


@pytest.mark.parametrize("segment_frames", [8, 64, 1000])
def test_blocks_that_are_read_back_lie_where_they_lie_whatever_the_segments(segment_frames: int) -> None:
    options = json.dumps({"segment_frames": segment_frames})
    seen = view(PLAIN, facts(300), done={TaskKind.PROBE: 1, TaskKind.RESTORE: 3}, job_options_json=options)
    assert [(task.start_frame, task.stop_frame) for task in tasks(seen)] == [(0, 128), (128, 256), (256, 300)]


def test_a_reel_known_by_its_packets_is_surveyed_before_anything_else() -> None:
    found = facts(40).model_copy(update={"surveyed": False})
    done = {TaskKind.PROBE: 1}
    spans = [NewTask(TaskKind.INSPECT, 0, 16), NewTask(TaskKind.INSPECT, 16, 32), NewTask(TaskKind.INSPECT, 32, 40)]
    for recipe in (PLAIN, FLICKERING):
        assert tasks(view(recipe, found, done=done)) == spans
        assert tasks(view(recipe, found, done=done | {TaskKind.INSPECT: 3})) == [NewTask(TaskKind.MERGE)]
    # Where the survey found something odd, merge looked the reel through and left no profile.
    after = done | {TaskKind.MERGE: 1}
    assert {task.kind for task in tasks(view(PLAIN, facts(40), done=after))} == {TaskKind.RESTORE}
    assert {task.kind for task in tasks(view(FLICKERING, facts(40), done=after))} == {TaskKind.INSPECT}


def test_a_survey_of_a_long_reel_is_cut_into_longer_pieces() -> None:
    found = facts(16 * 16 * 40).model_copy(update={"surveyed": False})
    spans = {task.stop_frame - task.start_frame for task in tasks(view(PLAIN, found, done={TaskKind.PROBE: 1}))}
    assert spans == {64}
