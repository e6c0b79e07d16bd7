"""Estimators: pure functions of a model and data, or of two samples; nothing is changed by them."""

from variate.evaluation import conformal
from variate.evaluation.evidence import Bounds, bounds, elbo, importance_weights, log_evidence
from variate.evaluation.latent import (
    Surgery,
    active_units,
    aggregate_gap,
    elbo_surgery,
    kl_per_dimension,
    mutual_information,
    posterior_means,
    total_correlation,
)
from variate.evaluation.ranges import RangeScores, range_scores, vus_pr
from variate.evaluation.reference import Reference
from variate.evaluation.samples import MMD, TwoSample, mmd, two_sample
from variate.evaluation.summary import summary
from variate.evaluation.tails import tail_p_values

__all__ = [
    "MMD",
    "Bounds",
    "RangeScores",
    "Reference",
    "Surgery",
    "TwoSample",
    "active_units",
    "aggregate_gap",
    "bounds",
    "conformal",
    "elbo",
    "elbo_surgery",
    "importance_weights",
    "kl_per_dimension",
    "log_evidence",
    "mmd",
    "mutual_information",
    "posterior_means",
    "range_scores",
    "summary",
    "tail_p_values",
    "total_correlation",
    "two_sample",
    "vus_pr",
]
