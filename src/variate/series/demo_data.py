"""Real data for a first try: a series that a dependency bundles.

This module does not know any model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from variate.errors import MissingExtraError

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["carbon_dioxide"]


def carbon_dioxide() -> DataFrame:
    """Carbon dioxide in the air at Mauna Loa: 2,284 weeks from 1958 to 2001, 59 of them missing.

    - `week` (timestamp): the Saturday of the week;
    - `co2` (number): parts per million by volume, to a tenth. It rises from year to year, and
      falls in each northern summer.

    Returns:
        A pandas DataFrame, the same on every call.

    Raises:
        MissingExtraError: pandas or statsmodels is not installed.

    Source: `statsmodels.datasets.co2` (public domain), from C. D. Keeling and T. P. Whorf,
    Atmospheric CO2 records from sites in the SIO air sampling network, 2004.
    """
    try:
        import pandas as pd
        from statsmodels.datasets import co2
    except ImportError as error:
        package = (error.name or "statsmodels").partition(".")[0]
        raise MissingExtraError("The demonstration series", package, "table") from error

    source = co2.load_pandas().data
    return pd.DataFrame({"week": pd.to_datetime(source.index), "co2": source["co2"].to_numpy()})
