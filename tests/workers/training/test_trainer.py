"""The trainer: every sample once, the same weights after a kill, and what it does when things go wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.refusals import refused
from tests.workers.training import album
from tests.workers.training.dots import DotsTask
from workers.training import export, photos
from workers.training.photos import Photos
from workers.training.trainer import Trainer, TrainingPlan, TrainingProgress

PLAN = TrainingPlan(steps=12, batch=4, rate=0.05, look_every=6, save_every=4, looked_at=1)


@pytest.fixture
def pictures(tmp_path: Path) -> Photos:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(16):
        shown = np.full((32, 32, 3), number * 15, np.uint8)
        (folder / f"{number:02d}.png").write_bytes(album.encoded(shown))
    return photos.open_photos(folder)


def trainer(course: DotsTask, pictures: Photos, folder: Path, plan: TrainingPlan = PLAN, **more: object) -> Trainer:
    return Trainer(course, pictures, pictures.subset(2), folder, plan, device="cpu", **more)  # type: ignore[arg-type]


def weights(made: Trainer) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in made.network.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_each_round_shows_every_picture_once(pictures: Photos, tmp_path: Path) -> None:
    course = DotsTask()
    trainer(course, pictures, tmp_path / "run").train()
    assert len(course.seen) == 48
    assert set(Counter(course.seen).values()) == {3}
    rounds = [course.seen[at : at + 16] for at in (0, 16, 32)]
    assert all(len(set(each)) == 16 for each in rounds)
    assert rounds[0] != rounds[1] != rounds[2]


@pytest.mark.parametrize("stop", [1, 4, 7])
def test_a_training_that_stopped_comes_to_the_same_weights(pictures: Photos, tmp_path: Path, stop: int) -> None:
    whole = trainer(DotsTask(), pictures, tmp_path / "whole")
    whole.train()
    trainer(DotsTask(), pictures, tmp_path / "parts").train(until=stop)
    course = DotsTask()
    rest = trainer(course, pictures, tmp_path / "parts")
    assert rest.step == stop
    rest.train()
    assert same(weights(whole), weights(rest))
    assert course.prepared == 1, "what prepare found is taken back, not found again"
    assert rest.before == whole.before


def test_a_training_that_was_killed_comes_to_the_same_weights(pictures: Photos, tmp_path: Path) -> None:
    whole = trainer(DotsTask(), pictures, tmp_path / "whole")
    whole.train()
    script = """
import sys, time
from pathlib import Path
import torch
torch.set_num_threads(1)
from tests.workers.training.dots import DotsTask
from workers.training import export, photos
from workers.training.trainer import Trainer, TrainingPlan
found = photos.open_photos(sys.argv[1])
plan = TrainingPlan(steps=12, batch=4, rate=0.05, look_every=6, save_every=4, looked_at=1)
def said(progress):
    print(progress.step, flush=True)
    time.sleep(600 if progress.step == 7 else 0)
