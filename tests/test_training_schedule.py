"""Budgets, learning rate, and when to validate."""

import math

import pytest

from variate.training.schedule import (
    Cadence,
    Clock,
    Seconds,
    Steps,
    default_epochs,
    learning_rate,
    planned,
)


def plan(**changes):
    options = {
        "epochs": 10.0,
        "minutes": None,
        "patience": None,
        "every": None,
        "items": 1_000,
        "batch_size": 100,
        "probe": 100,
    }
    return planned(**(options | changes))


def test_the_learning_rate_warms_up_to_its_peak_and_falls_to_zero():
    assert learning_rate(3.0, 0.02) == pytest.approx(3.0)
    assert 0 < learning_rate(3.0, 0.0) < 0.1
    assert learning_rate(3.0, 0.51) == pytest.approx(1.5)  # halfway along the cosine
    assert learning_rate(3.0, 1.0) == pytest.approx(0.0, abs=1e-12)
    falling = [learning_rate(1.0, p / 100) for p in range(2, 101)]
    assert falling == sorted(falling, reverse=True)


@pytest.mark.parametrize("items", [1, 37, 1_000, 50_000, 10**8])
def test_every_default_budget_has_steps_enough_and_not_too_many(items):
    size = min(256, items)
    steps = default_epochs(items, size) * items / size
    assert steps >= 4_000
    assert steps <= max(20_000, 5 * items / size) + 1


def test_progress_is_complete_exactly_when_the_budget_is_spent():
    assert Steps(7).progress(6, 1e9) < 1.0
    assert Steps(7).progress(7, 0.0) == 1.0
    assert Seconds(2.0).progress(10**9, 1.99) < 1.0
    assert Seconds(2.0).progress(0, 2.5) == 1.0


def test_the_plan_counts_steps_over_the_borders_of_epochs():
    assert plan(epochs=2.5, items=1_001, batch_size=100).budget == Steps(25)
    assert plan(epochs=0.001).budget == Steps(1)
    assert plan(epochs=None, minutes=0.5).budget == Seconds(30.0)
    assert plan().patience is None
    assert plan(epochs=None).patience == 8
    assert plan(epochs=None, patience=2).patience == 2


@pytest.mark.parametrize(("epochs", "probe"), [(100, 100), (100, 5_000), (3, 1_000), (10, 10)])
def test_validations_cost_a_twentieth_at_most(epochs, probe):
    made = plan(epochs=epochs, probe=probe)
    number = round(1 / made.cadence.interval)
    share = number * probe / 3 / (epochs * 1_000)
    assert number <= 30
    assert share <= 0.05 or number == 4


def test_a_validation_is_due_at_the_end_and_never_twice():
    cadence = Cadence(0.25)
    due = []
    for step in range(1, 11):
        if cadence.due(step, step / 10):
            cadence.done(step, step / 10, cost=0.0)
            assert not cadence.due(step, step / 10)
            due.append(step)
    assert due == [3, 6, 9, 10]


def test_a_costly_validation_is_made_less_often():
    cadence = Cadence(1 / 30)
    cadence.done(5, 0.1, cost=0.01)
    assert not cadence.due(6, 0.29)
    assert cadence.due(7, 0.31)


def test_validate_every_counts_steps():
    cadence = Cadence(0.5, every=4)
    due = [step for step in range(1, 11) if cadence.due(step, step / 100)]
    assert due == [4, 8]


def test_a_clock_goes_on_where_it_stopped():
    clock = Clock(seconds=100.0, cpu_seconds=50.0)
    first = clock.seconds()
    assert 100.0 <= first < 101.0
    assert 50.0 <= clock.cpu_seconds() < 51.0
    assert clock.seconds() >= first
    assert math.isfinite(first)
