"""The image kind: pictures in folders, arrays and Parquet, grey, colour or binary."""

from variate.image.estimator import ImageVAE

__all__ = ["ImageVAE"]
