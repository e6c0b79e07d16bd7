"""Measures of drawn items on features: closed forms, constructed sets, and what is refused."""

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from variate.errors import DataError, DataWarning, OptionError
from variate.evaluation import features
from variate.evaluation.features import (
    density_coverage,
    frechet_distance,
    frechet_distance_of_moments,
    frechet_limit,
    kernel_distance,
    precision_recall,
)


def normal(*shape, seed, shift=0.0):
    return np.random.default_rng(seed).normal(shift, size=shape)


def covariance(width, seed):
    a = normal(width, width, seed=seed)
    return a @ a.T / width


# ---- the Fréchet distance --------------------------------------------------------------------


def test_frechet_of_moments_is_the_formula():
    mean_a, mean_b = normal(6, seed=0), normal(6, seed=1)
    a, b = covariance(6, seed=2), covariance(6, seed=3)
    found = frechet_distance_of_moments(mean_a, a, mean_b, b)
    root = sqrtm(a @ b).real
    assert found.means == pytest.approx(((mean_a - mean_b) ** 2).sum())
    assert found.covariances == pytest.approx(np.trace(a + b - 2 * root))
    assert found.squared == found.means + found.covariances


def test_frechet_of_diagonal_covariances_is_that_of_their_deviations():
    s, t = np.array([0.5, 2.0, 0.0]), np.array([1.0, 0.1, 3.0])  # singular too
    found = frechet_distance_of_moments(np.zeros(3), np.diag(s**2), np.ones(3), np.diag(t**2))
    assert found.squared == pytest.approx(3 + ((s - t) ** 2).sum())


def test_frechet_of_samples_is_that_of_their_moments():
    # more rows than a block holds, float32 and an event of two dimensions
    a = normal(2500, 2, 3, seed=0).astype(np.float32)
    b = normal(900, 6, seed=1, shift=0.3) @ normal(6, 6, seed=2)
    flat = a.reshape(2500, 6).astype(np.float64)
    moments = [(x.mean(0), np.cov(x.T)) for x in (flat, b)]
    expected = frechet_distance_of_moments(*moments[0], *moments[1])
    found = frechet_distance(torch.tensor(a), b.reshape(900, 2, 3))
    assert found == pytest.approx(expected, rel=1e-10)
    assert frechet_distance(b, flat) == pytest.approx(expected, rel=1e-10)


def test_frechet_is_exact_where_covariances_are_singular():
    # items on a line: N(0, s²) and N(δ, t²) along it, features that never vary beside them
    way = np.concatenate([normal(50, seed=0), np.zeros(14)])
    way /= np.linalg.norm(way)
    u, v = normal(20, 1, seed=1), 0.5 + 3 * normal(20, 1, seed=2)
    with pytest.warns(DataWarning, match="20 items in the smaller set and 64 features"):
        found = frechet_distance(u * way + 5.0, v * way + 5.0).squared
    expected = (u.mean() - v.mean()) ** 2 + (u.std(ddof=1) - v.std(ddof=1)) ** 2
    assert found == pytest.approx(expected, rel=1e-10)
    with pytest.warns(DataWarning):
        assert frechet_distance(u * way + 5.0, u * way + 5.0).squared < 1e-12
    same = normal(200, 8, seed=3)
    assert frechet_distance(same, same[::-1]).squared < 1e-12


def test_frechet_is_orthogonally_invariant_and_scales():
    a, b = normal(300, 5, seed=0), 2 * normal(300, 5, seed=1, shift=0.2)
    turn = np.linalg.qr(normal(5, 5, seed=2))[0]
    plain = frechet_distance(a, b).squared
    assert frechet_distance(a @ turn + 3, b @ turn + 3).squared == pytest.approx(plain)
    assert frechet_distance(1e6 * a, 1e6 * b).squared == pytest.approx(1e12 * plain)


