"""Expressions: what they compute, and that nothing else can be said in them."""

import contextlib
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from variate.errors import OptionError
from variate.expression import Expression

X = {
    "a": np.array([1.0, 2.0, 3.0]),
    "n": np.array([4, 5, 6]),
    "yes": np.array([True, False, True]),
    "town": np.array(["Basel", "Zug", None], dtype=object),
    "share of wages": np.array([0.5, 0.25, 0.125]),
    "Größe": np.array([1.0, 1.0, 2.0]),
}


def value(text):
    return np.broadcast_to(Expression(text)(X), 3).tolist()


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("1", [1, 1, 1]),
        ("a + n * 2 - 1", [8, 11, 14]),
        ("-a ** 2 / 2", [-0.5, -2, -4.5]),
        ("2_000 if a > 1 else -1e3", [-1000, 2000, 2000]),
        ("1 < a <= n - 3", [0, 1, 1]),
        ("a if yes and not n == 6 else 0", [1, 0, 0]),
        ("yes or a > 1", [1, 1, 1]),
        ("10 * yes", [10, 0, 10]),
        ("1 if town == 'Basel' else 2 if town != \"Zug\" else 3", [1, 3, 2]),
        ("min(a, 2, n) + max(a, 2)", [3, 4, 5]),
        ("abs(-a) + exp(0) + log(1) + sqrt(4)", [4, 5, 6]),
        ("round(a / 3) + round(a / 3, 2)", [0.33, 1.67, 2]),
        ("`share of wages` * 8 + Größe + `a`", [6, 5, 6]),
        ("1 / (a - 1) if a > 1 else 0", [0, 1, 0.5]),
        ("  a +\n  1\n", [2, 3, 4]),
        ("town == 'a `b` c'", [0, 0, 0]),
    ],
)
def test_what_an_expression_computes(text, want):
    assert value(text) == pytest.approx(want)


def test_an_expression_knows_what_it_reads():
    assert Expression("a + `share of wages` * a - exp(n)").names == ("a", "share of wages", "n")
    assert Expression("1 + 2").names == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("__import__('os').system('ls')", r"position 1: only abs, .* can be called"),
        ("a.__class__", "position 1: an attribute is not allowed"),
        ("1 + a.real", "position 5: an attribute"),
        ("Größe + a.b", "position 9: an attribute"),
        ("`share of wages` + a[0]", "position 20: an index"),
        ("(lambda: 1)()", "only abs"),
        ("lambda: 1", "a lambda is not allowed"),
        ("[a for a in n]", "a comprehension"),
        ("sum(a for a in n)", "only abs"),
        ("{1: 2}", "this is not allowed"),
        ("(a := 3)", "an assignment"),
        ("f'{a}'", "formatted text"),
        ("open('x')", "only abs"),
        ("max(*n)", "plain arguments"),
        ("max(a, key=n)", "plain arguments"),
        ("max(a)", "two arguments or more"),
        ("exp(a, n)", "takes one argument"),
        ("round(a, n)", "round takes a value"),
        ("round(a, 400)", "round takes a value"),
        ("9 ** 9 ** 9", None),
        ("a ** 1000", "an exponent is at most 64"),
        ("a ** -65", "an exponent is at most 64"),
        ("1" * 400, "too large"),
        ("a // 2", "this operator"),
        ("a % 2", "this operator"),
        ("~a", "this operator"),
        ("a is n", "this comparison"),
        ("a in n", "this comparison"),
        ("a +", "it is no expression"),
        ("", "it is no expression"),
        ("a; n", "it is no expression"),
        ("import os", "it is no expression"),
        ("(" * 300 + "1" + ")" * 300, "it is no expression"),
        ("-" * 1900 + "1", "it is"),
        ("b'x'", "is not allowed"),
        ("1j", "is not allowed"),
        ("...", "is not allowed"),
        ("None", "is not allowed"),
        ("__a", r"the name '__a' is not allowed"),
        ("a\x00", "it is no expression"),
    ],
)
def test_nothing_else_can_be_said(text, said):
    if said is None:
        assert not np.isfinite(value(text)).any()
        return
    with pytest.raises(OptionError, match=said) as caught:
        Expression(text)
    assert "Allowed are numbers, 'text', names of columns" in str(caught.value)


