"""Keys: made like training's, none of them, none twice, repeatable."""

import json
import uuid

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from variate.errors import DataError, OptionError
from variate.table.constraints import Constraints, FittedConstraints, Unique
from variate.table.constraints.keyspace import Free, Numbered, Patterned, Shuffle, alphabets_of

RNG = np.random.default_rng(0)
LETTERS = np.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))


UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


def plates(rows: int) -> list[str]:
    """Distinct keys of two letters and four digits."""
    ranks = RNG.choice(26 * 26 * 10_000, rows, replace=False)
    return [f"{LETTERS[r // 260_000]}{LETTERS[r // 10_000 % 26]}-{r % 10_000:04d}" for r in ranks]


def uuids(rows: int) -> list[str]:
    return [str(uuid.UUID(bytes=RNG.bytes(16), version=4)) for _ in range(rows)]


KEYS = {
    "continued": (list(range(1, 501)), None, r"\d+"),
    "shuffled": (RNG.permutation(500).tolist(), None, r"\d+"),
    "gappy": (np.sort(RNG.choice(2000, 500, replace=False)).tolist(), None, r"\d+"),
    "scattered": (RNG.choice(10**9, 500, replace=False).tolist(), None, r"\d{1,9}"),
    "negative": (list(range(-700, -200)), None, r"-?\d+"),
    "floats": ([float(i) for i in range(500)], None, r"\d+"),
    "padded": ([f"CUST-{i:06d}" for i in range(1, 501)], None, r"CUST-\d{6}"),
    "not padded": ([f"ab{i}c" for i in range(1, 501)], None, r"ab\d+c"),
    "scattered text": ([f"k{i:08d}" for i in RNG.choice(10**8, 500)], None, r"k\d{8}"),
    "plates": (plates(500), None, r"[A-Z]{2}-\d{4}"),
    "few plates": (plates(20), None, r"[A-Z]{2}-\d{4}"),
    "uuids": (uuids(500), None, UUID),
    "hashes": ([RNG.bytes(16).hex() for _ in range(50)], None, r"[0-9a-f]{32}"),
    "names": ([f"n{'x' * i}" for i in range(50)], r"[A-F]{3}x\d{4}", r"[A-F]{3}x\d{4}"),
    "digits": (list(range(1000, 1500)), r"[1-9]\d{5}", r"[1-9]\d{5}"),
}  # fmt: skip


@pytest.mark.parametrize("kind", KEYS)
def test_keys_are_new_distinct_alike_and_repeatable(kind):
    keys, pattern, form = KEYS[kind]
    table = pa.table({"x": np.arange(len(keys)), "key": keys, "y": np.arange(len(keys))})
    fitted = Constraints([Unique("key", pattern)]).fit(table)
    applied = fitted.apply(table)
    assert applied.column_names == ["x", "y"]
    again = FittedConstraints.from_state(json.loads(json.dumps(fitted.state())))
    assert again == fitted
    rows = pa.table({"x": np.arange(20_000), "y": np.arange(20_000)})
    made = again.restore(rows, seed=3)
    assert made.schema == table.schema
    assert fitted.check(made) is None
    new = made["key"].to_pylist()
    assert len(set(new)) == 20_000
    assert not set(new) & set(keys)
    alike = pc.match_substring_regex(made["key"].cast(pa.string()), f"^{form}$")
    assert pc.all(alike).as_py()
    parts = [fitted.restore(rows.slice(i, 7000), seed=3, first=i) for i in (0, 7000, 14_000)]
    assert pa.concat_tables(parts)["key"].to_pylist() == new
    if kind not in ("continued", "shuffled", "gappy", "negative", "floats", "padded", "not padded"):
        assert fitted.restore(rows, seed=4)["key"].to_pylist() != new


def test_numbers_that_fill_their_range_go_on_after_the_highest():
    table = pa.table(
        {
            "key": [f"CUST-{i:03d}" for i in (2, 4, 3, 998)]
            + [f"CUST-{i:03d}" for i in range(100)][5:]
        }
    )
    fitted = Unique("key").fit(pa.table({"key": [f"C-{i:03d}" for i in range(999)]}))
    rows = pa.table({"x": [0, 0, 0]})
    assert fitted.restore(rows)["key"].to_pylist() == ["C-999", "C-1000", "C-1001"]
    Unique("key").fit(table)


