r"""How strange a row is: four voices, joined.

    near        log of the way to the nearest reference, half held back by its gap (`crowd`)
    residual    the same in the space of what the ensemble did not expect
    crowd       log of the longest step on the way to a crowd
    margins     -log density of the columns, one by one

The first and third are of the plain space, which has each cell in both of its units, standard and
squashed; missing cells are as the ensemble expects them. The residual space has x - c from all
cells, and from the other half of them.

Each voice is put into units of its own on the training rows, 0 at the median and 1 at the 95 %
quantile, by what is said of each row by members and references that are not that row. Then

    N = (near + residual) / 2,   F = (crowd + margins) / 2,     both put into such units again
    score = log(exp(4 N) + exp(4 · 0.5 F)) / 4

a soft maximum: N finds what clean training rows are not like, F what is far from the most of rows
that are not all clean. Neither is told which of the two the rows are.

This module does not know where rows come from, nor what score is an alarm.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from variate.anomaly.crowd import Crowd
from variate.anomaly.ensemble import FOLDS, MEMBERS, Ensemble
from variate.anomaly.margins import Margins
from variate.anomaly.scales import Scales

__all__ = ["Voices"]

HELD_BACK = 0.5  # λ of the near voices
UNIT = 0.95  # the quantile that is 1
FAR = 0.5  # the weight of F
SHARP = 4.0  # of the soft maximum
BLOCK = 1_024  # rows that are looked at together
NAMES = ("near", "residual", "crowd", "margins")


class Voices(nn.Module):
    """What rows of C columns are held against.

    Args:
        columns: C.
    """

    halves: Tensor
    middle: Tensor
    unit: Tensor
    side_middle: Tensor
    side_unit: Tensor

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.ensemble = Ensemble(columns)
        self.plain, self.residual = Crowd(), Crowd()
        self.margins = Margins(columns)
        self.register_buffer("halves", torch.zeros(2, columns, dtype=torch.bool))
        self.register_buffer("middle", torch.zeros(len(NAMES), 1))
        self.register_buffer("unit", torch.ones(len(NAMES), 1))
        self.register_buffer("side_middle", torch.zeros(2, 1))
        self.register_buffer("side_unit", torch.ones(2, 1))

    @torch.no_grad()
    def learn(self, x: Tensor, scales: Scales, folds: Tensor, generator: torch.Generator) -> Tensor:
        """Take training rows as references; the ensemble is trained.

        Args:
            x: The rows `[N, C]`, in their own units, NaN = missing.
            scales: Of the columns.
            folds: Of each row, `[N]`.
            generator: Of the choice of columns and references.

        Returns:
            The score of each training row as if it were new, `[N]`.
        """
        half = torch.randperm(x.shape[1], generator=generator) % 2 == 0
        self.halves = torch.stack([half, ~half])
        blocks = range(0, len(x), BLOCK)
        parts = [self._spaces(x[i : i + BLOCK], scales, folds[i : i + BLOCK]) for i in blocks]
        plain, residual = (torch.cat(part) for part in zip(*parts, strict=True))
        self.margins.learn(scales.squashed(x))
        self.plain.learn(plain, generator)
        self.residual.learn(residual, generator)
        said = torch.cat(
            [
                self._voices(
                    x[i : i + BLOCK], scales, (plain[i : i + BLOCK], residual[i : i + BLOCK]), i
                )
                for i in blocks
            ],
            1,
        )
        self.middle, self.unit = _units(said)
        self.side_middle, self.side_unit = _units(self._sides(said))
        return self._joined(said)

    @torch.no_grad()
    def score(self, x: Tensor, scales: Scales) -> Tensor:
        """How strange rows `[N, C]` are, `[N]`: higher is stranger."""
        found = []
        for rows in x.split(BLOCK):  # each filled up: a score must not depend on the rows beside it
            block = torch.cat([rows, rows[-1:].expand(BLOCK - len(rows), -1)])
            score = self._joined(self._voices(block, scales, self._spaces(block, scales)))
            found.append(score[: len(rows)])
        return torch.cat(found)

    @torch.no_grad()
    def expected(self, x: Tensor, scales: Scales, columns: range) -> tuple[Tensor, Tensor]:
        """What the ensemble expects of some columns given the others: mean and deviation.

        Each `[N, len(columns)]`, in the columns' own units, of the mixture of the members' normals.
        """
        standard = scales.standard(x)
        seen = torch.ones_like(standard, dtype=torch.bool)
        here = slice(columns.start, columns.stop)
        seen[:, here] = False
        told = self.ensemble(standard, seen)
        center, scale = told.center[..., here].double(), told.scale[..., here].double()
        mean = center.mean(0)
        deviation = (scale.square() + (center - mean).square()).mean(0).sqrt()
        unit = scales.deviation[here]
        return mean * unit + scales.mean[here], deviation * unit

    @torch.no_grad()
    def like(self, x: Tensor, scales: Scales) -> Tensor:
        """For each row the nearest one of the bulk of the references, `[N, C]`, in own units."""
        plain, _ = self._spaces(x, scales)
        return scales.raw(self.plain.nearest(plain)[:, : x.shape[1]])

    def expect_whole(self) -> None:
        """Refuse references, read from a file, that do not fit together.

        Raises:
            ValueError: They do not.
        """
        columns = self.halves.shape[1]
        for crowd in (self.plain, self.residual):
            references = len(crowd.rows)
            fits = crowd.rows.shape == (references, 2 * columns) and references >= 2
            fits = fits and crowd.squares.shape == (references,) and bool((crowd.sizes > 0).all())
            fits = fits and len(crowd.sizes) == len(crowd.gaps)
            if not (fits and int(crowd.sizes.sum()) == references):
                raise ValueError("the references do not fit together")

    def _spaces(
        self, x: Tensor, scales: Scales, folds: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Rows in the plain and in the residual space.

        Args:
            x: The rows.
            scales: Of the columns.
            folds: Of training rows: only members that have not seen a row say anything of it.
        """
        standard, present = scales.standard(x), ~x.isnan()
        weight = torch.full((MEMBERS, len(x), 1), 1 / MEMBERS)
        if folds is not None:
            spoken = folds == (torch.arange(MEMBERS) % FOLDS).unsqueeze(-1)
            weight = (spoken / spoken.sum(0)).unsqueeze(-1)
        full = (self.ensemble(standard).center * weight).sum(0)
        told = torch.zeros_like(full)  # what each half of the columns tells about the other
        for half in self.halves:
            center = self.ensemble(standard, half.expand_as(standard)).center
            told += (center * weight).sum(0) * ~half
        filled = torch.where(present, standard, full)
        squashed = torch.where(present, scales.squashed(x), scales.squashed(scales.raw(full)))
        residual = torch.cat([filled - full, torch.where(present, standard - told, 0.0)], 1)
        return torch.cat([filled, squashed], 1), residual

    def _voices(
        self, x: Tensor, scales: Scales, spaces: Sequence[Tensor], first: int | None = None
    ) -> Tensor:
        """What each voice says of rows, `[4, B]`."""
        near, crowd = self.plain.log_lengths(spaces[0], (HELD_BACK, 1.0), first)
        (residual,) = self.residual.log_lengths(spaces[1], (HELD_BACK,), first)
        margins = self.margins.surprise(scales.squashed(x), own=first is not None).sum(1)
        return torch.stack([near, residual, crowd, margins])

    def _sides(self, said: Tensor) -> Tensor:
        """N and F before they have units of their own, `[2, B]`."""
        near, residual, crowd, margins = (said - self.middle) / self.unit
        return torch.stack([(near + residual) / 2, (crowd + margins) / 2])

    def _joined(self, said: Tensor) -> Tensor:
        near, far = (self._sides(said) - self.side_middle) / self.side_unit
        return torch.logaddexp(SHARP * near, SHARP * FAR * far).double() / SHARP


def _units(said: Tensor) -> tuple[Tensor, Tensor]:
    """The median and the way from it to the 95 % quantile of each row of `[V, N]`, `[V, 1]`."""
    ordered = said.sort(1).values
    middle = ordered[:, int(0.5 * (said.shape[1] - 1)), None]
    high = ordered[:, int(UNIT * (said.shape[1] - 1)), None]
    return middle, (high - middle).clamp_min(1e-6)
