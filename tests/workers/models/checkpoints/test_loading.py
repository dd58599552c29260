"""Networks by name, files by their keys: complete or refused, and the refusal says what is wrong."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from safetensors.torch import save_file

from db import session, settings
from db.catalog.architectures import ARCHITECTURES, ArchitectureSpec
from db.catalog.weights import CARDS, Card
from db.errors import InputError, WorkError
from db.settings import Settings
from db.store import open_store
from tests.support import placeholders, servers, tint
from workers import models
from workers.models.checkpoints import loading, registered
from workers.workbench import Workbench

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
    """A state of a network's keys and shapes."""
    return placeholders.views(loading._key_shapes(name)[""])


def saved(folder: Path, state: dict[str, torch.Tensor], name: str = "w.pth") -> Path:
    torch.save(state, folder / name)
    return folder / name


@pytest.mark.parametrize("name", sorted({card.build for card in CARDS.values()}))
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
    assert loading.recognize([saved(tmp_path, {"params": empty(name)})]) == name  # type: ignore[dict-item]


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
    assert loading.recognize([saved(tmp_path, {**empty("ddcolor-tiny"), **spare})]) == "ddcolor-tiny"


@pytest.mark.parametrize("made", ["int", "bool", "cfloat", "to_sparse"])
def test_numbers_of_another_kind_are_refused(tmp_path: Path, made: str) -> None:
    state = {**models.build("tint").state_dict()}
    state["0.weight"] = getattr(state["0.weight"], made)()
    with pytest.raises(InputError, match=r"1 are numbers of another kind \(0\.weight ") as caught:
        models.load(saved(tmp_path, state), "tint")
    assert caught.value.code == "BAD_CHECKPOINT"


def test_tensors_without_numbers_are_refused(tmp_path: Path) -> None:
    state = {key: value.to("meta") for key, value in models.build("tint").state_dict().items()}
    with pytest.raises(InputError, match=r"0\.weight float32 meta"):
        models.load(saved(tmp_path, state), "tint")


@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_another_precision_become_float32(tmp_path: Path, precision: torch.dtype) -> None:
    state = {key: value.to(precision) for key, value in models.build("tint").state_dict().items()}
    loaded = models.load(saved(tmp_path, state), "tint").state_dict()
    assert loaded["0.weight"].dtype is torch.float32
    assert torch.equal(loaded["0.weight"], state["0.weight"].float())


def test_a_digest_that_is_given_must_be_the_files(tmp_path: Path) -> None:
    path = tint.weights(tmp_path)
    models.load(path, sha256=hashlib.sha256(path.read_bytes()).hexdigest().upper())
    with pytest.raises(InputError) as caught:
        models.load(path, sha256="0" * 64)
    assert caught.value.code == "CHECKSUM_MISMATCH"
    with pytest.raises(InputError) as caught:
        models.load([path, path], sha256="0" * 64)
    assert caught.value.code == "BAD_VALUE"


@pytest.mark.parametrize("sha256", [None, "0" * 64])
@pytest.mark.parametrize("name", ["gone.pth", "a" * 300, "folder"])
def test_a_file_that_is_not_there_is_named_whether_or_not_its_digest_is_known(
    tmp_path: Path, name: str, sha256: str | None
) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError) as caught:
        models.load([tmp_path / name], sha256=sha256)
    assert caught.value.code == "FILE_MISSING"


def test_no_files_at_all_are_no_weights(tmp_path: Path) -> None:
    nothing: tuple[Any, ...] = ([], {}, tmp_path)
    for given in nothing:
        with pytest.raises(InputError) as caught:
            models.load(given)
        assert caught.value.code == "FILE_MISSING"


def test_files_of_a_system_are_assigned_by_their_names_and_lacking_ones_are_named(tmp_path: Path) -> None:
    card = CARDS["gcp"]
    paths = [tmp_path / file.name for file in card.files if not file.optional]
    found = loading.assign(card, paths)
    assert set(found) == {"biggan_E", "biggan_G", "biggan_D", "net_corr", "net_gen"}
    assert found["net_corr"] == found["net_gen"] == tmp_path / "colorization_model.pth"
    assert loading.recognize(paths) == "gcp"
    with pytest.raises(InputError, match=r"biggan_D_256\.pth is lacking"):
        loading.assign(card, [path for path in paths if "_D_" not in path.name])
    with pytest.raises(InputError, match=r"readme\.txt is none of its files"):
        loading.assign(card, [*paths, tmp_path / "readme.txt"])


def test_files_of_one_name_in_several_folders_are_told_apart_by_network_only(tmp_path: Path) -> None:
    paths = [tmp_path / folder / "latest_net_G.pth" for folder in "ab"]
    with pytest.raises(InputError, match="several files have one name"):
        loading.assign(CARDS["instcolorization"], paths)


