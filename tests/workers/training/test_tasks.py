"""What the courses teach: views, losses that fall, and nothing of the house that a bare machine lacks."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torchvision.models import vgg16_bn

from db.errors import InputError
from tests.support.refusals import refused
from tests.workers.training import album, published
from workers.models import lite_unet
from workers.ops import colorfulness, lab
from workers.ops import planes as plane_ops
from workers.training import color_bins, export, packing, photos, tasks
from workers.training.color_bins import Bins
from workers.training.perceptual import ClassifierDistance, VggDistance, lite_classifier
from workers.training.tasks import ddcolor as ddcolor_course
from workers.training.tasks.lite_unet import LiteUNetTask as LiteUNetCourse
from workers.training.trainer import Trainer, TrainingPlan

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("network", ["lite-unet", "folded-cnn", "subpixel-cnn"])
def test_what_a_course_teaches_is_learnt(network: str, tmp_path: Path) -> None:
    found = photos.open_photos(album.folder(tmp_path / "photos", 6, height=144, width=144))
    losses: list[float] = []
    plan = TrainingPlan(steps=12, batch=2, rate=2e-3, look_every=1000, looked_at=1, save_every=1000)
    course = tasks.training_task(network)
    run = Trainer(
        course,
        found,
        found.subset(2),
        tmp_path / "run",
        plan,
        device="cpu",
        on_progress=lambda progress: losses.append(progress.loss),
    )
    run.train()
    assert np.mean(losses[-6:]) < 0.9 * np.mean(losses[:4])
    assert all(np.isfinite(value) for value in run.evaluate().values())


@pytest.mark.parametrize("network", ["lite-unet", "folded-cnn", "subpixel-cnn"])
def test_the_same_sample_is_shown_the_same_way(network: str) -> None:
    course = tasks.training_task(network)
    one, two, other = (course.view(album.picture(1, 160, 160), np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert all(np.array_equal(one[name], two[name]) for name in one)
    assert any(not np.array_equal(one[name], other[name]) for name in one)


def test_wear_is_on_lightness_alone() -> None:
    course = LiteUNetCourse()
    for seed in range(20):
        shown = course.view(album.picture(2, 128, 128), np.random.default_rng(seed))
        assert shown["light"].shape == shown["clean"].shape == (1, 224, 224)
        assert 0 <= shown["light"].min() <= shown["light"].max() <= 100
        assert shown["ab"].shape == (2, 112, 112)
        whole = lab.merge_chroma(torch.from_numpy(shown["clean"])[None], torch.from_numpy(shown["ab"].copy())[None])
        assert 0.2 < float(whole.mean()) < 0.8


def test_colours_are_shares_of_their_nearest_bins(tmp_path: Path) -> None:
    found = photos.open_photos(album.folder(tmp_path, 4))
    bins = color_bins.measure_bins(found, 50)
    assert len(bins.colors) <= 50
    assert bins.weights.max() > bins.weights.min()
    ab = bins.colors[:3].T[None, :, None, :]
    near, share = bins.shares(ab)
    assert near.shape == share.shape == (1, 5, 1, 3)
    assert torch.equal(near[0, 0, 0], torch.tensor([0, 1, 2]))
    assert torch.allclose(share.sum(dim=1), torch.ones(1, 1, 3))
    assert bool((share[:, 0] >= share[:, 1:].amax(dim=1)).all())


def test_a_network_that_goes_on_keeps_its_bins(tmp_path: Path) -> None:
    first = LiteUNetCourse()
    first.prepare(photos.open_photos(album.folder(tmp_path / "one", 3)))
    save_file(first.network.state_dict(), tmp_path / "first.safetensors")
    second = LiteUNetCourse(start=tmp_path / "first.safetensors")
    second.prepare(photos.open_photos(album.folder(tmp_path / "other", 9)))
    assert torch.equal(second.state()["colors"], first.state()["colors"])
    assert torch.equal(second.network.bins, first.network.bins)
    assert bool(torch.isfinite(second.state()["weights"]).all())


def test_the_mean_of_one_sure_bin_is_its_colour() -> None:
    network = lite_unet.LiteUNet()
    network.bins[7] = torch.tensor([20.0, -30.0])
    logits = torch.full((1, len(network.bins), 1, 1), -50.0)
    logits[:, 7] = 50
    assert torch.allclose(network.mean(logits).flatten(), torch.tensor([20.0, -30.0]))


def test_colours_end_where_the_network_says() -> None:
    """At twice the size each place mixes its nine neighbours'; one that takes a single one has its very colour."""
    network = lite_unet.LiteUNet()
    network.bins[1], network.bins[2] = torch.tensor([40.0, 0.0]), torch.tensor([0.0, 60.0])
    logits = torch.full((1, len(network.bins), 1, 2), -50.0)
    logits[0, 1, 0, 0] = logits[0, 2, 0, 1] = 50
    left, even = torch.zeros(1, 9, 4, 1, 2), torch.zeros(1, 36, 1, 2)
    left[:, 3, 3] = 99
    made = network.colors(logits, left.reshape(1, 36, 1, 2))
    assert made.shape == (1, 2, 2, 4)
    torch.testing.assert_close(made[0, :, 1, 3], torch.tensor([40.0, 0.0]))
    mixed = network.colors(logits, even)
    torch.testing.assert_close(mixed[0, :, :, :2], torch.tensor([80 / 3, 20.0])[:, None, None].expand(2, 2, 2))


