"""Which items are anomalies, and why: `detect`, once for every kind of data.

    score    s(x) = -log p(x), the importance-weighted bound, in nats
    p-value  against the scores of items that the model was not trained on (`evaluation.conformal`)
    alarms   by Benjamini & Hochberg, of all items together
    reasons  of the alarms, by the kind

The items go by twice, in parts: first each is scored, and when all p-values are known, the alarms
are explained. So data bigger than memory is no matter: some 30 bytes an item stay.

Two sorts of items are not judged by their score. One of which nothing is known has none: its
p-value is 1, and it is no alarm. One with a value that training never saw, where values are
levels, has the probability zero under the model: it is an alarm in any case, is no part of what
the bound on false alarms is about, and is scored by its other values.

This module does not know any kind of data, nor what a reason is.
"""

import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from variate import verbs
from variate.errors import DataError, DataWarning, OptionError
from variate.evaluation import Reference, conformal
from variate.options import share, whole_from
from variate.progress import tally
from variate.records import Alarms

__all__ = [
    "DRAWS",
    "Items",
    "Judgement",
    "detect",
    "explained",
    "judge",
    "recalibrated",
    "reference_of",
    "scores_of",
]

DRAWS = 64
TIE = 1e-6  # of a score: what rounding may set equal items apart by, which counts as no difference
DRIFTED = 1e-3  # the p-value of drift that is worth a warning
BY_CHANCE = 0.1  # that so many items are stranger than the calibration, to be worth a warning
DRIFTING = 20_000  # scores, at the most, that drift is looked for in

Floats = NDArray[np.float64]


class Items:
    """Data that is looked at for anomalies. A kind that knows more of its own writes its own.

    Args:
        estimator: The model, fitted.
        X: The data.

    Attributes:
        more: How there come to be more calibration scores.
    """

    more = "model.recalibrate(rows, extend=True)"

    def __init__(self, estimator: Any, X: Any) -> None:
        self.estimator = estimator
        self.X = X

    def parts(self) -> Iterator[Any]:
        """The data in parts that fit into memory; can be gone through again."""
        yield self.X

    def look(self, part: Any) -> tuple[Tensor, Mapping[int, str]]:
        """A part as x, and which of its items are alarms in any case, with the reason."""
        return self.estimator._rows(part), {}

    def scored(self, x: Tensor, draws: int) -> Floats:
        """How strange each item of x is, `[N]`."""
        scores = verbs.log_likelihood(
            self.estimator.model_, x, draws=draws, seed=self.estimator.seed
        )
        found: Floats = -scores.numpy()
        return found

    def reasons(
        self, x: Tensor, strange: Sequence[int], normal: NDArray[Any], start: int
    ) -> list[str]:
        """Why items of a part are alarms.

        Args:
            x: The items of the part, `[N, *event]`.
            strange: Which of them are alarms, the strangest first.
            normal: Which are normal, bool `[N]`.
            start: What item the first one is, of all items.
        """
        del x, normal, start
        return [""] * len(strange)

    def told(self, found: Alarms) -> Any:
        """The alarms as the caller gets them."""
        return found


@dataclass(frozen=True)
class Judgement:
    """Which of N items are alarms.

    Attributes:
        score: s, `[N]`; NaN where nothing is known of the item.
        p_value: `[N]`.
        anomaly: Bool `[N]`.
        certain: The alarms that are so in any case, with the reason.
        sizes: Of the parts.
        drift: The p-value of no drift.
        calibration: How many scores there were to compare with.
    """

    score: Floats
    p_value: Floats
    anomaly: NDArray[np.bool_]
    certain: Mapping[int, str]
    sizes: Sequence[int]
    drift: float
    calibration: int


def detect(items: Items, *, fdr: float, draws: int | None) -> Any:
    """The alarms among items, explained, as the caller gets them."""
    judgement = judge(items, fdr=fdr, draws=draws)
    parts = list(explained(items, judgement))
    reasons = [reason for part in parts for reason in part.reasons]
    return items.told(
        Alarms(judgement.score, judgement.p_value, judgement.anomaly, reasons, judgement.drift)
    )