Trainer(DotsTask(), found, found.subset(2), Path(sys.argv[2]), plan, device="cpu", on_progress=said).train()
"""
    child = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "photos"), str(tmp_path / "run")],
        stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert child.stdout is not None
    assert any(line.strip() == "7" for line in iter(child.stdout.readline, ""))
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    rest = trainer(DotsTask(), pictures, tmp_path / "run")
    assert rest.step == 4, "it goes on from the last save"
    rest.train()
    assert same(weights(whole), weights(rest))


def test_a_state_that_was_half_written_leaves_the_one_before(pictures: Photos, tmp_path: Path) -> None:
    trainer(DotsTask(), pictures, tmp_path / "run").train(until=4)
    (tmp_path / "run" / "state.pt.part").write_bytes(b"half")
    assert trainer(DotsTask(), pictures, tmp_path / "run").step == 4


def test_parts_of_a_batch_add_up_to_it(pictures: Photos, tmp_path: Path) -> None:
    def made(folder: str, accumulate: int) -> dict[str, torch.Tensor]:
        course = DotsTask()
        course.network[0].p = 0.0  # type: ignore[assignment]
        plan = TrainingPlan(steps=6, batch=4, rate=0.05, accumulate=accumulate, save_every=100, look_every=100)
        run = trainer(course, pictures, tmp_path / folder, plan)
        run.train()
        return weights(run)

    one, four = made("one", 1), made("four", 4)
    assert all(torch.allclose(one[key], four[key], atol=1e-6) for key in one)
    with refused("BAD_VALUE"):
        made("three", 3)


def test_the_average_follows_the_weights(pictures: Photos, tmp_path: Path) -> None:
    at_once = TrainingPlan(steps=3, batch=4, rate=0.05, ema=0.0)
    course = DotsTask()
    run = trainer(course, pictures, tmp_path / "at-once", at_once)
    run.train()
    assert same(weights(run), dict(course.network.state_dict()))
    slow = trainer(DotsTask(), pictures, tmp_path / "slow", TrainingPlan(steps=3, batch=4, rate=0.05))
    slow.train()
    assert not same(weights(slow), dict(slow.course.network.state_dict()))


def test_a_step_whose_loss_is_no_number_changes_nothing(pictures: Photos, tmp_path: Path) -> None:
    course = DotsTask()
    course.blow_up_at = {3}
    seen: list[TrainingProgress] = []
    run = trainer(course, pictures, tmp_path / "run", on_progress=seen.append)
    run.train()
    assert run.step == 12
    assert [progress.step for progress in seen if not np.isfinite(progress.loss)] == [3]
    assert all(bool(torch.isfinite(value).all()) for value in weights(run).values())


def test_losses_that_stay_no_numbers_end_it_and_the_last_save_is_sound(pictures: Photos, tmp_path: Path) -> None:
    course = DotsTask()
    course.blow_up_at = set(range(6, 100))
    plan = TrainingPlan(steps=60, batch=4, rate=0.05, save_every=2, look_every=100)
    with refused("NOT_FINITE"):
        trainer(course, pictures, tmp_path / "run", plan).train()
    again = trainer(DotsTask(), pictures, tmp_path / "run", plan)
    assert again.step == 4
    assert all(bool(torch.isfinite(value).all()) for value in weights(again).values())


def test_another_training_in_the_folder_is_refused(pictures: Photos, tmp_path: Path) -> None:
    trainer(DotsTask(), pictures, tmp_path / "run").train(until=2)
    with refused("TRAINING_DIFFERS", "batch was 4, is 8"):
        trainer(DotsTask(), pictures, tmp_path / "run", TrainingPlan(steps=12, batch=8, rate=0.05))
    with refused("TRAINING_DIFFERS"):
        trainer(DotsTask(), pictures.subset(8), tmp_path / "run")
    (tmp_path / "run" / "state.pt").write_bytes(b"rubbish")
    with refused("BAD_CHECKPOINT"):
        trainer(DotsTask(), pictures, tmp_path / "run")


def test_too_many_unreadable_pictures_end_it(pictures: Photos, tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / "photos" / f"{number:02d}.png").write_bytes(b"rubbish")
    held_out = photos.open_photos(album.folder(tmp_path / "held-out", 1))
    with refused("CORRUPT", "of 16 cannot be read"):
        Trainer(DotsTask(), pictures, held_out, tmp_path / "run", PLAN, device="cpu").train()


def test_unreadable_pictures_to_judge_by_end_it_at_once(pictures: Photos, tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.png").write_bytes(b"rubbish")
    with refused("CORRUPT", "not one of 1"):
        Trainer(DotsTask(), pictures, photos.open_photos(tmp_path / "bad"), tmp_path / "run", PLAN, device="cpu")


def test_what_happened_is_in_the_log(pictures: Photos, tmp_path: Path) -> None:
    trainer(DotsTask(), pictures, tmp_path / "run").train()
    rows = [line.split(",") for line in (tmp_path / "run" / "log.csv").read_text().splitlines()]
    assert rows[0] == ["step", "name", "value"]
    assert [row[0] for row in rows if row[1] == "loss"] == [str(step) for step in range(1, 13)]
    assert [row[0] for row in rows if row[1] == "held_out/off"] == ["6", "12"]


def test_two_processes_train_as_one_does(tmp_path: Path, pictures: Photos) -> None:
    script = tmp_path / "two.py"
    script.write_text(
        """
