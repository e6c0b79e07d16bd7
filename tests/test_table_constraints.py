"""Constraints: restore(apply(rows)) == rows, and whatever a model makes obeys after restore."""

import datetime as dt
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from variate.errors import DataError, ModelFileError, OptionError, SchemaError
from variate.table.codec import TableCodec
from variate.table.constraints import (
    Absolute,
    Constraints,
    Determined,
    FittedConstraints,
    FixedCombinations,
    LessEqual,
    Linear,
    Rule,
    Sum,
    Unique,
)
from variate.table.storage import plain

pytestmark = pytest.mark.filterwarnings("ignore::variate.errors.DataWarning")

ROWS = 300
DAY = 86_400

# -- random tables that obey ----------------------------------------------------------------------


def gaps(rng: np.random.Generator, share: float = 0.15) -> np.ndarray:
    return rng.random(ROWS) < share


def numbers(values: Any, kind: pa.DataType, mask: Any = None) -> pa.Array:
    return pa.array(np.asarray(values), mask=mask).cast(kind, safe=False)


def times(values: Any, kind: pa.DataType, mask: Any = None) -> pa.Array:
    """Seconds since 2020 as a temporal type."""
    start = 0 if pa.types.is_time(kind) or pa.types.is_duration(kind) else 18_262 * DAY
    seconds = pa.array(np.asarray(values, np.int64) + start, mask=mask)
    if pa.types.is_date32(kind):
        return pc.divide(seconds, DAY).cast(pa.int32()).cast(kind)
    if pa.types.is_time32(kind):
        return seconds.cast(pa.int32()).cast(kind)
    if pa.types.is_string(kind):
        return pc.strftime(seconds.cast(pa.timestamp("s")), format="%Y-%m-%d %H:%M:%S")
    scale = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[
        "ms" if kind == pa.date64() else kind.unit
    ]
    return pc.multiply(seconds, scale).cast(kind)


NUMBERS = {
    "int64": (pa.int64(), pa.int64(), 0),
    "int8 and uint64": (pa.int8(), pa.uint64(), 0),
    "cents": (pa.float64(), pa.float64(), 2),
    "float32 tenths": (pa.float32(), pa.float32(), 1),
    "whole and cents": (pa.float64(), pa.int32(), 2),
    "cents and whole": (pa.int16(), pa.float64(), 2),
    "decimal": (pa.decimal128(12, 2), pa.decimal128(12, 2), 2),
}
TIMES = {
    "dates": (pa.date32(), pa.date32(), DAY),
    "timestamps": (pa.timestamp("us"), pa.timestamp("us"), 1),
    "date and timestamp": (pa.date32(), pa.timestamp("ns"), 1),
    "timestamp and date": (pa.timestamp("ms"), pa.date32(), 1),
    "zones": (pa.timestamp("us", "Europe/Berlin"), pa.timestamp("s", "UTC"), 1),
    "durations": (pa.duration("s"), pa.duration("ms"), 60),
    "date64": (pa.date64(), pa.date64(), DAY),
    "text": (pa.string(), pa.string(), 1),
    "days in text": (pa.string(), pa.timestamp("ns"), DAY),
}


