"""The networks of music: all at once and one after the other agree; what is given stays."""

import pytest
import torch
from torch.distributions import Independent, Normal
from tunes import hymns, tunes

import variate as vt
from variate.models import SequenceDecoder
from variate.music.chain import Chain
from variate.music.codec import MusicCodec
from variate.music.grid import HOLD, PITCH, REST, sounding
from variate.music.infilling import infilled
from variate.music.layout import heard, layout_of
from variate.music.network import MusicDecoder
from variate.music.pieces import Note, Piece
from variate.music.rewriting import mask_of
from variate.music.summary import MusicEncoder

PIECES = {
    "one voice": tunes(8, bars=2) + tunes(4, bars=2, meter=(6, 8)),
    "four voices": hymns(8),
    "six bars": tunes(8, bars=6) + tunes(4, bars=6, meter=(3, 4)),
}
BARS = {"six bars": 6}
NOTES = torch.tensor([-torch.inf, -torch.inf, 0, 0, 0])  # of a law of three notes


@pytest.fixture(params=PIECES)
def model(request):
    codec = MusicCodec(BARS.get(request.param, 2)).fit(PIECES[request.param])
    layout = layout_of(codec)
    net = MusicDecoder(layout, latent=6, width=6, hidden=10).double().eval()
    for weights in net.leaps.parameters():  # they begin at 0, where nothing could be wrong
        torch.nn.init.normal_(weights, std=0.5)
    decoder = SequenceDecoder(net, codec.length, grammar=codec.grammar())
    encoder = torch.nn.Sequential(MusicEncoder(layout, 6, 5), vt.posteriors.DiagonalGaussian(6))
    made = vt.VAE(encoder.double(), decoder, vt.priors.StandardNormal(6).double())
    x = codec.encode(PIECES[request.param])
    made(x[:2])
    return codec, made.eval(), x


def test_reading_and_writing_agree(model):
    codec, made, x = model
    z = torch.randn(1, len(x), 6, dtype=torch.float64)
    net, grammar = made.decoder.net, made.decoder.grammar
    told = made.decoder(z).log_probs(x)[0]
    memory, before = net.begin(z[0]), None
    state = torch.zeros(len(x), dtype=torch.int64)
    for place in range(codec.length):
        logits, memory = net.step(memory, before)
        law = grammar.masked(logits, state).log_softmax(-1)
        before = x[:, place]
        assert torch.allclose(
            law.gather(1, before[:, None])[:, 0].float(), told[:, place].float(), atol=1e-5
        )
        state = grammar.after(state, before)


