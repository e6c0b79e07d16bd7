r"""Does a model that predicts a column learn more if drawn rows of rare levels are added?

In each of J splits a share of the rows is held out, a synthesiser is fitted to the others, and
boosted trees (those of `detection`) learn the column in several ways, to be tested on the held-out
real rows alone:

    real            from the real rows as they are
    synthetic       with drawn rows for the rare levels (`balance`)
    repeated        with real rows of the rare levels, drawn again with replacement, as many
    weighted        from the real rows, each level weighing the same

The last two cost nothing, so that a gain over the first alone is no merit of drawn rows. Of each
level that is rare, in turn against all others, the trees' ranking of the test rows is measured:

    auc             the area under the ROC curve
    precision       the average precision, which looks at the top of the ranking; a random ranking
                    has the share of the level

The figures are means over the splits. Two ways are compared split by split; as the splits overlap,
the standard error of a mean difference d̄ is (Nadeau & Bengio 2003)

    √((1/J + h/(1-h)) s²)        s² the variance of the differences, h the share held out

This module does not know how rows are drawn, nor how trees grow.
"""

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.base import clone
from sklearn.metrics import average_precision_score, roc_auc_score

from variate.errors import DataError, DataWarning, OptionError
from variate.options import whole
from variate.table import files
from variate.table.balancing import balance, lacking_rows
from variate.table.codec import TableCodec
from variate.table.detection import chances
from variate.table.estimator import TableVAE
from variate.table.frames import to_arrow
from variate.table.measures import Kind
from variate.table.schema import NUMBER

__all__ = ["WAYS", "Gain", "augmentation_gain"]

WAYS = ("real", "synthetic", "repeated", "weighted")
MEASURES = ("auc", "precision")
FEWEST = 5  # rows of a rare level that must be on both sides of a split
CLEAR = 2.0  # standard errors


@dataclass(frozen=True)
class Gain:
    """What drawn rows are worth to a model that learns to predict a column.

    Attributes:
        target: The column.
        levels: Its rare levels, which got rows.
        added: How many rows were drawn, on average.
        splits: How many splits there were.
        held_out: The share of the rows that was held out in each.
        scores: By way and measure, one number for each split.
    """

    target: str
    levels: tuple[Any, ...]
    added: float
    splits: int
    held_out: float
    scores: Mapping[str, Mapping[str, tuple[float, ...]]]

    def mean(self, way: str, measure: str = "auc") -> float:
        """The mean over the splits of a measure ("auc" or "precision")."""
        return float(np.mean(self.scores[way][measure]))

    def over(
        self, other: str, measure: str = "auc", *, way: str = "synthetic"
    ) -> tuple[float, float]:
        """How much one way is better than another, and the standard error of that."""
        apart = np.subtract(self.scores[way][measure], self.scores[other][measure])
        overlap = 1 / self.splits + self.held_out / (1 - self.held_out)
        return float(apart.mean()), float(np.sqrt(overlap * apart.var(ddof=1)))

    def figures(self) -> dict[str, Any]:
        """All of it as plain values, JSON-able."""
        return {
            "target": self.target,
            "levels": [str(level) for level in self.levels],
            "added": self.added,
            "splits": self.splits,
            **{way: {measure: self.mean(way, measure) for measure in MEASURES} for way in WAYS},
            **{
                f"over_{other}": {
                    measure: dict(zip(("gain", "error"), self.over(other, measure), strict=True))
                    for measure in MEASURES
                }
                for other in WAYS
                if other != "synthetic"
            },
        }

    def __str__(self) -> str:
        """A table for people, and what follows from it."""
        shown = ", ".join(map(str, self.levels))
        lines = [
            f"{self.target!r}, rare: {shown}; {self.added:,.0f} rows drawn; {self.splits} splits",
            f"{'':<12}{'AUC':>8}{'precision':>12}",
            *(f"{w:<12}{self.mean(w):>8.4f}{self.mean(w, 'precision'):>12.4f}" for w in WAYS),
            *(self._verdict(measure) for measure in MEASURES),
        ]
        return "\n".join(lines)

    def _verdict(self, measure: str) -> str:
        """Against the best of the ways that cost nothing."""
        free = [way for way in WAYS if way != "synthetic"]
        best = max(free, key=lambda way: self.mean(way, measure))
        gain, error = self.over(best, measure)
        text = (
            f"{measure}: synthetic less the best of the others ({best}): {gain:+.4f} ± {error:.4f}"
        )
        if abs(gain) <= CLEAR * error:
            return f"{text}, no difference that can be told from noise"
        return f"{text}, a gain" if gain > 0 else f"{text}, a loss"


