"""Two-sample tests: half and uniform for the same law, near 1 and small for another."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from scipy.stats import mannwhitneyu
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from variate.evaluation.samples import _area, mmd, two_sample


def normal(*shape, seed, shift=0.0):
    return np.random.default_rng(seed).normal(shift, size=shape)


def test_the_same_law_cannot_be_told_apart():
    result = two_sample(normal(600, 3, seed=1), normal(500, 3, seed=2))
    assert 0.01 < result.error < 0.03
    assert abs(result.auc - 0.5) < 3 * result.error


def test_other_laws_can_be_told_apart():
    a = normal(300, 3, seed=1)
    assert two_sample(a, normal(300, 3, seed=2, shift=3.0)).auc > 0.99
    middling = two_sample(a, normal(300, 3, seed=2, shift=0.7))
    assert middling.auc - 0.5 > 5 * middling.error
    # the same columns, but no longer dependent
    x = normal(300, 1, seed=3)
    pair = np.hstack([x, x + 0.1 * normal(300, 1, seed=4)])
    broken = np.hstack([normal(300, 1, seed=5), pair[:, 1:]])
    assert two_sample(pair, broken).auc > 0.9


def test_missing_values_tell_samples_apart():
    a, b = normal(200, 2, seed=1), normal(200, 2, seed=2)
    b[:, 0] = np.where(np.arange(200) % 2, np.nan, b[:, 0])
    assert two_sample(a, b).auc > 0.65


def test_codes_are_told_apart_by_sets_and_a_classifier_can_be_given():
    codes = np.random.default_rng(0).permutation(40).astype(float)
    a, b = np.repeat(codes[:20], 20)[:, None], np.repeat(codes[20:], 20)[:, None]
    assert two_sample(a, b, categories=[0]).auc > 0.99
    stump = HistGradientBoostingClassifier(max_iter=1, max_leaf_nodes=2)
    assert two_sample(a, b, classifier=stump).auc < 0.8


def test_the_area_and_its_error_are_those_of_its_u_statistic():
    for shift in (0.0, 0.8):
        low, high = normal(40, seed=1).round(1), normal(60, seed=2, shift=shift).round(1)
        area, variance = _area(low, high)
        label = np.repeat([0, 1], [40, 60])
        assert area == pytest.approx(roc_auc_score(label, np.concatenate([low, high])))
        assert area == pytest.approx(mannwhitneyu(high, low).statistic / (40 * 60))
        draws = [
            _area(normal(40, seed=s), normal(60, seed=1_000 + s, shift=shift))[0]
            for s in range(400)
        ]
        assert variance == pytest.approx(np.var(draws), rel=0.35)


def test_the_error_covers_the_half():
    errors = [
        two_sample(normal(60, 2, seed=s), normal(60, 2, seed=100 + s), folds=2) for s in range(25)
    ]
    z = np.array([(each.auc - 0.5) / each.error for each in errors])
    # 25 standard normals: their mean within 4/√25, their spread within a chi-squared's 4 sigma
    assert abs(z.mean()) < 0.8
    assert 0.4 < z.std() < 1.6


def test_mmd_is_the_definition():
    a, b, h = normal(7, 2, seed=1), normal(9, 2, seed=2, shift=0.5), 0.8
    result = mmd(a, b, bandwidth=h, permutations=5)

    def kernel(u, v):
        return np.exp(-(cdist(u, v) ** 2) / (2 * h**2))

    within_a = (kernel(a, a).sum() - 7) / (7 * 6)
    within_b = (kernel(b, b).sum() - 9) / (9 * 8)
    exact = within_a + within_b - 2 * kernel(a, b).mean()
    assert result.squared == pytest.approx(exact, abs=1e-12)


def test_mmd_in_blocks(monkeypatch):
    a, b = normal(30, 2, seed=1), normal(25, 2, seed=2, shift=0.5)
    whole = mmd(a, b, permutations=50)
    monkeypatch.setattr("variate.evaluation.samples._BLOCK", 8)
    assert mmd(a, b, permutations=50) == pytest.approx(whole, abs=1e-12)


def test_mmd_of_normals_is_the_closed_form():
    # E k(u, v) for u - v ~ N(δ, 2 I) in d dimensions: (h²/(h²+2))^{d/2} exp(-|δ|²/(2 (h²+2)))
    shift, h, d = 1.0, 1.5, 2
    level = (h**2 / (h**2 + 2)) ** (d / 2)
    exact = 2 * level * (1 - np.exp(-d * shift**2 / (2 * (h**2 + 2))))
    values = [
        mmd(
            normal(300, d, seed=s),
            normal(200, d, seed=100 + s, shift=shift),
            bandwidth=h,
            permutations=1,
        ).squared
        for s in range(20)
    ]
    assert np.mean(values) == pytest.approx(exact, abs=4 * np.std(values) / np.sqrt(20))
    assert np.std(values) < 0.2 * exact


def test_mmd_has_no_bias_and_a_uniform_p_value_for_the_same_law():
    results = [
        mmd(normal(40, 2, seed=s), normal(30, 2, seed=500 + s), permutations=99) for s in range(200)
    ]
    squared = np.array([each.squared for each in results])
    p = np.array([each.p_value for each in results])
    assert abs(squared.mean()) < 4 * squared.std() / np.sqrt(200)
    assert (squared < 0).any()
    for level in (0.05, 0.25, 0.5, 0.75):
        spread = np.sqrt(level * (1 - level) / 200)
        assert (p <= level).mean() == pytest.approx(level, abs=4 * spread)


def test_mmd_finds_another_law():
    a = normal(150, 3, seed=1)
    assert mmd(a, normal(150, 3, seed=2, shift=0.7)).p_value == pytest.approx(1 / 501)
    assert mmd(a, 2 * normal(150, 3, seed=2)).p_value < 0.01


def test_seeds_repeat_and_change_nothing_of_the_callers():
    a, b = normal(40, 2, seed=1), normal(40, 2, seed=2)
    before, rng = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    assert mmd(a, b, seed=3) == mmd(a, b, seed=3)
    assert two_sample(a, b, folds=2, seed=3) == two_sample(a, b, folds=2, seed=3)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), rng)


def test_tensors_and_events_of_any_shape():
    a, b = torch.randn(40, 2, 3), torch.randn(30, 2, 3)
    flat = mmd(a.reshape(40, 6).numpy(), b.reshape(30, 6).numpy(), permutations=20)
    assert mmd(a, b, permutations=20) == flat
    assert two_sample(a, b, folds=2) == two_sample(a.flatten(1), b.flatten(1), folds=2)


def test_equal_constants_are_no_evidence():
    result = mmd(np.zeros((10, 2)), np.zeros((12, 2)), permutations=20)
    assert result == (pytest.approx(0, abs=1e-12), 1.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: two_sample(np.zeros((10, 2)), np.zeros((10, 3))), r"\(10, 2\) and \(10, 3\)"),
        (lambda: two_sample(np.zeros((9, 2)), np.zeros((20, 2))), "items 9 and 20"),
        (lambda: two_sample(np.zeros((9, 2)), np.zeros((20, 2)), folds=1), "folds=1"),
        (lambda: mmd(np.zeros((1, 2)), np.zeros((20, 2))), "items 1 and 20"),
        (lambda: mmd(np.full((5, 2), np.nan), np.zeros((20, 2))), "not finite: 5"),
        (lambda: mmd(np.ones((5, 2)), np.zeros((20, 2)), bandwidth=0.0), "bandwidth=0"),
        (lambda: mmd(np.ones((5, 2)), np.zeros((20, 2)), permutations=0), "permutations=0"),
    ],
)
def test_what_cannot_be_compared_is_an_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()
