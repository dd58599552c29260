from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from db.errors import InputError
from tests.support import tf_bundle
from tests.workers.models import colorization_transformer as published
from tests.workers.models import golden
from workers.models import coltran
from workers.models.checkpoints.coltran_checkpoint import NETS
from workers.models.parts import coltran_pixels, coltran_sampling

FACTS = golden.facts("coltran")
STORED = golden.arrays("coltran")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The three checkpoints in the reduced sizes: moving averages, plain copies, the optimizer's values."""
    path = tmp_path_factory.mktemp("coltran")
    published.write(path, coltran.REDUCED)
    return path


@pytest.fixture(scope="module")
def network(folder: Path) -> coltran.ColTran:
    built = coltran.build("coltran", coltran.REDUCED)
    built.load_state_dict(coltran.from_tensorflow(folder, sizes=coltran.REDUCED))
    return built


@pytest.fixture
def pictures() -> Tensor:
    return golden.uniform(7, (2, 3, 37, 50))


def stored(name: str) -> Tensor:
    return torch.from_numpy(STORED[name])


def worst(actual: Tensor, name: str) -> float:
    steps = tuple(slice(None, None, step) for step in FACTS["strides"][name])
    return float((actual[steps] - stored(name)).abs().max())


# -- numbers


def test_keys_shapes_and_parameters_are_as_published() -> None:
    with torch.device("meta"):
        whole = coltran.build("coltran")
    assert golden.key_digest(whole.state_dict()) == FACTS["key_digest"]
    assert sum(parameter.numel() for parameter in whole.parameters()) == FACTS["parameters"]


@pytest.mark.parametrize("net", NETS)
def test_variables_have_the_published_names_and_shapes(net: str) -> None:
    facts = FACTS["variables"][net]
    for sizes, digest in ((coltran.PUBLISHED, "digest"), (coltran.REDUCED, "reduced_digest")):
        found = published.shapes(net, sizes)
        assert len(found) == facts["count"]
        assert published.digest((variable.checkpoint_name, shape) for variable, shape in found.items()) == facts[digest]


@torch.inference_mode()
def test_the_colorizer_gives_the_published_numbers(network: coltran.ColTran) -> None:
    colorizer = network.colorizer
    gray, bins = stored("gray"), stored("bins")
    z = colorizer.encode(gray)
    colours = colorizer.pixel_embedding(bins.long())
    above = colorizer.outer(colours, z)
    logits = colorizer(gray, bins)
    compared = {"z": z, "above": above, "inner": colorizer.inner(colours, z, above)}
    for name, value in (compared | {"decoded": logits.decoded, "parallel": logits.parallel}).items():
        assert worst(value, name) <= FACTS["tolerance"], name


@torch.inference_mode()
def test_the_likeliest_colours_place_by_place_are_the_published_ones(network: coltran.ColTran) -> None:
    rows = list(coltran_sampling.sample_rows(network.colorizer, stored("gray")))
    assert torch.equal(torch.stack([row.bins for row in rows])[None], stored("greedy_bins").long())
    assert worst(torch.stack([row.logits for row in rows])[None], "greedy_logits") <= FACTS["tolerance"]


