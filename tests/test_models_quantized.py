"""Quantised posteriors: point masses over codes, whose ELBO is the length of a two-part code."""

import copy
import itertools
import math
from collections.abc import Callable

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.distributions import kl_divergence

from variate import evaluation, objectives
from variate.distributions import CodeLaw, CodePoint
from variate.errors import OptionError
from variate.inference import Latent, Moment, rsample
from variate.models import likelihoods, pixels, posteriors, priors
from variate.models.quantized import Lattice, MovingCodebook
from variate.models.vae import VAE
from variate.nets import MLP, Upsample
from variate.nets.renorm import BatchRenorm
from variate.specification import describe, revive
from variate.training import Finished, train

EVENT = 6
HEADS: dict[str, Callable[[], nn.Module]] = {
    "fsq": lambda: posteriors.FSQ(4, (5, 4, 2)),
    "vq": lambda: posteriors.VQ(4, 7, 3),
}
SHAPES = {"fsq": (4, 40, 3), "vq": (4, 7, 3)}


def vae(name: str, prior: nn.Module | None = None) -> tuple[VAE, Tensor]:
    """A model of six numbers, with a prior that refers to its codebook, and a batch."""
    x = torch.randn(50, EVENT)
    encoder = nn.Sequential(nn.Linear(EVENT, 16), nn.Tanh(), HEADS[name]())
    decoder = nn.Sequential(nn.Linear(12, 16), nn.Tanh(), likelihoods.Gaussian(EVENT))
    prior = prior or priors.UniformCodes(*SHAPES[name])
    prior.start(encoder)
    model = VAE(encoder, decoder, prior)
    model(x)
    return model, x


@pytest.mark.parametrize("name", HEADS)
def test_contract(name: str) -> None:
    model, x = vae(name)
    q = model.encoder(x)
    assert isinstance(q, CodePoint)
    assert q.batch_shape == (50,)
    assert q.event_shape == (12,) == (model.prior.latent,) == (model.encoder[-1].latent,)
    z = rsample(q, 3)
    assert z.shape == (3, 50, 12)
    assert torch.equal(q.log_prob(z), torch.zeros(3, 50))
    assert torch.equal(q.log_prob(z + 0.1), torch.full((3, 50), -torch.inf))
    assert q.codes.shape == (50, 4)
    assert int(q.codes.min()) >= 0
    assert int(q.codes.max()) < SHAPES[name][1]
    z.sum().backward()
    assert all(
        p.grad.isfinite().all() and p.grad.abs().max() > 0 for p in model.encoder.parameters()
    )
    wide = q.expand((2, 50))
    assert wide.codes.shape == (2, 50, 4)
    assert torch.equal(wide.sample(), z[:2].detach())


@pytest.mark.parametrize("name", HEADS)
def test_the_vectors_are_those_of_the_codes(name: str) -> None:
    model, x = vae(name)
    q, book = model.encoder(x), model.encoder[-1].codebook
    entries = book.look_up(q.codes)
    assert torch.equal(q.sample(), entries.flatten(1))
    assert torch.equal(book.nearest(entries), q.codes)
    everything = book.look_up(torch.arange(book.size))
    assert torch.equal(book.nearest(everything), torch.arange(book.size))
    assert everything.unique(dim=0).shape == (book.size, book.width)


@pytest.mark.parametrize("name", HEADS)
def test_the_elbo_is_the_length_of_a_two_part_code(name: str) -> None:
    """Under a uniform prior -ELBO = -log p(x|z) + P log K, and the draws and bounds agree."""
    model, x = vae(name)
    model.double().eval()
    positions, size, _ = SHAPES[name]
    x = x.double()
    inference = model(x, 3)
    expected = inference.log_likelihood(x) - positions * math.log(size)
    torch.testing.assert_close(inference.log_likelihood(x) - inference.kl(), expected)
    torch.testing.assert_close(inference.log_weight(x), expected)
    (latent,) = inference.latents
    assert latent.kl_per_dimension() is None
    loss = objectives.ELBO()(model, x, Moment())
    torch.testing.assert_close(loss.terms["elbo"], expected[0].mean())
    bounds = evaluation.bounds(model, x, 8)
    torch.testing.assert_close(bounds.elbo, expected[0])
    torch.testing.assert_close(bounds.importance, bounds.elbo)


