"""Masked arrays as tables: what is masked is a gap."""

import numpy as np

from variate.table.estimator import TableVAE
from variate.table.intake import received


def test_what_is_masked_is_a_gap():
    """What lies under the mask was taken for data: a placeholder such as -999, mostly."""
    values = np.array([[1.0, 2.0], [-999.0, 3.0], [4.0, 5.0]])
    found = received(TableVAE(), np.ma.masked_equal(values, -999.0), reset=True)
    assert np.array_equal(np.isnan(np.asarray(found)), values == -999.0)
    whole = received(TableVAE(), np.ma.masked_equal(values.astype(int), -999), reset=True)
    assert np.isnan(np.asarray(whole)[1, 0])