def test_the_one_file_that_is_left_is_the_one_that_is_lacking(tmp_path: Path) -> None:
    assert loading.assign(CARDS["ct2"], [tmp_path / "any.pth"], {"luminance_table"}) == {"": tmp_path / "any.pth"}
    assert loading.assign(CARDS["ct2"], [tmp_path / "any.json"], {""}) == {"luminance_table": tmp_path / "any.json"}


@pytest.fixture(scope="module")
def instances(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as InstColorization is published, its numbers told apart by network: 1, 2 and 3."""
    folder = tmp_path_factory.mktemp("coco_finetuned_mask_256_ffs")
    expected = loading._key_shapes("instcolorization")
    for number, (name, shapes) in enumerate(expected.items(), start=1):
        state = placeholders.views(shapes, number)
        torch.save({"state_dict": state}, folder / f"latest_net_{name}.pth")
    return folder


def test_a_system_of_several_networks_is_loaded_from_its_folder(instances: Path) -> None:
    network = models.load(instances)
    assert network.architecture == "instcolorization"
    first = {name: float(child.state_dict()["model1.0.bias"][0]) for name, child in network.named_children()}
    assert first == {name: number for number, name in enumerate(loading._key_shapes("instcolorization"), start=1)}


def test_a_system_of_several_networks_is_loaded_from_files_that_are_named(instances: Path) -> None:
    files = {name: instances / f"latest_net_{name}.pth" for name in ("G", "GF", "GComp")}
    swapped = models.load({**files, "G": files["GComp"], "GComp": files["G"]}, "instcolorization").state_dict()
    by_name = models.load(list(files.values()), "instcolorization").state_dict()
    assert torch.equal(swapped["G.model1.0.bias"], by_name["GComp.model1.0.bias"])
    with pytest.raises(InputError, match="no file holds the network GF"):
        models.load({"G": files["G"], "GComp": files["GComp"]}, "instcolorization")
    with pytest.raises(InputError, match="has no network 'H'"):
        models.load({**files, "H": files["G"]}, "instcolorization")


def test_an_outside_system_that_cannot_be_built_here_keeps_no_other_from_being_recognised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    spec = replace(ARCHITECTURES["tint"], name="broken", module="a_module_that_is_not_there")
    monkeypatch.setitem(cast("dict[str, ArchitectureSpec]", ARCHITECTURES), "broken", spec)
    card = replace(CARDS["tint"], name="broken", architecture="broken", build="broken")
    monkeypatch.setitem(cast("dict[str, Card]", CARDS), "broken", card)
    loading._single_networks.cache_clear()
    try:
        assert loading.recognize([tint.weights(tmp_path)]) == "tint"
        assert "a_module_that_is_not_there" in caplog.text
        with pytest.raises(WorkError) as caught:
            models.build("broken")
        assert caught.value.code == "NO_MODULE"
    finally:
        loading._single_networks.cache_clear()


def test_registered_weights_are_loaded_by_the_cards_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REELWRIGHT_HOME", str(tmp_path / "home"))
    with pytest.raises(InputError, match="tint are not registered") as caught:
        models.load("tint")
    assert caught.value.code == "MODEL_MISSING"
    home = settings.load()
    home.home.mkdir()
    with session.open_database(home) as database:
        session.upgrade(database)
        with pytest.raises(InputError) as caught:
            models.load("tint")
        assert caught.value.code == "MODEL_MISSING"
        pin = tint.register(database, open_store(home), tmp_path)
    assert float(models.load("tint").state_dict()["0.weight"].sum()) == pytest.approx(0.75)
    (home.home / "store" / pin.files[0].key).unlink()
    with pytest.raises(InputError) as caught:
        models.load("tint")
    assert caught.value.code == "BLOB_MISSING"


def test_a_copy_of_weights_from_s3_that_was_damaged_is_fetched_again(tmp_path: Path, s3: servers.S3) -> None:
    home = Settings(home=tmp_path / "home", store_uri="s3://weights-cached/archive", **s3.settings)
    store = open_store(home)
    bench = Workbench(store, tmp_path, home, "cpu")
    pin = tint.pin(store, tmp_path, warmth=0.25)
    kept = home.weights_folder / pin.files[0].sha256 / "tint.pth"
    for _ in range(2):
        registered._networks.clear()
        network = registered.network(pin, bench)
        assert registered.network(pin, bench) is network
        assert float(network.state_dict()["0.weight"].sum()) == pytest.approx(0.375)
        assert loading.file_sha256(kept) == pin.files[0].sha256
        kept.write_bytes(b"damaged")
    registered._networks.clear()


def test_what_is_neither_file_nor_card_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        models.load(tmp_path / "gone.pth")
    assert caught.value.code == "FILE_MISSING"