@pytest.mark.parametrize("name", HEADS)
def test_the_elbo_bounds_the_sum_over_all_codes(name: str) -> None:
    """log p(x) = log Σ_c p(c) p(x|z_c), over all grids of two positions."""
    encoder = nn.Sequential(nn.Linear(EVENT, 8), nn.Tanh())
    head = posteriors.FSQ(2, (3, 2)) if name == "fsq" else posteriors.VQ(2, 6, 2)
    encoder.append(head)
    prior = priors.AutoregressiveCodes(2, 6, 2, hidden=8, layers=1, heads=2)
    nn.init.normal_(prior.net.head.weight)
    prior.start(encoder)
    model = VAE(encoder, nn.Sequential(likelihoods.Gaussian(EVENT)), prior)
    x = torch.randn(9, EVENT)
    model(x)
    model.eval()
    with torch.no_grad():
        grids = torch.tensor(list(itertools.product(range(6), repeat=2)))
        z = head.codebook.look_up(grids).flatten(1)
        log_p = prior().log_prob(z)
        assert log_p.exp().sum().item() == pytest.approx(1.0, abs=1e-5)
        joint = log_p[:, None] + model.decoder(z[:, None].expand(36, 9, 4)).log_prob(x)
        bound = evaluation.elbo(model, x).float()
    assert (bound <= joint.logsumexp(0) + 1e-4).all()
    assert (bound[:, None] - joint.T).abs().min(1).values.max() < 1e-4  # one of the terms


@pytest.mark.parametrize("name", HEADS)
def test_the_kl_is_that_of_the_codes_without_looking_them_up(name: str) -> None:
    model, x = vae(name, priors.AutoregressiveCodes(*SHAPES[name], hidden=8, layers=1, heads=2))
    nn.init.normal_(model.prior.net.head.weight)
    q, p = model.encoder.eval()(x), model.prior()
    length = kl_divergence(q, p)
    torch.testing.assert_close(length, -p.log_prob(q.sample()))
    other = copy.deepcopy(model)
    with pytest.raises(NotImplementedError):  # another codebook: no codes in common
        kl_divergence(q, other.prior())
    assert Latent(rsample(q, 2), q, other.prior()).kl().shape == (2, 50)


def test_off_the_codebook_there_is_no_mass() -> None:
    model, x = vae("fsq")
    z = model.encoder(x).sample()
    z[3, 5] += 0.1
    log_p = model.prior().log_prob(z)
    assert log_p[3] == -torch.inf
    assert log_p.isfinite().sum() == 49


# -- finite scalars ------------------------------------------------------------------------------


def test_the_lattice_is_evenly_spaced_and_every_code_is_reached() -> None:
    book = Lattice((5, 4, 2))
    points = book.look_up(torch.arange(40))
    for j, n in enumerate((5, 4, 2)):
        torch.testing.assert_close(points[:, j].unique(), torch.linspace(-1, 1, n))
    squashed = book.squash(4 * torch.randn(20_000, 3))
    assert squashed.abs().max() <= 1
    assert len(book.nearest(squashed).unique()) == 40
    assert torch.equal(book.nearest(torch.full((3,), 1e9)), torch.tensor(39))
    # Zero lies in the middle of a cell, not on a border, from three levels on.
    near = book.nearest(book.squash(1e-3 * torch.tensor([[1.0, 1, 1], [-1, -1, 1]])))
    assert near[0] == near[1]


def test_standardised_numbers_have_the_value_of_running_and_the_slope_of_batch_statistics() -> None:
    renorm, batch = BatchRenorm(3), nn.BatchNorm1d(3, affine=False, eps=1e-6)
    renorm.double(), batch.double()
    for _ in range(300):
        y = 3 + torch.tensor([0.1, 1.0, 50.0]) * torch.randn(64, 3, dtype=torch.float64)
        renorm(y)
    y.requires_grad_()
    value = renorm(y)
    torch.testing.assert_close(value, renorm.eval()(y))
    assert (value.mean(0).abs() < 0.5).all()
    assert ((value.std(0) - 1).abs() < 0.2).all()
    weight = torch.randn(64, 3, dtype=torch.float64)
    (slope,) = torch.autograd.grad((value * weight).sum(), y)
    (wanted,) = torch.autograd.grad((batch(y) * weight).sum(), y)
    own = y.detach().std(0, correction=0) / (renorm.variance + 1e-6).sqrt()
    torch.testing.assert_close(slope, wanted * own, rtol=1e-4, atol=1e-6)
    assert slope.sum(0).abs().max() < 1e-9  # nothing along a shift, nor along the scale
    assert (slope * y.detach()).sum(0).abs().max() < 1e-3
    before = copy.deepcopy(renorm.state_dict())
    renorm.train()(torch.full((4, 3), torch.nan, dtype=torch.float64))
    assert all(torch.equal(value, before[key]) for key, value in renorm.state_dict().items())
    assert renorm(y[:1]).isfinite().all()


