"""Nearest neighbours, copies, and features of a classifier."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from sklearn.datasets import load_digits

from variate.errors import DataError, OptionError
from variate.evaluation.features import (
    classifier_features,
    copy_rate,
    frechet_distance,
    kernel_distance,
    nearest_neighbours,
    neighbours,
    precision_recall,
)


def normal(*shape, seed, shift=0.0):
    return np.random.default_rng(seed).normal(shift, size=shape)


def by_hand(items, among, k):
    """Distances from differences, the smaller index first among equals."""
    apart = cdist(items, among)
    order = np.argsort(apart, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(apart, order, 1)


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(neighbours, "_ROWS", 7)
    monkeypatch.setattr(neighbours, "_OTHERS", 5)
    monkeypatch.setattr(neighbours, "_CELLS", 11)


# ---- neighbours ------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 3, 8, 33])
def test_neighbours_in_blocks_are_those_of_all_distances(small_blocks, k):
    items, among = normal(20, 3, seed=0), normal(33, 3, seed=1)
    found = nearest_neighbours(items, among, k)
    indices, distances = by_hand(items, among, k)
    assert (found.indices == indices).all()
    assert found.distances == pytest.approx(distances)


def test_equal_distances_go_by_number(small_blocks):
    among = np.random.default_rng(0).integers(0, 3, (40, 2))
    items = np.random.default_rng(1).integers(0, 3, (15, 2))
    found = nearest_neighbours(items, among, 6)
    assert (found.indices == by_hand(items, among, 6)[0]).all()
    assert (nearest_neighbours(np.ones((3, 2)), np.ones((9, 2)), 2).indices == [0, 1]).all()


def test_copies_are_at_distance_zero_far_from_the_origin():
    # a product of numbers around 1e6 is off by 1e-4: it would take neighbours for copies
    among = 1e6 + 1e-6 * normal(300, 50, seed=0)
    found = nearest_neighbours(among[[7, 250]], among)
    assert found.indices.ravel().tolist() == [7, 250]
    assert (found.distances == 0).all()
    wide = np.concatenate([among, -among])  # no centre makes this small
    found = nearest_neighbours(wide, wide, 2)
    assert (found.indices == by_hand(wide, wide, 2)[0]).all()


def test_radii_leave_out_the_item_and_count_its_copies(small_blocks):
    x = np.concatenate([normal(16, 2, seed=0), normal(16, 2, seed=0)[:4]])
    assert neighbours.radii(x, 2, "x") == pytest.approx(np.sort(cdist(x, x), 1)[:, 2])
    assert (neighbours.radii(x, 1, "x")[[0, 1, 2, 3, 16]] == 0).all()


def test_balls_include_their_boundary(small_blocks):
    grid = np.stack(np.meshgrid(np.arange(6), np.arange(4)), -1).reshape(-1, 2) / 10
    r = neighbours.radii(grid, 3, "grid")
    counts, holds = neighbours.within(grid, grid, r)
    apart = np.sqrt(((grid[:, None] - grid) ** 2).sum(2))
    assert (counts == (apart <= r).sum(1)).all()
    assert holds.all()


def test_neighbours_refuse_too_few():
    with pytest.raises(DataError, match=r"`among` has 2 item\(s\).*at least 3"):
        nearest_neighbours(np.zeros((1, 2)), np.zeros((2, 2)), 3)
    with pytest.raises(OptionError, match="k=0"):
        nearest_neighbours(np.zeros((1, 2)), np.zeros((2, 2)), 0)


# ---- copies ----------------------------------------------------------------------------------


def test_copies_are_counted_and_named():
    training, held_out = normal(300, 4, seed=0), normal(200, 4, seed=1)
    drawn = normal(100, 4, seed=2)
    drawn[:30] = training[100:130]
    found = copy_rate(drawn, training, held_out)
    assert 0.3 <= found.rate < 0.36
    assert found.indices[:30].tolist() == list(range(100, 130))
    assert (found.distances[:30] == 0).all()
    assert found.threshold == np.sort(cdist(held_out, training).min(1))[1]
    assert found.chance == 2 / 201
    assert (found.rate - found.chance) / found.error > 10


@pytest.mark.parametrize("draw", [np.random.Generator.normal, np.random.Generator.standard_cauchy])
def test_the_rate_of_a_model_without_memory_is_as_stated(draw):
    runs = []
    for seed in range(400):
        generator = np.random.default_rng(seed)
        training, held_out, drawn = (draw(generator, size=(n, 2)) for n in (50, 60, 40))
        runs.append(copy_rate(drawn, training, held_out, share=0.1)[:3])
    rate, chance, error = np.array(runs).T
    assert chance[0] == 6 / 61
    assert rate.mean() == pytest.approx(chance[0], abs=4 * rate.std() / 20)
    assert rate.std() == pytest.approx(error[0], rel=0.15)


def test_data_of_few_values_are_no_copies():
    # every item is at distance 0 from some training item, held out or not
    law = [np.random.default_rng(s).integers(0, 3, (400, 2)) for s in range(3)]
    found = copy_rate(*law)
    assert found.threshold == 0
    assert found.rate == 1
    assert found.chance == 400 / 401


def test_the_rank_of_the_threshold_is_not_lost_to_rounding():
    for share in (0.01, 0.07, 0.29, 0.57):
        held_out = normal(99, 1, seed=0)
        found = copy_rate(held_out, normal(9, 1, seed=1), held_out, share=share)
        assert found.chance == pytest.approx(share)


def test_too_few_held_out_items_for_the_share():
    x = normal(98, 2, seed=0)
    with pytest.raises(DataError, match="at least 99 held-out items, however there are 98"):
        copy_rate(x, x, x)
    with pytest.raises(OptionError, match="share=1"):
        copy_rate(x, x, x, share=1)
    with pytest.raises(DataError, match="2 features for each item and `among` has 3"):
        copy_rate(x, normal(9, 3, seed=0), x, share=0.1)


# ---- features of a classifier ----------------------------------------------------------------


@pytest.fixture(scope="module")
def digits():
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))  # they come writer by writer
    return x[order], y[order]


@pytest.fixture(scope="module")
def learned(digits):
    x, y = digits
    return classifier_features(x[:900].reshape(-1, 8, 8), y[:900], width=32, epochs=20)


def test_a_classifier_gives_features_that_tell_digits_apart(digits, learned):
    x, y = digits
    assert learned.accuracy > 0.8
    assert learned.classes.tolist() == list(range(10))
    found = learned(torch.tensor(x[900:]).to(torch.uint8))
    assert found.shape == (897, 32)
    assert found.dtype == np.float32
    assert (found >= 0).all()
    assert (learned(x[:900]) ** 2).mean() == pytest.approx(1, rel=0.1)
    near = nearest_neighbours(found, learned(x[:900])).indices[:, 0]
    assert (y[:900][near] == y[900:]).mean() > 0.85


def test_these_features_see_what_is_wrong(digits, learned):
    x, y = digits
    rest, labels = x[900:], y[900:]
    real, new = learned(rest[::2]), learned(rest[1::2])
    noisy = learned(rest[1::2] + normal(*rest[1::2].shape, seed=0) * 6)
    one = learned(rest[1::2][labels[1::2] < 5])
    floor = frechet_distance(real, new).squared
    assert frechet_distance(real, noisy).squared > 3 * floor
    assert frechet_distance(real, one).squared > 3 * floor
    assert kernel_distance(real, noisy).squared > 3 * kernel_distance(real, noisy).error
    assert precision_recall(real, one).recall < 0.7 < precision_recall(real, one).precision
    assert precision_recall(real, new).recall > 0.8


def test_a_seed_repeats_the_features_and_labels_may_be_words(digits):
    x, y = digits
    words = np.array(["even", "odd"])[y % 2]
    one, two = (classifier_features(x[:300], words[:300], epochs=2, seed=3) for _ in range(2))
    assert one.classes.tolist() == ["even", "odd"]
    assert (one(x[300:400]) == two(x[300:400])).all()
    other = classifier_features(x[:300], words[:300], epochs=2, seed=4)
    assert not np.allclose(one(x[300:400]), other(x[300:400]))


def test_a_classifier_refuses_what_it_cannot_learn(digits, learned):
    x, y = digits
    with pytest.raises(DataError, match=r"`labels` must be \[N\].*\[99\]"):
        classifier_features(x[:100], y[:99])
    with pytest.raises(DataError, match=r"2 to 10 classes.*however there are 1"):
        classifier_features(x[:100], np.zeros(100))
    lonely = np.arange(100) % 2
    lonely[0] = 7
    with pytest.raises(DataError, match=r"there are 3, the smallest of 1 item\(s\)"):
        classifier_features(x[:100], lonely)
    with pytest.raises(DataError, match="label of item 1 is NaN"):
        classifier_features(x[:100], np.where(np.arange(100) == 1, np.nan, y[:100]))
    with pytest.raises(DataError, match="item 0 has nan"):
        classifier_features(np.full((100, 3), np.nan), y[:100])
    with pytest.raises(DataError, match=r"has 5 item\(s\)"):
        classifier_features(x[:5], y[:5])
    with pytest.raises(OptionError, match="epochs=0"):
        classifier_features(x[:100], y[:100], epochs=0)
    with pytest.raises(DataError, match=r"must have 64 numbers.*have 9"):
        learned(x[:, :9])
