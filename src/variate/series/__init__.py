"""The series kind: steps of one or more channels, with gaps, in one or more series."""

from variate.series.estimator import SeriesVAE
from variate.series.records import Forecast, Imputed

__all__ = ["Forecast", "Imputed", "SeriesVAE"]
