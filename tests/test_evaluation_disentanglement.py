"""Scores of disentanglement, on representations whose value is known by hand."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LinearRegression
from sklearn.metrics import mutual_info_score

from variate.errors import DataError, OptionError
from variate.evaluation.disentanglement import (
    Grid,
    Labelled,
    beta_vae_score,
    dci,
    factor_vae_score,
    mig,
    sap,
)

SIZES = (3, 4, 8)
K = len(SIZES)
GRID = np.stack(np.meshgrid(*map(np.arange, SIZES), indexing="ij"), -1).reshape(-1, K)
V = np.repeat(GRID, 20, axis=0)  # every combination 20 times: factors are exactly independent
N = len(V)

Array = NDArray[np.float64]


def noise(dimensions: int, seed: int = 0, n: int = N) -> Array:
    return np.random.default_rng(seed).standard_normal((n, dimensions))


def chance(n: int, p: float) -> float:
    """Four standard errors of a share p of n."""
    return 4 * math.sqrt(p * (1 - p) / n)


# ---- one dimension for each factor --------------------------------------------------------------


def perfect(factors: NDArray[np.int64]) -> Array:
    """A dimension for each factor, of another scale, sign, order and shape, and a constant one."""
    z = np.stack(
        [-5.0 * factors[:, 2], np.full(len(factors), 7.0), factors[:, 0] + 3, factors[:, 1] ** 1.5]
    )
    return z.T


def test_the_perfect_code_scores_one() -> None:
    z = perfect(V)
    assert mig(z, V).score == pytest.approx(1.0)
    found = dci(z, V)
    assert found.disentanglement == pytest.approx(1.0)
    assert found.completeness == pytest.approx(1.0)
    assert found.informativeness == pytest.approx(1.0)
    assert sap(V * [1.0, -2.0, 0.5], V).score == pytest.approx(1.0)
    for sampler in (Grid(perfect, SIZES), Labelled(z, V)):
        assert factor_vae_score(sampler).score == 1.0
        assert beta_vae_score(sampler).score == 1.0


def test_the_parts_say_which_dimension_tells_which_factor() -> None:
    z = perfect(V)
    information = mig(z, V)
    np.testing.assert_allclose(information.entropies, np.log(SIZES))
    wanted = np.zeros((4, 3))
    wanted[[2, 3, 0], [0, 1, 2]] = 1.0
    np.testing.assert_allclose(information.information, wanted * np.log(SIZES), atol=1e-12)
    np.testing.assert_allclose(dci(z, V).importance, wanted, atol=1e-12)
    votes = factor_vae_score(Grid(perfect, SIZES))
    assert ((votes.votes > 0) == (wanted > 0)).all()
    assert votes.active.tolist() == [True, False, True, True]


def test_a_tensor_is_taken_as_an_array() -> None:
    z = torch.tensor(perfect(V), requires_grad=True)
    assert mig(z, torch.tensor(V)).score == mig(perfect(V), V).score
    assert sap(z.float(), V.astype(float)).score == pytest.approx(sap(perfect(V), V).score)


# ---- mixed linearly -----------------------------------------------------------------------------

TWO = np.stack(np.meshgrid(np.arange(8), np.arange(8), indexing="ij"), -1).reshape(-1, 2)


def turned(degrees: float) -> Array:
    a = math.radians(degrees)
    return np.array([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]])


@pytest.mark.parametrize("degrees", [0.0, 10.0, 30.0, 45.0])
def test_sap_of_a_turned_code_is_the_cosine_of_twice_the_angle(degrees: float) -> None:
    """R² is cos² and sin² of the angle where both factors have one variance."""
    found = sap(TWO @ turned(degrees), TWO)
    assert found.score == pytest.approx(abs(math.cos(math.radians(2 * degrees))), abs=1e-12)


def test_a_code_turned_by_45_degrees_has_no_dimension_of_its_own_for_a_factor() -> None:
    v = np.repeat(TWO, 40, axis=0)

    def encode(factors: NDArray[np.int64]) -> Array:
        return factors @ turned(45.0)

    assert mig(encode(v), v, bins=15).score == pytest.approx(0.0, abs=0.02)
    found = dci(encode(v), v)
    assert found.disentanglement < 0.1
    assert found.completeness < 0.1
    assert found.informativeness > 0.9  # all is told, but by nothing alone
    grid = Grid(encode, (8, 8))
    assert abs(factor_vae_score(grid).score - 0.5) < chance(800, 0.5)
    assert abs(beta_vae_score(grid).score - 0.5) < chance(800, 0.5)


def test_every_score_falls_as_the_code_is_turned() -> None:
    v = np.random.default_rng(5).integers(0, 32, (5_000, 2))
    scores = [
        [
            mig(v @ turned(a), v).score,
            dci(v @ turned(a), v).disentanglement,
            dci(v @ turned(a), v).completeness,
            sap(v @ turned(a), v).score,
        ]
        for a in (0.0, 15.0, 30.0, 45.0)
    ]
    assert (np.diff(scores, axis=0) < -0.02).all()


# ---- nothing to be found ------------------------------------------------------------------------


def test_noise_scores_about_nothing() -> None:
    n = 5_000
    v = np.random.default_rng(1).integers(0, SIZES, (n, K))
    z = noise(6, n=n)
    assert 0 <= mig(z, v).score < 0.005
    found = dci(z, v, categories=(0,))
    assert found.disentanglement < 0.02
    assert found.completeness < 0.05
    assert found.informativeness < 0.05
    assert sap(z, v).score < 0.005
    assert sap(z, v, categories=range(K)).score < 0.05
    generator = np.random.default_rng(2)

    def encode(factors: NDArray[np.int64]) -> Array:
        return generator.standard_normal((len(factors), 6))

    for sampler in (Grid(encode, SIZES), Labelled(z, v)):
        assert abs(factor_vae_score(sampler, tests=1600).score - 1 / K) < chance(1600, 1 / K)
        assert abs(beta_vae_score(sampler, tests=1600).score - 1 / K) < chance(1600, 1 / K)


def test_a_constant_code_scores_nothing() -> None:
    z = np.full((N, 3), 0.1)  # a number whose mean is not itself, in floating point
    assert mig(z, V).score == 0.0
    assert sap(z, V).score == 0.0
    assert sap(z, V, categories=range(K)).score == pytest.approx(0.0)
    assert dci(z, V)[:3] == (0.0, 0.0, pytest.approx(0.0, abs=1e-3))
    for sampler in (Grid(lambda v: np.full((len(v), 3), 0.1), SIZES), Labelled(z, V)):
        found = factor_vae_score(sampler, tests=1600)
        assert not found.active.any()
        assert abs(found.score - 1 / K) < chance(1600, 1 / K)
        assert abs(beta_vae_score(sampler, tests=1600).score - 1 / K) < chance(1600, 1 / K)


def test_a_dead_dimension_has_no_vote() -> None:
    """It varies by so little, and so seldom, that in most groups it does not vary at all."""

    def encode(factors: NDArray[np.int64]) -> Array:
        dead = 1e-3 * (factors == 0).all(1)
        return np.column_stack([dead, factors])

    grid = Grid(encode, SIZES)
    found = factor_vae_score(grid, items=8)
    assert found.score == 1.0
    assert found.active.tolist() == [False, True, True, True]
    assert (found.votes[0] == 0).all()
    spoilt = factor_vae_score(grid, items=8, threshold=0.0)
    assert spoilt.active.all()
    assert spoilt.score < 0.8


# ---- more dimensions than factors ---------------------------------------------------------------


def test_a_factor_in_two_dimensions_has_no_gap() -> None:
    z = np.column_stack([V, 10.0 - 3 * V[:, 2]])
    np.testing.assert_allclose(mig(z, V).gaps, [1.0, 1.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(sap(z, V).gaps, [1.0, 1.0, 0.0], atol=1e-12)
    found = dci(z, V)
    assert found.disentanglement == pytest.approx(1.0)  # each dimension serves one factor
    # The forest takes either at random, so that completeness is that of two equal shares of four.
    assert found.completeness == pytest.approx(
        (1 + 1 + (1 - math.log(2) / math.log(4))) / 3, abs=0.1
    )
    assert factor_vae_score(Grid(lambda v: np.column_stack([v, -v[:, 2]]), SIZES)).score == 1.0


def test_two_factors_in_one_dimension_are_complete_but_not_disentangled() -> None:
    v = np.repeat(
        np.stack(np.meshgrid(*map(np.arange, (4, 4)), indexing="ij"), -1).reshape(-1, 2), 50, 0
    )
    z = np.column_stack([4 * v[:, 0] + v[:, 1], np.zeros(len(v))])
    found = dci(z, v)
    assert found.disentanglement == pytest.approx(0.0)
    assert found.completeness == pytest.approx(1.0)
    assert found.informativeness == pytest.approx(1.0)


def test_one_dimension_is_ahead_of_nothing() -> None:
    z = V[:, 2:].astype(float)
    np.testing.assert_allclose(mig(z, V).gaps, [0.0, 0.0, 1.0], atol=1e-12)
    np.testing.assert_allclose(sap(z, V).gaps, [0.0, 0.0, 1.0], atol=1e-12)


# ---- MIG: bins and numbers of items -------------------------------------------------------------


def test_bins_bound_the_information_of_a_factor_of_many_values() -> None:
    """40 values in 20 bins are two to a bin: log 20 of log 40 nats."""
    v = np.stack(np.meshgrid(np.arange(40), np.arange(2), indexing="ij"), -1).reshape(-1, 2)
    np.testing.assert_allclose(mig(v, v).gaps, [math.log(20) / math.log(40), 1.0])
    np.testing.assert_allclose(mig(v, v, bins=40).gaps, [1.0, 1.0])


def test_the_most_that_20_bins_give_for_the_grid_of_dsprites() -> None:
    sizes = (3, 6, 40, 32, 32)
    gaps = []
    for size in sizes:
        counts = np.bincount(np.minimum(np.arange(size) * 20 // (size - 1), 19))
        share = counts[counts > 0] / size
        gaps.append(-(share * np.log(share)).sum() / math.log(size))
        column = np.column_stack([np.arange(size), np.arange(size)])
        assert mig(column[:, :1], column).gaps[0] == pytest.approx(gaps[-1])
    assert np.mean(gaps) == pytest.approx(0.902, abs=5e-4)  # as the docstring says


def test_information_of_independent_counts_has_the_bias_that_is_stated() -> None:
    n, bins, values, runs = 2_000, 10, 8, 40
    generator = np.random.default_rng(3)
    z = generator.random((n, runs))
    v = generator.integers(0, values, (n, 2))
    found = mig(z, v, bins=bins).information
    wanted = (bins - 1) * (values - 1) / (2 * n)
    # 2 N Î is about chi-squared, of variance twice its mean; 80 of them, nearly independent.
    error = math.sqrt(2 * 2 * n * wanted / found.size) / (2 * n)
    assert found.mean() == pytest.approx(wanted, abs=4 * error)


def test_information_is_that_of_scikit_learn_for_the_bins_of_numpy() -> None:
    v = V[:: N // 500]
    z = noise(4, n=len(v)) + v @ noise(4, n=K)
    found = mig(z, v).information
    for d in range(4):
        binned = np.digitize(z[:, d], np.histogram(z[:, d], 20)[1][:-1])
        for k in range(K):
            assert found[d, k] == pytest.approx(mutual_info_score(v[:, k], binned), abs=1e-9)


def test_very_large_codes_do_not_overflow() -> None:
    z = (V - V.mean(0)) * 1e307 * 2
    assert mig(z, V).score == pytest.approx(1.0)
    assert sap(z, V).score == pytest.approx(1.0)


# ---- SAP and DCI: factors with and without an order ---------------------------------------------


def test_a_category_is_told_by_thresholds_and_not_by_a_line() -> None:
    place = np.array([5.0, 1.0, 9.0, 3.0])  # the values of factor 1, in no order along the line
    z = np.column_stack([V[:, 0], place[V[:, 1]], V[:, 2]])
    r = np.corrcoef(place, np.arange(4))[0, 1]
    found = sap(z, V)
    assert found.predictability[1, 1] == pytest.approx(r**2)
    found = sap(z, V, categories=(1,))
    assert found.predictability[1, 1] == 1.0
    assert found.gaps[1] == pytest.approx(1 - 1 / 4, abs=0.05)
    assert dci(z, V, categories=(1,))[:3] == (pytest.approx(1.0),) * 3


def test_the_skill_of_noisy_codes_is_what_the_noise_leaves() -> None:
    """R² of v from v + noise of deviation s is at best Var v / (Var v + s²), for normal v."""
    generator = np.random.default_rng(4)
    v = np.round(generator.normal(0, 20, (8_000, 2))).astype(int)
    z = v + generator.normal(0, 10, v.shape)
    found = dci(z, v)
    np.testing.assert_allclose(found.skill, 0.8, atol=0.03)
    assert found.disentanglement > 0.85


def test_other_models_may_be_given() -> None:
    found = dci(
        perfect(V)[::7],
        V[::7],
        categories=range(K),
        classifier=GradientBoostingClassifier(n_estimators=5),
    )
    assert found.disentanglement == pytest.approx(1.0)
    with pytest.raises(OptionError, match="LinearRegression has no feature_importances_"):
        dci(perfect(V), V, regressor=LinearRegression())


def test_a_seed_repeats_a_score() -> None:
    z = V + noise(K)
    for score in (dci, sap):
        one, two = (score(z, V, categories=(0,), seed=5) for _ in range(2))
        assert one[:1] == two[:1]
    for score in (factor_vae_score, beta_vae_score):
        one, two = (score(Labelled(z, V), seed=5).score for _ in range(2))
        assert one == two


# ---- items that agree in a factor ---------------------------------------------------------------


@pytest.mark.parametrize("sampler", [Grid(lambda v: v.astype(float), SIZES), Labelled(GRID, GRID)])
@pytest.mark.parametrize("k", range(K))
def test_items_of_a_group_agree_in_one_factor_and_differ_in_the_others(
    sampler: Grid | Labelled, k: int
) -> None:
    assert sampler.factors == K
    z = sampler.agreeing(k, 2_000, 5, np.random.default_rng(0))
    assert z.shape == (2_000, 5, K)
    assert (z[:, :, k] == z[:, :1, k]).all()
    for j, size in enumerate(SIZES):
        column = z[:, 0, j] if j == k else z[:, :, j].ravel()
        share = np.bincount(column.astype(int), minlength=size) / len(column)
        np.testing.assert_allclose(share, 1 / size, atol=chance(len(column), 1 / size))
    other = (k + 1) % K  # within a group, independent of each other: two agree by chance
    agree = np.mean(z[:, 0, other] == z[:, 1, other])
    assert agree == pytest.approx(1 / SIZES[other], abs=chance(2_000, 1 / SIZES[other]))


def test_a_labelled_value_is_drawn_as_often_as_items_have_it() -> None:
    v = np.array([[0, 0], [0, 1], [0, 0], [0, 1], [0, 0], [0, 1], [1, 0], [1, 1]])
    z = Labelled(v, v).agreeing(0, 4_000, 2, np.random.default_rng(0))
    assert z[:, 0, 0].mean() == pytest.approx(0.25, abs=chance(4_000, 0.25))


def test_a_grid_encodes_in_pieces() -> None:
    asked = []

    def encode(factors: NDArray[np.int64]) -> Array:
        asked.append(len(factors))
        return factors.astype(float)

    whole = Grid(encode, SIZES).items(100, np.random.default_rng(0))
    pieces = Grid(encode, SIZES, rows=33).items(100, np.random.default_rng(0))
    np.testing.assert_array_equal(whole, pieces)
    assert asked == [100, 33, 33, 33, 1]


# ---- what cannot be scored ----------------------------------------------------------------------


def wrong_inputs() -> list[tuple[Array, NDArray[np.int64], str]]:
    z, gap, infinite = perfect(V), perfect(V), perfect(V)
    gap[3, 1], infinite[0, 0] = np.nan, np.inf
    single = V.copy()
    single[:, 1] = 2
    half = V + 0.0
    half[7, 2] = 0.5
    return [
        (z[:, 0], V, "codes must be"),
        (z, V[:, 0], "codes must be"),
        (z[:-1], V, f"\\[{N - 1}, 4\\] and \\[{N}, 3\\]"),
        (gap, V, "codes\\[3, 1\\] is nan"),
        (infinite, V, "codes\\[0, 0\\] is inf"),
        (z, single, "factor 1 has only the value 2"),
        (z, half, "factors\\[7, 2\\] is 0.5"),
        (z, V.astype(str), "whole numbers"),
        (z[:0], V[:0], "factor 0 has no value in 0 row"),
        (z[:, :0], V, "at least . dimension"),
        (np.full((N, 2), "a"), V, "array of numbers"),
    ]


@pytest.mark.parametrize(("codes", "factors", "message"), wrong_inputs())
def test_wrong_codes_and_factors_are_named(codes: Array, factors: Array, message: str) -> None:
    for score in (mig, dci, sap, Labelled):
        with pytest.raises(DataError, match=message):
            score(codes, factors)


def test_wrong_options_are_named() -> None:
    z, grid = perfect(V), Grid(perfect, SIZES)
    wrong = [
        lambda: mig(z, V, bins=1),
        lambda: dci(z, V, held_out=1.0),
        lambda: dci(z, V, categories=(3,)),
        lambda: sap(z, V, categories=(-1,)),
        lambda: Grid(perfect, (3, 1)),
        lambda: Grid(perfect, (3,)),
        lambda: Grid(perfect, SIZES, rows=0),
        lambda: factor_vae_score(grid, items=1),
        lambda: factor_vae_score(grid, votes=29),
        lambda: factor_vae_score(grid, tests=0),
        lambda: factor_vae_score(grid, threshold=math.nan),
        lambda: beta_vae_score(grid, pairs=0),
        lambda: beta_vae_score(grid, points=10),
    ]
    for call in wrong:
        with pytest.raises(OptionError, match=r"`bins`|`held_out`|numbered|at least"):
            call()


def test_what_a_score_is_not_defined_for_is_said() -> None:
    with pytest.raises(DataError, match="at least 2 dimension"):
        dci(V[:, :1], V)
    with pytest.raises(DataError, match="2 factor"):
        dci(V, V[:, :1])
    with pytest.raises(DataError, match="2 factor"):
        Labelled(V, V[:, :1])
    with pytest.raises(DataError, match="too few to hold out"):
        dci([[0.0, 1.0]] * 2, [[0, 0], [1, 1]], held_out=0.9)
    with pytest.raises(DataError, match="factor 2 has the value 9 in one row"):
        Labelled(perfect(V), np.vstack([V[1:], [0, 0, 9]]))
    with pytest.raises(DataError, match=r"`encode` must give codes \[10, D\]"):
        Grid(lambda v: v[:, 0], SIZES).items(10, np.random.default_rng(0))
    with pytest.raises(DataError, match="must be finite"):
        Grid(lambda v: v * np.nan, SIZES).items(10, np.random.default_rng(0))
