from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from tests.support import fill
from tests.workers.models import golden
from workers.models import ct2

FACTS = golden.facts("ct2")
ZONES, COLOURS = 4, 313


def invented_table() -> NDArray[np.bool_]:
    return np.asarray((7 * np.arange(COLOURS) + 3 * np.arange(ZONES)[:, None]) % 5 < 3)


def light() -> Tensor:
    side = FACTS["light"]["side"]
    row, column = np.mgrid[:side, :side] // 16
    drawn = golden.uniform(FACTS["light"]["seed"], (1, 1, side, side))
    return (drawn + torch.from_numpy((row + 2 * column) % 4).float()) * 25


def worst(actual: Tensor, name: str) -> float:
    steps = tuple(slice(None, None, step) for step in FACTS["strides"][name])
    return golden.worst(actual[steps], golden.arrays("ct2")[name])


@pytest.fixture(scope="module")
def whole() -> ct2.Ct2:
    """The published size; only what is compared is filled, the rest stays zero."""
    network = ct2.build("ct2")
    compared = ("encoder", "decoder.cls_emb", "decoder.pos_", "decoder.proj_dec")
    fill.fill({key: value for key, value in network.state_dict().items() if key.startswith(compared)}, "shared")
    return network


@pytest.fixture(scope="module")
def reduced() -> ct2.Ct2:
    sizes = FACTS["reduced"] | {"regression": tuple(FACTS["reduced"]["regression"])}
    network = ct2.build("ct2", ct2.Ct2Sizes(**sizes))
    golden.filled(network, FACTS["fill"])
    return network


@pytest.fixture
def pictures() -> Tensor:
    return golden.uniform(7, (2, 3, 37, 50))


def test_keys_shapes_and_parameters_are_as_published(whole: ct2.Ct2) -> None:
    assert golden.key_digest(whole.state_dict()) == FACTS["key_digest"]
    assert sum(parameter.numel() for parameter in whole.parameters()) == FACTS["parameters"]


@torch.inference_mode()
def test_numbers_before_the_table_are_as_published(whole: ct2.Ct2) -> None:
    seen: dict[str, Tensor] = {}
    for name, module in (("patches", whole.encoder.patch_embed), ("first_block", whole.encoder.blocks[0])):
        module.register_forward_hook(lambda _, __, out, name=name: seen.update({name: out}))
    seen["encoded"] = whole.encoder(((light() - 50) / 100).expand(-1, 3, -1, -1))
    tokens = whole.decoder.proj_dec(seen["encoded"][:, 1:]).transpose(1, 2).reshape(1, -1, 4, 4)
    seen["places"] = whole.decoder.pos_patch(tokens).flatten(2).transpose(1, 2)
    seen["colours"] = whole.decoder.pos_color(whole.decoder.cls_emb)
    for name, value in seen.items():
        assert worst(value, name) <= FACTS["tolerance"], name


@torch.inference_mode()
def test_numbers_under_a_table_are_those_of_the_verified_network(reduced: ct2.Ct2) -> None:
    out = reduced(light(), ct2.color_mask(light(), ct2.read_table(invented_table())))
    assert worst(out.ab, "reduced_ab") <= FACTS["tolerance"]
    assert worst(out.regression, "reduced_regression") <= FACTS["tolerance"]
    finite = out.logits.masked_fill(out.logits.isinf(), -1000)[:, ::4, ::8, ::8]
    assert (finite - torch.from_numpy(golden.arrays("ct2")["reduced_logits"])).abs().max() <= FACTS["tolerance"]


def test_there_are_313_colours_and_none_twice() -> None:
    assert len(set(ct2.AB_BINS)) == COLOURS
    assert list(ct2.AB_BINS) == sorted(ct2.AB_BINS)


def test_both_names_of_a_block_are_one_and_the_later_wins(reduced: ct2.Ct2) -> None:
    state = {key: value.clone() for key, value in reduced.state_dict().items()}
    state["decoder.per_block.1.mlp.fc1.bias"] += 1
    network = ct2.build("ct2", ct2.Ct2Sizes(**FACTS["reduced"]))
    network.load_state_dict(state)
    loaded = network.state_dict()
    for key in ("decoder.per_block.1.mlp.fc1.bias", "decoder.blocks.0.1.mlp.fc1.bias"):
        assert torch.equal(loaded[key], state["decoder.blocks.0.1.mlp.fc1.bias"])


@torch.inference_mode()
def test_no_pixel_takes_a_colour_that_its_lightness_forbids(reduced: ct2.Ct2) -> None:
    allowed = ct2.color_mask(light(), ct2.read_table(invented_table()))
    logits = reduced(light(), allowed).logits.flatten(2).transpose(1, 2)
    assert torch.equal(logits.isfinite(), allowed)
    only = np.zeros((ZONES, COLOURS), bool)
    only[[0, 1, 2, 3], [5, 50, 150, 300]] = True
    ab = reduced.chroma(light(), ct2.color_mask(light(), ct2.read_table(only)))
    for zone, colour in enumerate((5, 50, 150, 300)):
        inside = (light() >= 25 * zone) & (light() < 25 * zone + 25)
        assert (ab.permute(1, 0, 2, 3)[:, inside[:, 0]] - torch.tensor(ct2.AB_BINS[colour])[:, None]).abs().max() < 1e-4


