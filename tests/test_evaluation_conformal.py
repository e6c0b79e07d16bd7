"""Conformal p-values: valid by simulation, the share of false alarms bounded, drift seen."""

import numpy as np
import pytest
from scipy.stats import false_discovery_control

from variate.errors import ModelFileError, OptionError
from variate.evaluation import conformal
from variate.evaluation.reference import MOST, Reference


def worst(hits, trials, share):
    """By how many standard errors a share of hits exceeds the one that is promised."""
    return (hits / trials - share) / np.sqrt(share * (1 - share) / trials)


# -- p-values -----------------------------------------------------------------------------------


def test_p_values_by_hand():
    found = conformal.p_values([1, 2, 2, 3], [0, 1, 1.5, 2, 2.5, 3, 4])
    np.testing.assert_allclose(found, [1, 1, 4 / 5, 4 / 5, 2 / 5, 2 / 5, 1 / 5])


def test_of_one_calibration_score_p_is_a_half_or_one():
    np.testing.assert_allclose(conformal.p_values([5.0], [4, 5, 6, np.inf]), [1, 1, 0.5, 0.5])


@pytest.mark.parametrize("n", [1, 7, 99, 500])
def test_p_values_are_valid_marginally(n):
    rng, trials = np.random.default_rng(n), 4_000
    scores = rng.standard_t(2, (trials, n + 1))
    p = np.array([conformal.p_values(row[:n], row[n:])[0] for row in scores])
    for level in (0.01, 0.05, 0.1, 0.3, 0.5, 0.9):
        exact = np.floor((n + 1) * level) / (n + 1)  # of scores without ties: no more, no less
        hits = np.count_nonzero(p <= level + 1e-12)
        assert hits == 0 if exact == 0 else abs(worst(hits, trials, exact)) < 4


def test_ties_count_against_the_alarm():
    rng, trials = np.random.default_rng(0), 4_000
    scores = rng.integers(0, 3, (trials, 20))
    p = np.array([conformal.p_values(row[:19], row[19:])[0] for row in scores])
    for level in (0.05, 0.2, 0.5):
        assert worst(np.count_nonzero(p <= level + 1e-12), trials, level) < 3
    np.testing.assert_array_equal(conformal.p_values(np.ones(9), np.ones(3)), np.ones(3))


def test_what_has_no_score_is_refused():
    with pytest.raises(OptionError, match="at least one calibration score"):
        conformal.p_values([], [1.0])
    with pytest.raises(OptionError, match="scores holds NaN"):
        conformal.p_values([1.0], [np.nan])
    with pytest.raises(OptionError, match="between 0 and 1"):
        conformal.benjamini_hochberg([0.5, 1.5], 0.1)


# -- alarms -------------------------------------------------------------------------------------


def test_alarms_by_hand():
    # Benjamini & Hochberg 1995, section 3.2: four of fifteen at 5 %
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344,
         0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0]  # fmt: skip
    assert conformal.benjamini_hochberg(p, 0.05).sum() == 4
    # the largest k counts, though p_(1) alone is above q/m
    np.testing.assert_array_equal(conformal.benjamini_hochberg([0.04, 0.9, 0.04], 0.06), [1, 0, 1])
    assert conformal.benjamini_hochberg([], 0.1).shape == (0,)


def test_alarms_are_scipys():
    rng = np.random.default_rng(3)
    for level in (0.05, 0.1, 0.5):
        p = rng.random(300) ** 3
        found = conformal.benjamini_hochberg(p, level)
        np.testing.assert_array_equal(found, false_discovery_control(p) <= level)


def test_a_p_value_at_the_very_limit_is_an_alarm():
    n = 199
    p = np.append(np.full(1, 1 / (n + 1)), np.ones(9))
    assert conformal.benjamini_hochberg(p, 0.05)[0]
    assert conformal.calibration_needed(0.05, 10) == n
    assert not conformal.benjamini_hochberg(np.append(1 / n, np.ones(9)), 0.05).any()
    assert conformal.calibration_needed(0.05, 100, alarms=20) == 99


def test_the_chance_of_extremes():
    rng, trials = np.random.default_rng(0), 4_000
    known, new = rng.random((trials, 20)), rng.random((trials, 30))
    found = (new > known.max(axis=1, keepdims=True)).sum(axis=1)
    for extremes in (1, 3, 6):
        chance = conformal.chance_of_extremes(20, 30, extremes)
        assert abs(worst(np.count_nonzero(found >= extremes), trials, chance)) < 4
    assert conformal.chance_of_extremes(20, 30, 0) == 1


