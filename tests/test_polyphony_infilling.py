"""What is written of tracks where some notes are given: its law, beside all that is possible."""

import pytest
import torch
from test_polyphony import every_item
from torch.distributions import Independent, Normal

import variate as vt
from variate.models import SequenceDecoder
from variate.music import particles
from variate.music.layout import Layout
from variate.music.polyphony.events import END, LINE, PLACE, Events
from variate.music.polyphony.infilling import ROOM, Given, infilled_tracks
from variate.music.polyphony.network import EventDecoder


class Nothing(torch.nn.Module):
    """A posterior that has learned nothing."""

    def forward(self, x):
        zero = torch.zeros(len(x), 2)
        return Independent(Normal(zero, zero + 1), 1)


@pytest.fixture(scope="module")
def model():
    """Of one bar of three steps and two keys, a track each; the law has its ways, the code none."""
    events = Events(1, [3], 2, 10)
    torch.manual_seed(2)
    layout = Layout(events.size, events.first_meter, ((3, 16),), 1, 3, 2)
    net = EventDecoder(layout, events, latent=2, width=6, hidden=8).eval()
    with torch.no_grad():
        for part in (net.spread, net.first):
            part.weight.zero_()
        net.out.weight.mul_(6.0)
    decoder = SequenceDecoder(net, events.length, END, events)
    return vt.VAE(Nothing(), decoder, vt.priors.StandardNormal(2)).eval()


@pytest.fixture(scope="module")
def every(model):
    """Rules with the room that is given for writing, and all items that they allow."""
    roomy = model.decoder.grammar.of_length(ROOM * model.decoder.length)
    return roomy, every_item(roomy)


def notes_of(events, x):
    """The notes of each item, as a set."""
    found = [set() for _ in x]
    for item, note, step, length in zip(*(p.tolist() for p in events.struck(x)), strict=True):
        found[item].add((note, step, length))
    return [frozenset(notes) for notes in found]


@pytest.mark.parametrize(
    ("missing", "given"),
    [
        ([(step, 0) for step in range(3)], {(1, 1, 2)}),  # a track, to the other
        ([(0, 0), (0, 1), (1, 0), (1, 1)], {(0, 2, 1)}),  # the first steps
        ([(1, 0), (1, 1), (2, 0), (2, 1)], {(0, 0, 2), (1, 0, 1)}),  # the last, under a held note
        ([(1, 0), (1, 1)], {(1, 0, 3)}),  # one, where a key is down
    ],
)
def test_what_is_missing_is_drawn_as_bayes_rule_says(model, every, missing, given, monkeypatch):
    monkeypatch.setattr(particles, "ROWS", 1 << 14)
    monkeypatch.setattr(particles, "ROUNDS", 1)
    roomy, items = every
    sets = notes_of(roomy, items)
    gaps = torch.zeros(3, 2, dtype=torch.bool)
    for step, track in missing:
        gaps[step, track] = True
    fits = [{(n, s, d) for n, s, d in notes if not gaps[s, n]} == given for notes in sets]
    law = SequenceDecoder(model.decoder.net, roomy.length, END, roomy)(torch.zeros(1, 1, 2))
    with torch.no_grad():
        told = law.expand((1, len(items))).log_prob(items)[0]
    expected = told.double().masked_fill(~torch.tensor(fits), -torch.inf).softmax(0)
    assert 0.05 < expected.max() < 0.8

    count, draws = 200, 8
    x = items[sets.index(frozenset(given))].expand(count, -1)
    found = infilled_tracks(
        model, x, gaps.expand(count, 3, 2), torch.arange(2), torch.full((count,), 3),
        draws=draws, seed=0,
    )  # fmt: skip
    drawn = notes_of(roomy, found.draws.flatten(0, 1))
    number = {notes: i for i, notes in enumerate(sets)}
    shares = torch.bincount(torch.tensor([number[n] for n in drawn]), minlength=len(sets)).double()
    off = (shares / shares.sum() - expected).abs().sum() / 2
    assert off < 0.08


def item_of(events, notes):
    """The one way in which notes are said, `[1, L]`."""
    bar, symbols, bars, here = int(events.of_bar[0]), [events.first_meter], 0, -1
    for note, step, length in sorted(notes, key=lambda n: (n[1], n[0])):
        symbols += [LINE] * (step // bar - bars)
        symbols += [PLACE + step % bar] * (step != here)
        symbols += [events.first_note + note] + [events.longer] * ((length - 1) // events.longest)
        symbols += [events.first_length + (length - 1) % events.longest]
        bars, here = step // bar, step
    symbols += [LINE] * (events.bars - 1 - bars)
    return torch.tensor([symbols + [END] * (events.length - len(symbols))])


@pytest.mark.parametrize("length", [12, 14, 30])
@pytest.mark.parametrize(
    ("given", "gaps"),
    [
        ({(1, 1, 2)}, [(0, 0), (1, 0), (2, 0), (3, 0)]),
        ({(0, 2, 1), (2, 5, 1)}, [(0, 0), (0, 1), (1, 0), (1, 1)]),
        ({(1, 0, 5), (0, 0, 1)}, [(1, 0), (1, 1), (2, 1), (4, 1)]),
        ({(0, 0, 2), (1, 5, 1)}, [(2, 0), (2, 1), (3, 0), (3, 1), (4, 0), (4, 1)]),
    ],
)
def test_whatever_is_allowed_can_be_ended_with_all_that_is_given(length, given, gaps):
    """Keys that were all down, and symbols that were used up, left no way to go on."""
    events, track = Events(2, [3], 3, length), torch.tensor([0, 1, 1])
    missing = torch.zeros(1, 6, 2, dtype=torch.bool)
    for step, number in gaps:
        missing[0, step, number] = True
    said = Given(events, item_of(events, given), missing, track, torch.tensor([6]))
    state = events.begin(1_000, torch.device("cpu"))
    symbols = [torch.full((1_000,), events.first_meter)]
    torch.manual_seed(0)
    while len(symbols) < length:
        state = events.after(state, symbols[-1])
        may = events.allowed(state) & said.allowed(state, torch.zeros(1_000, dtype=torch.int64))
        assert may.any(1).all()
        symbols.append(torch.multinomial(may.float(), 1)[:, 0])
    x = torch.stack(symbols, 1)
    assert (x[:, -1] == END).all()
    sets = notes_of(events, x)
    assert all({n for n in notes if not missing[0, n[1], track[n[0]]]} == given for notes in sets)
    assert len(set(sets)) > 5
