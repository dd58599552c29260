"""Marked places get what belongs there."""

import numpy as np
import pytest

from tests.support.damage import film
from workers.ops import evidence
from workers.ops.fill import Reference, fill


def grainy(count: int, sigma: float = 0.02) -> tuple[np.ndarray, list[np.ndarray]]:
    """A clean picture ``(1, H, W)``, and ``count`` takes of it with grain."""
    clean = film(1, 80, 96)[0].numpy()
    rng = np.random.default_rng(0)
    return clean, [(clean + sigma * rng.standard_normal(clean.shape)).astype(np.float32) for _ in range(count)]


def marked(rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros((80, 96), np.bool_)
    mask[rows, columns] = True
    return mask


def error(got: np.ndarray, clean: np.ndarray, mask: np.ndarray) -> float:
    return float(np.sqrt(((got - clean)[:, mask] ** 2).mean()))


def test_neighbours_fill_a_place_better_than_what_lies_around() -> None:
    clean, (own, *others) = grainy(5)
    mask = marked(slice(30, 42), slice(40, 52))
    own[:, mask] = 1.0
    by_time, _ = fill(own, mask, [Reference(each) for each in others])
    alone, _ = fill(own, mask, [])
    assert error(by_time, clean, mask) < 0.02
    assert error(by_time, clean, mask) < error(alone, clean, mask) / 2


def test_damaged_neighbours_are_not_asked() -> None:
    clean, (own, *others) = grainy(5)
    mask = marked(slice(30, 36), slice(40, 46))
    own[:, mask] = 1.0
    for each in others[:3]:
        each[:, mask] = 0.0
    masks = [mask, mask, mask, None]
    got, _ = fill(own, mask, [Reference(*pair) for pair in zip(others, masks, strict=True)])
    assert error(got, clean, mask) < 0.04


def test_where_all_neighbours_are_damaged_too_the_place_is_filled_from_around() -> None:
    _, (own, *others) = grainy(5)
    mask = marked(slice(0, 80), slice(40, 42))
    for each in (own, *others):
        each[:, mask] = 1.0
    got, changed = fill(own, mask, [Reference(each, mask) for each in others])
    assert got[:, mask].max() < 0.95
    assert changed[mask].all()


def test_neighbours_that_show_another_thing_around_a_place_are_not_asked() -> None:
    clean, (own,) = grainy(1)
    mask = marked(slice(30, 36), slice(40, 46))
    own[:, mask] = 1.0
    strangers = [np.random.default_rng(n).random((1, 80, 96)).astype(np.float32) for n in range(4)]
    got, _ = fill(own, mask, [Reference(each) for each in strangers])
    alone, _ = fill(own, mask, [])
    assert np.array_equal(got, alone)
    assert error(got, clean, mask) < 0.2


def test_a_soft_edge_goes_with_the_mark_and_a_hard_one_keeps_its_size() -> None:
    flat = np.full((1, 80, 96), 0.4, np.float32)
    mask = marked(slice(30, 36), slice(40, 46))
    hard, soft = flat.copy(), flat.copy()
    soft[:, 29:37, 39:47] = 0.6
    hard[:, mask] = soft[:, mask] = 0.9
    assert fill(hard, mask, [])[1].sum() == mask.sum()
    got, changed = fill(soft, mask, [])
    assert changed.sum() > 1.5 * mask.sum()
    assert np.abs(got - 0.4).max() < 0.02


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 3)])
def test_a_picture_with_nothing_around_a_mark_keeps_it(size: tuple[int, int]) -> None:
    picture = np.full((3, *size), 0.5, np.float32)
    got, _ = fill(picture, np.ones(size, np.bool_), [Reference(picture)])
    assert np.array_equal(got, picture)


def test_the_picture_given_is_left_as_it_was() -> None:
    _, (own, *others) = grainy(3)
    before = own.copy()
    fill(own, marked(slice(3, 9), slice(3, 9)), [Reference(each) for each in others])
    assert np.array_equal(own, before)


def test_what_no_neighbour_shows_stays_where_it_may_not_be_guessed() -> None:
    _, (own, *others) = grainy(5)
    hidden, shown = marked(slice(30, 36), slice(20, 26)), marked(slice(30, 36), slice(60, 66))
    own[:, hidden | shown] = 1.0
    got, changed = fill(own, hidden | shown, [Reference(each, hidden) for each in others], np.zeros_like(hidden))
    assert changed[shown].all()
    assert not changed[hidden].any()
    assert np.array_equal(got[:, ~changed], own[:, ~changed])
    guessed, changed = fill(own, hidden | shown, [Reference(each, hidden) for each in others], hidden)
    assert changed[hidden].all()
    assert guessed[:, hidden].max() < 0.95
    assert np.array_equal(guessed[:, shown], got[:, shown])


@pytest.mark.parametrize("damaged", [0, 2])
def test_what_was_said_before_gives_the_same_as_asking_again(damaged: int) -> None:
    _, (own, *others) = grainy(5)
    mask = marked(slice(30, 42), slice(40, 52))
    own[:, mask] = 1.0
    references = [Reference(each, mask if number < damaged else None) for number, each in enumerate(others)]
    said = evidence.weigh(own[0], [each[0] for each in others])
    assert np.array_equal(fill(own, mask, references, said=said)[0], fill(own, mask, references)[0])