def test_finite_scalars_are_rounded_and_the_slope_is_that_of_the_squashing() -> None:
    head = posteriors.FSQ(1, (5,))
    head.eval()(torch.zeros(1, 1))
    with torch.no_grad():
        head.vectors.linear.weight.fill_(1.0)
        head.vectors.linear.bias.zero_()
    y = torch.tensor([[-3.0], [-0.5], [0.1], [0.7]], requires_grad=True)
    z = head(y).rsample()
    torch.testing.assert_close(z, torch.tensor([[-1.0], [-0.5], [0.0], [0.5]]))
    z.sum().backward()
    torch.testing.assert_close(y.grad, 1 - y.detach().tanh().square())


# -- the moving codebook -------------------------------------------------------------------------


def clusters(n: int, centres: Tensor) -> Tensor:
    return centres[torch.randint(len(centres), (n,))] + 0.05 * torch.randn(n, centres.shape[1])


def test_the_entries_become_the_means_of_the_clusters() -> None:
    """With more entries than clusters, none of which is then without one of its own."""
    centres = 3 * torch.randn(8, 2)
    book = MovingCodebook(32, 2, 0.9)
    for _ in range(200):
        book.learn(clusters(256, centres))
    distance = torch.cdist(centres, book.entries())
    assert distance.min(1).values.max() < 0.1
    assert distance.min(0).values.max() < 0.2  # and no entry lies between
    one = MovingCodebook(2, 2, 0.9)
    for _ in range(100):
        one.learn(torch.tensor([[1.0, 2.0], [3.0, 4.0], [101.0, 2.0], [103.0, 4.0]]))
    found = one.entries()[one.entries()[:, 0].argsort()]
    torch.testing.assert_close(found, torch.tensor([[2.0, 3.0], [102.0, 3.0]]))
    torch.testing.assert_close(one.usage, torch.ones(2), rtol=1e-3, atol=1e-3)


def test_dead_entries_are_revived_and_live_ones_are_not_touched() -> None:
    book = MovingCodebook(16, 2, 0.99)
    first = torch.randn(512, 2)
    for _ in range(50):
        book.learn(first)
    before = book.entries().clone()
    with torch.no_grad():
        book.sums[3] = book.usage[3] * 1e3  # so far out that nothing chooses it
    book.learn(first)
    assert book.entries()[3].abs().max() > 100  # not yet
    for _ in range(400):
        book.learn(first)
    assert book.entries()[3].abs().max() < 5
    assert len(book.choose(first).unique()) == 16
    assert (before - book.entries()).norm(dim=1).median() < 0.5


def test_means_of_two_processes_are_those_of_one() -> None:
    """What moved in each is averaged (training.processes), with no dead entry."""
    centres = 3 * torch.randn(4, 2)
    one = MovingCodebook(4, 2, 0.9)
    for _ in range(30):
        one.learn(clusters(256, centres))
    parts, x = [copy.deepcopy(one), copy.deepcopy(one)], clusters(256, centres)
    one.learn(x)
    for part, share in zip(parts, x.split(128), strict=True):
        part.learn(share)
    for name in ("usage", "sums"):
        mean = (getattr(parts[0], name) + getattr(parts[1], name)) / 2
        torch.testing.assert_close(mean, getattr(one, name))


def test_a_batch_that_is_not_finite_moves_nothing() -> None:
    book = MovingCodebook(4, 2, 0.9)
    book.learn(torch.randn(64, 2))
    before = copy.deepcopy(book.state_dict())
    bad = torch.randn(64, 2)
    bad[3, 1] = torch.nan
    book.learn(bad)
    for key, value in book.state_dict().items():
        assert torch.equal(value, before[key])


def test_entries_move_only_in_training_with_gradients() -> None:
    model, x = vae("vq")
    before = model.encoder[-1].codebook.entries().clone()
    model.eval()(x)
    evaluation.elbo(model.train(), x)
    with torch.no_grad():
        model.train()(x)
    assert torch.equal(model.encoder[-1].codebook.entries(), before)
    model(x)
    assert not torch.equal(model.encoder[-1].codebook.entries(), before)


