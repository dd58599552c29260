"""Weights are registered, pinned, and colour photos and film, whoever works on them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import OpenImageIO as oiio
import torch
from PIL import Image
from spandrel.architectures.NAFNet import NAFNet

from db import ledger, progress
from db import recipe as recipes
from db.records import Source
from db.states import ItemKind
from orchestrator.on_demand import weights
from tests.journeys.house import SIZE, House, embedded, film, photo, restored_in
from tests.support import placeholders, tint

COLOUR = """
- deflicker: {window: 5}
- denoise: {method: network, weights: "folded-cnn:trial"}
- colorize: {model: tint, seed: 3}
- denoise: {method: network, weights: "spandrel:trial", strength: 0.3}
- trap: {radius: 1}
- stabilize_color: {radius: 2}
- upscale: {method: network, weights: "subpixel-cnn:trial"}
"""


def still(path: Path, picture: np.ndarray) -> Source:
    Image.fromarray(picture).save(path)
    return Source(uri=str(path), kind=ItemKind.STILL)


def test_photos_and_a_reel_are_coloured_by_registered_weights(any_house: House, tmp_path: Path) -> None:
    house = any_house
    made = weights.add(house.settings, house.database, house.store, [str(tint.weights(tmp_path))])
    assert (made.card, made.parameters, made.files[0].networks) == ("tint", 13, ())
    assert [error for _, error in weights.verify(house.settings, house.database, house.store, ())] == [None]
    rng = np.random.default_rng(1)
    grey = rng.integers(40, 200, SIZE, np.uint8)
    sepia = np.clip(grey[..., None] * np.array([1.0, 0.85, 0.65]) + [12, 6, 0], 0, 255).astype(np.uint8)
    colour = rng.integers(0, 255, (*SIZE, 3), np.uint8)
    sources = {
        "grey": still(tmp_path / "grey.png", grey),
        "deep": still(tmp_path / "deep.png", grey.astype(np.uint16) * 257),
        "sepia": still(tmp_path / "sepia.png", sepia),
        "colour": still(tmp_path / "colour.png", colour),
        "reel": film(tmp_path / "reel.mkv", 20),
    }
    house.lead()
    house.hire(2)
    job_id = house.submit(sources, "- colorize: {model: tint}")
    # What a job pinned stays, whatever becomes of the registration.
    weights.remove(house.database, house.store, "tint")
    assert house.wait_for(job_id) == "done"
    house.assert_sound(job_id)
    shown = {name: _picture(house, job_id, name, tmp_path) for name in ("grey", "deep", "sepia", "colour")}
    assert np.array_equal(shown["colour"], colour)
    assert {name: shown[name].dtype.itemsize for name in shown} == {"grey": 1, "deep": 2, "sepia": 1, "colour": 1}
    for name in ("grey", "deep", "sepia"):
        red, green, blue = shown[name].reshape(-1, 3).mean(0)
        assert red > green > blue
    assert any("ALREADY_COLOUR" in note for note in house.result(job_id, "colour").notes)
    assert any("tint" in note for note in house.result(job_id, "grey").notes)
    reel = house.result(job_id, "reel")
    assert any("tint" in note for note in reel.notes)
    assert reel.scores["colorfulness"] > 5
    assert {"color_consistency", "warp_error"} <= set(reel.scores)


def test_a_coloured_reel_does_not_depend_on_cuts_or_workers_or_deaths(tmp_path: Path) -> None:
    source = film(tmp_path / "reel.mkv", 36)
    with embedded(tmp_path / "registered") as house:
        tint.register(house.database, house.store, house.settings.home)
        for name in ("folded-cnn:trial", "subpixel-cnn:trial"):
            placeholders.register(house.database, house.store, house.settings.home, name)
        torch.manual_seed(5)
        network = NAFNet(width=8, enc_blk_nums=[1, 1], dec_blk_nums=[1, 1], middle_blk_num=1)
        path = house.settings.home / "trial.pth"
        torch.save({"params": network.state_dict()}, path)
        assert weights.add(house.settings, house.database, house.store, [str(path)]).card == "spandrel:trial"

    def digests_of(name: str, recipe: str, segment_frames: int, workers: int, dies: Path | None = None) -> list[str]:
        home = shutil.copytree(tmp_path / "registered", tmp_path / name)
        return restored_in(home, source, recipe, segment_frames=segment_frames, workers=workers, dies=dies)

    flag = tmp_path / "killed.flag"
    trap = COLOUR.replace("radius: 1}", f"radius: 1, frame: 20, action: kill_once, flag: {flag}}}")
    digests = {
        "one piece": digests_of("one piece", COLOUR, 1000, 1),
        "cells": digests_of("cells", COLOUR, 8, 2),
        "killed": digests_of("killed", trap, 16, 2, flag),
    }
    assert len(digests["one piece"]) == 36
    assert [name for name, found in digests.items() if found != digests["one piece"]] == []


def test_weights_lost_from_the_store_fail_the_items_that_need_them_alone(house: House, tmp_path: Path) -> None:
    tint.register(house.database, house.store, tmp_path, warmth=0.31)
    sources = {"plain": photo(tmp_path / "plain.png"), "reel": film(tmp_path / "reel.mkv", 8)}
    house.lead()
    house.hire(1)
    recipe = "- colorize: {model: tint}"
    shutil.rmtree(house.settings.home / "store" / "weights")
    job_id = house.submit(sources, recipe)
    assert house.wait_for(job_id) == "done_with_failures"
    assert {row.code for row in progress.failures(house.database, job_id)} == {"BLOB_MISSING"}
    tint.register(house.database, house.store, tmp_path, warmth=0.31)
    ledger.rerun(house.database, job_id, ledger.Selection(), bundle_stills=8)
    assert house.wait_for(job_id) == "done"


def _picture(house: House, job_id: int, name: str, folder: Path) -> np.ndarray:
    path = folder / f"result-{name}.png"
    path.write_bytes(house.bytes_of(house.result(job_id, name).outputs["still"]))
    return np.asarray(oiio.ImageInput.open(str(path)).read_image(format=oiio.UNKNOWN))


def test_photos_and_a_reel_are_coloured_with_nothing_registered(any_house: House, tmp_path: Path) -> None:
    house = any_house
    grey = np.random.default_rng(2).integers(40, 200, SIZE, np.uint8)
    colour = np.random.default_rng(3).integers(0, 255, (*SIZE, 3), np.uint8)
    photos = {"grey": still(tmp_path / "grey.png", grey), "colour": still(tmp_path / "colour.png", colour)}
    house.lead()
    house.hire(2)
    first = house.submit(photos, recipes.resolve("old-photo"))
    second = house.submit({"reel": film(tmp_path / "reel.mkv", 20)}, recipes.resolve("old-film"))
    assert [house.wait_for(job) for job in (first, second)] == ["done", "done"]
    assert progress.weights(house.database) == {}
    shown = {name: _picture(house, first, name, tmp_path) for name in photos}
    assert {name: picture.shape for name, picture in shown.items()} == dict.fromkeys(photos, (*SIZE, 3))
    assert int(np.ptp(shown["grey"].astype(int), axis=2).max()) > 0
    reel = house.result(second, "reel")
    assert any("reelwright-color" in note for note in reel.notes)
    assert not any("reelwright-denoise" in note for note in reel.notes)