import sys
from pathlib import Path
import torch
from tests.workers.training.dots import DotsTask
from workers.training import export, photos
from workers.training.trainer import Trainer, TrainingPlan
torch.set_num_threads(1)
if len(sys.argv) > 3:
    torch.distributed.init_process_group("gloo")
found = photos.open_photos(sys.argv[1])
course = DotsTask()
course.network[0].p = 0.0
plan = TrainingPlan(steps=6, batch=4, rate=0.05, save_every=100)
run = Trainer(course, found, found.subset(2), Path(sys.argv[2]), plan, device="cpu")
run.train()
if len(sys.argv) > 3:
    Path(f"{sys.argv[2]}-seen-{run.rank}").write_text(repr(course.seen))
    torch.distributed.destroy_process_group()
"""
    )
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "OMP_NUM_THREADS": "1"}
    for command, folder, more in (([sys.executable], "one", []), (run, "two", ["together"])):
        subprocess.run(
            [*command, str(script), str(tmp_path / "photos"), str(tmp_path / folder), *more],
            check=True, env=environment, capture_output=True, timeout=200,
        )  # fmt: skip
    one, two = (torch.load(tmp_path / name / "state.pt", weights_only=True) for name in ("one", "two"))
    assert all(torch.allclose(one["network"][key], two["network"][key], atol=1e-6) for key in one["network"])
    seen = [value for rank in (0, 1) for value in eval((tmp_path / f"two-seen-{rank}").read_text())]
    assert len(seen) == 24
    assert set(Counter(seen[:8] + seen[12:20]).values()) == {1}, "each picture of a round goes to one of the two"


@pytest.mark.parametrize("name", ["log.csv", "state.pt", "dots.mine.safetensors", "dots.mine.json"])
@pytest.mark.parametrize("linked", [False, True])
def test_what_stands_in_the_folder_and_is_no_trainings_stays(
    pictures: Photos, tmp_path: Path, name: str, linked: bool
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    mine = tmp_path / "mine" if linked else folder / name
    mine.write_bytes(b"mine")
    if linked:
        (folder / name).symlink_to(mine)
    with refused("BAD_CHECKPOINT" if name == "state.pt" else "ALREADY_THERE"):
        export.check_places(trainer(DotsTask(), pictures, folder), "mine")
    assert mine.read_bytes() == b"mine"


def test_a_training_writes_through_no_link_that_came_meanwhile(pictures: Photos, tmp_path: Path) -> None:
    made = trainer(DotsTask(), pictures, tmp_path / "run")
    made.train(until=4)
    made.save()  # what it made itself makes way
    mine = tmp_path / "mine"
    mine.write_bytes(b"mine")
    for name in ("log.csv", "state.pt"):
        (tmp_path / "run" / name).unlink()
        (tmp_path / "run" / name).symlink_to(mine)
    with pytest.raises(OSError, match="symbolic links"):
        made.train(until=5)
    with refused("ALREADY_THERE"):
        made.save()
    assert mine.read_bytes() == b"mine"


def test_a_photograph_is_never_a_place_for_what_is_made(pictures: Photos, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "log.csv").hardlink_to(tmp_path / "photos" / "03.png")
    with refused("OUTPUT_ON_SOURCE"):
        trainer(DotsTask(), pictures, tmp_path / "run")


def test_a_training_that_an_earlier_release_began_goes_on(pictures: Photos, tmp_path: Path) -> None:
    """It kept no list of what it made; the state that is read is its own."""
    trainer(DotsTask(), pictures, tmp_path / "run").train(until=4)
    (tmp_path / "run" / "placed-files").unlink()
    again = trainer(DotsTask(), pictures, tmp_path / "run")
    again.train()
    assert again.step == 12
