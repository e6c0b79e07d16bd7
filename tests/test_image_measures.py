"""Measures of pictures and codes, against values that are known."""

import math

import numpy as np
import pytest
import torch

from variate.errors import OptionError
from variate.image.measures import likeness, nearest
from variate.steering import along, difference, told_by


def test_psnr_of_a_constant_error_and_of_none():
    x = torch.randint(0, 200, (3, 1, 9, 9))
    found = likeness(x, x + 5, 256)
    assert found["psnr"] == pytest.approx(20 * math.log10(255 / 5))
    assert 0 < found["ssim"] < 1
    same = likeness(x, x, 256)
    assert same["psnr"] == 100.0
    assert same["ssim"] == pytest.approx(1.0)


def test_the_nearest_is_that_of_brute_force(monkeypatch):
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.integers(0, 256, (7, 3, 8, 8)).astype(np.uint8))
    others = torch.from_numpy(rng.integers(0, 256, (50, 3, 8, 8)).astype(np.uint8))
    others[33] = x[2]
    away = (x[:, None].double() - others.double()).square().mean((2, 3, 4)).sqrt() / 255
    for block in (1 << 26, 7 * 192 * 9):  # all at once, and nine at a time
        monkeypatch.setattr("variate.image.measures.BLOCK", block)
        found = nearest(x, others, 256)
        assert np.array_equal(found.number, away.argmin(1).numpy())
        assert np.allclose(found.distance, away.min(1).values.numpy(), atol=1e-3)
    assert found.number[2] == 33


def test_codes_along_a_dimension():
    codes = along(np.array([1.0, 2.0, 3.0]), [2, 0], np.array([-1.0, 1.0]))
    assert codes.tolist() == [[1, 2, -1], [1, 2, 1], [-1, 2, 3], [1, 2, 3]]
    with pytest.raises(OptionError, match="0 to 2"):
        along(np.zeros(3), [-1], np.zeros(2))


def test_a_direction_leads_from_one_mean_to_the_other():
    codes = np.array([[0.0, 0.0], [2.0, 0.0], [5.0, 1.0], [7.0, 1.0]])
    assert difference(codes, [False, False, True, True]).tolist() == [5.0, 1.0]
    assert difference(codes, np.array([0, 0, 1, 1])).tolist() == [5.0, 1.0]


def test_what_a_dimension_tells_is_the_capacity_of_a_normal_channel():
    rng = np.random.default_rng(0)
    noise = np.array([0.5, 1.0])
    mean = np.sqrt(1 - noise**2) * rng.normal(size=(200_000, 2))  # signal and noise sum to one
    told = told_by(mean, np.broadcast_to(noise, mean.shape))
    assert told[0] == pytest.approx(-math.log(0.5), abs=0.01)
    assert told[1] == pytest.approx(0.0, abs=1e-6)