@torch.inference_mode()
def test_the_upsamplers_give_the_published_numbers(network: coltran.ColTran) -> None:
    fine = network.color_upsampler(stored("rgb") // 32, stored("gray"))
    assert worst(fine, "color_upsampled") <= FACTS["tolerance"]
    low = coltran_pixels.resize_area(stored("low_rgb"), 16, 16)
    large = network.spatial_upsampler(low, stored("large_gray"))
    assert worst(large, "spatial_upsampled") <= FACTS["tolerance"]
    assert torch.equal(network.spatial_upsampler.likeliest_picture(low, stored("large_gray")), large.argmax(-1).byte())


@torch.inference_mode()
def test_the_three_in_a_row_paint_the_published_picture(network: coltran.ColTran) -> None:
    gray = stored("chain_gray")
    small_gray = coltran_pixels.resize_area(gray, 8, 8)
    assert torch.equal(small_gray, stored("chain_small_gray"))
    assert torch.equal(network(gray, small_gray), stored("chain"))
    picture = np.repeat(gray[0].numpy(), 3, axis=2)
    assert np.array_equal(coltran.reference_output(network, picture, sampling="greedy"), STORED["chain"][0])


# -- pictures


@pytest.mark.parametrize(
    ("name", "result", "side"),
    [
        ("prep_a_u8", "prep_a_crop_area16_u8", 16),
        ("prep_a_u8", "prep_a_crop_area32_u8", 32),
        ("prep_b_u8", "prep_b_area4_u8", 4),
        ("prep_b_u8", "prep_b_area32_u8", 32),
    ],
)
def test_squares_are_cut_and_resized_as_published(name: str, result: str, side: int) -> None:
    square = coltran_pixels.center_crop(stored(name)[None])
    assert torch.equal(coltran_pixels.resize_area(square, side, side)[0], stored(result))


def test_the_small_grey_is_made_of_the_large_rounded_one() -> None:
    square = coltran_pixels.center_crop(stored("prep_c_u8")[None]).expand(-1, -1, -1, 3)
    large, small = coltran_pixels.gray_pyramid(square, 256, 64)
    assert torch.equal(large[0, ::4, ::4], stored("prep_c_256_s4_u8"))
    assert torch.equal(small[0], stored("prep_c_64_u8"))


def test_a_mean_half_way_goes_to_the_even_level() -> None:
    picture = torch.tensor([[1, 2, 2, 3, 3, 4]], dtype=torch.uint8)[..., None, None].permute(0, 2, 1, 3)
    assert coltran_pixels.resize_area(picture, 1, 3).flatten().tolist() == [2, 2, 4]


def test_colour_becomes_the_published_grey_and_neutral_loses_a_level() -> None:
    assert torch.equal(coltran_pixels.to_gray(stored("gray_rand_rgb_u8")), stored("gray_rand_out"))
    neutral = torch.arange(256, dtype=torch.uint8)[None, :, None, None].expand(-1, -1, -1, 3)
    assert coltran_pixels.to_gray(neutral).flatten().tolist() == [0, *range(255)]


def test_bins_and_colours_are_each_others_inverse() -> None:
    bins = torch.arange(512)
    coarse = coltran_pixels.coarse_picture(coltran_pixels.bins_to_coarse(bins))
    assert coarse[0b001_010_111].tolist() == [32, 64, 224]
    assert torch.equal(coltran_pixels.color_bins(coarse), bins)
    assert torch.equal(coltran_pixels.color_bins(stored("rgb")), stored("bins").long())


# -- drawing


@torch.inference_mode()
def test_draws_follow_the_probabilities(network: coltran.ColTran) -> None:
    """Every place is given the same logits, so that a few pictures hold many draws of them."""
    colorizer = deepcopy(network.colorizer)
    colorizer.auto_logits.weight.zero_()
    colorizer.auto_logits.bias.copy_(torch.arange(512) % 4 * 1.5)
    shares = colorizer.auto_logits.bias.softmax(-1).reshape(-1, 4).sum(0)
    generator = torch.Generator().manual_seed(1)
    drawn = [
        row.bins % 4 for _ in range(8) for row in coltran_sampling.sample_rows(colorizer, stored("gray"), generator)
    ]
    found = torch.cat(drawn).bincount(minlength=4)
    spread = (512 * shares * (1 - shares)).sqrt()
    assert ((found - 512 * shares).abs() < 4 * spread).all()


@torch.inference_mode()
def test_a_seed_always_gives_the_same_and_another_seed_another(network: coltran.ColTran, pictures: Tensor) -> None:
    torch.manual_seed(1)
    once = coltran.chroma(network, pictures[:1], seed=3)
    torch.manual_seed(2)
    assert torch.equal(once, coltran.chroma(network, pictures[:1], sampling="random", seed=3))
    assert not torch.equal(once, coltran.chroma(network, pictures[:1], seed=4))


@torch.inference_mode()
def test_greedy_needs_no_seed(network: coltran.ColTran, pictures: Tensor) -> None:
    once = coltran.chroma(network, pictures[:1], sampling="greedy", seed=3)
    assert torch.equal(once, coltran.chroma(network, pictures[:1], sampling="greedy", seed=4))
    assert not torch.equal(once, coltran.chroma(network, pictures[:1], seed=3))


@torch.inference_mode()
@pytest.mark.parametrize("sampling", ["random", "greedy"])
def test_a_picture_does_not_depend_on_its_batch(
    network: coltran.ColTran, pictures: Tensor, sampling: coltran.Sampling
) -> None:
    both = coltran.chroma(network, pictures, sampling=sampling)
    assert both.shape == (2, 2, 16, 16)
    assert both.dtype == torch.float32
    assert both.abs().max() <= 110
    for number in range(2):
        one = coltran.chroma(network, pictures[number : number + 1], sampling=sampling)
        assert torch.equal(both[number], one[0])


@torch.inference_mode()
@pytest.mark.parametrize("size", [(8, 8), (9, 41), (300, 257)])
def test_any_size_gives_a_colour(network: coltran.ColTran, size: tuple[int, int]) -> None:
    out = coltran.chroma(network, golden.uniform(0, (1, 3, *size)), sampling="greedy")
    assert out.shape == (1, 2, 16, 16)
    assert out.isfinite().all()


@torch.inference_mode()
def test_the_published_program_keeps_the_central_square(network: coltran.ColTran) -> None:
    picture = np.random.Generator(np.random.PCG64(3)).integers(0, 256, (41, 90, 3), np.uint8)
    out = coltran.reference_output(network, picture)
    assert out.shape == (16, 16, 3)
    assert np.array_equal(out, coltran.reference_output(network, picture[:, 24:65]))


def test_another_way_of_sampling_or_name_is_refused(network: coltran.ColTran, pictures: Tensor) -> None:
    with pytest.raises(ValueError, match="'random' or 'greedy', not 'best'"):
        coltran.chroma(network, pictures, sampling="best")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not siggraph17"):
        coltran.build("siggraph17")


# -- checkpoints


def test_a_folder_a_prefix_and_each_network_alone_give_the_same(folder: Path) -> None:
    whole = coltran.from_tensorflow(folder, sizes=coltran.REDUCED)
    by_prefix = {net: folder / net / f"model-{100 + number}" for number, net in enumerate(NETS)}
    again = coltran.from_tensorflow(by_prefix, sizes=coltran.REDUCED)
    assert whole.keys() == again.keys()
    assert all(torch.equal(whole[key], again[key]) for key in whole)
    for net in NETS:
        alone = coltran.from_tensorflow(folder / net, net, coltran.REDUCED)
        assert all(torch.equal(value, whole[f"{net}.{key}"]) for key, value in alone.items())
        assert len(alone) == FACTS["variables"][net]["count"]


def test_the_later_folder_names_and_a_lone_index_will_do(folder: Path, tmp_path: Path) -> None:
    for net in NETS:
        (tmp_path / f"{net}_v2").symlink_to(folder / net)
    assert coltran.from_tensorflow(tmp_path, sizes=coltran.REDUCED).keys()
    lone = tmp_path / "lone"
    lone.mkdir()
    for path in (folder / NETS[0]).glob("model-*"):
        (lone / path.name).symlink_to(path)
    assert coltran.from_tensorflow(lone, NETS[0], coltran.REDUCED).keys()


def damaged(change: str) -> dict[str, Any]:
    found = published.shapes("color_upsampler", coltran.REDUCED)
    tensors = published.tensors(found)
    dense = next(variable for variable in found if variable.key == "input_dense.weight")
    if change == "no average":
        del tensors[dense.checkpoint_name]
    elif change == "unknown":
        tensors["color_upsampler.Sdense_9.Skernel:0/.ATTRIBUTES/VARIABLE_VALUE"] = np.zeros(3, np.float32)
    elif change == "turned":
        tensors[dense.checkpoint_name] = np.zeros((32, 64), np.float32)
    elif change == "float64":
        tensors[dense.checkpoint_name] = np.zeros((64, 32))
    return tensors


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("no average", "lacks 1 variables, the first 'color_upsampler.Sdense_2.Skernel.SExponentialMovingAverage"),
        ("unknown", "also has 1 variables, the first 'color_upsampler.Sdense_9"),
        ("turned", r"is \(32, 64\), not \(64, 32\)"),
        ("float64", "not .* of float32"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(tmp_path: Path, change: str, said: str) -> None:
    tf_bundle.write(tmp_path / "model-1", damaged(change))
    with pytest.raises(InputError, match=said) as caught:
        coltran.from_tensorflow(tmp_path / "model-1", "color_upsampler", coltran.REDUCED)
    assert caught.value.code == "BAD_CHECKPOINT"


def test_another_networks_checkpoint_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="lacks"):
        coltran.from_tensorflow(folder / "color_upsampler", "spatial_upsampler", coltran.REDUCED)


def test_missing_folders_and_doubtful_ones_are_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no folder 'colorizer'"):
        coltran.from_tensorflow(tmp_path)
    with pytest.raises(InputError, match="No checkpoint is given for color_upsampler, spatial_upsampler"):
        coltran.from_tensorflow({"colorizer": folder / "colorizer"})
    (tmp_path / "colorizer").mkdir()
    with pytest.raises(InputError, match="holds 0 indexes"):
        coltran.from_tensorflow(tmp_path / "colorizer", "colorizer")
