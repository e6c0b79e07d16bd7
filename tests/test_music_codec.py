"""Music as symbols: both directions, the grammar, transposition."""

import itertools

import pytest
import torch
from tunes import hymns, tunes

from variate.errors import SchemaError
from variate.models import SequenceDecoder
from variate.music import Note, Piece
from variate.music.codec import MusicCodec
from variate.music.extraction import Wanted
from variate.music.network import MusicDecoder, layout_of
from variate.music.reading import read
from variate.music.transposing import transposing


def fitted(pieces, **options):
    return MusicCodec(**options).fit(pieces)


def learned(pieces, bars, **options):
    """From all windows, such as too little would be learned from."""
    windows, _ = read(pieces, Wanted(bars=bars, clean=False))
    return MusicCodec(bars, **options).learn(windows)


@pytest.mark.parametrize("meter", [(4, 4), (3, 4), (6, 8), (2, 4)])
def test_pieces_come_back(meter):
    pieces = tunes(6, bars=2, meter=meter)
    codec = fitted(pieces)
    again = codec.decode(codec.encode(pieces))
    assert [p.voices for p in again] == [p.voices for p in pieces]
    assert {p.meter for p in again} == {meter}


def test_four_voices_come_back_and_the_highest_is_first():
    pieces = hymns(5)
    codec = fitted(pieces)
    assert codec.voices == 4
    assert codec.length == 1 + 32 * 4
    assert [p.voices for p in codec.decode(codec.encode(pieces))] == [p.voices for p in pieces]


def test_silence_keeps_its_bars():
    codec = fitted(tunes(4, bars=2))
    silent = Piece(((),), bars=2)
    again = codec.decode(codec.encode([silent]))
    assert again[0].voices == ((),)
    assert again[0].quarters == 8


def test_what_the_model_does_not_know_is_an_error():
    codec = fitted(tunes(4, bars=2))
    with pytest.raises(SchemaError, match=r"is in 3/4, and the\s+model knows 4/4"):
        codec.encode(tunes(1, bars=2, meter=(3, 4)))
    with pytest.raises(SchemaError, match="has the pitch 127 in voice 1"):
        codec.encode([Piece(((Note(0, 8, 127),),))])


def test_the_state_is_all_of_it():
    codec = fitted(hymns(3) + hymns(1))
    again = MusicCodec.from_state(codec.state())
    assert again.state() == codec.state()
    assert (again.encode(hymns(2)) == codec.encode(hymns(2))).all()
    for broken in ({"voices": 3}, {"meters": [[5, 4]]}, {"lowest": [1, 2, 3, 999]}):
        with pytest.raises(ValueError, match="no music is like this"):
            MusicCodec.from_state(codec.state() | broken)


def test_the_grammar_allows_each_item_in_one_way():
    low = Piece(((Note(0, 8, 60),),))
    codec = learned([low, Piece(((Note(0, 6, 60),),), (3, 4))], 2, transpose=(0, 0))
    grammar = codec.grammar()
    x = codec.encode([low])
    for place in range(codec.length):
        allowed = grammar.moves[grammar.states(x)[0, place]] >= 0
        assert allowed[x[0, place]]
    first = grammar.moves[grammar.states(x)[0, 1]] >= 0
    assert not first[0]  # no item begins with a hold


def test_behind_the_end_only_holds_are_allowed():
    pieces = tunes(3, bars=2, meter=(3, 4)) + tunes(3, bars=2)
    codec = fitted(pieces)
    x = codec.encode(tunes(1, bars=2, meter=(3, 4)))
    allowed = codec.grammar().moves[codec.grammar().states(x)[0]] >= 0
    assert (allowed[25:].sum(1) == 1).all()
    assert allowed[25:, 0].all()
    assert (allowed[1:25].sum(1) > 1).all()


def test_the_law_sums_to_one():
    codec = learned([Piece(((Note(0, 2, 60),),), (2, 4), bars=1)], 1, transpose=(0, 0))
    net = MusicDecoder(layout_of(codec), latent=2, width=4, hidden=6).double().eval()
    law = SequenceDecoder(net, codec.length, grammar=codec.grammar())(torch.randn(1, 1, 2).double())
    symbols = range(codec.first_meter)
    places = codec.length - 1
    assert places == 8
    every = torch.tensor(
        [[codec.first_meter, *item] for item in itertools.product(symbols, repeat=places)]
    )
    total = law.expand((1, len(every))).log_prob(every).exp().sum()
    assert total.item() == pytest.approx(1.0, abs=1e-6)


def test_transposition_moves_all_voices_alike_within_their_ranges():
    codec = fitted(hymns(6))
    x = codec.encode(hymns(6))
    change = transposing(codec)
    seen = set()
    for seed in range(20):
        moved = change(x, torch.Generator().manual_seed(seed))
        pitched = (x[:, 1:] >= 2) & (x[:, 1:] < codec.first_meter)
        assert (moved[:, 0] == x[:, 0]).all()
        assert (moved[:, 1:][~pitched] == x[:, 1:][~pitched]).all()
        for item, new, where in zip(x[:, 1:], moved[:, 1:], pitched, strict=True):
            shift = (new - item)[where].unique().tolist()
            assert len(shift) == 1
            seen |= set(shift)
        assert [len(p.notes) for p in codec.decode(moved)] == [
            len(p.notes) for p in codec.decode(x)
        ]
    assert seen == set(range(-5, 7))
