"""The distance by SciPy and by hand; each way of resizing by the library that it is named after."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import linalg
from torch.nn import functional
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x
from torch_fidelity.metric_fid import fid_statistics_to_metric

from workers.ops import frechet
from workers.ops.frechet import Moments


def moments(rows: np.ndarray) -> Moments:
    made = Moments()
    for part in np.array_split(rows, 3):
        made.add(part)
    return made


@pytest.fixture
def sets() -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(1)
    mix = chance.normal(size=(24, 24))
    return chance.normal(size=(200, 24)), chance.normal(0.3, 1.2, size=(150, 24)) @ mix


def test_moments_are_those_of_numpy(sets: tuple[np.ndarray, np.ndarray]) -> None:
    made = moments(sets[1])
    assert made.mean == pytest.approx(sets[1].mean(axis=0))
    assert made.covariance == pytest.approx(np.cov(sets[1], rowvar=False))


def test_the_distance_is_that_of_scipys_root_and_of_torch_fidelity(sets: tuple[np.ndarray, np.ndarray]) -> None:
    one, other = map(moments, sets)
    root = linalg.sqrtm(one.covariance @ other.covariance).real
    apart = one.mean - other.mean
    wanted = apart @ apart + np.trace(one.covariance + other.covariance - 2 * root)
    found = frechet.distance(one, other)
    assert found == pytest.approx(wanted, rel=1e-9)
    statistics = [{"mu": each.mean, "sigma": each.covariance} for each in (one, other)]
    theirs = fid_statistics_to_metric(*statistics, False)["frechet_inception_distance"]
    assert found == pytest.approx(theirs, rel=1e-6)


def test_the_distance_of_gaussians_in_one_dimension_is_known() -> None:
    # Mean 0 and deviation sqrt(2), mean 3 and deviation 2 sqrt(2): 9 + (2 - 1)^2 * 2.
    one, other = moments(np.array([[-1.0], [1.0]])), moments(np.array([[1.0], [5.0]]))
    assert frechet.distance(one, other) == pytest.approx(9 + 2)


def test_equal_sets_are_at_no_distance_even_without_full_rank() -> None:
    few = np.random.default_rng(2).normal(size=(5, 40))
    assert frechet.distance(moments(few), moments(few)) == pytest.approx(0, abs=1e-6)


@pytest.fixture(params=[(180, 256), (400, 333), (32, 32), (299, 299)], ids=str)
def picture(request: pytest.FixtureRequest) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*request.param, 3), dtype=np.uint8)


def planes(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture.transpose(2, 0, 1).copy()).float()[None]


def test_torch_fidelity_resizes_as_tensorflow_did(picture: np.ndarray) -> None:
    theirs = interpolate_bilinear_2d_like_tensorflow1x(planes(picture), (299, 299), align_corners=False)
    assert torch.allclose(frechet.network_input([picture], "torch_fidelity"), (theirs - 128) / 128, atol=1e-4)


def test_clean_fid_resizes_with_pillow_in_floats(picture: np.ndarray) -> None:
    channels = [
        np.asarray(
            Image.fromarray(picture[..., number].astype(np.float32), "F").resize((299, 299), Image.Resampling.BICUBIC)
        )
        for number in range(3)
    ]
    theirs = (torch.from_numpy(np.stack(channels)).clamp(0, 255) - 128) / 128
    assert torch.allclose(frechet.network_input([picture], "clean_fid")[0], theirs, atol=2e-5)


def test_pytorch_fid_resizes_with_torch_without_antialiasing(picture: np.ndarray) -> None:
    theirs = functional.interpolate(planes(picture) / 255, (299, 299), mode="bilinear", align_corners=False) * 2 - 1
    assert torch.allclose(frechet.network_input([picture], "pytorch_fid"), theirs, atol=1e-6)


def test_the_fields_two_ways_differ_by_the_range_that_is_fed() -> None:
    white, black = (np.full((8, 8, 3), level, np.uint8) for level in (255, 0))
    half = (torch.tensor((0.485, 0.456, 0.406)) - 0.5) / 0.5
    whole = torch.tensor((0.229, 0.224, 0.225)) / 0.5
    cases = ((white, 1.0, "01"), (black, 0.5, "01"), (white, 1.0, "11"), (black, 0.0, "11"))
    for picture, share, mode in cases:
        found = frechet.network_input([picture], f"imagenet_{mode}")[0, :, 0, 0]  # type: ignore[arg-type, list-item]
        assert torch.allclose(found, share * whole + half, atol=1e-6)


def test_a_mode_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="clean_fid"):
        frechet.network_input([], "bicubic")  # type: ignore[arg-type]