def judge(items: Items, *, fdr: float, draws: int | None = None) -> Judgement:
    """Score all items and raise the alarms.

    Args:
        items: The items.
        fdr: The most that the expected share of false alarms may be.
        draws: For the scores; None for as many as the calibration has.

    Raises:
        OptionError: `fdr` is not between 0 and 1, or there is no calibration for these draws.
    """
    share("fdr", fdr)
    reference = _calibration(items.estimator, draws)
    score, certain, sizes = _all_scored(items, reference.draws)
    judged = ~np.isnan(score)
    _mention_unknown(judged)
    judged[list(certain)] = False
    p_value, anomaly = np.ones(len(score)), np.zeros(len(score), dtype=bool)
    tied = TIE * (1 + np.abs(score[judged]))
    p_value[judged] = reference.p_values(score[judged] - tied)
    anomaly[judged] = conformal.benjamini_hochberg(p_value[judged], fdr)
    _mention_few(p_value[judged], anomaly[judged], reference.rows, fdr, items.more)
    p_value[list(certain)], anomaly[list(certain)] = 1 / (reference.rows + 1), True
    drift = _drift(reference, score[judged])
    return Judgement(score, p_value, anomaly, certain, sizes, drift, reference.rows)


def explained(items: Items, judgement: Judgement) -> Iterator[Alarms]:
    """The alarms part by part, with their reasons."""
    start = 0
    for part, size in zip(items.parts(), judgement.sizes, strict=True):
        here = slice(start, start + size)
        anomaly = judgement.anomaly[here]
        reasons = [judgement.certain.get(start + i, "") for i in range(size)]
        order = np.argsort(-judgement.score[here], kind="stable")
        strange = [int(i) for i in order if anomaly[i] and not reasons[i]]
        if strange:
            with warnings.catch_warnings():  # what there is to say was said the first time
                warnings.simplefilter("ignore", DataWarning)
                x, _ = items.look(part)
            normal = ~anomaly & ~np.isnan(judgement.score[here])
            for i, reason in zip(strange, items.reasons(x, strange, normal, start), strict=True):
                reasons[i] = reason
        yield Alarms(
            judgement.score[here], judgement.p_value[here], anomaly, reasons, judgement.drift
        )
        start += size


def recalibrated(items: Items, *, extend: bool, draws: int) -> Reference:
    """The calibration that items give which are believed to be normal.

    Args:
        items: The items.
        extend: Whether to add them to the calibration that there is.
        draws: For the scores.

    Raises:
        OptionError: There are no items, or the calibration that there is has other draws.
    """
    whole_from("draws", draws)
    _expect_density(items.estimator)
    before = _calibration(items.estimator, draws) if extend else None
    score, certain, _ = _all_scored(items, draws)
    known = ~np.isnan(score)
    known[list(certain)] = False
    if not known.all():
        row = int(np.flatnonzero(~known)[0])
        raise DataError(
            f"row {row} (counted from 0) cannot be held to be normal: "
            f"{certain.get(row, 'nothing is known of it')}. Leave out such rows "
            f"({int((~known).sum()):,} of {len(known):,})."
        )
    made = Reference.of(score, draws)
    return made if before is None else before.joined(made)


def scores_of(items: Items, draws: int) -> Floats:
    """The scores of the items that are judged by them, in order; the others have none."""
    score, certain, _ = _all_scored(items, draws)
    known = ~np.isnan(score)
    known[list(certain)] = False
    found: Floats = score[known]
    return found


def reference_of(estimator: Any, x: Tensor, draws: int = DRAWS) -> Reference | None:
    """The calibration that items x give which the model was not trained on; None of none."""
    known = x[~_unknown(x)]
    if not len(known):
        return None
    return Reference.of(Items(estimator, None).scored(known, draws), draws)


# -- scores -------------------------------------------------------------------------------------


def _calibration(estimator: Any, draws: int | None) -> Reference:
    _expect_density(estimator)
    reference: Reference | None = estimator.calibration_
    if reference is None:
        raise OptionError(
            "this model keeps no calibration scores: it was fitted on fewer than 20 rows, of which "
            "none can be spared, or privately, or by an older variate, or it was adapted to other "
            "items since. Fit it again, or give rows that are believed to be normal and were "
            "not trained on: model.recalibrate(rows)."
        )
    if draws is not None and draws != reference.draws:
        raise OptionError(
            f"the calibration scores were made with {reference.draws} draws, and scores of {draws} "
            f"cannot be compared with them; leave draws out, or make others first, by "
            f"model.recalibrate(rows, draws={draws}) or `variate recalibrate --draws {draws}`."
        )
    return reference