def test_rare_colours_count_for_more() -> None:
    bins = Bins(torch.tensor([[0.0, 0.0], [60.0, 60.0]]), torch.tensor([0.5, 3.0]))
    course = LiteUNetCourse()
    course.load_state({"colors": bins.colors, "weights": bins.weights})
    undecided = Undecided()
    losses = []
    for wanted in bins.colors:
        ab = wanted[None, :, None, None].expand(1, 2, 16, 16)
        losses.append(course.loss(undecided, {"light": torch.full((1, 1, 32, 32), 50.0), "ab": ab})[1]["entropy"])
    assert losses[1] == pytest.approx(6 * losses[0], rel=0.02)


def test_classifiers_compare_what_they_see(tmp_path: Path) -> None:
    files = [published.lite(tmp_path / f"{size}.pth", size) for size in ("lite0", "lite2")]
    distance = ClassifierDistance(files)
    one, other = torch.rand(2, 3, 64, 64), torch.rand(2, 3, 64, 64)
    assert max(float(each) for each in distance(one, one)) < 1e-6
    own = other.clone().requires_grad_(True)
    features, classes = distance(own, one)
    assert float(features.detach()) > 0.1
    assert float(classes.detach()) > 0
    (features + classes).backward()
    assert own.grad is not None
    assert float(own.grad.abs().max()) > 0
    assert all(value.grad is None for value in distance.parameters())
    said = set()
    for seed in range(8):
        torch.manual_seed(seed)
        said.add(float(distance(other, one)[0]))
    assert len(said) == 2, "each of the two is asked in its turn"
    torch.save({"_conv_head.weight": torch.zeros(1280, 320, 1, 1)}, tmp_path / "other.pth")
    with refused("BAD_CHECKPOINT"):
        ClassifierDistance([tmp_path / "other.pth"])


def test_the_colorizer_starts_as_a_classifier_that_sees_grey(tmp_path: Path) -> None:
    course = LiteUNetCourse(encoder=published.lite(tmp_path / "lite2.pth", "lite2"))
    course.prepare(photos.open_photos(album.folder(tmp_path / "photos", 3)))
    classifier, _ = lite_classifier(tmp_path / "lite2.pth")
    light = torch.rand(1, 1, 64, 64) * 100
    grey = (light * 2.55 - 127) / 128
    with torch.inference_mode():
        own = course.network.eval().trunk(grey)
        true, _ = classifier.eval().features_and_logits(grey.expand(-1, 3, -1, -1))
    for one, two in zip(own, true, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-4)
    small = LiteUNetCourse(encoder=published.lite(tmp_path / "lite0.pth", "lite0"))
    with pytest.raises(InputError, match="the encoder is lite2"):
        small.prepare(photos.open_photos(tmp_path / "photos"))


def test_what_is_seen_counts_where_classifiers_are_given(tmp_path: Path) -> None:
    torch.manual_seed(0)
    course = LiteUNetCourse(perception=[published.lite(tmp_path / "lite0.pth", "lite0")])
    found = photos.open_photos(album.folder(tmp_path / "photos", 3))
    course.prepare(found)
    shown = course.view(found.picture(0), np.random.default_rng(0))
    batch = {name: torch.from_numpy(value.copy())[None] for name, value in shown.items()}
    loss, parts = course.loss(course.learner, batch)
    assert parts.keys() == {"entropy", "off", "features", "classes"}
    loss.backward()
    assert float(loss.detach()) > parts["entropy"]


def test_vgg_features_are_those_of_torchvision(tmp_path: Path) -> None:
    torch.manual_seed(0)
    whole = vgg16_bn().eval()
    torch.save(whole.state_dict(), tmp_path / "vgg.pth")
    distance = VggDistance(tmp_path / "vgg.pth", weights=(0, 0, 0, 0, 1))
    one, other = torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        features = [whole.features[:35]((each - distance.mean) / distance.std) for each in (one, other)]
        expected = (features[0] - features[1]).abs().mean()
        assert torch.allclose(distance(one, other), expected, rtol=1e-4)
        assert float(distance(one, one)) == 0
    with refused("BAD_CHECKPOINT"):
        VggDistance(album.folder(tmp_path, 1) / "000.png")


def test_colourfulness_that_is_learnt_is_the_one_that_is_measured() -> None:
    shown = album.picture(3)
    tensor = torch.from_numpy(shown.copy()).permute(2, 0, 1)[None].double() / 255
    learnt = float(ddcolor_course.colorfulness(tensor))
    assert learnt == pytest.approx(colorfulness.absolute(plane_ops.from_levels(shown)), rel=1e-3)


