r"""How far a row is from others, and from a crowd.

The distance to the nearest of the training rows is a good score where these are normal, and a bad
one where they are not: anomalies that are alike vouch for each other. So each reference r has a
*gap* g(r): the height at which single linkage (Gower & Ross 1969) makes it part of a cluster of a
tenth of all rows, a crowd. A row within the bulk has a gap as short as the way to its neighbours; a
row of a small, tight group far from the rest a gap as wide as the way from the group to the rest.
With a slack λ

    l_λ(x) = min_r max(d(x, r), λ g(r))

is the distance to the nearest reference for λ = 0, and for λ = 1 the longest step on the best way
from x to a crowd. Both ends are wanted: λ = 1/2 lets small groups that are not far off vouch for
their own, which is right where training rows are clean.

Gaps are found on some rows, by all distances between them; those of the others follow from these as
l_1. References with nearly the same gap form a band, so that a band needs only its nearest one.

This module does not know what space the rows are in.
"""

import math
from typing import Any

import torch
from scipy.cluster.hierarchy import linkage
from torch import Tensor, nn

__all__ = ["Crowd"]

SHARE = 0.1  # of the rows, that makes a crowd
SAMPLE = 2_000  # rows whose gaps are found by all distances between them
MOST = 10_000  # references that are kept
BAND = 0.1  # in logarithms of gaps
TIGHT = 0.1  # the share of rows, with the shortest gaps, that share the first band
SOFT = 1e-4  # of the space's variance, added to squared lengths: rows may be equal
BLOCK = 1_024  # rows whose distances are looked at together


class Crowd(nn.Module):
    """The references of one space of F dimensions; empty until it has learned."""

    rows: Tensor
    squares: Tensor
    gaps: Tensor
    sizes: Tensor
    soft: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("rows", torch.zeros(0, 0))
        self.register_buffer("squares", torch.zeros(0))
        self.register_buffer("gaps", torch.zeros(0))  # squared, of each band
        self.register_buffer("sizes", torch.zeros(0, dtype=torch.long))  # of the bands
        self.register_buffer("soft", torch.zeros(()))
        self._place = torch.zeros(0, dtype=torch.long)  # of each training row among the references

    def learn(self, rows: Tensor, generator: torch.Generator) -> None:
        """Take rows `[N, F]`, N at least 2, as references."""
        self.soft = SOFT * rows.var(0).sum() + 1e-12
        order = torch.randperm(len(rows), generator=generator)
        some, kept = order[:SAMPLE], order[:MOST].sort().values
        self._refer(rows, some, _gaps(rows[some]), torch.arange(len(some)))
        parts = [
            self._lengths(rows[i : i + BLOCK], (1.0,), i)[0] for i in range(0, len(rows), BLOCK)
        ]
        gaps = torch.cat(parts)[kept]
        by_gap = gaps.argsort()
        kept, gaps = kept[by_gap], gaps[by_gap]
        logs = 0.5 * (gaps + self.soft).log()
        bands = ((logs - logs.quantile(TIGHT)).clamp_min(0.0) / BAND).long()
        self._refer(rows, kept, gaps, bands)

    def log_lengths(self, x: Tensor, slacks: tuple[float, ...], first: int | None = None) -> Tensor:
        """Log l_λ(x) for each slack λ, `[len(slacks), B]`.

        Args:
            x: Rows `[B, F]`.
            slacks: Each λ.
            first: If they are training rows, the number of the first: none is its own reference.
        """
        return 0.5 * (self._lengths(x, slacks, first) + self.soft).log()

    def nearest(self, x: Tensor) -> Tensor:
        """The nearest references among those of the first band, the bulk: `[B, F]`."""
        bulk = self.rows[: int(self.sizes[0])]
        return bulk[torch.cdist(x, bulk).argmin(1)]

    def _refer(self, rows: Tensor, ids: Tensor, gaps: Tensor, bands: Tensor) -> None:
        """Take these rows as references, the numbers of their bands ascending."""
        self.rows, self.squares = rows[ids], rows[ids].square().sum(1)
        self.sizes = bands.unique_consecutive(return_counts=True)[1]
        self.gaps = torch.stack([part.mean() for part in gaps.split(self.sizes.tolist())])
        self._place = torch.full((len(rows),), -1).scatter(0, ids, torch.arange(len(ids)))

    def _lengths(self, x: Tensor, slacks: tuple[float, ...], first: int | None) -> Tensor:
        """l_λ(x)², `[len(slacks), B]`."""
        d = torch.addmm(self.squares[None], x, self.rows.T, alpha=-2)
        if first is not None:
            place = self._place[first : first + len(x)]
            own = (place >= 0).nonzero()[:, 0]
            d[own, place[own]] = math.inf
        if len(self.sizes) < d.shape[1]:
            d = torch.stack([part.amin(1) for part in d.split(self.sizes.tolist(), 1)], 1)
        d = (d + x.square().sum(1, keepdim=True)).clamp_min(0.0)
        return torch.stack([d.maximum(slack**2 * self.gaps[None]).amin(1) for slack in slacks])

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *others: Any) -> None:
        """As torch does it, whatever the number of references."""
        for name in ("rows", "squares", "gaps", "sizes"):
            if prefix + name in state:
                setattr(self, name, torch.empty_like(state[prefix + name]))
        super()._load_from_state_dict(state, prefix, *others)


def _gaps(rows: Tensor) -> Tensor:
    """For each row, the squared height at which single linkage makes it one of a crowd, `[N]`."""
    count = len(rows)
    tree = linkage(torch.nn.functional.pdist(rows.double()).numpy(), "single")
    need = max(2, math.ceil(SHARE * count))
    sizes = [1] * count + [int(size) for size in tree[:, 3]]
    heights = [0.0] * len(sizes)  # of the lowest cluster above that is a crowd
    for merge in range(len(tree) - 1, -1, -1):
        node = count + merge
        height = float(tree[merge, 2]) if sizes[node] >= need else heights[node]
        for child in (int(tree[merge, 0]), int(tree[merge, 1])):
            heights[child] = height
    return torch.tensor(heights[:count]).square().float()