def ordered(kind: str, seed: int, *, strict: bool = False) -> pa.Table:
    """Columns low <= high with gaps in both, and another."""
    rng = np.random.default_rng(seed)
    first, second = gaps(rng), gaps(rng)
    if kind in NUMBERS:
        low_type, high_type, decimals = NUMBERS[kind]
        low = rng.integers(0, 90 * 10**decimals, ROWS)
        high = low + rng.integers(int(strict), 30 * 10**decimals, ROWS)
        scale = 10**decimals
        if pa.types.is_integer(low_type) and decimals:
            low, high = low // scale * scale, np.maximum(high, low // scale * scale + strict)
        if pa.types.is_integer(high_type) and decimals:
            high = -(-high // scale) * scale
        low_column = numbers(low / scale, low_type, first)
        high_column = numbers(high / scale, high_type, second)
    else:
        low_type, high_type, step = TIMES[kind]
        low = rng.integers(0, 700 * DAY, ROWS) // step * step
        high = low + rng.integers(int(strict), 40 * DAY, ROWS) // step * step + strict * step
        if high_type == pa.date32():
            high = -(-high // DAY) * DAY + strict * DAY
        if low_type == pa.date32():
            low = low // DAY * DAY
        low_column, high_column = times(low, low_type, first), times(high, high_type, second)
    other = pa.array(rng.choice(["x", "y"], ROWS))
    return pa.table({"before": other, "high": high_column, "other": other, "low": low_column})


def mixed(seed: int) -> pa.Table:
    """A table on which every kind of rule holds."""
    rng = np.random.default_rng(seed)
    city = rng.choice(["Paris", "Lyon", "Rome", "Bern"], ROWS)
    country = np.array(["FR", "FR", "IT", "CH"])[
        [["Paris", "Lyon", "Rome", "Bern"].index(c) for c in city]
    ]
    parts = rng.integers(0, 5000, (3, ROWS))
    signed = rng.normal(size=ROWS).round(3)
    celsius = rng.normal(10, 9, ROWS).round(1)
    rate = np.where(rng.random(ROWS) < 0.2, 0.0, rng.random(ROWS).round(3))
    rest = np.where(rate == 0, rng.integers(0, 2, ROWS), 1 - rate).round(3)
    start = rng.integers(0, 500, ROWS) * DAY
    size = rng.integers(0, 3, ROWS)
    made = {
        "key": pa.array([f"C-{i:05d}" for i in rng.permutation(ROWS)]),
        "country": pa.array(country).dictionary_encode(),
        "city": pa.array(city),
        "a": numbers(parts[0] / 100, pa.float64(), gaps(rng)),
        "b": numbers(parts[1] / 100, pa.float64(), gaps(rng, 0.05)),
        "total": numbers(parts.sum(0) / 100, pa.float64(), gaps(rng)),
        "c": numbers(parts[2] / 100, pa.float64()),
        "signed": numbers(signed, pa.float64()),
        "magnitude": numbers(np.abs(signed), pa.float32(), gaps(rng, 0.02)),
        "celsius": numbers(celsius, pa.float64()),
        "fahrenheit": numbers((1.8 * celsius + 32).round(2), pa.float64()),
        "rate": numbers(rate, pa.float64()),
        "rest": numbers(rest, pa.float64()),
        "opened": times(start, pa.date32()),
        "used": times(start + 5 * DAY, pa.date32(), gaps(rng)),
        "closed": times(start + rng.integers(5, 40, ROWS) * DAY, pa.date32()),
        "size": pa.array(np.array(["S", "M", "L"])[size], mask=gaps(rng, 0.1)),
        "width": pa.array(size * 10),
        "flag": pa.array(size > 0),
    }
    return pa.table(made)


MIXED = [
    Determined("country", by="city"),
    LessEqual("used", "closed"),
    LessEqual("opened", "used"),
    Unique("key"),
    Sum("total", ("a", "b", "c")),
    Absolute("magnitude", by="signed"),
    Linear("fahrenheit", "celsius", (1.8,), 32.0),
    Linear("rest", "rate", (-1.0,), (1.0, 0.0)),
    FixedCombinations(("size", "width", "flag")),
]


def again(fitted: FittedConstraints) -> FittedConstraints:
    """What a model file keeps of it."""
    return FittedConstraints.from_state(json.loads(json.dumps(fitted.state(), allow_nan=False)))


def expect_round_trip(table: pa.Table, *rules: Rule, keys: tuple[str, ...] = ()) -> pa.Table:
    """restore(apply(table)) == table, straight, through JSON and through the codec."""
    fitted = Constraints(rules).fit(table)
    assert again(fitted) == fitted
    applied = fitted.apply(table)
    codec = TableCodec().fit(applied)
    for given in (applied, codec.decode(codec.encode(applied))):
        back = again(fitted).restore(given, seed=1)
        assert back.column_names == table.column_names
        assert back.schema.types == table.schema.types
        for name in back.column_names:
            if name not in keys:
                found, meant = plain(back.column(name)), plain(table.column(name))
                assert found.equals(meant), name
    return applied


def anything(table: pa.Table, seed: int, rows: int = 500) -> pa.Table:
    """What a model may make of the columns: any values in their ranges, in any combination."""
    rng = np.random.default_rng(seed)
    made = {}
    for name in table.column_names:
        column = table.column(name).combine_chunks()
        drawn = column.take(pa.array(rng.integers(0, len(column), rows)))
        if pa.types.is_floating(column.type):
            low, high = pc.min(column).as_py(), pc.max(column).as_py()
            wild = pa.array(rng.uniform(low, high, rows)).cast(column.type)
            drawn = pc.if_else(pa.array(rng.random(rows) < 0.5), wild, drawn)
        made[name] = drawn
    codec = TableCodec().fit(table)
    return codec.decode(codec.encode(pa.table(made)))


# -- every rule -----------------------------------------------------------------------------------


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("kind", [*NUMBERS, *TIMES])
def test_low_and_high_come_back_and_hold(kind, strict):
    for seed in range(3):
        table = ordered(kind, seed, strict=strict)
        rule = LessEqual("low", "high", strict=strict)
        applied = expect_round_trip(table, rule)
        fitted = Constraints([rule]).fit(table)
        for more in range(3):
            made = fitted.restore(anything(applied, more))
            assert fitted.check(made) is None
            assert made.schema.types == table.schema.types
            high, low = made.column("high"), made.column("low")
            if low.type == high.type:
                wrong = pc.greater_equal(low, high) if strict else pc.greater(low, high)
                assert not pc.any(wrong).as_py()
            highest = pc.max(plain(table.column("high"))).as_py()
            if not strict and low.type == high.type and not pa.types.is_string(low.type):
                highest = max(highest, pc.max(plain(low)).as_py())
                assert pc.max(plain(high)).as_py() <= highest


@pytest.mark.parametrize("kinds", [(np.float64, np.float64), (np.float32, np.float64)])
@pytest.mark.parametrize("strict", [False, True])
def test_without_a_grid_the_rule_holds_and_values_come_back_nearly(kinds, strict):
    rng = np.random.default_rng(0)
    low = rng.lognormal(0, 3, ROWS)
    low_column = low.astype(kinds[0])
    high = (low_column.astype(np.float64) + rng.lognormal(0, 4, ROWS)).astype(kinds[1])
    table = pa.table({"high": high, "low": low_column})
    fitted = Constraints([LessEqual("low", "high", strict=strict)]).fit(table)
    back = fitted.restore(fitted.apply(table))
    assert back.schema == table.schema
    np.testing.assert_allclose(back["high"], table["high"], rtol=1e-12)
    for seed in range(5):
        made = fitted.restore(anything(fitted.apply(table), seed))
        a, b = (np.asarray(made[name], np.float64) for name in ("low", "high"))
        assert (a < b if strict else a <= b).all()
    tiny = pa.table({"low": [3e3] * 4, "high": [0.0, -1.0, 1e-300, 1e-9]})
    made = fitted.restore(tiny.cast(fitted.apply(table).select(["low", "high"]).schema))
    a, b = (np.asarray(made[name], np.float64) for name in ("low", "high"))
    assert (a < b if strict else a <= b).all()


def test_a_chain_and_several_lows():
    rng = np.random.default_rng(3)
    a, b = rng.integers(0, 50, (2, ROWS))
    c = np.maximum(a, b) + rng.integers(0, 9, ROWS)
    d = c + rng.integers(0, 9, ROWS)
    table = pa.table(
        {"d": d, "c": pa.array(c, mask=gaps(rng)), "b": b, "a": pa.array(a, mask=gaps(rng))}
    )
    rules = [LessEqual("a", "c"), LessEqual("c", "d"), LessEqual("b", "c")]
    for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2]):
        expect_round_trip(table, *(rules[i] for i in order))
    fitted = Constraints(rules).fit(table)
    assert [part.rule for part in fitted.parts] == [LessEqual("c", "d"), LessEqual(("a", "b"), "c")]
    made = fitted.restore(anything(fitted.apply(table), 0))
    for rule in rules:
        assert rule.check(made) is None


