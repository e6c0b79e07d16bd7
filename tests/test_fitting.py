"""What `fit` does once for all kinds: what it says, and in which of several processes."""

import warnings

import pytest

from variate.errors import CollapseWarning
from variate.fitting import _said_once


@pytest.mark.parametrize(("rank", "said"), [(0, 2), (1, 1)])
def test_what_follows_training_is_said_by_the_first_process(rank, said):
    """Every process of a group said the same."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with _said_once(rank):
            warnings.warn("the codes have collapsed", CollapseWarning, stacklevel=1)
            warnings.warn("a library's own", stacklevel=1)
    assert len(caught) == said
