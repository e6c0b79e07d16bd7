r"""Rubin's rules: one estimate from the same statistic of M completed tables.

With Q_m the estimate of the m-th table and U_m its variance (the square of its standard error),

    Q = Σ Q_m / M        U = Σ U_m / M        B = Σ (Q_m - Q)² / (M - 1)
    T = U + (1 + 1/M) B                                 total variance
    λ = (1 + 1/M) B / T                                 share of T that the gaps bring

(Rubin 1987, Multiple Imputation for Nonresponse in Surveys). With ν the degrees of freedom that
the complete data would have, those of (Q - true value) / √T, which is about Student's t, are

    ν_M = (M - 1) / λ²      ν_o = (ν + 1) / (ν + 3) · ν (1 - λ)      1 / (1 / ν_M + 1 / ν_o)

(Barnard & Rubin 1999, Biometrika 86), and ν_M where ν is infinite. The fraction of information
that is missing, with r = (1 + 1/M) B / U and ν that of the result, is (r + 2 / (ν + 3)) / (1 + r).

This module does not know the tables, nor the statistic.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from variate.errors import OptionError

__all__ = ["Pooled", "pool"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Pooled:
    """An estimate from several completed tables. Each field has the shape of the statistic.

    Attributes:
        estimate: Q, the mean of the estimates.
        variance: T, the total variance.
        within: U, the mean of the variances.
        between: B, the variance of the estimates.
        degrees: Degrees of freedom of Student's t.
        missing_information: The fraction of information about the quantity that the gaps took away.
    """

    estimate: Floats
    variance: Floats
    within: Floats
    between: Floats
    degrees: Floats
    missing_information: Floats

    @property
    def error(self) -> Floats:
        """The standard error, √T."""
        return np.asarray(np.sqrt(self.variance))

    def interval(self, level: float = 0.95) -> tuple[Floats, Floats]:
        """The confidence interval.

        Raises:
            OptionError: The level is not between 0 and 1.
        """
        if not 0 < level < 1:
            raise OptionError(f"level must lie between 0 and 1, got {level!r}.")
        reach = student.ppf((1 + level) / 2, self.degrees) * self.error
        return self.estimate - reach, self.estimate + reach


def pool(
    estimates: Sequence[float] | Floats,
    variances: Sequence[float] | Floats,
    degrees: float = np.inf,
) -> Pooled:
    """One estimate from those of M completed tables, by Rubin's rules.

    Args:
        estimates: Q_m, `[M, ...]`.
        variances: U_m, the squares of their standard errors, `[M, ...]`.
        degrees: ν, the degrees of freedom with complete data, such as rows less coefficients.

    Raises:
        OptionError: There are fewer than two tables, the shapes differ, a variance is negative, a
            number is not finite, or degrees is not above zero.

    Examples:
        >>> import variate as vt
        >>> pooled = vt.pool([10.0, 12.0, 11.0], [1.0, 1.0, 1.0])
        >>> round(float(pooled.estimate), 2), round(float(pooled.variance), 4)
        (11.0, 2.3333)
    """
    q, u = np.asarray(estimates, np.float64), np.asarray(variances, np.float64)
    _check(q, u, degrees)
    m = len(q)
    mean, within, between = q.mean(0), u.mean(0), q.var(0, ddof=1)
    added = (1 + 1 / m) * between
    total = within + added
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(total > 0, added / total, 0.0)
        found = (m - 1) / share**2
        if np.isfinite(degrees):
            observed = (degrees + 1) / (degrees + 3) * degrees * (1 - share)
            found = 1 / (1 / found + 1 / observed)
        more = np.where(within > 0, added / within, np.where(added > 0, np.inf, 0.0))
        lost = np.where(np.isinf(more), 1.0, (more + 2 / (found + 3)) / (1 + more))
        lost = np.where(added > 0, lost, 0.0)
    return Pooled(*map(np.asarray, (mean, total, within, between, found, lost)))


def _check(q: Floats, u: Floats, degrees: float) -> None:
    if q.ndim == 0 or len(q) < 2:
        raise OptionError(
            "pool needs the estimates of two completed tables or more; from one, nothing can be "
            "told of what the gaps bring. Ask for more: model.impute(data, draws=20)."
        )
    if q.shape != u.shape:
        raise OptionError(
            f"there must be a variance for each estimate; the shapes are {q.shape} and {u.shape}."
        )
    if not (np.isfinite(q).all() and np.isfinite(u).all()):
        raise OptionError("an estimate or a variance is not finite.")
    if (u < 0).any():
        raise OptionError("a variance is negative; give squares of standard errors.")
    if not degrees > 0:
        raise OptionError(f"degrees must be above 0, got {degrees!r}.")