def test_every_kind_of_rule_at_once():
    for seed in range(3):
        table = mixed(seed)
        applied = expect_round_trip(table, *MIXED, keys=("key",))
        assert "country" not in applied.column_names
        fitted = Constraints(MIXED).fit(table)
        made = again(fitted).restore(anything(applied, seed), seed=5)
        assert made.schema.types == table.schema.types
        assert fitted.check(made) is None
        for rule in MIXED:
            assert rule.check(made) is None, rule
        rate = np.asarray(made["rate"]) + np.asarray(made["rest"])
        assert (np.isclose(rate, 0) | np.isclose(rate, 1)).all()


def test_what_cannot_be_computed_is_kept():
    table = pa.table(
        {
            "total": [None, 5, 9, 4, None],
            "a": [1, 2, None, None, None],
            "b": [1, 3, 3, None, 2],
        }
    )
    applied = expect_round_trip(table, Sum("total", ["a", "b"]))
    assert applied.column_names == ["total", "a", "b", "total is missing"]
    complete = table.slice(1, 1)
    applied = Sum("total", ("a", "b")).fit(complete).apply(complete)
    assert applied.column_names == ["a", "b"]


def test_times_add_up():
    start = times([0, 5, 9], pa.timestamp("us"))
    span = times([60, 90, 7], pa.duration("s"))
    table = pa.table(
        {"end": pc.add(start, span.cast(pa.duration("us"))), "start": start, "span": span}
    )
    expect_round_trip(table, Sum("end", ("start", "span")))
    expect_round_trip(table, Linear("span", ("end", "start"), (1, -1)))
    with pytest.raises(DataError, match="do not add up"):
        Sum("span", ("end", "start")).fit(table)


