"""The non-centred ladder: the same model in units of its priors, and one flat code."""

import math

import pytest
import torch
from scipy import stats
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from variate import evaluation, verbs
from variate.distributions import temper
from variate.inference import Latent
from variate.models import Ladder, image_ladder, pixels
from variate.models.noncentred import NonCentred
from variate.models.topdown import shapes_of

NOISE, RISE = 0.6, 0.8
A, W = torch.tensor([0.7, -1.5]).double(), torch.tensor([1.2, 0.4]).double()
SIZE, GROUPS = (12, 10), (0, 2, 1)


class Twin:
    """z_1 ~ N(0, I),  z_2 = a z_1 + r ε,  x = w z_2 + σ η, in two dimensions apart.

    All of it is normal with independent dimensions, and the posterior is exact.
    """

    precision = 1 / RISE**2 + W**2 / NOISE**2

    def top(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of p(z_1|x)."""
        spread = W**2 * RISE**2 + NOISE**2
        variance = 1 / (1 + (W * A) ** 2 / spread)
        return variance * W * A / spread * x, variance.sqrt()

    def below(self, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Those of p(z_2|z_1, x)."""
        return (A * z / RISE**2 + W * x / NOISE**2) / self.precision, self.precision.rsqrt()

    def evidence(self, x: Tensor) -> Tensor:
        scale = (W**2 * (A**2 + RISE**2) + NOISE**2).sqrt()
        return Normal(0.0, scale).log_prob(x).sum(-1)

    def model(self) -> NonCentred:
        encoder, start, decoder = nn.Module(), nn.Module(), nn.Module()
        encoder.forward = lambda x: [x, x]
        start.forward = lambda: torch.zeros(2).double()
        decoder.forward = lambda h: Independent(Normal(W * h, torch.full_like(h, NOISE)), 1)
        return NonCentred(Ladder(encoder, start, [Top(), Below()], decoder), [(2,), (2,)])


def normal(mean: Tensor, scale: Tensor) -> Distribution:
    return Independent(Normal(mean, scale.expand_as(mean)), 1)


class Top(nn.Module):
    def prior(self, h: Tensor) -> tuple[Distribution, Tensor]:
        return normal(torch.zeros_like(h), torch.ones(2).double()), h

    def posterior(self, h: Tensor, context: Tensor, prior: Distribution) -> Distribution:
        mean, scale = Twin().top(context)
        return normal(mean.expand_as(h), scale)

    def advance(self, h: Tensor, z: Tensor) -> Tensor:
        return z


class Below(Top):
    def prior(self, h: Tensor) -> tuple[Distribution, Tensor]:
        return normal(A * h, torch.full((2,), RISE).double()), h

    def posterior(self, h: Tensor, context: Tensor, prior: Distribution) -> Distribution:
        return normal(*Twin().below(context, h))


def ladder() -> NonCentred:
    head = pixels.BernoulliPixels(1)
    model = image_ladder(1, SIZE, head, levels=2, width=6, latent=2, groups=GROUPS)
    model = NonCentred(model, shapes_of(SIZE, GROUPS, 2))
    model(images())
    for parameter in model.parameters():  # away from the start, where q is all but p
        parameter.data.add_(0.15 * torch.randn_like(parameter))
    return model.double()


def images(n: int = 5) -> Tensor:
    return torch.randint(0, 2, (n, 1, *SIZE), dtype=torch.uint8)


def flat(latents: tuple[Latent, ...]) -> Tensor:
    """U of the ladder's own draws."""
    parts = [(x.z - x.prior.base_dist.loc) / x.prior.base_dist.scale for x in latents]
    return torch.cat([part.flatten(2) for part in parts], -1)


class TestClosedForm:
    def test_every_weight_of_the_exact_posterior_is_the_evidence_in_either_representation(self):
        twin, x = Twin(), torch.randn(7, 2).double()
        model = twin.model()
        q = model.encoder(x)
        u = q.sample((5,))
        log_w = model.decoder(u).log_prob(x) + model.prior.double()().log_prob(u) - q.log_prob(u)
        torch.testing.assert_close(log_w, twin.evidence(x).expand(5, 7))
        torch.testing.assert_close(model(x, 5).log_weight(x), twin.evidence(x).expand(5, 7))

    def test_the_posterior_of_the_code_is_the_exact_one(self):
        """U is linear in z and z|x normal, so q(u|x) is a normal that can be written down."""
        twin, x = Twin(), torch.tensor([[0.9, -0.4]]).double()
        q = twin.model().encoder(x)
        for d in range(2):
            gain = torch.tensor([W[d] * A[d], W[d] * RISE]).double()  # x = gain · u + noise
            covariance = torch.linalg.inv(torch.eye(2) + gain[:, None] * gain / NOISE**2)
            exact = MultivariateNormal(covariance @ gain * x[0, d] / NOISE**2, covariance)
            torch.testing.assert_close(q.mean[0, d::2], exact.mean)
            given = covariance[1, 1] - covariance[0, 1] ** 2 / covariance[0, 0]
            wanted = torch.stack([covariance[0, 0], given]).sqrt()
            torch.testing.assert_close(q.stddev[0, d::2], wanted)
            drawn = q.sample((40_000,))[:, 0, d::2]
            torch.testing.assert_close(drawn.mT.cov(), covariance, rtol=0.05, atol=0.01)
        u = torch.randn(3, 1, 4).double()
        both = [
            MultivariateNormal(c @ g * x[0, d] / NOISE**2, c).log_prob(u[..., d::2])
            for d in range(2)
            for g in [torch.tensor([W[d] * A[d], W[d] * RISE]).double()]
            for c in [torch.linalg.inv(torch.eye(2) + g[:, None] * g / NOISE**2)]
        ]
        torch.testing.assert_close(q.log_prob(u), both[0] + both[1])

    def test_a_temperature_is_that_of_every_groups_prior(self):
        model = Twin().model()
        u = temper(model.prior(), 0.5).sample((1, 40_000)).double()
        x = model.decoder(u).mean[0]
        wanted = 0.5 * W.abs() * (A**2 + RISE**2).sqrt()
        torch.testing.assert_close(x.std(0), wanted, rtol=0.02, atol=0)


class TestConvolutions:
    def test_draws_of_the_ladder_are_codes_with_the_same_density_and_likelihood(self):
        model, x = ladder(), images()
        with torch.no_grad():
            inference = model(x, samples=3)
            u = flat(inference.latents)
            q = model.encoder(x)
            torch.testing.assert_close(model.decoder(u).log_prob(x), inference.log_likelihood(x))
            log_w = model.decoder(u).log_prob(x) + model.prior.double()().log_prob(u)
            torch.testing.assert_close(log_w - q.log_prob(u), inference.log_weight(x))
            torch.manual_seed(3)
            ours = q.sample((3,))
            torch.manual_seed(3)
            torch.testing.assert_close(ours, flat(model(x, samples=3).latents))

    def test_under_the_prior_of_the_ladder_the_code_is_standard_normal(self):
        model = ladder()
        h, parts = model.ladder.above(1, 1500), []
        with torch.no_grad():
            for group in model.ladder.rungs():
                prior, h = group.prior(h)
                z = prior.sample()
                parts.append(((z - prior.mean) / prior.stddev).flatten(2))
                h = group.advance(h, z)
        u = torch.cat(parts, -1)[0]
        assert u.shape[1] == model.prior.latent == sum(model.sizes)
        length = u.square().sum(-1)
        assert stats.kstest(length.numpy(), stats.chi2(u.shape[1]).cdf).pvalue > 1e-3

    def test_a_given_code_comes_back(self):
        """What a code decodes to, walked down again, is at that code."""
        model = ladder()
        u = torch.randn(1, 4, model.prior.latent).double()
        with torch.no_grad():
            h, again = model.ladder.above(1, 4), []
            for group, own in zip(model.ladder.rungs(), model.parts(u), strict=True):
                prior, h = group.prior(h)
                z = prior.mean + prior.stddev * own
                again.append(((z - prior.mean) / prior.stddev).flatten(2))
                h = group.advance(h, z)
            torch.testing.assert_close(torch.cat(again, -1), u)
            torch.testing.assert_close(model.ladder.decoder(h).mean, model.decoder(u).mean)

    def test_divergences_agree(self):
        model, x = ladder(), images(2)
        with torch.no_grad():
            kl = model(x, samples=2000).kl().mean(0)
            q = model.encoder(x)
            u = q.sample((2000,))
            each = q.log_prob(u) - model.prior.double()().log_prob(u)
        assert (kl > 0.5).all()
        error = each.std(0) / math.sqrt(2000)
        assert ((each.mean(0) - kl).abs() < 4 * error).all()
        assert evaluation.kl_per_dimension(model, x).shape == (model.prior.latent,)

    def test_the_verbs_on_tensors(self):
        model, x = ladder().float(), images(9)
        mean, scale = verbs.encode(model, x)
        assert mean.shape == scale.shape == (9, model.prior.latent)
        again = verbs.decode(model, mean, lambda p: p.mean)
        assert again.shape == (9, 1, *SIZE)
        assert verbs.sample(model, 4, temperature=0.7, seed=0).shape == (4, 1, *SIZE)
        assert verbs.codes(model, x, 18, seed=0).shape == (18, model.prior.latent)
        alone = verbs.score(model, x[3:5], draws=4, seed=0)
        torch.testing.assert_close(verbs.score(model, x, draws=4, seed=0)[3:5], alone)

    def test_gradients_reach_the_encoder_through_a_code(self):
        model, x = ladder(), images()
        model.decoder(model.encoder(x).rsample((2,))).log_prob(x).sum().backward()
        assert model.ladder.encoder.stem.weight.grad.abs().max() > 0


def test_laws_that_are_no_normals_are_refused():
    class Odd(Top):
        def prior(self, h: Tensor) -> tuple[Distribution, Tensor]:
            return MultivariateNormal(h, torch.eye(2).double()), h

    model = Twin().model()
    model.ladder.groups[0] = Odd()
    with pytest.raises(TypeError, match="normals with independent variables"):
        model.decoder(torch.zeros(1, 3, 4).double())
