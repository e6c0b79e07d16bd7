"""Numbers are written with as many digits as they were read with, and no more."""

import time

import numpy as np
import pandas as pd
import pytest
import torch

from variate.table.codec import TableCodec
from variate.table.digits import decimals_of, digits_of, to_digits

RNG = np.random.default_rng(0)
DOUBLE = np.dtype(np.float64)


def as_read(values, digits):
    """What a file holds in which numbers were written with so many significant digits."""
    return np.array([float(f"{value:.{digits}g}") for value in values])


def shown(values):
    """The most decimals and significant digits that numbers are printed with."""
    texts = [np.format_float_positional(value, trim="-") for value in values]
    places = max(len(text.partition(".")[2]) for text in texts)
    return places, max(len(text.replace(".", "").strip("-0")) for text in texts)


DURATIONS = as_read(np.where(RNG.random(3_000) < 0.3, 0, np.exp(RNG.normal(5, 3, 3_000))), 10)
RECORDED = {
    "durations in seconds": np.round(DURATIONS, 9),
    "ten digits": as_read(np.exp(RNG.normal(0, 5, 500)), 10),
    "three digits": as_read(-np.exp(RNG.normal(0, 2, 500)), 3),
    "tiny": as_read(np.exp(RNG.normal(-60, 3, 500)), 5),
    "huge": as_read(np.exp(RNG.normal(80, 3, 500)), 5),
    "cents": np.round(RNG.uniform(0, 1e6, 500), 2),
}


@pytest.mark.parametrize("name", RECORDED)
def test_any_number_comes_back_with_the_digits_of_those_that_were_read(name):
    values = RECORDED[name]
    codec = TableCodec().fit(pd.DataFrame({"x": values}))
    frame = pd.DataFrame({"x": values})
    assert (codec.decode(codec.encode(frame))["x"] == values).all()
    between = values[:-1] + RNG.random(len(values) - 1) * np.diff(values)
    made = codec.decode(torch.from_numpy(between).unsqueeze(-1))["x"].to_numpy()
    places, digits = shown(values)
    assert shown(made)[0] <= places
    assert shown(made)[1] <= digits
    assert np.abs(made - between).max() <= max(10.0 ** (1 - digits) * np.abs(between).max(), 1e-9)


def test_full_precision_is_left_as_it_is():
    for values in (RNG.normal(size=500), RNG.normal(size=500).astype("float32")):
        codec = TableCodec().fit(pd.DataFrame({"x": values}))
        (column,) = codec.modelled
        assert (column.digits, column.places, column.step) == (None, None, None)
    drawn = torch.from_numpy(RNG.normal(size=(9, 1)))
    codec = TableCodec().fit(pd.DataFrame({"x": RNG.normal(size=500)}))
    assert (codec.decode(drawn)["x"].to_numpy() == drawn[:, 0].numpy()).all()


@pytest.mark.parametrize("digits", [1, 2, 7, 14])
def test_digits_are_those_of_text(digits):
    values = np.concatenate([np.exp(RNG.normal(0, 40, 2_000)), 10.0 ** np.arange(-300, 300), [0.0]])
    values = values * RNG.choice([-1, 1], len(values))
    text = as_read(values, digits)
    near = np.abs(to_digits(values, digits) - text) <= 1e-15 * np.abs(text)
    assert near.mean() > 0.999  # 14 digits and a half may go either way
    usual = np.abs(text) < 1e22
    assert (to_digits(text, digits) == text)[usual].all()
    assert digits_of(text[usual], 1) == digits


def test_chunks_add_up():
    assert digits_of(np.array([0.5, 0.25]), 1) == 2
    assert digits_of(np.array([0.5]), 2) == 2
    assert digits_of(np.array([np.pi]), 2) is None
    assert digits_of(np.array([0.5]), None) is None
    assert decimals_of(np.array([0.5, 0.25]), 0, DOUBLE) == 2
    assert decimals_of(np.array([1e-12]), 2, DOUBLE) == 12
    assert decimals_of(np.array([np.pi * 1e-3]), 2, DOUBLE) is None


def test_a_million_numbers_take_no_time():
    values = np.round(RNG.uniform(0, 1e4, 1_000_000), 3)
    start = time.process_time()
    assert digits_of(values, 7) == 7
    assert time.process_time() - start < 0.5
