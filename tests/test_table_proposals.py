"""Proposals: what holds is found, what does not or would hold by chance is not."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from variate.errors import DataError
from variate.table.constraints import (
    Absolute,
    Constraints,
    Determined,
    FixedCombinations,
    LessEqual,
    Linear,
    Sum,
    Unique,
)
from variate.table.proposals import Proposals, propose

ROWS = 3000


def noise(columns: int, rows: int = ROWS, seed: int = 0) -> dict[str, np.ndarray]:
    """Independent columns of several kinds."""
    rng = np.random.default_rng(seed)
    makers = [
        lambda: rng.normal(size=rows),
        lambda: rng.integers(0, 50, rows),
        lambda: rng.choice(list("abcdef"), rows),
        lambda: rng.random(rows).round(3),
        lambda: rng.integers(0, 2, rows),
        lambda: rng.poisson(2, rows),
    ]
    return {f"n{i}": makers[i % len(makers)]() for i in range(columns)}


def found(columns: dict, **more) -> list:
    """What is proposed; it must fit together and hold."""
    table = pa.table({**columns, **more})
    proposals = propose(table)
    fitted = Constraints(proposals.constraints).fit(table)
    assert fitted.check(fitted.restore(fitted.apply(table))) is None
    for proposal in proposals:
        assert proposal.tested <= proposal.rows == table.num_rows
        assert proposal.by_chance >= 30 or isinstance(proposal.constraint, Unique)
    return proposals.constraints


def test_nothing_is_found_where_nothing_is():
    for seed in range(3):
        assert found(noise(60, seed=seed)) == []
    assert str(propose(pa.table(noise(6)))) == "no constraints were found"


def test_every_kind_is_found_among_noise():
    rng = np.random.default_rng(1)
    city = rng.integers(0, 40, ROWS)
    a, b, c = rng.integers(0, 5000, (3, ROWS)) / 100
    x = rng.normal(size=ROWS).round(3)
    celsius = rng.normal(10, 9, ROWS).round(1)
    rate = rng.random(ROWS).round(3)
    opened = np.datetime64("2020-01-01") + rng.integers(0, 900, ROWS)
    make, model = rng.integers(0, 8, ROWS), rng.integers(0, 4, ROWS)
    columns = {
        "id": np.arange(ROWS),
        "customer": [f"CUST-{i:05d}" for i in rng.permutation(ROWS)],
        "city": [f"city {i}" for i in city],
        "land": [f"land {i // 8}" for i in city],
        "a": a,
        "b": b,
        "c": c,
        "total": (100 * a + 100 * b + 100 * c).round() / 100,
        "x": x,
        "size of x": np.abs(x),
        "minus": -x,
        "celsius": celsius,
        "fahrenheit": (1.8 * celsius + 32).round(2),
        "rate": rate,
        "rest": np.where(rng.random(ROWS) < 0.9, (1 - rate).round(3), -rate),
        "opened": opened,
        "closed": opened + rng.geometric(0.05, ROWS) - 1,
        "make": [f"make {i}" for i in make],
        "model": [f"model {i // 2 + j}" for i, j in zip(make, model, strict=True)],
    }
    rules = found(noise(6), **columns)
    assert set(rules) == {
        Unique("id"),
        Unique("customer"),
        Determined("land", by="city"),
        Sum("total", ("a", "b", "c")),
        Absolute("size of x", "x"),
        Linear("minus", ("x",), (-1,)),
        Linear("fahrenheit", ("celsius",), (1.8,), 32),
        Linear("rest", ("rate",), (-1,), (0, 1)),
        LessEqual("opened", "closed"),
        FixedCombinations(("make", "model")),
    }


def test_the_sum_of_durations_is_found():
    rng = np.random.default_rng(0)
    start = np.datetime64("2020-01-01T00:00:00") + rng.integers(0, 10**7, ROWS)
    span = rng.integers(0, 10**5, ROWS).astype("timedelta64[s]")
    assert found({"start": start, "span": span, "end": start + span}) == [
        Sum("end", ("start", "span"))
    ]


def test_one_row_that_breaks_a_rule_is_enough():
    rng = np.random.default_rng(2)
    n = 20_000
    low = rng.integers(0, 1000, n)
    columns = {"low": low, "high": low + rng.integers(0, 300, n), "y": low // 9}
    assert set(found(columns)) == {LessEqual("low", "high"), Determined("y", by="low")}
    columns["high"][n // 2], columns["y"][n // 3] = -1, 10**6
    assert found(columns) == []


def test_chains_are_proposed_by_their_links():
    rng = np.random.default_rng(0)
    steps = rng.integers(0, 20, (5, ROWS)).cumsum(0)
    rules = found({f"s{i}": steps[i] for i in range(5)})
    assert set(rules) == {LessEqual(f"s{i}", f"s{i + 1}") for i in range(4)}


def test_ranges_that_do_not_overlap_say_nothing():
    rng = np.random.default_rng(0)
    assert found({"age": rng.integers(18, 90, ROWS), "year": rng.integers(1950, 2020, ROWS)}) == []


def test_measurements_that_never_repeat_are_no_keys():
    rng = np.random.default_rng(0)
    columns = {
        "weight": rng.choice(10**12, ROWS, replace=False),
        "when": [
            f"2024-01-01 {i // 3600:02d}:{i // 60 % 60:02d}:{i % 60:02d}" for i in range(ROWS)
        ],
        "name": [f"{'x' * (1 + i // 60)}{chr(65 + i % 60)}" for i in range(ROWS)],
    }
    assert found(columns) == []
    columns["account_id"] = columns.pop("weight")
    assert found(columns) == [Unique("account_id")]


def test_few_rows_prove_nothing():
    assert propose(pa.table({"a": range(99), "b": range(99)})) == ()


def test_gaps_are_no_counterexamples():
    rng = np.random.default_rng(0)
    low, gap = rng.integers(0, 100, (2, ROWS))
    table = {
        "low": pa.array(low, mask=rng.random(ROWS) < 0.1),
        "high": pa.array(low + gap, mask=rng.random(ROWS) < 0.1),
        "gap": pa.array(gap, mask=rng.random(ROWS) < 0.1),
        "empty": pa.nulls(ROWS, pa.float64()),
    }
    assert set(found(table)) & {Sum("high", ("low", "gap")), Sum("high", ("gap", "low"))}


def test_proposals_are_a_list_to_read_and_any_table_will_do():
    frame = pd.DataFrame({"k": range(200), "a": range(200)}).assign(b=lambda f: f.a * 2.5)
    proposals = propose(frame)
    assert isinstance(proposals, Proposals)
    lines = str(proposals).splitlines()
    assert lines[0] == "Unique('k')"
    assert "no value comes twice in 200 rows" in lines[1]
    assert "Proposal(constraint=Unique('k')" in repr(proposals)
    with pytest.raises(DataError):
        propose(3)


@pytest.mark.slow
def test_many_rows_and_many_columns_take_seconds():
    import time

    start = time.process_time()
    propose(pa.table(noise(20, 1_000_000)))
    propose(pa.table(noise(500, 20_000)))
    assert time.process_time() - start < 30


# -- real data ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(data_folder: Path):
    """Reads a training table of the benchmark by name."""

    def read(name: str) -> pa.Table:
        path = data_folder / "tables" / f"{name}_train.csv.gz"
        if not path.exists():
            pytest.skip(f"there is no {path}")
        return pa.Table.from_pandas(pd.read_csv(path), preserve_index=False)

    return read


def test_news(real):
    rules = found(dict(zip((table := real("news_sub")).column_names, table.columns, strict=True)))
    by_column = {rule.takes[0]: rule for rule in rules}
    assert by_column["abs_title_sentiment_polarity"] == Absolute(
        "abs_title_sentiment_polarity", "title_sentiment_polarity"
    )
    shares = next(rule for rule in rules if isinstance(rule, Linear) and len(rule.by) == 4)
    assert {shares.column, *shares.by} == {f"LDA_0{i}" for i in range(5)}
    assert (shares.coefficients, shares.intercept) == ((-1, -1, -1, -1), 1)
    assert shares.tolerance <= 3e-9
    assert by_column["rate_negative_words"] == Linear(
        "rate_negative_words", "rate_positive_words", (-1,), (0, 1)
    )
    for low, high in [("num_self_hrefs", "num_hrefs"), ("kw_avg_max", "kw_max_max")]:
        assert LessEqual(low, high) in rules


def test_adult(real):
    rules = found(dict(zip((table := real("adult")).column_names, table.columns, strict=True)))
    assert Determined("education-num", by="education") in rules
    assert len(rules) <= 2


@pytest.mark.parametrize("name", ["beijing", "beijing_dt", "default", "shoppers"])
def test_tables_without_rules(real, name):
    assert propose(real(name)) == ()
