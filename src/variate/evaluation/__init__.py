"""Estimators: pure functions of a model and data, or of two samples; nothing is changed by them."""

from variate.evaluation import conformal, disentanglement, features
from variate.evaluation.codebook import CodeUsage, code_usage
from variate.evaluation.decisions import Choice, Risk, choose, cvar, value_of_information
from variate.evaluation.evidence import Bounds, bounds, elbo, importance_weights, log_evidence
from variate.evaluation.latent import (
    Surgery,
    active_units,
    aggregate_gap,
    elbo_surgery,
    kl_of_groups,
    kl_per_dimension,
    mutual_information,
    posterior_means,
    total_correlation,
)
from variate.evaluation.passes import BLOCK, block_of
from variate.evaluation.predictive import (
    Reliability,
    brier_score,
    calibration_error,
    calibration_floor,
    coverage,
    crps,
    pit,
    reliability,
)
from variate.evaluation.ranges import RangeScores, range_scores, vus_pr
from variate.evaluation.reference import Reference
from variate.evaluation.samples import MMD, TwoSample, mmd, two_sample
from variate.evaluation.spread import Spread, spread, spreads
from variate.evaluation.summary import summary
from variate.evaluation.tails import tail_p_values

__all__ = [
    "BLOCK",
    "MMD",
    "Bounds",
    "Choice",
    "CodeUsage",
    "RangeScores",
    "Reference",
    "Reliability",
    "Risk",
    "Spread",
    "Surgery",
    "TwoSample",
    "active_units",
    "aggregate_gap",
    "block_of",
    "bounds",
    "brier_score",
    "calibration_error",
    "calibration_floor",
    "choose",
    "code_usage",
    "conformal",
    "coverage",
    "crps",
    "cvar",
    "disentanglement",
    "elbo",
    "elbo_surgery",
    "features",
    "importance_weights",
    "kl_of_groups",
    "kl_per_dimension",
    "log_evidence",
    "mmd",
    "mutual_information",
    "pit",
    "posterior_means",
    "range_scores",
    "reliability",
    "spread",
    "spreads",
    "summary",
    "tail_p_values",
    "total_correlation",
    "two_sample",
    "value_of_information",
    "vus_pr",
]
