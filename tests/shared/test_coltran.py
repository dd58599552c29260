"""The whole golden set of the Colorization Transformer, read through checkpoints in the published form.

It takes two to three minutes and 2.5 GB of memory.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.support import fill_tf
from tests.workers.models import colorization_transformer as published
from workers.models import coltran
from workers.models.checkpoints import coltran_checkpoint
from workers.models.checkpoints.coltran_checkpoint import NETS
from workers.models.checkpoints.tensor_bundle import Bundle
from workers.models.parts import coltran_pixels, coltran_sampling

FOLDER = Path(__file__).parents[3] / "shared" / "checkpoints"
TOLERANCE, MARGIN = 1e-4, 1e-3
INDEXES = {"colorizer": "model-302", "color_upsampler": "model-449", "spatial_upsampler": "model-121"}
SIZES = {"tiny_": coltran.REDUCED, "": coltran.PUBLISHED}

pytestmark = [
    pytest.mark.shared,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not FOLDER.is_dir(), reason="no shared checkpoints beside the checkout"),
]


@pytest.fixture(scope="module")
def facts() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "coltran.json").read_text())
    return found


@pytest.fixture(scope="module")
def stored() -> Iterator[Any]:
    with np.load(FOLDER / "coltran.shared.npz") as file:
        yield file


@pytest.fixture(scope="module", params=SIZES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, coltran.ColTran]:
    """A prefix of the stored arrays, and the network of that size."""
    prefix: str = request.param
    folder = tmp_path_factory.mktemp("coltran")
    published.write(folder, SIZES[prefix], whole=SIZES[prefix] == coltran.REDUCED)
    network = coltran.build("coltran", SIZES[prefix])
    network.load_state_dict(coltran.from_tensorflow(folder, sizes=SIZES[prefix]))
    return prefix, network


class Golden:
    """The stored arrays of one size; larger arrays are stored with steps."""

    def __init__(self, stored: Any, prefix: str) -> None:
        self._stored, self._prefix = stored, prefix
        self.published = not prefix

    def get(self, name: str) -> Tensor:
        return torch.from_numpy(self._stored[self._prefix + name])

    def check(self, name: str, whole: Tensor, *steps: int) -> None:
        part = whole[tuple(slice(None, None, step) for step in (1, *steps))]
        assert part.shape == self.get(name).shape, name
        assert (part - self.get(name)).abs().max() <= TOLERANCE, name
        if f"stat_{self._prefix}{name}" in self._stored and "greedy" not in name:
            found = torch.stack([whole.mean(), whole.std(correction=0), whole.abs().max()])
            assert (found - torch.from_numpy(self._stored[f"stat_{self._prefix}{name}"])).abs().max() <= TOLERANCE, name

    def check_best(self, name: str, margin: str, best: Tensor) -> None:
        clear = self.get(margin) > MARGIN
        assert torch.equal(best[clear], self.get(name)[clear].to(best.dtype)), name
        assert clear.float().mean() > 0.9


@pytest.fixture
def golden(case: tuple[str, coltran.ColTran], stored: Any) -> Golden:
    return Golden(stored, case[0])


@pytest.fixture
def network(case: tuple[str, coltran.ColTran]) -> coltran.ColTran:
    return case[1]


@torch.inference_mode()
def test_the_colorizer(network: coltran.ColTran, golden: Golden) -> None:
    colorizer, step = network.colorizer, 8 if golden.published else 2
    gray, bins = golden.get("col_gray_u8"), golden.get("col_in_bins").long()
    z = colorizer.encode(gray)
    colours = colorizer.pixel_embedding(bins)
    above = colorizer.outer(colours, z)
    inner = (step, step, step) if golden.published else (1, 1, 1)
    golden.check("col_z", z, *inner)
    golden.check("col_h_upper", above, *inner)
    golden.check("col_h_inner", colorizer.inner(colours, z, above), *inner)
    logits = colorizer(gray, bins)
    golden.check("col_dec_logits", logits.decoded, step, step)
    golden.check("col_enc_logits", logits.parallel, step, step)
    golden.check_best("col_dec_logits_argmax", "col_dec_logits_margin", logits.decoded.argmax(-1))
    golden.check_best("col_enc_logits_argmax", "col_enc_logits_margin", logits.parallel.argmax(-1))
    parallel = coltran_pixels.coarse_picture(coltran_pixels.bins_to_coarse(logits.parallel.argmax(-1)))
    assert torch.equal(parallel, golden.get("col_parallel_rgb_u8"))


@torch.inference_mode()
def test_greedy_drawing(network: coltran.ColTran, golden: Golden) -> None:
    expected = golden.get("col_greedy_bins").long()
    rows = coltran_sampling.sample_rows(network.colorizer, golden.get("col_gray_u8"))
    drawn = list(itertools.islice(rows, expected.shape[1]))
    bins = torch.stack([row.bins for row in drawn])[None]
    assert torch.equal(bins, expected)
    golden.check(
        "col_greedy_logits", torch.stack([row.logits for row in drawn])[None], 1, 8 if golden.published else 1, 8
    )
    assert torch.equal(
        coltran_pixels.coarse_picture(coltran_pixels.bins_to_coarse(bins)), golden.get("col_greedy_rgb_u8")
    )


@torch.inference_mode()
def test_the_color_upsampler(network: coltran.ColTran, golden: Golden) -> None:
    step = 8 if golden.published else 2
    logits = network.color_upsampler(golden.get("cup_in_rgb_u8") // 32, golden.get("cup_gray_u8"))
    golden.check("cup_logits", logits, step, step)
    golden.check_best("cup_argmax_u8", "cup_margin", logits.argmax(-1))


@torch.inference_mode()
def test_the_spatial_upsampler(network: coltran.ColTran, golden: Golden) -> None:
    gray = golden.get("sup_in_gray_u8")
    low = coltran_pixels.resize_area(golden.get("sup_in_low_rgb_u8"), *gray.shape[1:3])
    logits = network.spatial_upsampler(low, gray)
    step = 32 if golden.published else 4
    golden.check("sup_logits", logits, step, step)
    best = logits.argmax(-1)
    if golden.published:  # margins at every eighth place, colours at every second
        clear = golden.get("sup_margin") > MARGIN
        assert torch.equal(best[:, ::8, ::8][clear], golden.get("sup_argmax_u8")[:, ::4, ::4][clear].long())
        assert (best[:, ::2, ::2] != golden.get("sup_argmax_u8")).float().mean() < 1e-3
    else:
        golden.check_best("sup_argmax_u8", "sup_margin", best)


@torch.inference_mode()
def test_inputs_and_the_three_in_a_row(network: coltran.ColTran, golden: Golden) -> None:
    assert torch.equal(coltran_pixels.to_gray(golden.get("col_in_rgb_u8")), golden.get("col_gray_u8"))
    assert torch.equal(coltran_pixels.color_bins(golden.get("col_in_rgb_u8")), golden.get("col_in_bins").long())
    if golden.published:
        return
    gray, small_gray = golden.get("chain_gray16_u8"), golden.get("chain_gray8_u8")
    rows = coltran_sampling.sample_rows(network.colorizer, small_gray)
    coarse = coltran_pixels.bins_to_coarse(torch.stack([row.bins for row in rows])[None])
    assert torch.equal(coltran_pixels.coarse_picture(coarse), golden.get("chain_coarse_rgb_u8"))
    assert torch.equal(network.color_upsampler.likeliest_picture(coarse, small_gray), golden.get("chain_color_rgb_u8"))
    assert torch.equal(network(gray, small_gray), golden.get("chain_final_rgb_u8"))


# -- preparation of pictures


@pytest.mark.parametrize("name", ["c", "d"])
def test_greys_of_both_sizes(stored: Any, name: str) -> None:
    square = coltran_pixels.center_crop(torch.from_numpy(stored[f"prep_{name}_u8"])[None])
    large, small = coltran_pixels.gray_pyramid(square.expand(-1, -1, -1, 3), 256, 64)
    assert np.array_equal(large[0, ::4, ::4], stored[f"prep_{name}_256_s4_u8"])
    assert np.array_equal(small[0], stored[f"prep_{name}_64_u8"])


@pytest.mark.parametrize(
    ("result", "side"), [("a_crop_area16", 16), ("a_crop_area32", 32), ("b_area4", 4), ("b_area32", 32)]
)
def test_area_resizing(stored: Any, result: str, side: int) -> None:
    square = coltran_pixels.center_crop(torch.from_numpy(stored[f"prep_{result[0]}_u8"])[None])
    assert np.array_equal(coltran_pixels.resize_area(square, side, side)[0], stored[f"prep_{result}_u8"])


def test_grey_and_bins(stored: Any) -> None:
    ramp = torch.arange(256).byte().reshape(1, 16, 16, 1).expand(-1, -1, -1, 3)
    assert np.array_equal(coltran_pixels.to_gray(ramp), stored["gray_ramp_out"])
    assert np.array_equal(coltran_pixels.to_gray(torch.from_numpy(stored["gray_rand_rgb_u8"])), stored["gray_rand_out"])
    bins = torch.arange(512).reshape(1, 16, 32)
    assert np.array_equal(coltran_pixels.coarse_picture(coltran_pixels.bins_to_coarse(bins)), stored["bins_rgb_u8"])


# -- TensorFlow's own files


@pytest.mark.parametrize("net", NETS)
def test_every_variable_has_the_published_name_and_shape(facts: dict[str, Any], net: str) -> None:
    listed = facts["nets"][net]
    reduced = facts["reduced_configuration"]["reduced_shapes"][net]
    for sizes, rows in (
        (coltran.PUBLISHED, {row[0]: tuple(row[1]) for row in listed["variables"]}),
        (coltran.REDUCED, {row[0]: tuple(shape) for row, shape in zip(listed["variables"], reduced, strict=True)}),
    ):
        found = published.shapes(net, sizes)
        assert {variable.checkpoint_name: shape for variable, shape in found.items()} == rows
    count = sum(parameter.numel() for parameter in getattr(coltran.build("coltran"), net).parameters())
    assert count == listed["parameters"]


@pytest.mark.parametrize("net", NETS)
def test_a_published_index_lists_what_is_needed_and_nothing_strange(facts: dict[str, Any], net: str) -> None:
    prefix = FOLDER / "coltran_published_index" / f"{net}.{INDEXES[net]}"
    entries = Bundle(prefix).entries
    assert len(entries) == facts["nets"][net]["keys_in_published_index"]
    wanted = coltran_checkpoint.variables(net)
    coltran_checkpoint._check_names(prefix, wanted, entries)
    shapes = published.shapes(net, coltran.PUBLISHED)
    assert all(entries[variable.checkpoint_name].shape == shapes[variable] for variable in wanted)


@pytest.mark.parametrize("name", ["sample", "sample_snappy"])
def test_what_tensorflow_wrote_is_read(name: str) -> None:
    bundle = Bundle(FOLDER / "tf_bundle_sample" / name)
    numbers = bundle.read(key for key, entry in bundle.entries.items() if entry.type != 7)
    assert len(numbers) == 24
    assert numbers.pop("optimizer/iter/.ATTRIBUTES/VARIABLE_VALUE") == 300_000
    assert numbers.pop("optimizer/rho/.ATTRIBUTES/VARIABLE_VALUE") == np.float32(0.9)
    for key, value in numbers.items():
        assert np.array_equal(value, fill_tf.values(key, value.shape, "shared")), key