def augmentation_gain(
    model: TableVAE,
    rows: Any,
    target: str,
    *,
    test: Any = None,
    splits: int = 5,
    held_out: float = 0.3,
    ratio: float = 1.0,
    temperature: float = 1.0,
    seed: int = 0,
) -> Gain:
    """Measure what drawn rows of rare levels are worth to a downstream model.

    The synthesiser is fitted anew in each split, to the rows that are not held out.

    Args:
        model: A `TableVAE`, of which the constructor's arguments are used; it is not changed.
        rows: The real rows: a frame, an array, or the path of a table.
        target: The column to predict, a category with rare levels.
        test: Other real rows to test on, instead of those that a split holds out.
        splits: How often, at least 2.
        held_out: The share of the rows that a split holds out.
        ratio: See `balance`.
        temperature: Of the draws.
        seed: Of everything random.

    Raises:
        OptionError: The target is no category, no level of it is rare, or an option cannot be used.
        DataError: A rare level has too few rows.
    """
    whole("splits", splits)
    if splits < 2 or not 0 < held_out < 1:
        raise OptionError(
            f"there must be at least 2 splits that hold out a share between 0 and 1, got "
            f"splits={splits!r} and held_out={held_out!r}."
        )
    table = _read(rows)
    lacking = lacking_rows(table, target, ratio)
    _expect_enough(table, target, lacking, held_out)
    judge = _Judge(model, table, None if test is None else _read(test), target, list(lacking))
    scores: dict[str, dict[str, list[float]]] = {way: {m: [] for m in MEASURES} for way in WAYS}
    added = []
    for known, left_out, each in _splits(table, target, splits, held_out, seed):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataWarning)  # the same in every split
            fitted = clone(model).set_params(seed=each).fit(known)
            more = balance(
                fitted, known, target, ratio=ratio, temperature=temperature, mark=None, seed=each
            )
        added.append(more.num_rows - known.num_rows)
        for way, found in judge.judged(known, more, left_out, each):
            for measure, value in found.items():
                scores[way][measure].append(value)
    final = {way: {m: tuple(values) for m, values in of.items()} for way, of in scores.items()}
    return Gain(target, tuple(lacking), float(np.mean(added)), splits, held_out, final)


def _expect_enough(
    table: pa.Table, target: str, lacking: Mapping[Any, int], held_out: float
) -> None:
    if not lacking:
        raise OptionError(f"all levels of {target!r} are frequent: there is nothing to add.")
    values = [str(value) for value in table.column(target).to_pylist()]
    for level in lacking:
        count = values.count(str(level))
        if count * min(held_out, 1 - held_out) < FEWEST:
            raise DataError(
                f"level {level!r} of column {target!r} has {count} rows, too few to learn from "
                f"some and to test on others: at least {FEWEST} on either side are needed. Leave "
                "these rows out, or group the level with another."
            )


class _Judge:
    """Trees that learn the target from rows, and how well they rank others."""

    def __init__(
        self, model: TableVAE, table: pa.Table, test: pa.Table | None, target: str, rare: list[Any]
    ) -> None:
        every = (
            table
            if test is None
            else pa.concat_tables(
                [table, test.select(table.column_names)], promote_options="permissive"
            )
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataWarning)  # the synthesiser says the same
            self.codec = TableCodec(model.columns).fit(every)
        names = [column.name for column in self.codec.modelled]
        if target not in names or self.codec.modelled[names.index(target)].kind in NUMBER:
            raise OptionError(
                f"the target {target!r} must be a category or a truth value; say so by "
                f"TableVAE(columns={{{target!r}: 'category'}}) if it is meant as one."
            )
        self.target = names.index(target)
        levels = [str(level) for level in self.codec.modelled[self.target].levels]
        self.rare = [float(levels.index(str(level))) for level in rare]
        self.kinds: list[Kind] = [
            "numeric" if column.kind in NUMBER else "category" for column in self.codec.modelled
        ]
        self.test = None if test is None else self.codec.encode(test).numpy()

    def judged(
        self, known: pa.Table, more: pa.Table, left_out: pa.Table, seed: int
    ) -> Iterator[tuple[str, dict[str, float]]]:
        """The measures of each way, on the rows that were left out."""
        train, large = (self.codec.encode(rows).numpy() for rows in (known, more))
        test = self.codec.encode(left_out).numpy() if self.test is None else self.test
        drawn = large[len(train) :]
        again = _again(train, drawn[:, self.target], self.target, seed)
        ways = {"real": train, "synthetic": large, "repeated": again, "weighted": train}
        for way in WAYS:
            yield way, self._measured(ways[way], test, seed, weighted=way == "weighted")

    def _measured(
        self, train: np.ndarray, test: np.ndarray, seed: int, *, weighted: bool
    ) -> dict[str, float]:
        found = chances(train, test, self.target, self.kinds, seed=seed, weighted=weighted)
        actual = test[~np.isnan(test[:, self.target]), self.target]
        pairs = [(actual == level, found[level]) for level in self.rare]
        return {
            "auc": float(np.mean([roc_auc_score(*pair) for pair in pairs])),
            "precision": float(np.mean([average_precision_score(*pair) for pair in pairs])),
        }


def _again(train: np.ndarray, levels: np.ndarray, target: int, seed: int) -> np.ndarray:
    """The rows, and for each of these levels one of them that has it, with replacement."""
    rng = np.random.default_rng(seed)
    parts = [train]
    for level, count in zip(*np.unique(levels, return_counts=True), strict=True):
        parts.append(rng.choice(train[train[:, target] == level], count))
    return np.concatenate(parts)


def _splits(
    table: pa.Table, target: str, splits: int, held_out: float, seed: int
) -> Iterator[tuple[pa.Table, pa.Table, int]]:
    """Rows to learn from and rows that are left out, the same share of every level; and a seed."""
    _, codes = np.unique(
        np.array([str(value) for value in table.column(target).to_pylist()]), return_inverse=True
    )
    for each in np.random.SeedSequence(seed).generate_state(splits).tolist():
        order = np.random.default_rng(each).permutation(len(codes))
        left = np.zeros(len(codes), dtype=bool)
        for code in range(codes.max() + 1):
            mine = order[codes[order] == code]
            left[mine[: round(held_out * len(mine))]] = True
        yield table.filter(pa.array(~left)), table.filter(pa.array(left)), each % 2**31


def _read(rows: Any) -> pa.Table:
    with files.naming(rows):
        return files.read(rows) if isinstance(rows, str | Path) else to_arrow(rows)