def test_a_total_that_is_recorded_more_coarsely_is_rounded():
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 200)).round(3)
    table = pa.table({"t": (a + b).round(1), "a": a, "b": b})
    fitted = Sum("t", ("a", "b")).fit(table)
    back = fitted.restore(fitted.apply(table))
    assert np.abs(np.asarray(back["t"]) - a - b).max() <= 0.05 + 1e-9
    assert set(np.asarray(back["t"])) <= set((np.arange(30) / 10).tolist())


def test_parts_that_were_rounded_need_a_tolerance_and_rows_come_out_exact():
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(4), 400).round(6)
    table = pa.table({f"s{i}": shares[:, i] for i in range(4)})
    rule = Linear("s3", ("s0", "s1", "s2"), (-1, -1, -1), 1)
    with pytest.raises(DataError, match=r"tolerance=[0-9.e-]+ allows for such rounding"):
        rule.fit(table)
    fitted = Linear("s3", rule.by, rule.coefficients, 1, tolerance=2e-6).fit(table)
    back = fitted.restore(fitted.apply(table))
    total = sum(np.rint(np.asarray(back[f"s{i}"]) * 1e6) for i in range(4))
    assert (total == 1e6).all()


def test_a_missing_value_takes_part_in_combinations_and_dependence():
    table = pa.table({"a": ["x", None, None, "x"], "b": [1.5, 2.5, None, 1.5], "c": [1, 2, 3, 1]})
    expect_round_trip(table, FixedCombinations(("a", "b")))
    expect_round_trip(table, Determined("c", ("a", "b")))
    expect_round_trip(table, Determined("a", by="c"))


def test_what_was_never_seen_determines_always_the_same():
    table = pa.table({"code": [10, 20, 30, 30], "name": ["ten", "twenty", "thirty", "thirty"]})
    fitted = Determined("name", by="code").fit(table)
    assert fitted.restore(pa.table({"code": [12, 19, 26, 99, None]}))["name"].to_pylist() == [
        "ten", "twenty", "thirty", "thirty", "thirty"
    ]  # fmt: skip