def test_scattered_numbers_stay_in_their_range():
    keys = RNG.choice(np.arange(100_000, 1_000_000), 1000, replace=False)
    fitted = Unique("key").fit(pa.table({"key": keys}))
    made = np.asarray(fitted.restore(pa.table({"x": np.zeros(5000)}), seed=0)["key"])
    assert keys.min() <= made.min() < 200_000
    assert 900_000 < made.max() <= keys.max()
    assert not set(made) & set(keys)


def test_no_training_key_is_in_the_state():
    keys = uuids(300) + plates(0)
    said = json.dumps(Constraints([Unique("k")]).fit(pa.table({"k": keys})).state())
    assert not [key for key in keys if key in said]
    numbers = RNG.choice(10**12, 300, replace=False)
    state = Unique("k").fit(pa.table({"k": numbers})).state()
    inner = sorted(numbers.tolist())[1:-1]
    assert not [key for key in inner if str(key) in json.dumps(state)]
    stretches = np.array(state["space"]["free"]["stretches"])
    ranks = Shuffle(state["space"]["free"]["size"], 0).forward(numbers - numbers.min())
    ends = np.concatenate([stretches[:, 0] - 1, stretches.sum(1)])
    assert not set(ends.tolist()) & set(ranks.tolist())


def test_rows_without_a_key_stay_as_frequent():
    keys = [None if i % 4 == 0 else i for i in range(400)]
    fitted = Unique("k").fit(pa.table({"k": keys}))
    made = fitted.restore(pa.table({"x": np.zeros(20_000)}), seed=0)["k"]
    assert abs(made.null_count / 20_000 - 0.25) < 0.02


@pytest.mark.parametrize("size", [1, 2, 3, 10, 97, 1000, 4097, 65_536])
def test_a_shuffle_is_a_permutation(size):
    numbers = np.arange(size)
    for key in (0, 1, 2**64 - 1):
        shuffled = Shuffle(size, key).forward(numbers)
        assert sorted(shuffled) == numbers.tolist()
        assert (Shuffle(size, key).backward(shuffled) == numbers).all()


def test_a_shuffle_of_a_large_range_can_be_undone_and_is_even():
    numbers = RNG.integers(0, 2**60, 10_000)
    shuffled = Shuffle(2**60, 5).forward(numbers)
    assert (Shuffle(2**60, 5).backward(shuffled) == numbers).all()
    counts = np.histogram(Shuffle(10**6, 5).forward(np.arange(10_000)), 20, (0, 10**6))[0]
    assert abs(counts - 500).max() < 110  # five standard deviations


def test_a_full_pattern_says_so():
    table = pa.table({"k": [f"{i:02d}" for i in range(60)]})
    fitted = Unique("k", pattern=r"\d\d").fit(table)
    with pytest.raises(DataError, match="1,000 new keys are wanted"):
        fitted.restore(pa.table({"x": np.zeros(1000)}))
    small = Unique("k").fit(pa.table({"k": pa.array(range(100), pa.int8())}))
    with pytest.raises(DataError, match="int8"):
        small.restore(pa.table({"x": np.zeros(1000)}))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (["a1", "a1"], "as in row 0 already"),
        (["anna", "bo", "christopher"], "neither numbered nor of one length.*pattern="),
        ([1.5, 2.5], "text or whole numbers"),
        ([True, False], "text or whole numbers"),
        ([None, None], "no value at all"),
    ],
)
def test_what_is_no_key(keys, message):
    with pytest.raises(DataError, match=message):
        Unique("k").fit(pa.table({"k": keys}))


@pytest.mark.parametrize("pattern", ["", "a*", "[A-Z", "(ab)", "a{999}", "[^a]", "a|b", "x{", "."])
def test_patterns_that_are_none(pattern):
    with pytest.raises(OptionError):
        Unique("k", pattern)


def test_the_alphabets_of_a_pattern():
    assert alphabets_of(r"A\d[x-z_]{2}\.") == ["A", "0123456789", "xyz_", "xyz_", "."]
    assert alphabets_of(r"[\dA-C\]]") == ["0123456789ABC]"]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Free(10, ((0, 11),)),
        lambda: Free(10, ((0, 5), (4, 2))),
        lambda: Free(2**61, ()),
        lambda: Numbered("", "", 0, 5, 4, None),
        lambda: Patterned(("ab", ""), Free(2, ())),
        lambda: Patterned(("ab",), Free(3, ())),
    ],
)
def test_spaces_that_contradict_themselves(make):
    with pytest.raises(ValueError, match="key"):
        make()
