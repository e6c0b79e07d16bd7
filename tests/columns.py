"""Columns made from nasty samples, laws with random parameters, and sums over a whole support."""

import math

import numpy as np
import torch

from variate.distributions import Numeric, law_of
from variate.table.knots import score_knots

DOUBLE = torch.float64
NAN = math.nan


def samples(rows=4_000):
    """Name -> a sample and the step of its grid, if it has one."""
    rng = np.random.default_rng(0)
    zero = rng.random(rows) < 0.6
    spend = rng.gamma(2, 150, rows)
    heaped = np.where(rng.random(rows) < 0.4, np.round(spend / 500) * 500, np.round(spend / 5) * 5)
    noise = 0.3 + 1e-13 * np.where(rng.random(rows) < 0.02, rng.normal(0, 1, rows), 0)
    capped = rng.exponential(2, rows).clip(0.5, 4.0)
    return {
        "most are zero": (np.where(zero, 0, rng.exponential(60, rows)).round(), 1.0),
        "heaped payments": (heaped, 5.0),
        "heavy tail": (np.exp(rng.normal(3, 1.5, rows)).clip(0, 1500).round(1), 0.1),
        "spikes at both ends": (rng.exponential(80, rows).round().clip(20, 300), 1.0),
        "two whole numbers": (np.where(zero, 3.0, 7.0), 1.0),
        "negative": (-np.exp(rng.normal(2, 0.7, rows)).round(2) - 100, 0.01),
        "few rows": (rng.normal(0, 20, 30).round(), 1.0),
        "smooth": (rng.normal(0, 3, rows), None),
        "jumps at both ends": (capped, None),
        "half are zero": (np.where(zero, 0, rng.normal(0, 1e-3, rows)), None),
        "two fractions": (np.where(zero, 0.3, 1e4 / 3), None),
        "ungridded heavy tail": (np.exp(rng.normal(3, 2, rows)), None),
        "noise beside a spike": (np.where(zero, noise, rng.normal(0, 1, rows)), None),
    }


SAMPLES = samples()


def number(name, **options):
    """The column that `score_knots` makes of the sample of this name."""
    sample, step = SAMPLES[name]
    low, high = float(sample.min()), float(sample.max())
    values, scores, atoms, closed = score_knots(sample, low, high, step)
    found = {"atoms": tuple(atoms.tolist()), "closed": closed, "low": low, "high": high}
    return Numeric(tuple(values.tolist()), tuple(scores.tolist()), step, **found | options)


def outputs(layout, rows, size=1.0, dtype=torch.float32):
    """What a network may say: logits of each bucket `[n_b, M, L_b]`, numbers `[N, M, 3·K]`."""
    logits = [
        size * torch.randn(len(bucket), rows, width, dtype=dtype)
        for bucket, width in zip(layout.buckets, layout.widths, strict=True)
    ]
    noise = torch.randn(len(layout.numeric), rows, 3 * layout.components, dtype=dtype)
    return logits, layout.normal().to(dtype) + size * noise


def law(layout, column, out, x):
    """The law of one column for M rows x `[M, C]` from a network's outputs."""
    logits, numbers = out
    own = None
    for bucket, part in zip(layout.buckets, logits, strict=True):
        if column in bucket:
            own = part[bucket.index(column)]
    is_number = column in layout.numeric
    raw = numbers[layout.numeric.index(column)] if is_number else None
    return law_of(layout, column, own, raw, x)


def log_p(layout, out, x):
    """Of each column of V rows x `[V, C]` under each of M outputs, `[C, M, V]`."""
    logits, numbers = out
    reading = layout.read(x)
    reading = type(reading)(*(part.unsqueeze(1) for part in reading))
    wide = [part.unsqueeze(2).expand(-1, -1, len(x), -1) for part in logits]
    return layout.log_prob(reading, wide, numbers.unsqueeze(2).expand(-1, -1, len(x), -1))


