"""Networks by name, files by their keys: complete or refused, and the refusal says what is wrong."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from db.catalog.weights import CARDS
from db.errors import InputError
from tests.support import tint
from workers import models
from workers.models import loading

SINGLE = (
    "eccv16",
    "siggraph17",
    "ddcolor-tiny",
    "ddcolor-large",
    "deoldify-artistic",
    "deoldify-stable",
    "colorformer",
)


def empty(name: str) -> dict[str, torch.Tensor]:
    """A state of the right keys and shapes that takes no room: one number seen as many."""
    shapes = loading._expected(name)[""]
    return {key: torch.zeros(()).expand(shape) for key, shape in shapes.items()}


def saved(folder: Path, state: dict[str, torch.Tensor], name: str = "w.pth") -> Path:
    torch.save(state, folder / name)
    return folder / name


@pytest.mark.parametrize("name", {card.build for card in CARDS.values()})
def test_every_card_can_be_built_and_knows_its_architecture(name: str) -> None:
    with torch.device("meta"):
        network = models.build(name)
    assert network.state_dict()
    assert not network.training
    assert network.architecture in {card.architecture for card in CARDS.values() if card.build == name}


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match="ddcolor-tiny") as caught:
        models.build("ddcolor-tyni")
    assert caught.value.code == "UNKNOWN_MODEL"


@pytest.mark.parametrize("name", SINGLE)
def test_a_file_is_recognised_by_its_keys(tmp_path: Path, name: str) -> None:
    assert loading.recognise([saved(tmp_path, {"params": empty(name)})]) == name  # type: ignore[dict-item]


def test_weights_of_any_type_of_file_are_loaded_whole(tmp_path: Path) -> None:
    path = tint.weights(tmp_path)
    network = models.load(path)
    assert float(network.state_dict()["0.weight"].sum()) == pytest.approx(0.75)
    save_file(network.state_dict(), tmp_path / "tint.safetensors")
    again = models.load(tmp_path / "tint.safetensors", "tint")
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in network.state_dict().items())


def test_a_count_of_batches_may_be_missing_and_nothing_else(tmp_path: Path) -> None:
    state = models.build("tint").state_dict()
    fewer = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    models.load(saved(tmp_path, fewer), "tint")
    del fewer["1.running_var"]
    with pytest.raises(InputError, match=r"1 keys are lacking \(1\.running_var\)") as caught:
        models.load(saved(tmp_path, fewer), "tint")
    assert caught.value.code == "BAD_CHECKPOINT"


def test_keys_and_shapes_that_differ_are_named(tmp_path: Path) -> None:
    state = models.build("tint").state_dict()
    more = {**state, "2.weight": torch.zeros(2), "0.bias": torch.zeros(3)}
    with pytest.raises(InputError, match=r"1 are unknown \(2\.weight\), 1 have another shape \(0\.bias \[3\] instead"):
        models.load(saved(tmp_path, more), "tint")


def test_another_systems_file_is_said_to_look_like_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="It looks like eccv16"):
        models.load(saved(tmp_path, empty("eccv16")), "siggraph17")
    with pytest.raises(InputError, match="no network known here"):
        models.load(saved(tmp_path, {"conv.weight": torch.zeros(1)}))


def test_the_classifier_that_some_ddcolor_files_carry_is_left_out(tmp_path: Path) -> None:
    spare = {"encoder.arch.head_cls.weight": torch.zeros(4, 768), "encoder.arch.head_cls.bias": torch.zeros(4)}
    assert loading.recognise([saved(tmp_path, {**empty("ddcolor-tiny"), **spare})]) == "ddcolor-tiny"


def test_a_digest_that_is_given_must_be_the_files(tmp_path: Path) -> None:
    path = tint.weights(tmp_path)
    models.load(path, sha256=hashlib.sha256(path.read_bytes()).hexdigest().upper())
    with pytest.raises(InputError) as caught:
        models.load(path, sha256="0" * 64)
    assert caught.value.code == "CHECKSUM_MISMATCH"


def test_files_of_a_system_are_assigned_by_their_names_and_lacking_ones_are_named(tmp_path: Path) -> None:
    card = CARDS["gcp"]
    paths = [tmp_path / file.name for file in card.files if not file.optional]
    found = loading.assign(card, paths)
    assert set(found) == {"biggan_E", "biggan_G", "biggan_D", "net_corr", "net_gen"}
    assert found["net_corr"] == found["net_gen"] == tmp_path / "colorization_model.pth"
    assert loading.recognise(paths) == "gcp"
    with pytest.raises(InputError, match=r"biggan_D_256\.pth is lacking"):
        loading.assign(card, [path for path in paths if "_D_" not in path.name])
    with pytest.raises(InputError, match=r"readme\.txt is none of its files"):
        loading.assign(card, [*paths, tmp_path / "readme.txt"])


def test_what_is_neither_file_nor_card_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        models.load(tmp_path / "gone.pth")
    assert caught.value.code == "FILE_MISSING"