def test_a_long_text_is_refused_before_it_is_read():
    with pytest.raises(OptionError, match=r"has 4,001 characters; it may have 2,000"):
        Expression("1+" * 2_000 + "1")
    with pytest.raises(OptionError, match="an expression is text"):
        Expression(3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("town + 1", "position 1: a number is needed here, not text"),
        ("town", "a number is needed here, not text"),
        ("1 if a else 2", "position 1: a condition is needed here, not a number"),
        ("a == 'x'", "a number is compared with text"),
        ("town < 'x'", "text can be equal or not"),
        ("not a", "a condition is needed"),
    ],
)
def test_kinds_do_not_mix(text, said):
    with pytest.raises(OptionError, match=said):
        Expression(text)(X)


NUMBERS = st.floats(-1e3, 1e3).map(lambda x: repr(round(x, 3)))
TREES = st.recursive(
    NUMBERS | st.just("a"),
    lambda inner: st.tuples(inner, st.sampled_from(["+", "-", "*"]), inner).map(
        lambda parts: f"({parts[0]} {parts[1]} {parts[2]})"
    ),
    max_leaves=12,
)


@given(TREES)
def test_it_is_what_python_would_say(text):
    want = eval(text, {"a": 2.5})
    found = float(Expression(text)({"a": np.array(2.5)}))
    assert math.isclose(found, want, rel_tol=1e-9, abs_tol=1e-9)


@given(st.text("()'`\"+-*/<>=.,aexp [019_\n#", max_size=40))
def test_any_text_is_an_expression_or_an_error_of_ours(text):
    with contextlib.suppress(OptionError):
        Expression(text)({name: np.array(1.0) for name in Expression(text).names})


# -- dates ----------------------------------------------------------------------------------------

DATES = {
    "day": np.array(["2024-01-31", "2024-02-01", "NaT"], dtype="datetime64[s]"),
    "at": np.array(["2024-01-31 12:00", "2024-01-30 00:00", "2024-01-01"], dtype="datetime64[ns]"),
    "town": np.array(["2024-01-31", "x", "y"], dtype=object),
    "limit": np.array("2024-01-31"),  # a setting
    "a": np.array([1.0, 2.0, 3.0]),
}


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("1 if day <= '2024-01-31' else 0", [1, 0, 0]),
        ("1 if '2024-01-31' == day else 0", [1, 0, 0]),
        ("1 if day > limit else 0", [0, 1, 0]),
        ("1 if at < '2024-01-31 12:00:01' and at > '2024-01-30T23:59' else 0", [1, 0, 0]),
        ("1 if '2024-01-01' <= at < '9999-12-31' else 0", [1, 1, 1]),
        ("at - '2024-01-30'", [1.5, 0, -29]),
        ("2 * (day - at)", [-1, 4, np.nan]),
        ("'2024-02-02' - day", [2, 1, np.nan]),
        ("1 if at - day > -1 else 0", [1, 0, 0]),
        ("1 if town == '2024-01-31' else 0", [1, 0, 0]),
        ("a - 1", [0, 1, 2]),
    ],
)
def test_dates_are_compared_with_dates_and_their_difference_is_in_days(text, want):
    np.testing.assert_allclose(Expression(text)(DATES), want)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 if day < '2024-02-30' else 0", "position 6: '2024-02-30' is no date; write it as"),
        ("1 if day < '31.01.2024' else 0", "is no date"),
        ("1 if day < '2024' else 0", "is no date"),
        ("day - 'soon'", "'soon' is no date"),
        ("1 if day < 3 else 0", "a time is compared with a number"),
        ("1 if day == town else 0", "a time is compared with text"),
        ("day - town", "a time goes with another, not with text"),
        ("day - a", "position 1: a time goes with another, not with a number"),
        ("day + 1", "a number is needed here, not a time"),
        ("day", "a number is needed here, not a time"),
        ("'2024-01-31' - '2024-01-30'", "a number is needed here, not text"),
    ],
)
def test_what_is_no_date(text, said):
    with pytest.raises(OptionError, match=said):
        Expression(text)(DATES)