def test_a_place_does_not_depend_on_what_is_written_later(model):
    codec, made, x = model
    z = torch.randn(1, len(x), 6, dtype=torch.float64)
    for cut in range(codec.length // 2, codec.length // 2 + codec.voices):  # within a chord too
        other = x.clone()
        other[:, cut:] = other[:, cut:].flip(0)
        told = [made.decoder(z).log_probs(rows)[..., :cut] for rows in (x, other)]
        same = told[0] == told[1]
        assert same[:, x[:, 0] == other[:, 0]].all()


def test_what_sounds_is_what_the_grid_says(model):
    codec, _, x = model
    symbols = x[:, 1:].unflatten(1, (codec.steps, codec.voices))
    found = heard(symbols)
    for item, sounds in zip(symbols, found, strict=True):
        for voice, sound in zip(item.T, sounds.T, strict=True):
            assert sounding(voice.numpy().astype("int16")).tolist() == sound.tolist()


def test_draws_keep_to_the_grammar(model):
    codec, made, _ = model
    z = torch.randn(1, 50, 6, dtype=torch.float64)
    drawn = made.decoder(z).sample()[0]
    grammar = made.decoder.grammar
    assert (grammar.moves[grammar.states(drawn), drawn] >= 0).all()
    assert len(codec.decode(drawn)) == 50


def test_the_code_is_seen_at_every_step(model):
    codec, made, x = model
    z = torch.zeros(1, 1, 6, dtype=torch.float64, requires_grad=True)
    told = made.decoder(z).log_probs(x[:1])[0, 0]
    for place in range(1, 1 + codec.steps * codec.voices, codec.voices):
        (slope,) = torch.autograd.grad(told[place], z, retain_graph=True)
        assert slope.abs().sum() > 0


def test_what_is_given_stays_and_the_rest_is_written(model):
    codec, made, x = model
    mask = mask_of(codec, x[:3], [2], None)
    found = infilled(made, x[:3], mask, voices=codec.voices, draws=4, seed=0)
    assert found.draws.shape == (4, 3, codec.length)
    bars = [part[:, 1:].unflatten(1, (-1, codec.voices)) for part in (x[:3], mask)]
    for drawn in (*found.draws, found.likeliest):
        assert (drawn[~mask] == x[:3][~mask]).all()
        written = drawn[:, 1:].unflatten(1, (-1, codec.voices))
        assert (heard(written)[~bars[1]] == heard(bars[0])[~bars[1]]).all()
        grammar = made.decoder.grammar
        assert (grammar.moves[grammar.states(drawn), drawn] >= 0).all()
    again = infilled(made, x[:3], mask, voices=codec.voices, draws=4, seed=0)
    assert (again.draws == found.draws).all()


def test_what_is_given_sounds_as_it_did_behind_what_is_written():
    """A bar that began with silence held the last note written before it, and one a tied note."""
    silent = ((Note(0.0, 2.0, 60), Note(6.0, 2.0, 64)),)  # from the third beat to the sixth
    tied = ((Note(0.0, 2.0, 60), Note(2.0, 4.0, 67), Note(6.0, 2.0, 64)),)
    rested = ((Note(0.0, 4.0, 60), Note(6.0, 2.0, 64)),)  # a rest at the bar line
    pieces = [Piece(voices, (4, 4)) for voices in (silent, tied, rested)]
    codec = MusicCodec(2).fit(PIECES["one voice"] + pieces)
    net = MusicDecoder(layout_of(codec), latent=6, width=6, hidden=10).eval()
    net.out.bias.data[REST] = 3.0  # silence about as often as not
    decoder = SequenceDecoder(net, codec.length, grammar=codec.grammar())
    made = vt.VAE(Nothing(6), decoder, vt.priors.StandardNormal(6))
    x = codec.encode(pieces)
    found = infilled(made, x, mask_of(codec, x, [1], None), voices=1, draws=20, seed=0)
    given = heard(x[:, 1:, None])[:, 16:]
    first = found.draws[..., 17]
    for drawn in found.draws:
        assert (heard(drawn[:, 1:, None])[:, 16:] == given).all()
        assert (drawn[:, 18:] == x[:, 18:]).all()
    sounds = heard(found.draws[..., 1:, None])[:, :, 15, 0]
    assert (first[sounds == given[:, 0, 0]] == HOLD).all()
    assert (first == HOLD).any()
    assert (first == REST).any()
    assert (first >= PITCH).any()


class Nothing(torch.nn.Module):
    """A posterior that has learned nothing."""

    def __init__(self, units=1):
        super().__init__()
        self.units = units

    def forward(self, x):
        zero = torch.zeros(len(x), self.units)
        return Independent(Normal(zero, zero + 1), 1)


def test_particles_are_drawn_as_the_posterior_is():
    """A model of a fair and a loaded beginning: what follows tells which, by Bayes' rule."""

    class Net(torch.nn.Module):
        """Two notes, the second as the first with probability 0.9, whatever z."""

        size = PITCH + 2

        def __init__(self):
            super().__init__()
            self.first = torch.nn.Parameter(torch.tensor([0, 0, 0.5, 0.5]).log())

        def read(self, z, x):
            raise NotImplementedError

        def logits(self, known):
            return known

        def begin(self, z):
            return (0, z)

        def select(self, memory, chosen):
            return memory[0], memory[1][chosen]

        def step(self, memory, before):
            if before is None:
                return self.first.expand(len(memory[1]), 4), memory
            table = torch.tensor([[0, 0, 0.9, 0.1], [0, 0, 0.1, 0.9]]).log()
            return table[before - PITCH], memory

    model = vt.VAE(Nothing(), SequenceDecoder(Net(), 3), vt.priors.StandardNormal(1))
    x = PITCH + torch.tensor([[0, 0, 1]])
    mask = torch.tensor([[True, True, False]])
    found = infilled(model, x.expand(400, 3), mask.expand(400, 3), voices=1, draws=1, seed=0)
    share = (found.draws[0, :, 1] == PITCH + 1).float().mean().item()
    assert share == pytest.approx(0.9, abs=0.05)  # p(x_2 = 1 | x_3 = 1)
    first = (found.draws[0, :, 0] == PITCH + 1).float().mean().item()
    assert first == pytest.approx(0.82, abs=0.06)


def test_the_likeliest_is_so_by_all_that_is_given():
    """Particles were drawn anew after the last symbol too, and all were equally likely then."""

    class Net(torch.nn.Module):
        """The second of three notes is the lowest with a probability that the first one says."""

        size = PITCH + 3

        def __init__(self):
            super().__init__()
            self.zero = torch.nn.Parameter(torch.tensor([0.9, 0.2, 0.001]))

        def begin(self, z):
            return z

        def select(self, memory, chosen):
            return memory[chosen]

        def step(self, memory, before):
            if before is None:
                return memory.new_zeros(len(memory), 5).log_softmax(1) + NOTES, memory
            zero = self.zero[before - PITCH]
            return NOTES + torch.stack(
                [zero, zero, zero, (1 - zero) / 2, (1 - zero) / 2], 1
            ).log(), memory

    model = vt.VAE(Nothing(), SequenceDecoder(Net(), 2), vt.priors.StandardNormal(1))
    x, missing = torch.full((50, 2), PITCH), torch.tensor([[True, False]]).expand(50, 2)
    found = infilled(model, x, missing, voices=1, draws=1, seed=0)
    assert (found.likeliest[:, 0] == PITCH).all()
    assert (found.draws[0, :, 0] == PITCH + 1).any()


def test_each_part_has_a_code_of_its_own():
    codec = MusicCodec(6).fit(PIECES["six bars"])
    net = MusicDecoder(layout_of(codec), latent=6, width=6, hidden=10).double().eval()
    z = torch.randn(2, 6, dtype=torch.float64)
    for meter, bar in enumerate((16, 12)):
        plan = net._plan(z, torch.full((2,), meter))
        for part in range(3):
            other = z.clone()
            other[:, 2 * part : 2 * part + 2] += 1
            moved = (net._plan(other, torch.full((2,), meter)) != plan).any(-1).any(0)
            inside = torch.zeros(96, dtype=torch.bool)
            inside[part * 2 * bar : (part + 1) * 2 * bar] = True
            assert (moved[: 6 * bar] == inside[: 6 * bar]).all()


def test_the_chain_is_a_law():
    chain = Chain(2, 1, hidden=4).double()
    with torch.no_grad():
        chain.out.weight.normal_()
    grid = torch.linspace(-12, 12, 401, dtype=torch.float64)
    z = torch.cartesian_prod(grid, grid)
    density = chain().log_prob(z).exp().unflatten(0, (401, 401))
    total = torch.trapezoid(torch.trapezoid(density, grid), grid)
    assert total.item() == pytest.approx(1.0, abs=1e-3)
    drawn = chain().sample((4000,))
    mean = (density[..., None] * z.unflatten(0, (401, 401))).sum((0, 1)) / density.sum()
    assert torch.allclose(drawn.mean(0), mean, atol=0.1)
    fresh = Chain(3, 2)().log_prob(torch.zeros(6))
    assert fresh.item() == pytest.approx(6 * -0.9189, abs=0.1)
