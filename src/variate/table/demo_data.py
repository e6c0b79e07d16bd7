"""Real data for a first try: a mixed table that a dependency bundles, made readable.

This module does not know any model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from variate.errors import MissingExtraError

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["health_insurance"]

HEALTH = ("excellent", "good", "fair", "poor")
COINSURANCE = (0, 25, 50, 95, 100)  # percent, what the plans of the experiment charged
DEDUCTIBLE_RATE = 95  # percent, under the individual deductible plan


def health_insurance() -> DataFrame:
    """The RAND Health Insurance Experiment: 20,190 person-years of 8 mixed columns, with gaps.

    From 1974 to 1982 families were given, at random, insurance plans that charged them different
    shares of their medical costs. A row is one person in one year:

    - `visits` (integer): outpatient visits to a physician;
    - `coinsurance` (ordered category): the share of the costs that the person pays;
    - `individual_deductible` (boolean): the plan has a deductible for each person;
    - `incentive` (dollars): yearly payment for taking part;
    - `max_out_of_pocket` (dollars): the most that the person can be charged in a year, missing
      where the plan has none on record (it is free, or its limit is not given);
    - `physical_limitation` (boolean): missing where the study imputed it;
    - `chronic_diseases` (number): index of chronic diseases, higher is more;
    - `health` (ordered category): self-rated.

    The transformed columns of the source are put back into their own units: `incentive` is
    exp(lpi), and `max_out_of_pocket` is what `fmde` = ln(limit / rate) was made of. A
    `physlm` between 0 and 1 is an average that the study put in place of an unknown answer; here
    it is a gap again.

    Returns:
        A pandas DataFrame, the same on every call.

    Raises:
        MissingExtraError: pandas or statsmodels is not installed.

    Source: `statsmodels.datasets.randhie` (public domain), from A. C. Cameron and P. K. Trivedi,
    Microeconometrics: Methods and Applications, Cambridge 2005; data collected by the RAND
    Corporation.
    """
    try:
        import pandas as pd
        from statsmodels.datasets import randhie
    except ImportError as error:
        package = (error.name or "statsmodels").partition(".")[0]
        raise MissingExtraError("The demonstration table", package, "table") from error

    source = randhie.load_pandas().data
    percent = np.expm1(source["lncoins"]).round().astype(int)
    rate = percent.where(source["idp"] == 0, DEDUCTIBLE_RATE) / 100
    limit = (np.exp(source["fmde"]) * rate).round(2)
    limitation = source["physlm"].where(source["physlm"].isin([0, 1])).astype("boolean")
    return pd.DataFrame(
        {
            "visits": source["mdvis"].astype(np.int64),
            "coinsurance": pd.Categorical.from_codes(
                np.searchsorted(COINSURANCE, percent),
                categories=pd.Index([f"{share}%" for share in COINSURANCE]),
                ordered=True,
            ),
            "individual_deductible": source["idp"].astype(bool),
            "incentive": np.exp(source["lpi"]).round(2).where(source["lpi"] > 0, 0.0),
            "max_out_of_pocket": limit.where(source["fmde"] > 0),
            "physical_limitation": limitation,
            "chronic_diseases": source["disea"].astype(np.float64),
            "health": pd.Categorical.from_codes(
                source[["hlthg", "hlthf", "hlthp"]].to_numpy() @ np.array([1, 2, 3]),
                categories=pd.Index(HEALTH),
                ordered=True,
            ),
        }
    )