def test_the_bias_of_frechet_is_the_one_stated_and_the_limit_is_without():
    width, items, runs = 4, 400, 150
    pairs = [
        (normal(items, width, seed=s), normal(items, width, seed=10_000 + s)) for s in range(runs)
    ]
    observed = np.array([frechet_distance(a, b).squared for a, b in pairs])
    stated = width * (width + 5) / (2 * items)
    assert observed.mean() == pytest.approx(stated, abs=4 * observed.std() / runs**0.5)
    limits = [frechet_limit(a, b, seed=s) for s, (a, b) in enumerate(pairs[:80])]
    squared = np.array([each.squared for each in limits])
    assert abs(squared.mean()) < 0.1 * stated + 4 * squared.std() / 80**0.5
    assert squared.min() < 0 < squared.max()
    assert limits[0].observed == pytest.approx(observed[0])
    growth = np.mean([each.by_parts / each.observed for each in limits], axis=0)
    assert growth == pytest.approx([1, 2, 3, 4], rel=0.15)


def test_the_stated_bias_holds_for_other_covariances():
    scale, items, runs = np.array([2.0, 0.5, 0.1]), 500, 200
    values = [
        frechet_distance(
            scale * normal(items, 3, seed=s), scale * normal(items, 3, seed=10_000 + s)
        ).squared
        for s in range(runs)
    ]
    v = scale**2
    pairs = np.outer(v, v) * (1 + np.eye(3)) / (v[:, None] + v)
    stated = (2 * v.sum() + pairs.sum()) / items
    assert np.mean(values) == pytest.approx(stated, abs=4 * np.std(values) / runs**0.5)


def test_frechet_refuses_what_is_no_moments():
    zero, one = np.zeros(2), np.eye(2)
    with pytest.raises(DataError, match=r"mean of a must be \[D\].*\[2\] and \[3, 3\]"):
        frechet_distance_of_moments(zero, np.eye(3), zero, one)
    with pytest.raises(DataError, match="a has 2 dimensions and b has 3"):
        frechet_distance_of_moments(zero, one, np.zeros(3), np.eye(3))
    with pytest.raises(DataError, match=r"covariance of b must be symmetric.*-1"):
        frechet_distance_of_moments(zero, one, zero, np.diag([1.0, -1.0]))
    with pytest.raises(DataError, match="covariance of b must be symmetric"):
        frechet_distance_of_moments(zero, one, zero, [[1.0, 0.5], [0.0, 1.0]])
    with pytest.raises(DataError, match="of a must be finite"):
        frechet_distance_of_moments([0.0, np.nan], one, zero, one)


def test_the_limit_needs_a_line_and_parts_bigger_than_the_features():
    a, b = normal(40, 8, seed=0), normal(30, 8, seed=1)
    with pytest.raises(OptionError, match="parts=1"):
        frechet_limit(a, b, parts=1)
    with pytest.raises(DataError, match="takes 36 items of each set, however one has 30"):
        frechet_limit(a, b, parts=4)
    assert frechet_limit(a, b, parts=3).by_parts.shape == (3,)


# ---- the kernel distance ---------------------------------------------------------------------


def unbiased(u, v):
    """MMD² with the cubic kernel, from its definition."""
    m, n = len(u), len(v)

    def kernel(one, other):
        return (one @ other.T / one.shape[1] + 1) ** 3

    within_u = kernel(u, u)[~np.eye(m, dtype=bool)].mean()
    within_v = kernel(v, v)[~np.eye(n, dtype=bool)].mean()
    return within_u + within_v - 2 * kernel(u, v).mean()


def test_kernel_distance_is_the_definition_and_its_error_the_jackknife():
    a, b = normal(7, 3, seed=0), normal(9, 3, seed=1, shift=0.5)
    found = kernel_distance(a, b, blocks=3, seed=5)
    assert found.squared == pytest.approx(unbiased(a, b))
    assert kernel_distance(a, b, blocks=2, seed=8).squared == pytest.approx(found.squared)
    generator = np.random.default_rng(5)
    of_a, of_b = (generator.permutation(np.arange(n) % 3) for n in (7, 9))
    without = [unbiased(a[of_a != k], b[of_b != k]) for k in range(3)]
    assert found.error == pytest.approx((2 / 3 * 3 * np.var(without)) ** 0.5)


