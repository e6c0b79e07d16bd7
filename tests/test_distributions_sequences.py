"""Sequences: normalised over all items, sampled as scored, whatever narrows the law."""

import itertools
import math

import pytest
import torch

from variate.distributions import Grammar, Sequences, alphabets, temper
from variate.distributions.sequences import counted, trimmed
from variate.errors import OptionError
from variate.nets import RecurrentDecoder, TransformerDecoder

END = 2
NETS = {
    "recurrent": lambda size: RecurrentDecoder(size, 3, 8, 16, layers=2),
    "transformer": lambda size: TransformerDecoder(size, 3, 6, 8, 16, layers=2, heads=2),
}
# after 0 no 0, after 1 no end
PICKY = Grammar(torch.tensor([[1, 2, 0], [-1, 2, 0], [1, 2, -1]]))


def law(name="recurrent", size=3, end=END, length=4, draws=2, items=3, **options):
    torch.manual_seed(0)
    net = NETS[name](size).eval()
    for parameter in net.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return Sequences(net, torch.randn(draws, items, 3), length, end, **options)


def every(size, length, end):
    """All items: what stands behind an end is the end."""
    for x in itertools.product(range(size), repeat=length):
        after = [symbol for t, symbol in enumerate(x) if end in x[:t]]
        if all(symbol == end for symbol in after):
            yield x


def total(law, size, end):
    items = torch.tensor(list(every(size, law.event_shape[0], end)))
    with torch.no_grad():
        each = torch.stack([law.log_prob(x.expand(law.batch_shape[1], -1)) for x in items])
    return each.logsumexp(0)


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("end", [END, None])
def test_the_masses_of_all_items_sum_to_one(name, end):
    torch.testing.assert_close(total(law(name, end=end), 3, end), torch.zeros(2, 3))


@pytest.mark.parametrize(
    "narrow",
    [
        lambda p: p.tempered(0.5),
        lambda p: p.nucleus(0.7),
        lambda p: temper(p, 1.5).nucleus(0.9),
    ],
)
@pytest.mark.parametrize("grammar", [None, PICKY])
def test_a_narrowed_law_is_a_law(narrow, grammar):
    torch.testing.assert_close(total(narrow(law(grammar=grammar)), 3, END), torch.zeros(2, 3))


def test_what_a_grammar_forbids_has_no_mass_and_is_never_drawn():
    p = law(grammar=PICKY)
    with torch.no_grad():
        forbidden = p.log_prob(torch.tensor([[0, 0, 2, 2], [1, 2, 2, 2], [0, 1, 0, 2]]))
    assert forbidden[:, :2].isinf().all()
    assert forbidden[:, 2].isfinite().all()
    drawn = p.sample(torch.Size((200,)))
    assert p.log_prob(drawn[0]).isfinite().all()
    pairs = drawn.flatten(0, 2).unfold(-1, 2, 1).flatten(0, 1)
    assert not (pairs == torch.tensor([0, 0])).all(-1).any()
    assert not (pairs == torch.tensor([1, 2])).all(-1).any()
    assert not (p.mode.unfold(-1, 2, 1) == 0).all(-1).any()


def test_an_alphabet_for_each_place():
    allowed = torch.tensor([[1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 0, 0]]).bool()
    p = law(size=4, end=None, length=3, grammar=alphabets(allowed))
    drawn = p.sample(torch.Size((50,))).flatten(0, 2)
    assert (drawn[:, 0] < 2).all()
    assert (drawn[:, 1] > 1).all()
    assert (drawn[:, 2] == 0).all()
    torch.testing.assert_close(total(p, 4, None), torch.zeros(2, 3))


def test_a_grammar_that_cannot_be_is_refused():
    with pytest.raises(OptionError, match="state 1 of the grammar allows no symbol"):
        Grammar(torch.tensor([[1, 0], [-1, -1]]))
    with pytest.raises(OptionError, match="numbers of states"):
        Grammar(torch.tensor([[2, 0]]))


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("grammar", [None, PICKY])
def test_draws_follow_the_law(name, grammar):
    p = law(name, draws=1, items=1, length=3, grammar=grammar)
    torch.manual_seed(1)
    drawn = p.sample(torch.Size((20_000,))).reshape(-1, 3)
    for x in every(3, 3, END):
        share = (drawn == torch.tensor(x)).all(-1).double().mean()
        mass = p.log_prob(torch.tensor([x])).exp().item()
        assert abs(share - mass) < 4.5 * math.sqrt(mass * (1 - mass) / 20_000) + 1e-9, x