def _expect_density(estimator: Any) -> None:
    if not estimator._has_density():
        raise OptionError(
            "a deterministic autoencoder has no density, so there is no log p(x) by which items "
            "are strange; fit with a posterior that has one (the default)."
        )


def _all_scored(items: Items, draws: int) -> tuple[Floats, dict[int, str], list[int]]:
    """The score of each item, who is an alarm in any case, and the sizes of the parts."""
    scores: list[Floats] = [np.zeros(0)]
    certain: dict[int, str] = {}
    sizes: list[int] = []
    said: set[str] = set()
    start = 0
    with tally("scored", show=items.estimator.verbose) as more:
        for part in items.parts():
            x, reasons = _looked(items, part, start, said)
            score = items.scored(x, draws)
            score[_unknown(x) & ~np.isin(np.arange(len(x)), list(reasons))] = np.nan
            certain |= {start + i: reason for i, reason in reasons.items()}
            scores.append(score)
            sizes.append(len(x))
            start += len(x)
            more(len(x))
    return np.concatenate(scores), certain, sizes


def _looked(
    items: Items, part: Any, start: int, said: set[str]
) -> tuple[Tensor, Mapping[int, str]]:
    """What a part holds.

    Errors and warnings say where the part begins, for its rows are counted from 0; and what was
    said of one part is not said of the others again.
    """
    where = f" Here rows are counted from row {start:,} of the data." if start else ""
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", DataWarning)
            looked = items.look(part)
    except DataError as error:
        raise type(error)(f"{error}{where}") from error
    for warning in caught:
        gist = re.sub(r"\d", "", str(warning.message))[:60]
        if gist not in said:
            said.add(gist)
            warnings.warn(f"{warning.message}{where}", warning.category, stacklevel=6)
    return looked


def _unknown(x: Tensor) -> NDArray[np.bool_]:
    """Of which items nothing is known, bool `[N]`."""
    if not x.is_floating_point():
        return np.zeros(len(x), dtype=bool)
    found: NDArray[np.bool_] = x.flatten(1).isnan().all(1).numpy()
    return found


# -- what is worth a word -------------------------------------------------------------------------


def _mention_unknown(judged: Iterable[bool]) -> None:
    unknown = np.flatnonzero(~np.asarray(judged))
    if len(unknown):
        _warn(
            f"in {len(unknown):,} of the rows no cell is known, the first is row {unknown[0]} "
            "(counted from 0): such a row has no score, the p-value 1, and is no alarm."
        )


def _mention_few(p: Floats, anomaly: NDArray[np.bool_], n: int, fdr: float, more: str) -> None:
    """Say where it is for want of calibration scores that there is no alarm."""
    if anomaly.any() or not len(p):
        return
    extreme = int(np.count_nonzero(p < 1.5 / (n + 1)))
    if n >= 1 / fdr - 1 and conformal.chance_of_extremes(n, len(p), extreme) > BY_CHANCE:
        return
    needed = conformal.calibration_needed(fdr, len(p), max(1, extreme))
    _warn(
        f"no alarm is raised for want of calibration scores: {extreme:,} of {len(p):,} rows are "
        f"stranger than all {n:,} of them, which cannot be told from chance at fdr {fdr:g}. It "
        f"takes {needed:,} for that ({more}), or a higher fdr; or look at the rows with the "
        "smallest p-values."
    )


def _drift(reference: Reference, score: Floats) -> float:
    """The p-value of no drift, with a word if it is small."""
    step = max(1, -(-len(score) // DRIFTING))
    drift = reference.drift(score[::step])
    if drift < DRIFTED:
        _warn(
            f"these rows do not score as the {reference.rows:,} that the alarms are held against "
            f"(p = {drift:.1g}), anomalies apart: what is normal has changed, or the model was "
            "trained on these very rows. The p-values are off. If the rows are normal and new, "
            "call model.recalibrate(rows) or fit again."
        )
    return drift


def _warn(note: str) -> None:
    warnings.warn(note, DataWarning, stacklevel=5)
