"""Measures of sentences, against what they must be."""

import math
import sys

import pytest

from variate import TextVAE
from variate.errors import MissingExtraError
from variate.text import measures
from variate.text.examination import _perplexity, _spread
from variate.text.items import _words
from variate.text.measures import closeness, distinct, expect_measures, likeness, self_bleu
from variate.text.words import spaced, word_count, words

REAL = [
    "a man rides a horse .",
    "two dogs run in the snow .",
    "a girl reads a book .",
    "it rains .",
]


def test_words_are_runs_of_letters_and_single_signs():
    assert words("Don't go, 3.5%!") == ["Don", "'", "t", "go", ",", "3", ".", "5", "%", "!"]
    assert words("a_b été e\u0301a") == ["a_b", "été", "e\u0301a"]


def test_words_of_scripts_without_spaces_are_letters_with_their_marks():
    assert words("猫は寝る。") == ["猫", "は", "寝", "る", "。"]
    assert words("ที่นี่ ok") == ["ที่", "นี่", "ok"]
    assert words("हिन्दी में") == ["हिन्दी", "में"]
    assert words("می\u200cروم") == ["می\u200cروم"]
    assert spaced("it rains.") == "it rains."
    assert spaced("猫は。") == "猫 は 。"


def test_words_are_counted_where_none_are_written():
    """Else a Chinese sentence was one word, of a perplexity beyond all numbers."""
    assert word_count(["猫は寝る。"]) == 5
    assert word_count(["2024年 好"]) == 4
    assert word_count(["฿"]) == 2
    assert _perplexity(-50.0, 10) == pytest.approx(math.exp(5))
    assert _perplexity(-9_000.0, 2) is None


def test_sentences_of_scripts_without_spaces_are_compared_by_letters():
    """Else one letter that differs makes a sentence another word."""
    real = ["猫は毎日庭で寝ている", "犬は夜に海を見ている"]
    assert likeness(real, ["猫は毎日庭で寝ていた", "犬は夜に海を見ていた"])["bleu"] > 70
    assert 0 < self_bleu([*real, "猫は夜に庭で寝ている"]) < 100


def test_odd_words_are_parted_where_there_are_no_spaces():
    assert _words(["猫", "は寝", "る。", "b"], [1.0, 2.0, 0.5, 4.0]) == [
        ("猫", 1.0), ("は寝", 2.0), ("る。b", 4.5),
    ]  # fmt: skip


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
    """Where real sentences are copies too, a model's are no nearer than chance has it."""
    some = [f"the cat sees number {n} of {n * n} dogs" for n in range(40)]
    assert closeness(some, some, some)[0]["near_copies"] == pytest.approx(0.05)


def test_copies_are_seen_where_some_real_sentences_are_copies():
    """Else a cosine of 1 was never above that of 95 % of the real ones, and all was well."""
    train = [f"the cat sees number {n} of {n * n} dogs" for n in range(40)]
    real = [*train[:4], *(f"a man {w} in the rain" for w in ("sat", "ran", "sang", "ate") * 9)]
    assert closeness(train, real, train)[0]["near_copies"] == pytest.approx(0.5)
    assert closeness(real, real, train)[0]["near_copies"] == pytest.approx(0.05)


def test_items_are_spread_over_the_whole_of_a_file():
    assert _spread(5, 10) == [0, 1, 2, 3, 4]
    assert _spread(999, 500)[-1] > 990
    assert len(set(_spread(999, 500))) == 500


def test_what_measures_need_is_asked_for_before_training(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    with pytest.raises(MissingExtraError, match="sacrebleu"):
        expect_measures()
    with pytest.raises(MissingExtraError, match="sacrebleu"):
        TextVAE(epochs=1).fit(["a b", "c d"])


def test_a_character_spread_over_tokens_counts_for_its_own_word():
    assert _words(["a", "", " é", "b"], [1.0, 5.0, 0.5, 0.25]) == [("a", 1.0), (" éb", 5.75)]