@pytest.mark.parametrize("name", NETS)
def test_step_by_step_is_all_at_once(name):
    p = law(name, length=6)
    x = torch.tensor([[0, 1, 0, 1, 1, 0], [1, 0, 2, 2, 2, 2], [0, 0, 0, 0, 0, 2]])
    with torch.no_grad():
        at_once = p.next_logits(x)
        memory, before, steps = p.reader.begin(p.z.flatten(0, 1)), None, []
        for t in range(6):
            logits, memory = p.reader.step(memory, before)
            steps.append(logits.log_softmax(-1))
            before = x[:, t].repeat(2)
    torch.testing.assert_close(at_once.flatten(0, 1), torch.stack(steps, 1))
    chosen = at_once.gather(-1, x.expand(2, 3, 6)[..., None])[..., 0]
    expected = torch.where(counted(x, END), chosen, 0.0)
    torch.testing.assert_close(p.log_probs(x), expected.detach())


def test_what_is_filled_up_adds_nothing():
    p = law(length=6)
    short = torch.tensor([[0, 2], [2, 2], [1, 2]])
    long = torch.nn.functional.pad(short, (0, 4), value=END)
    torch.testing.assert_close(p.log_prob(short), p.log_prob(long))
    assert trimmed(long, END).shape == (3, 2)
    with torch.no_grad():
        torch.testing.assert_close(p.log_prob(long), p.log_prob(short))
        assert p.log_probs(long).shape == (2, 3, 6)


def test_little_memory_gives_the_same(monkeypatch):
    p, x = law(), torch.tensor([[0, 1, 0, 2], [1, 2, 2, 2], [0, 0, 0, 0]])
    whole = p.log_prob(x).detach()
    monkeypatch.setattr("variate.distributions.sequences._LOGITS", 1)
    with torch.no_grad():
        torch.testing.assert_close(p.log_prob(x), whole)


def test_continued_sequences_begin_with_what_is_given():
    p = law(length=5)
    drawn = p.continued(torch.tensor([[0, 1], [1, 1], [0, 0]]))
    assert (drawn[:, :, :2] == torch.tensor([[0, 1], [1, 1], [0, 0]])).all()


def test_cold_draws_are_the_mode():
    p = law()
    assert torch.equal(temper(p, 1e-4).sample(), p.mode)
    assert torch.equal(p.nucleus(1e-6).sample(), p.mode)
    with pytest.raises(OptionError, match="top_p must be above 0"):
        p.nucleus(0.0)


def test_a_law_expands_and_says_its_support():
    p = law(draws=1)
    assert p.expand(torch.Size((5, 3))).sample().shape == (5, 3, 4)
    assert p.support.check(torch.tensor([0, 1, 2, 2]))
    assert not p.support.check(torch.tensor([0, 3, 2, 2]))


def test_a_prompt_is_given_and_adds_nothing():
    p = law(prompt=1)
    items = [x for x in every(3, 4, END) if x[0] == 1]
    with torch.no_grad():
        masses = torch.stack([p.log_prob(torch.tensor(x).expand(3, -1)) for x in items])
    torch.testing.assert_close(masses.logsumexp(0), torch.zeros(2, 3))
    assert (p.sample(torch.Size((20,)))[..., 0] == 1).all()
    other = p.nucleus(0.9).prompted(0)
    assert (other.sample()[..., 0] == 0).all()
    assert (other.mode[..., 0] == 0).all()


@pytest.mark.parametrize("grammar", [None, PICKY])
def test_looking_at_few_places_at_a_time_changes_nothing(grammar, monkeypatch):
    p, x = law(grammar=grammar), torch.tensor([[0, 1, 0, 2], [1, 0, 2, 2], [0, 2, 2, 2]])
    with torch.no_grad():
        whole = p.next_logits(x)
        monkeypatch.setattr("variate.distributions.sequences._LOGITS", 1)
        pieces = list(p.next_pieces(x))
    assert [where.start for where, _ in pieces] == [0, 1, 2, 3]
    assert all(log_p.shape == (2, 3, 1, 3) for _, log_p in pieces)
    torch.testing.assert_close(torch.cat([log_p for _, log_p in pieces], 2), whole)
    picked = whole.gather(-1, x.expand(2, 3, 4)[..., None])[..., 0]
    torch.testing.assert_close(picked * counted(x, END), p.log_probs(x))
