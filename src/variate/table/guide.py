r"""A first guess of a number from the other columns of its row, to draw candidates from.

Scores are close to standard normal, one by one; if they were jointly so, each would be, given the
others, a normal around a linear function of them. A ridge regression over rows that the model draws
finds it, categories as indicators, missing cells as averages:

    T(x_j) ≈ a + b'φ(x_-j) ± s

It need not be true: candidates are weighed by the model's law (see `rest`), and a guess that is
near saves most of them.

This module does not know the model's law.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from variate.distributions.column import FAR, NumberLaw
from variate.distributions.grid import LogisticMixture
from variate.distributions.rows import Categorical, Numeric, RowLayout

__all__ = ["Guide"]

RIDGE = 1e-2  # of the number of rows
LEVELS = 40  # of a category, at most, that are told apart
BROADER = 1.3  # times the deviation: candidates must reach beyond what they are to find
NARROWEST = 1e-3


class Guide:
    """Guesses of one numeric column.

    Args:
        layout: The columns of a row.
        column: The position of the number.
        x: Rows of the model, `[n, C]`.
    """

    def __init__(self, layout: RowLayout, column: int, x: Tensor) -> None:
        number = layout.columns[column]
        assert isinstance(number, Numeric)
        self.layout, self.column, self.number = layout, column, number
        present = ~x[:, column].isnan()
        features = self._features(x[present])
        score = layout.map_of(column)(x[present, column].unsqueeze(-1)).squeeze(-1)
        square = features.T @ features
        ridge = RIDGE * max(1, len(features))
        square += ridge * torch.eye(len(square), dtype=x.dtype, device=x.device)
        self.weights = torch.linalg.solve(square, features.T @ score)
        left = (score - features @ self.weights).square().sum() / max(1, len(score))
        self.spread = BROADER * float(left.sqrt().clamp(NARROWEST, 1.0)) if len(score) else BROADER

    def law(self, x: Tensor) -> NumberLaw:
        """The guess for rows `[M, C]`, whatever they have in the column."""
        location = (self._features(x) @ self.weights).float().unsqueeze(-1)
        scale = torch.full_like(location, self.spread * math.sqrt(3) / math.pi)
        mixture = LogisticMixture(torch.zeros_like(scale), location, scale, validate_args=False)
        elsewhere = torch.full((1, self.number.outcomes or 1), -1e30, device=x.device)
        elsewhere[:, len(self.number.atoms)] = 0.0
        log_w = elsewhere.expand(len(x), -1)
        copied = [copy.value(x.T) for copy in self.number.copies]
        return NumberLaw(
            self.number,
            self.layout.map_of(self.column),
            log_w,
            mixture,
            torch.stack(copied, -1) if copied else x.new_zeros(len(x), 0),
            -FAR,
            FAR,
        )

    def _features(self, x: Tensor) -> Tensor:
        """φ `[M, F]`: one, the other numbers' scores, the categories' levels."""
        scores = self.layout.maps(x[:, self.layout.numeric]).nan_to_num(0.0)
        others = [n for n, c in enumerate(self.layout.numeric) if c != self.column]
        parts = [torch.ones_like(x[:, :1]), scores[:, others]]
        for c, kind in enumerate(self.layout.columns):
            if isinstance(kind, Categorical) and kind.levels <= LEVELS:
                code = torch.where(x[:, c].isnan(), kind.levels, x[:, c]).long()
                parts.append(F.one_hot(code, kind.levels + 1).to(x.dtype))
        return torch.cat(parts, -1)
