"""Tokens: any text comes back to the last byte, nothing is unknown, and what is drawn is UTF-8."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from variate.distributions import Grammar
from variate.text.codec import TextCodec
from variate.text.reading import Texts
from variate.text.tokens import BYTES, Tokens

TAUGHT = [
    "the cat sat on the mat",
    "the dog sat on the log",
    "der Hund saß auf dem Fuß",
    "猫は寝ている。犬は走っている。",
    "кошка спит, собака бежит",
    "ok 🙂🙂 fine 👩‍👩‍👧",
] * 20


@pytest.fixture(scope="module")
def tokens():
    return Tokens.learned(TAUGHT, 330)


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(blacklist_categories=("Cs",)), min_size=1))
def test_any_text_comes_back_to_the_last_byte(text):
    tokens = Tokens.learned(TAUGHT[:6], 300) if not SHARED else SHARED[0]
    SHARED[:] = [tokens]
    (ids,) = tokens.encode([text])
    assert tokens.decode(ids) == text
    assert all(0 <= i < tokens.size for i in ids)


SHARED: list[Tokens] = []
FILLS = (b"", b"\x80", b"\x80\x80", b"\x80" * 3, b"\xa0\x80", b"\x90\x80\x80")


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(blacklist_categories=("Cs",)), min_size=1))
def test_the_grammar_allows_every_text(text):
    if not SHARED:
        SHARED[:] = [Tokens.learned(TAUGHT[:6], 300)]
    tokens = SHARED[0]
    moves, state = tokens.moves(), 0
    for number in [*tokens.encode([text])[0], tokens.size]:
        state = moves[state, number]
        assert state >= 0
    assert state == 0


def test_the_grammar_allows_nothing_but_utf8(tokens):
    """Random walks along the grammar are UTF-8 where it says that a character is complete."""
    grammar, rng = Grammar(tokens.moves()), np.random.default_rng(0)
    moves = tokens.moves()
    for _ in range(2_000):
        state, ids = 0, []
        for _ in range(8):
            allowed = np.flatnonzero(moves[state, : tokens.size] >= 0)
            ids.append(int(rng.choice(allowed)))
            state = moves[state, ids[-1]]
        while state:
            ids.append(int(rng.choice(np.flatnonzero(moves[state, : tokens.size] >= 0))))
            state = moves[state, ids[-1]]
        b"".join(tokens.strings[i] for i in ids).decode()  # no error
    assert (moves[1:, tokens.size] == -1).all()  # no end within a character
    assert grammar.forbidden.shape == (8, tokens.size + 1)


def test_the_grammar_is_pythons_idea_of_utf8(tokens):
    """Each single byte after each prefix is allowed iff some text begins so."""
    begun = {0: b"", 1: b"\xc3", 2: b"\xe3", 3: b"\xf1", 4: b"\xe0", 5: b"\xed", 6: b"\xf0",
             7: b"\xf4"}  # fmt: skip
    moves = tokens.moves()
    for state, prefix in begun.items():
        for byte in range(BYTES):
            string = prefix + bytes([byte])
            possible = any(_whole(string + fill) for fill in FILLS)
            assert (moves[state, byte] >= 0) == possible, (state, byte)


def _whole(string):
    try:
        string.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_what_is_frequent_is_joined(tokens):
    assert tokens.size == 330
    (ids,) = tokens.encode(["the cat sat on the mat"])
    assert len(ids) < len("the cat sat on the mat") / 2
    assert b" the" in tokens.strings


def test_the_merges_are_all_that_need_be_kept(tokens):
    again = Tokens(tokens.merges)
    assert again.strings == tokens.strings
    assert again.encode(TAUGHT[:6]) == tokens.encode(TAUGHT[:6])
    assert pickle.loads(pickle.dumps(tokens)).encode(TAUGHT[:1]) == tokens.encode(TAUGHT[:1])


@pytest.mark.parametrize(
    "merges",
    [[(0, 256)], [(-1, 3)], [(1, 2), (1, 2)], [(97, 97)] + [(256 + i,) * 2 for i in range(12)]],
)
def test_merges_that_cannot_be_are_refused(merges):
    with pytest.raises(ValueError, match="merge"):
        Tokens(merges)


def test_too_little_text_for_the_vocabulary_asked_for():
    assert Tokens.learned(["ab", "ab"], 5_000).size == BYTES + 1


def test_a_sign_that_goes_on_and_on_makes_no_token_that_is_too_long():
    tokens = Tokens.learned(["=" * 5_000, "-" * 5_000], 320)
    assert max(map(len, tokens.strings)) <= 1024
    assert tokens.decode(tokens.encode(["=" * 5_000])[0]) == "=" * 5_000


def test_what_is_cut_off_is_whole_characters():
    tokens = Tokens([(0xE7, 0x8C), (256, 0xAB)])  # 猫 is one token, and the first of two
    for text in ("a猫🙂é", "🙂", "b"):
        ids = list(text.encode())
        for count in range(len(ids) + 1):
            kept = tokens.decode(tokens.whole(ids[:count]))
            assert text.startswith(kept)
            assert len(kept.encode()) > count - 4
    assert tokens.whole([97, 256]) == [97]
    assert tokens.whole([97, 257]) == [97, 257]
    codec = TextCodec(vocabulary=256, length=4).fit(TAUGHT)
    drawn = torch.tensor([[*"ab猫".encode()], [*"a猫".encode(), 98]])  # neither has an end
    assert codec.decode(drawn) == ["ab", "a猫"]
    assert codec.encode(codec.decode(drawn)).shape == (2, 5)


def test_no_label_is_not_the_label_without_letters():
    codec = TextCodec(vocabulary=256)
    codec.learn(Texts(["a", "b", "c"], labels=["", None, "x"]))
    x, _ = codec.filled([[97]] * 3, ["", None, "new"])
    assert x[:, 0].tolist() == [codec.symbol_of(""), codec.unlabelled, codec.unlabelled]


def test_a_codec_fills_up_with_the_end_and_comes_back():
    codec = TextCodec(vocabulary=300).fit(TAUGHT)
    x = codec.encode(TAUGHT[:6])
    assert x.dtype == torch.int32
    assert x.shape == (6, codec.length)
    assert (x[:, -1] == codec.end).all()
    assert codec.decode(x) == TAUGHT[:6]
    again = TextCodec.from_state(codec.state())
    assert torch.equal(again.encode(TAUGHT), codec.encode(TAUGHT))
    assert "300" in again.schema
    assert "".join(codec.spelled(x[3])) == TAUGHT[3]


@pytest.mark.parametrize("change", [{"length": 1}, {"length": 1 << 20}, {"merges": [[300, 1]]}])
def test_a_damaged_codec_is_refused(change):
    state = TextCodec(vocabulary=260).fit(TAUGHT).state() | change
    with pytest.raises(ValueError, match=r"tokens|merge"):
        TextCodec.from_state(state)