def beside(values, column, others):
    """Rows that have the values in one column, and in all others what `others` `[C]` has."""
    x = others.double().expand(len(values), -1).clone()
    x[:, column] = values
    return x


def grid(column, cells=2_000):
    """The values of a column's grid from some cells below its range to some above."""
    first, last = (round((end - column.origin) / column.step) for end in (column.low, column.high))
    return column.origin + torch.arange(first - cells, last + cells + 1).double() * column.step


def total(layout, column, out, others):
    """All that the M laws of one column sum to `[M]`, the other columns being as in `others`."""
    kind = layout.columns[column]
    if not isinstance(kind, Numeric):
        values = torch.arange(kind.levels).double()
        parts = [log_p(layout, out, beside(values, column, others))[column].exp().sum(-1)]
    elif kind.step is not None:
        parts = _over_grid(layout, column, out, others)
    else:
        parts = _over_line(layout, column, out, others)
    if kind.gaps:
        gap = beside(torch.tensor([NAN]), column, others)
        parts.append(log_p(layout, out, gap)[column, :, 0].exp())
    return sum(part.double() for part in parts)


def tails(layout, column, out, ends):
    """What the mixtures have below the first and above the second of two raw values."""
    found = law(layout, column, out, torch.zeros(out[1].shape[1], len(layout.columns)).double())
    low, high = layout.maps(_all(layout, ends))[:, layout.numeric.index(column)].tolist()
    one = found.mixture.double()
    return one.cdf(torch.tensor(low)) + 1 - one.cdf(torch.tensor(high))


def _all(layout, values):
    """The values in every numeric column."""
    return torch.as_tensor(values, dtype=DOUBLE).unsqueeze(-1).expand(-1, len(layout.numeric))


def _over_grid(layout, column, out, others):
    """The sum over the grid, and what the mixture has in the tails beyond it."""
    kind = layout.columns[column]
    values = grid(kind)
    ends = [float(values[0]) - kind.step / 2, float(values[-1]) + kind.step / 2]
    copied = torch.tensor([float(c.value(others)) for c in kind.copies], dtype=DOUBLE)
    far = ((copied < ends[0]) | (copied > ends[1])) & layout.map_of(column).supports(
        copied[:, None]
    )[:, 0]
    values = torch.cat([values, copied[far].unique()])
    p = log_p(layout, out, beside(values, column, others))[column].double()
    cell = kind.step if kind.density else 1.0
    return [
        p.exp().sum(-1) * cell,
        elsewhere(layout, column, out, others) * tails(layout, column, out, ends),
    ]


def _over_line(layout, column, out, others):
    """The integral of the density, by Gauss-Legendre in pieces, and what single values have."""
    kind = layout.columns[column]
    maps = layout.map_of(column)
    scores = (
        torch.cat([torch.tensor(kind.scores), torch.linspace(-40, 40, 1601)]).double().sort()[0]
    )
    edges = maps.inverse(scores.unsqueeze(-1)).squeeze(-1)
    nodes, weights = (torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(7))
    width = edges.diff().unsqueeze(-1)
    x = edges[:-1, None] + width * (nodes + 1) / 2
    p = log_p(layout, out, beside(x.flatten(), column, others))[column].double().exp()
    density = (p.unflatten(-1, x.shape) * width * weights / 2).sum((-2, -1))
    jumps = {a for a, b in zip(kind.values, kind.values[1:], strict=False) if a == b}
    copied = [float(copy.value(others)) for copy in kind.copies]
    single = torch.tensor([v for v in {*jumps, *kind.atoms, *copied} if v == v], dtype=DOUBLE)
    at = log_p(layout, out, beside(single, column, others))[column].double().exp()
    return [density, at.sum(-1)]


def elsewhere(layout, column, out, others):
    """The probability of elsewhere `[M]`."""
    rows = others.double().expand(out[1].shape[1], -1)
    found = law(layout, column, out, rows)
    return found.log_w[:, len(found.column.atoms)].double().exp()