def test_declared_levels_come_back():
    kind = pa.dictionary(pa.int8(), pa.string(), ordered=True)
    sizes = pa.DictionaryArray.from_arrays(
        pa.array([2, 0, None, 2], pa.int8()), ["S", "M", "L"], ordered=True
    )
    table = pa.table({"size": sizes, "wide": [True, False, False, True]})
    assert table.schema.field("size").type == kind
    fitted = FixedCombinations(("size", "wide")).fit(table)
    back = fitted.restore(fitted.apply(table))
    assert back.equals(table)


def test_labels_of_combinations_are_distinct():
    table = pa.table({"a": ["x | y", "x", "missing", None], "b": ["z", "y | z", "q", "q"]})
    expect_round_trip(table, FixedCombinations(("a", "b")))


# -- rows that do not obey ------------------------------------------------------------------------

BAD = pa.table(
    {
        "a": [1, 2, 3, None],
        "b": [1, 3, 2, 0],
        "t": [2, 5, 5, 9],
        "m": [1.0, 3.0, -2.0, 0.0],
        "k": ["u", "v", "w", "u"],
        "e": ["p", "q", "p", "r"],
    }
)


@pytest.mark.parametrize(
    ("rule", "row", "words"),
    [
        (LessEqual("a", "b"), 2, ["'a' is 3", "'b' is 2"]),
        (LessEqual("a", "b", strict=True), 0, ["strict=True", "'a' is 1", "2 rows break it"]),
        (LessEqual(["a", "t"], "b"), 0, ["LessEqual(('a', 't'), 'b')", "'t' is 2"]),
        (Sum("t", ("a", "m")), 2, ["'t' is 5", "1 would follow"]),
        (Linear("b", "m", (1,), (0, 1)), 2, ["'b' is 2", "-2 would follow"]),
        (Absolute("b", "m"), None, []),
        (Absolute("m", "b"), 2, ["'m' is -2.0", "2.0 would follow"]),
        (Unique("k"), 3, ["'k' is 'u'", "as in row 0 already"]),
        (Determined("t", by="k"), 3, ["'t' is 9", "have 2"]),
    ],
)  # fmt: skip
def test_a_row_that_breaks_a_rule_is_named(rule, row, words):
    if row is None:
        assert rule.check(BAD) is None
        rule.fit(BAD)
        return
    found = rule.check(BAD)
    assert found is not None
    assert found.row == row
    with pytest.raises(DataError) as caught:
        Constraints([rule]).fit(BAD)
    for word in [repr(rule), f"row {row} (counted from 0)", "leave the constraint out", *words]:
        assert word in str(caught.value)


def test_new_rows_with_other_combinations_are_refused():
    fitted = FixedCombinations(("k", "e")).fit(BAD)
    other = pa.table({"k": ["u", "u"], "e": ["p", "q"]})
    assert fitted.check(other).row == 1
    with pytest.raises(SchemaError, match="no such combination as row 1"):
        fitted.apply(other)
    with pytest.raises(SchemaError, match="does not have"):
        fitted.apply(other.select(["k"]))


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (LessEqual("k", "a"), "'k' is of the type string"),
        (LessEqual("a", "when"), "holds times .* numbers"),
        (LessEqual("when", "clock"), "neither is before the other"),
        (Sum("nope", ("a", "b")), "does not have"),
        (FixedCombinations(("a", "list")), "list"),
        (LessEqual("huge", "a"), "too large"),
        (LessEqual("none", "a"), "no value at all"),
    ],
)  # fmt: skip
def test_columns_for_which_a_rule_has_no_meaning(rule, message):
    more = {
        "when": pa.array([dt.datetime(2020, 1, 1)] * 4),
        "clock": pa.array([dt.time(1)] * 4),
        "list": [[1], [2], [3], [4]],
        "huge": pa.array([2**63 - 1, 1, 2, 3], pa.int64()),
        "none": pa.nulls(4, pa.int64()),
    }
    table = pa.table({**{n: BAD[n] for n in BAD.column_names}, **more})
    with pytest.raises((DataError, OptionError), match=message):
        rule.fit(table)