@pytest.mark.parametrize("level", [0.0, 1.0, -0.1, 2.0, float("nan")])
def test_a_level_outside_of_0_and_1(level):
    with pytest.raises(OptionError, match="level must be between 0 and 1"):
        conformal.benjamini_hochberg([0.5], level)


def splits(adjusted, splits=200, n=500, m=400, strange=40, shift=3.0):
    """The share of false alarms and that of anomalies found, in many splits."""
    false, found = [], []
    for split in range(splits):
        rng = np.random.default_rng(split)
        scores = rng.normal(size=m)
        scores[:strange] += shift
        alarms = adjusted(conformal.p_values(rng.normal(size=n), scores), n)
        false.append(alarms[strange:].sum() / max(1, alarms.sum()))
        found.append(alarms[:strange].mean())
    return np.mean(false), np.std(false) / np.sqrt(splits), np.mean(found)


@pytest.mark.parametrize("level", [0.05, 0.1])
def test_the_share_of_false_alarms_keeps_to_the_level(level):
    share, error, power = splits(lambda p, _: conformal.benjamini_hochberg(p, level))
    assert share <= level + 2 * error
    assert share > level / 2  # and the level is used
    assert power > 0.4


@pytest.mark.parametrize("level", [0.05, 0.1])
def test_by_the_share_of_normal_items_there_are_more_alarms_and_as_few_false_ones(level):
    options = {"m": 400, "strange": 200}
    plain = splits(lambda p, _: conformal.benjamini_hochberg(p, level), **options)

    def adapted(p, n):
        return conformal.benjamini_hochberg(p, min(0.99, level / conformal.null_share(p, n)))

    share, error, power = splits(adapted, **options)
    assert share <= level + 2 * error
    assert power > plain[2]


def test_the_share_of_normal_items_errs_upwards():
    rng, found = np.random.default_rng(0), []
    for _ in range(200):
        scores = rng.normal(size=200)
        scores[:80] += 5
        found.append(conformal.null_share(conformal.p_values(rng.normal(size=301), scores), 301))
    assert 0.6 <= np.mean(found) < 0.7
    assert conformal.null_share([1.0], 1) == 1.0


def test_a_contaminated_calibration_is_cautious():
    rng, trials = np.random.default_rng(0), 4_000
    known = rng.normal(size=(trials, 99))
    known[:, :5] += 4
    p = np.array([conformal.p_values(row, rng.normal(size=1))[0] for row in known])
    for level in (0.02, 0.05, 0.1):
        assert worst(np.count_nonzero(p <= level + 1e-12), trials, level) < 0


# -- given the calibration set -------------------------------------------------------------------


def test_simes_bounds_by_hand():
    # n = 4, k = 2: b_{5-i} = 1 - √(δ i (i-1) / 12)
    want = [1 - np.sqrt(0.1 * i * (i - 1) / 12) for i in (4, 3, 2, 1)]
    np.testing.assert_allclose(conformal.simes_bounds(4, 0.1), want)
    np.testing.assert_allclose(conformal.simes_bounds(1, 0.1), [0.9])


@pytest.mark.parametrize("n", [1, 2, 15, 200])
def test_simes_bounds_hold_for_all_order_statistics_at_once(n):
    rng, trials, delta = np.random.default_rng(0), 4_000, 0.2
    uniform = np.sort(rng.random((trials, n)), axis=1)
    crossed = (uniform > conformal.simes_bounds(n, delta)).any(axis=1).sum()
    assert abs(worst(crossed, trials, delta)) < 4  # of uniform numbers the inequality is one of =


def test_asymptotic_bounds_come_near_for_many():
    rng, n, delta = np.random.default_rng(0), 2_000, 0.2
    uniform = np.sort(rng.random((1_000, n)), axis=1)
    crossed = (uniform > conformal.asymptotic_bounds(n, delta)).any(axis=1).mean()
    assert crossed < 0.3
    with pytest.raises(OptionError, match="at least 16"):
        conformal.asymptotic_bounds(15, 0.1)


def test_conditional_p_values_are_valid_for_nearly_every_calibration_set():
    rng, n, delta, trials, broken = np.random.default_rng(0), 100, 0.1, 1_000, 0
    bounds = conformal.simes_bounds(n, delta)
    levels = np.arange(1, n + 2) / (n + 1)  # p takes these values
    mapped = conformal.conditional(levels, bounds)
    assert (np.diff(mapped) >= 0).all()
    assert mapped[-1] == 1.0
    for _ in range(trials):
        # of uniform scores, p ≤ k/(n+1) has this chance given the calibration scores
        chance = np.append(1 - np.sort(rng.random(n))[::-1], 1.0)
        broken += (chance > mapped + 1e-12).any()
    assert worst(broken, trials, delta) < 3
    assert broken > 0


