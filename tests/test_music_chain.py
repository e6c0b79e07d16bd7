"""The prior of longer items: a density, drawn as it is scored, and adapted by its noise."""

import math

import pytest
import torch
from torch.distributions import Independent, Normal

from variate.distributions import temper
from variate.models import priors
from variate.music import adapting
from variate.music.chain import Chain, StyledChain
from variate.music.continuing import _with
from variate.music.pieces import Note, Piece
from variate.music.rewriting import last_of
from variate.music.targets import codes_in

SPANS, EACH = 3, 2


def chain(module=Chain):
    torch.manual_seed(1)
    made = module(SPANS, EACH, 8).double()
    for parameter in made.parameters():
        parameter.data += 0.4 * torch.randn_like(parameter)
    return made


def styled():
    made = chain(StyledChain)
    mean, scale = torch.randn(5, SPANS * EACH).double(), 0.1 + torch.rand(5, SPANS * EACH).double()
    adapting._draw_towards(made.noise, mean, scale, 0.4)
    return made


@torch.no_grad()
def test_noise_and_codes_are_each_others_inverse():
    made, noise = chain(), torch.randn(4, 7, SPANS * EACH).double()
    torch.testing.assert_close(made.noise(made.written(noise))[0], noise)


@pytest.mark.parametrize("make", [lambda: chain(StyledChain), styled])
def test_the_density_is_that_of_the_change_of_variables(make):
    made = make()
    noise = torch.randn(SPANS * EACH).double()
    slope = torch.autograd.functional.jacobian(made.chain.written, noise)
    with torch.no_grad():
        expected = made.noise().log_prob(noise) - torch.linalg.slogdet(slope)[1]
        found = made().log_prob(made.chain.written(noise))
    torch.testing.assert_close(found, expected)


@torch.no_grad()
def test_before_it_is_adapted_it_is_the_chain():
    made, z = chain(StyledChain), torch.randn(3, 4, SPANS * EACH).double()
    torch.testing.assert_close(made().log_prob(z), made.chain().log_prob(z))
    cool = temper(made(), 0.5).log_prob(z)
    torch.testing.assert_close(cool, temper(made.chain(), 0.5).log_prob(z))


@torch.no_grad()
def test_draws_follow_the_density():
    """E over draws of q(z) / p(z) is one for any density q."""
    p = styled()()
    z = p.sample((40_000,))
    assert z.shape == (40_000, SPANS * EACH)
    middle, spread = z.mean(0), 0.7 * z.std(0)
    q = Independent(Normal(middle, spread), 1)
    wide = p.log_prob(q.sample((40_000,))) - q.log_prob(q.sample((1,)))
    assert wide.isfinite().all()
    ratio = (q.log_prob(z) - p.log_prob(z)).exp()
    assert float(ratio.mean()) == pytest.approx(1.0, abs=0.15)


@torch.no_grad()
def test_without_spread_a_style_is_around_the_codes_of_its_pieces():
    """And an unlearned chain is adapted as a mixture of codes is."""
    made = chain(StyledChain)
    codes = torch.randn(6, SPANS * EACH).double()
    adapting._draw_towards(
        made.noise, *adapting._noise(made, codes, torch.full_like(codes, 1e-4)), 0.0
    )
    drawn = made().sample((200,))
    assert float(torch.cdist(drawn, codes).min(1).values.max()) < 0.05
    fresh, flat = StyledChain(SPANS, EACH).double(), priors.Aggregate(SPANS * EACH).double()
    scale = torch.full_like(codes, 0.3)
    for mixture, given in ((fresh.noise, adapting._noise(fresh, codes, scale)),
                           (flat, (codes, scale))):  # fmt: skip
        adapting._draw_towards(mixture, *given, 0.5)
    z = torch.randn(9, SPANS * EACH).double()
    torch.testing.assert_close(fresh().log_prob(z), flat().log_prob(z))


class Told:
    """A decoder whose first symbol is 1 with the probability of a sigmoid of z, shifted."""

    def __init__(self, shift):
        self.net, self.grammar, self.shift = self, self, shift

    def __call__(self, z):
        return self

    def begin(self, z, device=None):
        return z

    def step(self, z, before):
        return torch.stack([torch.zeros(len(z)), 2 * z[:, 0] + self.shift], 1), z

    def _shaped(self, logits, state):
        return logits


@pytest.mark.parametrize(("shift", "loose"), [(0.0, 0.05), (-9.0, 0.3)])
def test_codes_go_with_the_metre(shift, loose):
    """Their mean is that of p(z) p(x_0 | z), by quadrature; at -9 hardly any is accepted."""
    grid = torch.linspace(-8, 8, 4001)
    mass = (
        Normal(0.0, 1.0).log_prob(grid) + torch.nn.functional.logsigmoid(2 * grid + shift)
    ).exp()
    expected = float((grid * mass).sum() / mass.sum())
    prior = Independent(Normal(torch.zeros(1), torch.ones(1)), 1)
    torch.manual_seed(0)
    z = codes_in(Told(shift), prior, 1, 3_000)
    assert z.shape == (3_000, 1)
    assert float(z.mean()) == pytest.approx(expected, abs=loose)
    assert math.isfinite(float(codes_in(Told(-200.0), prior, 1, 5).sum()))


def test_a_note_that_sounds_over_the_border_is_one_note():
    before = Piece(((Note(0.0, 2.0, 60), Note(2.0, 2.0, 62)),), bars=1)
    written = Piece(((Note(0.0, 2.0, 60), Note(2.0, 3.0, 62), Note(5.0, 3.0, 64)),), bars=2)
    made = _with(before, written, 4.0, 4.0)
    assert made.voices == ((Note(0.0, 2.0, 60), Note(2.0, 3.0, 62), Note(5.0, 3.0, 64)),)
    assert made.quarters == 8
    later = _with(replace_bars(before, 3), written, 4.0, 4.0)
    assert later.voices[0][-1] == Note(13.0, 3.0, 64)
    assert later.voices[0][1] == Note(2.0, 2.0, 62)


def replace_bars(piece, bars):
    return Piece(piece.voices, piece.meter, bars=bars)


def test_the_last_bars_of_a_piece():
    piece = Piece(((Note(0.0, 5.0, 60), Note(5.0, 2.0, 62)),), bars=3)
    assert last_of(piece, 2).voices == ((Note(0.0, 1.0, 60), Note(1.0, 2.0, 62)),)
    assert last_of(piece, 1).voices == ((),)
    assert last_of(piece, 2).quarters == 8
