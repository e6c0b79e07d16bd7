r"""Decisions under uncertainty, from draws: which action is best, what it risks, what to ask first.

U[a, n, s] is the utility of action a, for item n, in draw s of what is not known of it. Then

    expected utility    E[U_a] = 1/S Σ_s U[a, n, s],     a* = argmax_a E[U_a]
    chance of regret    P(max_a U_a > U_a*): another action would have been better in hindsight
    CVaR                the mean of the worst 1 - level of a*'s draws (Rockafellar & Uryasev 2000)
    perfect information E[max_a U_a] - max_a E[U_a]: what knowing everything first is worth
    information on q    E_q[max_a E[U_a | q]] - max_a E[U_a]: what knowing q first is worth
                        (Raiffa & Schlaifer 1961)

The last one needs E[U_a | q], a regression of utilities on q over the draws of one item, as in
Strong, Oakley & Brennan (2014): q's levels, or the bins between its quantiles, are groups b of n_b
draws, and the differences D_a = U_a - U_a* have group means d_b. Group means are too far apart, by
the noise of their draws: their maximum would find information in noise. With the one-way analysis
of variance's σ² within groups and τ² between them, they are drawn together,

    μ_b = d + √λ_b (d_b - d),     λ_b = τ² / (τ² + σ²/n_b)

which gives them the spread τ that they should have (Louis 1984). Where τ² is not above zero,
nothing is known from q and it is worth nothing.

Draws come in G groups of the same size, one after the other, that know nothing of each other; the
standard error of E[U_a] is that of the mean of G means. Where G is 1, draws are taken for
independent.

This module does not know where the draws came from, nor what an action is.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from variate.errors import OptionError

__all__ = ["Choice", "Risk", "choose", "cvar", "value_of_information"]

Floats = NDArray[np.float64]
PER_BIN = 25  # draws between two quantiles of a number
MOST_BINS = 20


class Choice(NamedTuple):
    """What is best for each of N items, and what it risks.

    Attributes:
        best: The position of the action of the largest expected utility, `[N]`; the first if equal.
        expected: The expected utility of each action, `[A, N]`.
        error: The Monte-Carlo standard error of the best action's, `[N]`; NaN of a single draw.
        regret: The chance that another action would have been better in hindsight, `[N]`, 0..1.
        cvar: The mean utility of the best action in its worst draws, `[N]`.
        perfect: The expected value of perfect information, `[N]`, at least 0.
    """

    best: NDArray[np.int64]
    expected: Floats
    error: Floats
    regret: Floats
    cvar: Floats
    perfect: Floats


@dataclass(frozen=True)
class Risk:
    """What risk a decision may take; beyond it, nothing is decided.

    Attributes:
        level: Of the CVaR: the mean utility in the worst 1 - level of the draws.
        cvar: The least CVaR of the action that is chosen; None: no limit.
        regret: The largest chance, 0..1, that another action would have been better; None: no
            limit.

    Raises:
        OptionError: One is out of its range.

    Examples:
        >>> Risk(cvar=-5_000, regret=0.4).passed(choose(np.array([[[2.0, 1.0]], [[0.0, 3.0]]])))
        array([ True])
    """

    level: float = 0.95
    cvar: float | None = None
    regret: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("level", self.level), ("cvar", self.cvar), ("regret", self.regret)):
            if value is None and name != "level":
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or value - value != 0:
                raise OptionError(f"{name} of the risk must be a finite number, got {value!r}.")
        _expect_level(self.level)
        if self.regret is not None and not 0 <= self.regret <= 1:
            raise OptionError(
                f"regret of the risk is a chance, at least 0 and at most 1, got {self.regret!r}."
            )

    def passed(self, choice: Choice) -> NDArray[np.bool_]:
        """For which items a limit is passed, `[N]`."""
        over = np.zeros(len(choice.best), dtype=np.bool_)
        if self.cvar is not None:
            over |= choice.cvar < self.cvar
        if self.regret is not None:
            over |= choice.regret > self.regret
        return over


def choose(utility: Floats, *, level: float = 0.95, groups: int = 1) -> Choice:
    """The best action for each item, and its risk.

    Args:
        utility: U, `[A, N, S]`, finite.
        level: Of the CVaR: the mean of the worst 1 - level is taken.
        groups: G; S is a multiple of it.

    Raises:
        OptionError: level is below 0, or not below 1.
    """
    expected = utility.mean(-1)
    best = expected.argmax(0)
    chosen = np.take_along_axis(utility, best[None, :, None], 0)[0]
    hindsight = utility.max(0)
    return Choice(
        best,
        expected,
        _standard_error(chosen, groups),
        (hindsight > chosen).mean(-1),
        cvar(chosen, level),
        np.maximum(hindsight.mean(-1) - expected.max(0), 0.0),
    )


def cvar(utility: Floats, level: float) -> Floats:
    """The mean of the worst 1 - level of the draws, over the last axis.

    A share that is no whole number of draws takes a part of the last one, so that it is the CVaR of
    the draws' own distribution, without interpolation.

    Args:
        utility: `[..., S]`.
        level: At least 0 and below 1; 0.95 is the worst twentieth.

    Raises:
        OptionError: level is out of that range.
    """
    _expect_level(level)
    draws = utility.shape[-1]
    worst = (1 - level) * draws
    weight = np.clip(worst - np.arange(draws), 0.0, 1.0) / worst
    result: Floats = np.sort(utility, -1) @ weight
    return result


def _expect_level(level: float) -> None:
    if not 0 <= level < 1:
        raise OptionError(f"the level of CVaR must be at least 0 and below 1, got {level!r}.")


def value_of_information(utility: Floats, seen: NDArray[np.float64], *, number: bool) -> Floats:
    """What it is worth, for each item, to know a quantity before an action is chosen.

    Args:
        utility: U, `[A, N, S]`.
        seen: The quantity q in the same draws, `[N, S]`; codes, if it is a category.
        number: Whether it is a number, and so is cut at its quantiles.

    Returns:
        `[N]`, at least 0, in units of utility.
    """
    worth = np.zeros(len(seen))
    best = utility.mean(-1).argmax(0)
    for n, values in enumerate(seen):
        group = _bins(values) if number else np.unique(values, return_inverse=True)[1]
        if group.max(initial=0) > 0:
            worth[n] = _worth(utility[:, n] - utility[best[n], n], group)
    return worth


def _worth(difference: Floats, group: NDArray[np.int64]) -> float:
    """E_q[max_a E[D_a | q]] - max_a E[D_a] of one item, from D `[A, S]` and each draw's group."""
    count = np.bincount(group).astype(np.float64)
    sums = np.stack([np.bincount(group, row) for row in difference])
    mean, centre = sums / count, difference.mean(-1, keepdims=True)
    draws, groups = len(group), len(count)
    within = np.square(difference - mean[:, group]).sum(-1, keepdims=True) / max(draws - groups, 1)
    between = (count * np.square(mean - centre)).sum(-1, keepdims=True) / (groups - 1)
    size = (draws - np.square(count).sum() / draws) / (groups - 1)
    variance = np.maximum(between - within, 0.0) / size
    noise = variance + within / count
    share = np.divide(variance, noise, out=np.zeros_like(noise), where=noise > 0)
    settled = centre + np.sqrt(share) * (mean - centre)
    weight = count / draws
    return float((settled.max(0) * weight).sum() - (settled @ weight).max())


def _bins(values: Floats) -> NDArray[np.int64]:
    """Which part between its quantiles each value is in; equal values are in the same."""
    bins = min(max(len(values) // PER_BIN, 2), MOST_BINS)
    edges = np.unique(np.quantile(values, np.arange(1, bins) / bins))
    found = np.searchsorted(edges, values, side="left")
    group: NDArray[np.int64] = np.unique(found, return_inverse=True)[1]
    return group


def _standard_error(utility: Floats, groups: int) -> Floats:
    """Of the mean over the last axis, `[N]`; NaN of a single draw."""
    draws = utility.shape[-1]
    if draws == 1:
        return np.full(len(utility), np.nan)
    if groups > 1:
        utility = utility.reshape(len(utility), groups, -1).mean(-1)
    result: Floats = utility.std(-1, ddof=1) / np.sqrt(utility.shape[-1])
    return result