def test_kernel_distance_of_normals_is_the_closed_form_and_covered_by_its_error():
    # for one feature MMD² = (m3 - m3')² + 3 (m2 - m2')² + 3 (m1 - m1')² of the raw moments
    scale, shift = 0.5, 0.4
    third = shift**3 + 3 * shift * scale**2
    exact = third**2 + 3 * (shift**2) ** 2 + 3 * shift**2
    found = [
        kernel_distance(
            scale * normal(400, 1, seed=s), scale * normal(300, 1, seed=1_000 + s) + shift
        )
        for s in range(150)
    ]
    values, errors = np.array(found).T
    assert values.mean() == pytest.approx(exact, abs=4 * values.std() / 150**0.5)
    assert errors.mean() == pytest.approx(values.std(), rel=0.2)
    assert np.mean(np.abs(values - exact) < 2.1 * errors) > 0.88  # t of 19 degrees: 0.95


def test_kernel_distance_is_zero_in_expectation_for_the_same_law():
    found = [
        kernel_distance(normal(60, 5, seed=s), normal(50, 5, seed=1_000 + s), seed=s)
        for s in range(300)
    ]
    values, errors = np.array(found).T
    assert abs(values.mean()) < 4 * values.std() / 300**0.5
    assert values.min() < 0 < values.max()
    assert 1 < (errors**2).mean() / values.var() < 3  # about 2: degenerate
    assert np.mean(values > 2 * errors) < 0.05


def test_kernel_distance_in_blocks_of_rows(monkeypatch):
    a, b = normal(90, 3, seed=0), normal(70, 3, seed=1)
    whole = kernel_distance(a, b)
    monkeypatch.setattr("variate.evaluation.features.kernel._CELLS", 300)
    assert kernel_distance(a, b) == pytest.approx(whole, rel=1e-9, abs=1e-12)


def test_kernel_distance_needs_two_items_for_a_block_and_two_blocks():
    a = normal(60, 2, seed=0)
    with pytest.raises(OptionError, match="blocks=1"):
        kernel_distance(a, a, blocks=1)
    with pytest.raises(DataError, match=r"`drawn` has 39 item\(s\).*at least 40"):
        kernel_distance(a, a[:39])


# ---- precision and recall, density and coverage ----------------------------------------------


def test_sets_far_apart_have_neither_and_equal_sets_have_both():
    a, far = normal(50, 4, seed=0), normal(40, 4, seed=1, shift=100)
    assert precision_recall(a, far) == (0, 0)
    assert density_coverage(a, far)[:2] == (0, 0)
    assert precision_recall(a, a) == (1, 1)
    same = density_coverage(a, a, k=5)
    assert same.coverage == 1
    assert same.density == pytest.approx(6 / 5)  # a ball holds its centre, k others


def test_a_model_of_one_mode_has_precision_without_recall_and_a_wild_one_the_reverse():
    modes = normal(200, 2, seed=0) + np.repeat([[0.0, 0.0], [50.0, 0.0]], 100, axis=0)
    half = normal(200, 2, seed=1)
    one = precision_recall(modes, half)
    assert one.precision > 0.9
    assert 0.4 < one.recall < 0.51
    assert density_coverage(modes, half).coverage < 0.51
    wild = np.concatenate([modes + 1e-3, normal(200, 2, seed=2, shift=1000)])
    other = precision_recall(modes, wild)
    assert other.precision == 0.5
    assert other.recall == 1


def test_one_item_far_out_flatters_precision_and_not_density():
    real = np.concatenate([normal(100, 2, seed=0), [[1000.0, 1000.0]]])
    drawn = normal(100, 2, seed=1, shift=500)
    assert precision_recall(real, drawn).precision == 1
    assert density_coverage(real, drawn).density == pytest.approx(1 / 5)  # one ball of 5
    assert density_coverage(real, drawn).coverage == pytest.approx(1 / 101)