# -- drift --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "m"), [(40, 60), (500, 300)])
def test_no_drift_is_found_where_there_is_none_but_anomalies(n, m):
    rng, trials, found = np.random.default_rng(1), 600, []
    for _ in range(trials):
        new = rng.normal(size=m)
        new[: m // 5] += 6  # a fifth are anomalies
        found.append(conformal.drift(rng.normal(size=n), new))
    for level in (0.01, 0.05, 0.2):
        assert worst(np.count_nonzero(np.array(found) <= level), trials, level) < 3


def test_drift_is_found():
    rng = np.random.default_rng(0)
    known = rng.normal(size=500)
    assert conformal.drift(known, rng.normal(size=300) + 0.7) < 1e-3
    assert conformal.drift(known, rng.normal(size=300) - 0.7) < 1e-3
    assert conformal.drift(known, rng.normal(size=300) * 0.5) < 1e-3
    assert conformal.drift(known, rng.normal(size=30) + 9) < 1e-3  # nothing is left of the bulk
    assert conformal.drift(known, rng.normal(size=300)) > 0.01
    assert conformal.drift(np.ones(50), np.ones(50)) == 1.0
    assert conformal.drift([1.0], [2.0]) == 1.0


# -- what is kept of calibration scores ----------------------------------------------------------


def test_few_scores_are_kept_whole():
    rng = np.random.default_rng(0)
    known, new = rng.integers(0, 40, 300), rng.integers(-2, 43, 500)
    kept = Reference.of(known, 64)
    np.testing.assert_allclose(kept.p_values(new), conformal.p_values(known, new))
    assert kept.drift(new) == pytest.approx(conformal.drift(known, new))


def test_of_many_the_strangest_are_kept_whole():
    rng = np.random.default_rng(0)
    known, new = rng.normal(size=50_000), np.append(rng.normal(size=5_000), [9.0, -9.0, np.inf])
    kept = Reference.of(known, 64)
    exact, found = conformal.p_values(known, new), kept.p_values(new)
    assert len(kept.scores) <= MOST
    assert (found >= exact - 1e-12).all()
    assert (found - exact).max() < 1.1 / (MOST / 2)
    small = exact <= MOST / 2 / 50_001
    np.testing.assert_allclose(found[small], exact[small])
    assert small.sum() > 20


def test_references_can_be_joined():
    rng = np.random.default_rng(0)
    first, second, new = rng.normal(size=700), rng.normal(size=900), rng.normal(size=200)
    both = Reference.of(first, 64).joined(Reference.of(second, 64))
    want = conformal.p_values(np.append(first, second), new)
    assert both.rows == 1_600
    np.testing.assert_allclose(both.p_values(new), want)
    many = both
    for _ in range(4):
        more = rng.normal(size=1_500)
        first = np.append(first, more)
        many = many.joined(Reference.of(more, 64))
    exact = conformal.p_values(np.append(first, second), new)
    assert len(many.scores) <= MOST
    assert many.rows == 7_600
    assert (many.p_values(new) >= exact - 1e-12).all()
    assert (many.p_values(new) - exact).max() < 0.005
    assert many.p_values([99.0])[0] == pytest.approx(1 / 7_601)


def test_a_reference_goes_through_json_and_back():
    kept = Reference.of([1.5, -np.inf, np.inf, 2.0], 8)
    again = Reference.from_state(kept.state())
    np.testing.assert_array_equal(again.scores, kept.scores)
    np.testing.assert_allclose(again.p_values([np.inf, 1.7]), [2 / 5, 3 / 5])
    assert again.draws == 8


@pytest.mark.parametrize(
    "damage",
    [
        {"rows": 0},
        {"rows": 2.5},
        {"draws": 0},
        {"scores": [1.0]},
        {"scores": [2.0, 1.0]},
        {"scores": ["a", "b"]},
        {"scores": [1.0, float("inf")]},
        {"beyond": [1, 2]},
        {"beyond": [-1, -2]},
        {"beyond": [9, 0]},
        {"beyond": [[1], [0]]},
    ],
)
def test_a_damaged_reference_is_refused(damage):
    state = Reference.of([1.0, 2.0], 64).state() | damage
    with pytest.raises(ModelFileError, match="recalibrate"):
        Reference.from_state(state)
    with pytest.raises(ModelFileError):
        Reference.from_state(None)