def test_too_many_combinations():
    n = 6000
    table = pa.table({"a": np.arange(n) // 100, "b": np.arange(n) % 100})
    with pytest.raises(DataError, match=r"6,000 distinct combinations.*5,000"):
        FixedCombinations(("a", "b")).fit(table)


# -- declarations ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ([Sum("t", ("a", "b")), Determined("t", "k")], ["Sum('t'", "Determined('t'", "'t'"]),
        ([LessEqual("a", "b"), LessEqual("b", "a")], ["circle", "('a', 'b')", "('b', 'a')"]),
        ([LessEqual("a", "b"), LessEqual("b", "t"), LessEqual("t", "a"), Unique("k")], ["circle"]),
        ([Unique("k"), Determined("e", "k")], ["Unique('k')", "Determined('e', 'k')"]),
        ([LessEqual("a", "t"), LessEqual("b", "t", strict=True)], ["strict=True", "'t'"]),
        (["a <= b"], ["no constraint"]),
    ],
)  # fmt: skip
def test_rules_that_clash_are_named(rules, words):
    with pytest.raises(OptionError) as caught:
        Constraints(rules)
    for word in words:
        assert word in str(caught.value)


def test_a_circle_names_no_more_than_the_circle():
    rules = [LessEqual("x", "a"), LessEqual("a", "b"), LessEqual("b", "a"), LessEqual("b", "z")]
    with pytest.raises(OptionError) as caught:
        Constraints(rules)
    assert "'z'" not in str(caught.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: LessEqual("a", "a"),
        lambda: LessEqual((), "a"),
        lambda: LessEqual("a", "b", strict=1),
        lambda: Sum("a", ()),
        lambda: Sum("a", ("b", "b")),
        lambda: Sum("a", ("b",), tolerance=-1.0),
        lambda: Linear("a", ("b", "c"), (1,)),
        lambda: Linear("a", ("b",), (float("nan"),)),
        lambda: Linear("a", ("b",), (1,), (1, 1)),
        lambda: FixedCombinations(("a",)),
        lambda: Determined("a", ()),
        lambda: Unique(3),
    ],
)
def test_declarations_that_say_nothing(make):
    with pytest.raises(OptionError):
        make()


def test_a_rule_is_written_as_it_is_declared():
    for rule in MIXED:
        assert eval(repr(rule)) == rule
    assert repr(LessEqual("a", "b")) == "LessEqual('a', 'b')"


# -- model files ----------------------------------------------------------------------------------


def damaged(state: Any, rng: np.random.Generator) -> Any:
    """The state with one value somewhere replaced, left out or wrapped."""
    if isinstance(state, dict) and state and rng.random() < 0.93:
        key = list(state)[rng.integers(len(state))]
        if rng.random() < 0.05:
            return {k: v for k, v in state.items() if k != key}
        return {**state, key: damaged(state[key], rng)}
    if isinstance(state, list) and state and rng.random() < 0.93:
        i = int(rng.integers(len(state)))
        return [*state[:i], damaged(state[i], rng), *state[i + 1 :]]
    evil = [None, -1, 2**70, 0.5, "x", [], {}, [[]], True, "__import__('os')", 10**400]
    return evil[rng.integers(len(evil))]


def test_a_damaged_state_is_refused_or_harmless():
    table = mixed(0)
    fitted = Constraints(MIXED).fit(table)
    applied = fitted.apply(table)
    state = json.loads(json.dumps(fitted.state()))
    rng, refused = np.random.default_rng(0), 0
    for _ in range(600):
        try:
            other = FittedConstraints.from_state(damaged(state, rng))
        except ModelFileError:
            refused += 1
            continue
        try:
            other.restore(applied.slice(0, 5))
        except (DataError, SchemaError):
            continue
    assert refused > 300


@pytest.mark.parametrize("state", [None, [], {}, {"names": [], "parts": 3}, "x"])
def test_what_is_no_state_is_refused(state):
    with pytest.raises(ModelFileError):
        FittedConstraints.from_state(state)