def test_they_are_the_definitions():
    x, y, k = normal(30, 2, seed=0), normal(25, 2, seed=1, shift=0.7), 3
    apart = np.linalg.norm(y[:, None] - x, axis=2)
    r, s = (np.sort(np.linalg.norm(u[:, None] - u, axis=2), 1)[:, k] for u in (x, y))
    found = precision_recall(x, y, k=k)
    assert found.precision == pytest.approx((apart <= r).any(1).mean())
    assert found.recall == pytest.approx((s >= apart.T).any(1).mean())
    other = density_coverage(x, y, k=k)
    assert other.density == pytest.approx((apart <= r).sum() / (k * 25))
    assert other.coverage == pytest.approx((apart <= r).any(0).mean())


@pytest.mark.parametrize("draw", [np.random.Generator.normal, np.random.Generator.standard_cauchy])
def test_density_and_coverage_of_the_same_law_are_as_stated(draw):
    runs = []
    for seed in range(200):
        generator = np.random.default_rng(seed)
        x, y = draw(generator, size=(40, 3)), draw(generator, size=(30, 3))
        runs.append(density_coverage(x, y, k=4))
    density, coverage, expected = np.array(runs).T
    assert density.mean() == pytest.approx(1, abs=4 * density.std() / 200**0.5)
    assert coverage.mean() == pytest.approx(expected[0], abs=4 * coverage.std() / 200**0.5)


def test_balls_need_more_items_than_neighbours():
    a = normal(10, 2, seed=0)
    with pytest.raises(DataError, match=r"`drawn` has 3 item\(s\).*at least 4"):
        precision_recall(a, a[:3])
    with pytest.raises(DataError, match=r"`real` has 5 item\(s\).*at least 6"):
        density_coverage(a[:5], a)
    assert density_coverage(a, a[:1]).density >= 0  # one drawn item will do
    with pytest.raises(OptionError, match="k=0"):
        precision_recall(a, a, k=0)


# ---- what all of them refuse -----------------------------------------------------------------

MEASURES = [frechet_distance, frechet_limit, kernel_distance, precision_recall, density_coverage]
PAIRS = [*MEASURES, features.nearest_neighbours]


@pytest.mark.parametrize("measure", PAIRS, ids=lambda f: f.__name__)
def test_bad_features_are_refused(measure):
    fine = normal(40, 3, seed=0)
    broken = fine.copy()
    broken[12, 1] = np.nan
    with pytest.raises(DataError, match="item 12 has nan at place 1"):
        measure(fine, broken)
    broken[12, 1] = np.inf
    with pytest.raises(DataError, match="item 12 has inf at place 1"):
        measure(broken, fine)
    broken[12, 1] = 1e200
    with pytest.raises(DataError, match=r"item 12 has 1e\+200"):
        measure(broken, fine)
    with pytest.raises(DataError, match=r"shape is \[40\].*\[N, 1\]"):
        measure(fine[:, 0], fine)
    with pytest.raises(DataError, match=r"shape is \[40, 0\]"):
        measure(fine, fine[:, :0])
    with pytest.raises(DataError, match=r"3 features for each item and .* has 2"):
        measure(fine, fine[:, :2])
    with pytest.raises(DataError, match=r"has 0 item\(s\)"):
        measure(fine[:0], fine)
    with pytest.raises(DataError, match="its type is"):
        measure(fine, [["a", "b", "c"]] * 40)
    with pytest.raises(DataError, match="must be an array of numbers"):
        measure(fine, [[1.0], [1.0, 2.0]])


@pytest.mark.parametrize("measure", MEASURES, ids=lambda f: f.__name__)
def test_types_of_numbers_do_not_matter(measure):
    x, y = (np.random.default_rng(s).integers(0, 256, (60, 4)).astype(np.uint8) for s in (0, 1))
    exact = measure(x.astype(np.float64), y.astype(np.float64))[:2]
    assert measure(x, y)[:2] == pytest.approx(exact)
    assert measure(torch.tensor(x), torch.tensor(y).to(torch.bfloat16))[:2] == pytest.approx(exact)
