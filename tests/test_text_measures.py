"""Measures of sentences, against what they must be."""

import pytest

from variate.text import measures
from variate.text.examination import word_count
from variate.text.items import _words
from variate.text.measures import closeness, distinct, likeness, self_bleu, words

REAL = [
    "a man rides a horse .",
    "two dogs run in the snow .",
    "a girl reads a book .",
    "it rains .",
]


def test_words_are_runs_of_letters_and_single_signs():
    assert words("Don't go, 3.5%!") == ["Don", "'", "t", "go", ",", "3", ".", "5", "%", "!"]
    assert words("猫は寝る。") == ["猫は寝る", "。"]


def test_a_copy_is_perfect_and_another_text_is_not():
    same = likeness(REAL, REAL)
    assert same["exact"] == 1
    assert same["bleu"] == pytest.approx(100)
    assert same["chrf"] == pytest.approx(100)
    other = likeness(REAL, REAL[1:] + REAL[:1])
    assert other["exact"] == 0
    assert other["bleu"] < 30


def test_distinct():
    assert distinct(["a b c", "a b d"], 1) == 4 / 6
    assert distinct(["a b c", "a b d"], 2) == 3 / 4
    assert distinct(["a", "b"], 2) == 0


def test_self_bleu():
    assert self_bleu(["a man rides a horse ."] * 5) == pytest.approx(100)
    assert self_bleu(["a b c d e", "f g h i j", "k l m n o"]) < 20


def test_copies_are_found():
    verbs, things = ("sees", "likes", "finds", "takes", "leaves"), ("sea", "sun", "tea", "car")
    who = ("cat", "dog", "man", "boy", "girl", "child")
    train = [f"the {a} {b} the {c} today" for a in who for b in verbs for c in things]
    more = ("wine", "rain", "work", "milk", "food")
    others = ("bird", "woman")
    real = [f"a {a} {b} some {c} now" for a in others for b in ("wants", "hears") for c in more]
    figures, number, cosine = closeness(train[:10] + real[:10], real, train)
    assert figures["copied"] == 0.5
    assert figures["real_copied"] == 0
    assert figures["near_copies"] == pytest.approx(0.5, abs=0.051)
    assert number[:10].tolist() == list(range(10))
    assert cosine[:10] == pytest.approx(1)
    fair, *_ = closeness(real, real, train)
    assert fair["near_copies"] <= 0.05 + 1e-9


def test_words_are_counted_by_white_space_with_the_end():
    assert word_count(["a b c", "don't stop"]) == 7


def test_the_nearest_are_the_same_however_many_are_looked_at(monkeypatch):
    train = [f"{a} {b} {c}" for a in REAL for b in ("today", "at night") for c in ("x", "y", "z")]
    whole = closeness(train[:5] + REAL, REAL, train)
    monkeypatch.setattr(measures, "AT_ONCE", 3)
    parts = closeness(train[:5] + REAL, REAL, train)
    assert whole[0] == parts[0]
    assert whole[1].tolist() == parts[1].tolist()
    assert whole[2] == pytest.approx(parts[2])


def test_copies_are_not_nearer_than_copies():
    """Where real sentences are copies too, none of a model's is nearer than they are."""
    some = [f"the cat sees number {n} of {n * n} dogs" for n in range(40)]
    assert closeness(some, some, some)[0]["near_copies"] == 0


def test_a_character_spread_over_tokens_counts_for_its_own_word():
    assert _words(["a", "", " é", "b"], [1.0, 5.0, 0.5, 0.25]) == [("a", 1.0), (" éb", 5.75)]
