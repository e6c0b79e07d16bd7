"""The figures of a synthetic table: their names, what they mean, and which value is best.

FORESIGHT is about forecasts of real rows, all others (GLOSSARY) about rows that were drawn.

An evaluation gives them under `name`; a report shows them under `label` with their `meaning`; the
page docs/evaluation.md lists them all. Errors are in percent, shares and AUCs in 0..1.

This module does not know how they are measured.
"""

from typing import NamedTuple

__all__ = ["GLOSSARY", "Entry"]


class Entry(NamedTuple):
    """A figure.

    Attributes:
        name: Its key among the figures of an evaluation.
        label: What a report calls it.
        best: The value that a perfect model reaches, up to noise.
        meaning: Its definition in words.
    """

    name: str
    label: str
    best: str
    meaning: str


FIDELITY = (
    Entry(
        "shape_error",
        "Shape error, %",
        "0",
        "How far a column's distribution is off, the mean over the columns: for numbers the "
        "largest distance of the two cumulative shares (Kolmogorov-Smirnov), for categories half "
        "the summed difference of the shares (total variation), of the observed cells.",
    ),
    Entry(
        "trend_error",
        "Trend error, %",
        "0",
        "How far the dependence of two columns is off, the mean over all pairs: for two numbers "
        "half the difference of their correlations, otherwise half the summed difference of the "
        "joint shares, numbers cut into ten bins, a missing cell being a level.",
    ),
    Entry(
        "missing_error",
        "Missing error, %",
        "0",
        "The difference between the real and the synthetic share of missing cells, the mean over "
        "the columns.",
    ),
    Entry(
        "two_sample_auc",
        "AUC, boosted trees",
        "0.5",
        "How well a classifier tells synthetic rows from real ones, both of which it has not "
        "seen, ± standard error; 1 is without fail. It sees every kind of dependence, with gaps "
        "and levels as values of their own.",
    ),
    Entry(
        "linear_auc",
        "AUC, logistic",
        "0.5",
        "The same for a classifier that sees columns one by one, and so no dependence: a table "
        "of independent columns passes it. A side figure.",
    ),
)
USE = (
    Entry(
        "efficacy",
        "Efficacy",
        "as real",
        "Boosted trees learn the target from synthetic rows and are tested on real ones: AUC for "
        "a category, R² for a number. The noise floor is the same for trees that learned from as "
        "many real rows.",
    ),
)
PRIVACY = (
    Entry(
        "dcr",
        "Closest record",
        "as real",
        "The median distance of a synthetic row to the closest training row: the mean over the "
        "columns of 0 or 1 for categories and of the share of the range for numbers. Well below "
        "that of real rows, the model repeats what it was trained on.",
    ),
    Entry(
        "dcr_share",
        "Nearer to training",
        "0.5",
        "The share of synthetic rows whose closest record is a training row rather than one of "
        "as many held-out rows, ties counting half. Above 0.5, the model has memorised.",
    ),
    Entry(
        "exact_copies",
        "Exact copies",
        "as real",
        "The share of synthetic rows that equal a training row in every cell. Few columns make "
        "copies by chance, among real rows too.",
    ),
    Entry(
        "rare_values",
        "Rare values",
        "as real",
        "The share of synthetic rows that hold, in a category or in a number of at most 100 "
        "different values, one that fewer than five training rows have. Such a value may tell of "
        "somebody; group it, or leave the column out, if it does.",
    ),
    Entry(
        "membership_advantage",
        "Membership",
        "0",
        "What an attacker gains who takes a row for a training row when a synthetic row is close "
        "to it: the share of training rows found less that of held-out rows accused, at the best "
        "threshold, ± its 95 % interval. 0 is guessing, 1 certainty.",
    ),
)
CODE = (
    Entry(
        "code_gain",
        "Gain by the code",
        "above 0",
        "How much more probable a row is to the model than to the same model without z, in nats, "
        "± standard error over the rows; a lower bound. The model without z is the decoder with z "
        "held at 0, trained anew on the same rows for as many steps. Near 0, the columns tell each "
        "other all there is, and what the code is good for is encode, vary and interpolate; below "
        "0, that is what they cost.",
    ),
)
FORESIGHT = (
    Entry(
        "coverage_50",
        "Within 50 % intervals",
        "0.5",
        "The share of numbers inside the central half of their forecast, the mean over the "
        "columns; less, the forecasts are too sure, more, they are too vague.",
    ),
    Entry("coverage_80", "Within 80 % intervals", "0.8", "The same for the central 80 %."),
    Entry("coverage_95", "Within 95 % intervals", "0.95", "The same for the central 95 %."),
    Entry(
        "crps_ratio",
        "CRPS ratio",
        "below 1",
        "The error of the forecasts of numbers (continuous ranked probability score) as a share "
        "of that of a forecast that knows the column's distribution and nothing of the row, the "
        "mean over the columns.",
    ),
    Entry(
        "calibration_error",
        "Calibration error",
        "as real",
        "How far levels come less or more often than their forecasts say, in ten bins of "
        "probability, half the sum over levels, the mean over the categories. The noise floor is "
        "that of outcomes drawn from the forecasts.",
    ),
)
GLOSSARY = {entry.name: entry for entry in (*FIDELITY, *USE, *PRIVACY, *CODE)}