def test_the_commitment_is_part_of_the_loss_and_not_of_the_elbo() -> None:
    model, x = vae("vq")
    model.eval()
    q = model.encoder(x)
    vectors = model.encoder[-1].vectors(model.encoder[:-1](x))
    entries = model.encoder[-1].codebook.look_up(q.codes)
    torch.testing.assert_close(q.penalty, 0.25 * (vectors - entries).square().sum((1, 2)))
    loss = objectives.ELBO()(model, x, Moment())
    torch.testing.assert_close(loss.total, q.penalty.mean() - loss.terms["elbo"])
    (slope,) = torch.autograd.grad(q.penalty.sum(), model.encoder[-1].vectors.linear.bias)
    torch.testing.assert_close(slope, 0.5 * (vectors - entries).sum(0).flatten())


# -- in the house --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", HEADS)
def test_a_model_file_can_keep_the_head(name: str) -> None:
    model, x = vae(name)
    head, features = model.encoder[-1], model.encoder[:-1](x)
    other = revive(describe(head))
    other(features)
    other.load_state_dict(head.state_dict())
    head.eval(), other.eval()
    assert torch.equal(other(features).codes, head(features).codes)


@pytest.mark.parametrize("name", HEADS)
def test_nothing_waits_for_the_device(name: str) -> None:
    """On the meta device there are no values to wait for, and all tensors must be there."""
    model, x = vae(name)
    model.train().to("meta")
    objectives.ELBO(samples=2)(model, x.to("meta"), Moment()).total.backward()


@pytest.mark.parametrize("name", HEADS)
def test_codes_are_chosen_in_full_precision(name: str) -> None:
    model, x = vae(name)
    model.eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        q = model.encoder(x)
        assert q.value.dtype == torch.float32
        assert model.prior().log_prob(q.sample()).isfinite().all()


@pytest.mark.parametrize("name", HEADS)
def test_objectives_agree_or_refuse(name: str) -> None:
    model, x = vae(name)
    model.eval()
    elbo = objectives.ELBO()(model, x, Moment()).total
    for same in (objectives.IWAE(5), objectives.FreeBits(0.01), objectives.ELBO(samples=3)):
        torch.testing.assert_close(same(model, x, Moment()).total, elbo)
    for wrong in (objectives.DReG(5), objectives.StickTheLanding()):
        with pytest.raises(TypeError, match="is a point and has no density"):
            wrong(model, x, Moment())


def test_one_code_at_each_place_of_a_map() -> None:
    head = posteriors.FSQ((4, 3), (5, 5)).eval()
    maps = torch.randn(2, 7, 4, 3)
    q = head(maps)
    assert q.codes.shape == (2, 12)
    moved = maps.clone()
    moved[:, :, 2, 1] += 5.0
    changed = (head(moved).codes != q.codes).any(0).nonzero().flatten().tolist()
    assert changed == [2 * 3 + 1]
    back = posteriors.CodeMap((4, 3), nn.Identity())(q.rsample((6,)))
    assert back.shape == (6, 2, 2, 4, 3)
    torch.testing.assert_close(back[0, :, :, 2, 1], q.value.unflatten(1, (12, 2))[:, 7])
    with pytest.raises(ValueError, match=r"features \[B, F, 4, 3\] were expected"):
        head(torch.randn(2, 7, 3, 4))


@pytest.mark.parametrize("head", [posteriors.FSQ((4, 4), (5, 3)), posteriors.VQ((4, 4), 15, 2)])
def test_a_map_of_codes_makes_images(head: nn.Module) -> None:
    x = digits()[:20]
    encoder = nn.Sequential(Scaled(), nn.Conv2d(1, 8, 4, stride=2, padding=1), nn.SiLU(), head)
    net = nn.Sequential(nn.Conv2d(2, 8, 3, padding=1), nn.SiLU(), Upsample(8, 8, (8, 8)))
    decoder = nn.Sequential(
        posteriors.CodeMap((4, 4), net), pixels.LogisticMixturePixels(1, 17, components=2)
    )
    prior = priors.AutoregressiveCodes(16, 15, 2, hidden=8, layers=1, heads=2)
    prior.start(encoder)
    model = VAE(encoder, decoder, prior)
    model(x)
    objectives.ELBO(samples=2)(model, x, Moment()).total.backward()
    for part in (encoder, decoder, prior.net.head):
        assert all(p.grad.isfinite().all() and p.grad.abs().max() > 0 for p in part.parameters())
    assert model.generate(3).sample().shape == (1, 3, 1, 8, 8)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: posteriors.FSQ(4, (5, 1)), "levels"),
        (lambda: posteriors.FSQ(4, ()), "levels"),
        (lambda: posteriors.FSQ(0), "positions"),
        (lambda: posteriors.VQ((2, 0)), "positions"),
        (lambda: posteriors.VQ(4, 1), "size"),
        (lambda: posteriors.VQ(4, width=0), "width"),
        (lambda: posteriors.VQ(4, decay=1.0), "decay"),
        (lambda: posteriors.VQ(4, commitment=-1.0), "commitment"),
    ],
)
def test_wrong_options_are_named(make: Callable[[], nn.Module], match: str) -> None:
    with pytest.raises(OptionError, match=match):
        make()