def test_courses_refuse_what_they_do_not_have(tmp_path: Path) -> None:
    for network, options, code in (
        ("cic", {}, "UNKNOWN_MODEL"),
        ("folded-cnn", {"side": 64}, "BAD_PARAMETER"),
        ("ddcolor-tiny", {}, "FILE_MISSING"),
        ("ddcolor-tiny", {"perception": [tmp_path / "one", tmp_path / "two"]}, "BAD_PARAMETER"),
    ):
        with refused(code):
            tasks.training_task(network, **options)
    (tmp_path / "encoder.safetensors").write_bytes(b"rubbish")
    course = LiteUNetCourse(encoder=tmp_path / "encoder.safetensors")
    with refused("BAD_CHECKPOINT"):
        course.prepare(photos.open_photos(album.folder(tmp_path / "photos", 2)))


def test_shards_hold_every_readable_picture_once(tmp_path: Path) -> None:
    folder = album.folder(tmp_path / "photos", 9, height=300, width=400)
    (folder / "004.png").write_bytes(b"")
    done = packing.pack(photos.open_photos(folder), tmp_path / "shards", side=64, megabytes=1)
    assert (done.pictures, done.unreadable) == (8, 1)
    names = []
    for shard in done.shards:
        with tarfile.open(shard) as archive:
            names += [member.name.split("-", 1)[1] for member in archive]
    assert sorted(names) == sorted(f"{n:03d}.jpg" for n in range(9) if n != 4)
    assert {picture.shape for _, picture in photos.open_photos(tmp_path / "shards")} == {(64, 85, 3)}
    with refused("ALREADY_THERE"):
        packing.pack(photos.open_photos(folder), tmp_path / "shards")
    packing.pack(photos.open_photos(folder), tmp_path / "light", side=64, quality=20)
    sizes = [sum(shard.stat().st_size for shard in (tmp_path / name).iterdir()) for name in ("light", "shards")]
    assert sizes[0] < sizes[1]


def test_shards_are_written_through_no_link(tmp_path: Path) -> None:
    found = photos.open_photos(album.folder(tmp_path / "photos", 3))
    (tmp_path / "shards").mkdir()
    mine = tmp_path / "mine"
    (tmp_path / "shards" / "photos-0000.tar").symlink_to(mine)  # leads to nothing yet
    with refused("ALREADY_THERE"):
        packing.pack(found, tmp_path / "shards")
    assert not mine.exists()


def test_a_card_says_how_the_weights_came_about(tmp_path: Path) -> None:
    found = photos.open_photos(album.folder(tmp_path / "photos", 4))
    plan = TrainingPlan(steps=2, batch=2, rate=1e-3, looked_at=1)
    first = tasks.training_task("subpixel-cnn")
    save_file(first.network.state_dict(), tmp_path / "first.safetensors")
    course = tasks.training_task("subpixel-cnn", start=tmp_path / "first.safetensors")
    run = Trainer(course, found, found.subset(1), tmp_path / "run", plan, device="cpu")
    run.train()
    path = export.write_weights(run, export.CardText("birds-2", "Of birds.", "CC0-1.0"))
    card = json.loads(path.with_suffix(".json").read_text("utf-8"))
    assert card["card"] == "subpixel-cnn:birds-2"
    assert (card["recipe"]["steps"], card["recipe"]["start"]) == (2, "first.safetensors")
    assert card["figures"].keys() == card["figures_before"].keys() == {"psnr_y", "psnr_y_bicubic"}
    with safe_open(path, "pt") as file:
        inside = json.loads(file.metadata()["reelwright"])
        assert set(file.keys()) == run.network.state_dict().keys()
    assert {**inside, "sha256": card["sha256"]} == card
    with refused("BAD_VALUE"):
        export.check_label("../up")


def test_a_bare_machine_can_train(tmp_path: Path) -> None:
    """With torch, numpy, OpenCV and safetensors, and without database or queue; resumed, and in JSON."""
    album.folder(tmp_path / "photos", 40)
    script = """
import sys
class Bare:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"celery", "av", "sqlalchemy", "pydantic", "kornia", "PIL", "torchvision"}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Bare())
from workers.training.__main__ import main
sys.exit(main(sys.argv[1:]))
"""
    command = [sys.executable, "-c", script, "--json", "train", "subpixel-cnn", str(tmp_path / "photos"),
               "--out", str(tmp_path / "run"), "--steps", "2", "--batch", "2", "--threads", "1"]  # fmt: skip
    for began_at in (0, 2):
        ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
        assert ran.returncode == 0, ran.stderr
        said = [json.loads(line) for line in ran.stdout.splitlines()]
        assert said[0]["step"] == began_at
        assert said[0]["photos"] == 38
        assert said[-1]["card"]["card"] == "subpixel-cnn:mine"
    ran = subprocess.run([*command, "--batch", "4"], capture_output=True, text=True, cwd=ROOT, check=False)
    assert ran.returncode == 2
    assert json.loads(ran.stdout)["code"] == "TRAINING_DIFFERS"


class Undecided(torch.nn.Module):
    """Finds all bins and all neighbours alike."""

    def forward(self, light: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        size = light.shape[-2] // 4, light.shape[-1] // 4
        return torch.zeros(len(light), 313, *size), torch.zeros(len(light), 36, *size)