def test_zones_are_half_open_but_for_the_last() -> None:
    levels = torch.tensor([0, 24.999, 25, 49.999, 50, 75, 99.9, 100]).reshape(1, 1, 2, 4)
    table = torch.eye(ZONES, COLOURS, dtype=torch.bool)
    assert ct2.color_mask(levels, table)[0].int().argmax(-1).tolist() == [0, 0, 1, 1, 2, 3, 3, 3]


@torch.inference_mode()
def test_a_picture_does_not_depend_on_its_batch(reduced: ct2.Ct2, pictures: Tensor) -> None:
    table = invented_table()
    both = ct2.chroma(reduced, pictures, luminance_table=table)
    assert both.shape == (2, 2, 256, 256)
    assert both.dtype == torch.float32
    assert both.abs().max() <= 110
    for number in range(2):
        assert torch.equal(both[number], ct2.chroma(reduced, pictures[number : number + 1], luminance_table=table)[0])


@torch.inference_mode()
@pytest.mark.parametrize("size", [(8, 9), (300, 257)])
def test_black_and_white_and_any_size_give_a_colour(reduced: ct2.Ct2, size: tuple[int, int]) -> None:
    picture = torch.zeros(1, 3, *size)
    picture[..., size[1] // 2 :] = 1
    out = ct2.chroma(reduced, picture, luminance_table=invented_table())
    assert out.shape == (1, 2, 256, 256)
    assert out.isfinite().all()


@torch.inference_mode()
def test_a_table_may_come_with_the_weights(reduced: ct2.Ct2, pictures: Tensor, tmp_path: Path) -> None:
    given = ct2.chroma(reduced, pictures[:1], luminance_table=invented_table())
    np.save(tmp_path / "table.npy", invented_table())
    ct2.TABLES["luminance_table"](reduced, tmp_path / "table.npy")
    try:
        assert torch.equal(given, ct2.chroma(reduced, pictures[:1]))
    finally:
        reduced.luminance_table = None


def test_without_a_table_it_says_what_is_lacking(reduced: ct2.Ct2, pictures: Tensor) -> None:
    with pytest.raises(ValueError, match="luminance table that belongs to its weights"):
        ct2.chroma(reduced, pictures)
    with pytest.raises(ValueError, match="luminance table that belongs to its weights"):
        ct2.reference_output(reduced, np.zeros((20, 20, 3), np.uint8))


@pytest.mark.parametrize("form", ["npy", "lists", "strings", "named"])
def test_a_table_is_read_from_each_form_of_file(tmp_path: Path, form: str) -> None:
    table = invented_table()
    strings = ["".join(str(int(mark)) for mark in row) for row in table]
    path = tmp_path / ("table.npy" if form == "npy" else "table.json")
    if form == "npy":
        np.save(path, table.astype(np.uint8))
    else:
        forms: dict[str, Any] = {
            "lists": table.astype(int).tolist(),
            "strings": strings,
            "named": {"luminance_allowed": strings},
        }
        path.write_text(json.dumps(forms[form]))
    assert np.array_equal(ct2.read_table(path).numpy(), table)
    assert np.array_equal(ct2.read_table(str(path)).numpy(), table)


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[[1, 0], [1]]", b"[" * 100_000, b'["01x"]', b"\x93NUMPY\x01\x00", b"\xff\xfe"]
)
@pytest.mark.parametrize("ending", [".npy", ".json"])
def test_a_damaged_table_is_refused(tmp_path: Path, content: bytes, ending: str, reduced: ct2.Ct2) -> None:
    path = tmp_path / f"table{ending}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="luminance table"):
        ct2.read_table(path)
    with pytest.raises(ValueError, match="luminance table"):
        ct2.TABLES["luminance_table"](reduced, path)


def test_other_numbers_and_empty_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="4 x 313 ones and zeros"):
        ct2.read_table(np.full((ZONES, COLOURS), 2))
    with pytest.raises(ValueError, match="4 x 313 ones and zeros"):
        ct2.read_table(np.ones((3, COLOURS)))
    with pytest.raises(ValueError, match="at least one colour"):
        ct2.read_table(np.eye(ZONES, COLOURS) * [[1], [1], [1], [0]])


@torch.inference_mode()
def test_the_published_program_keeps_the_central_square(reduced: ct2.Ct2) -> None:
    picture = np.random.Generator(np.random.PCG64(3)).integers(0, 256, (41, 90, 3), np.uint8)
    out = ct2.reference_output(reduced, picture, luminance_table=invented_table())
    square = ct2.reference_output(reduced, picture[:, 24:65], luminance_table=invented_table())
    assert out.shape == (256, 256, 3)
    assert np.array_equal(out, square)


def test_another_name_is_refused() -> None:
    with pytest.raises(ValueError, match="not siggraph17"):
        ct2.build("siggraph17")