def digits() -> Tensor:
    return torch.from_numpy(load_digits().images).to(torch.uint8)[:, None]


class Flat(nn.Module):
    """Pixels as numbers in [0, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) / 16


class Scaled(nn.Module):
    """Pixels as numbers in [0, 1], in place."""

    def forward(self, x: Tensor) -> Tensor:
        return x / 16


@pytest.mark.parametrize("name", HEADS)
def test_digits_are_learned_end_to_end(name: str) -> None:
    """A code of eight positions, then a prior over it that shortens it."""
    x = digits()
    head = posteriors.FSQ(8, (5, 5)) if name == "fsq" else posteriors.VQ(8, 25, 2)
    encoder = nn.Sequential(Flat(), MLP(64, (128,)), head)
    body = nn.Sequential(MLP(16, (128,), outputs=64), nn.Unflatten(-1, (1, 8, 8)))
    decoder = nn.Sequential(body, pixels.CategoricalPixels(1, 17))
    uniform = priors.UniformCodes(8, 25, 2)
    uniform.start(encoder)
    model = VAE(encoder, decoder, uniform)
    *_, finished = train(
        model, objectives.ELBO(), x[300:], validation=x[:300], epochs=10, batch_size=100,
        learning_rate=3e-3,
    )  # fmt: skip
    assert isinstance(finished, Finished)
    before = evaluation.elbo(model, x[:300]).mean().item()
    usage = evaluation.code_usage(model, x)
    assert usage.share > 0.9
    assert usage.perplexity > 8

    prior = priors.AutoregressiveCodes(8, 25, 2, hidden=32, layers=2, heads=2)
    prior.start(encoder)
    with torch.no_grad():
        z = encoder(x).sample()
    list(train(prior, priors.code_length, z[300:], validation=z[:300], epochs=10, batch_size=100))
    model.prior = prior
    after = evaluation.elbo(model, x[:300]).mean().item()
    assert after > before + 3.0
    drawn = model.generate(16).sample()
    assert drawn.shape == (1, 16, 1, 8, 8)


def test_usage_counts_what_is_used() -> None:
    model, x = vae("fsq")
    usage = evaluation.code_usage(model, x, rows=7)
    codes = model.eval().encoder(x).codes
    counts = codes.flatten().bincount(minlength=40)
    assert torch.equal(usage.counts, counts)
    law = counts / counts.sum()
    entropy = -torch.special.xlogy(law, law).sum()
    assert usage.perplexity == pytest.approx(entropy.exp().item(), rel=1e-5)
    assert usage.share == pytest.approx((counts > 0).float().mean().item())
    for p in range(4):
        law = codes[:, p].bincount() / 50
        entropy = -torch.special.xlogy(law, law).sum()
        assert usage.per_position[p] == pytest.approx(entropy.exp().item(), rel=1e-5)
    plain = VAE(
        nn.Sequential(posteriors.DiagonalGaussian(2)),
        likelihoods.Gaussian(EVENT),
        priors.StandardNormal(2),
    )
    with pytest.raises(TypeError, match="FSQ or VQ"):
        evaluation.code_usage(plain, x)


@pytest.mark.parametrize("name", HEADS)
def test_what_the_codes_tell_is_their_entropy(name: str) -> None:
    """The aggregate posterior is the law of the grids that occur, each as often as it does."""
    model, x = vae(name)
    x = torch.cat([x, x[:20]])
    surgery = evaluation.elbo_surgery(model, x)
    times = model.eval().encoder(x).codes.unique(dim=0, return_counts=True)[1].double()
    entropy = -(times / 70 * (times / 70).log()).sum().item()
    assert surgery.mutual_information == pytest.approx(entropy, abs=1e-5)
    positions, size, _ = SHAPES[name]
    assert surgery.aggregate_gap == pytest.approx(positions * math.log(size) - entropy, abs=1e-4)


def test_a_law_over_codes_is_public() -> None:
    model, _ = vae("vq")
    assert isinstance(model.prior(), CodeLaw)
