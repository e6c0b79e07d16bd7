"""The ladder: a hierarchy whose evidence is known, and one of convolutions under the contract."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

import variate as vt
from variate import evaluation, objectives
from variate.errors import OptionError
from variate.inference import Inference, LatentModel, Moment
from variate.models import Ladder, image_ladder, pixels
from variate.models.topdown import ConvContexts, ConvFinish, ConvGroup

TOP, BELOW, EVENT = 2, 3, 5
NOISE, RISE = 0.6, 0.8


class Linear:
    """z_1 ~ N(0, I),  z_2|z_1 ~ N(A z_1, r² I),  x|z_2 ~ N(W z_2, σ² I): all laws are normal."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(3)
        self.a = torch.randn(BELOW, TOP, generator=generator, dtype=torch.float64)
        self.w = torch.randn(EVENT, BELOW, generator=generator, dtype=torch.float64)
        below = self.a @ self.a.mT + RISE**2 * torch.eye(BELOW).double()
        self.evidence = MultivariateNormal(
            torch.zeros(EVENT).double(),
            self.w @ below @ self.w.mT + NOISE**2 * torch.eye(EVENT).double(),
        )

    def top(self, x: Tensor) -> MultivariateNormal:
        """p(z_1|x)."""
        gain = self.w @ self.a
        spread = RISE**2 * self.w @ self.w.mT + NOISE**2 * torch.eye(EVENT).double()
        precision = torch.eye(TOP).double() + gain.mT @ torch.linalg.solve(spread, gain)
        covariance = torch.linalg.inv(precision)
        mean = torch.linalg.solve(spread, x.mT).mT @ gain @ covariance
        return MultivariateNormal(mean, covariance)

    def below(self, x: Tensor, z: Tensor) -> MultivariateNormal:
        """p(z_2|z_1, x)."""
        precision = torch.eye(BELOW).double() / RISE**2 + self.w.mT @ self.w / NOISE**2
        covariance = torch.linalg.inv(precision)
        mean = (z @ self.a.mT / RISE**2 + x @ self.w / NOISE**2) @ covariance
        return MultivariateNormal(mean, covariance)

    def ladder(self, shift: float = 0.0) -> Ladder:
        encoder = nn.Module()
        encoder.forward = lambda x: [x, x]  # type: ignore[method-assign]
        start = nn.Module()
        start.forward = lambda: torch.zeros(TOP).double()  # type: ignore[method-assign]
        decoder = nn.Module()
        decoder.forward = lambda h: Independent(  # type: ignore[method-assign]
            Normal(h @ self.w.mT, torch.full((EVENT,), NOISE, dtype=torch.float64)), 1
        )
        return Ladder(encoder, start, [TopGroup(self, shift), BelowGroup(self, shift)], decoder)


class TopGroup(nn.Module):
    """The law of z_1; the state is z."""

    def __init__(self, linear: Linear, shift: float) -> None:
        super().__init__()
        self.linear = linear
        self.shift = nn.Parameter(torch.tensor(shift, dtype=torch.float64))

    def prior(self, h: Tensor) -> tuple[Distribution, Tensor]:
        return MultivariateNormal(torch.zeros(TOP).double(), torch.eye(TOP).double()), h

    def posterior(self, h: Tensor, context: Tensor, prior: Distribution) -> Distribution:
        return self.shifted(self.linear.top(context))

    def shifted(self, exact: MultivariateNormal) -> Distribution:
        """The mean moved by `shift` standard deviations in every direction."""
        mean = exact.loc + self.shift * exact.scale_tril.sum(-1)
        return MultivariateNormal(mean, scale_tril=exact.scale_tril)

    def advance(self, h: Tensor, z: Tensor) -> Tensor:
        return z


class BelowGroup(TopGroup):
    """The law of z_2 given z_1."""

    def prior(self, h: Tensor) -> tuple[Distribution, Tensor]:
        covariance = RISE**2 * torch.eye(BELOW).double()
        return MultivariateNormal(h @ self.linear.a.mT, covariance), h

    def posterior(self, h: Tensor, context: Tensor, prior: Distribution) -> Distribution:
        return self.shifted(self.linear.below(context, h))


def data(n: int = 40) -> Tensor:
    return Linear().evidence.sample((n,))


class TestClosedForm:
    def test_every_weight_of_the_exact_posterior_is_the_evidence(self):
        linear, x = Linear(), data()
        inference = linear.ladder()(x, samples=6)
        assert inference.latents[0].posterior.batch_shape == (40,)
        assert inference.latents[1].posterior.batch_shape == (6, 40)
        log_w = inference.log_weight(x).detach()
        exact = linear.evidence.log_prob(x)
        torch.testing.assert_close(log_w, exact.expand(6, 40), rtol=1e-10, atol=1e-10)
        for estimate in (evaluation.elbo, evaluation.log_evidence):
            torch.testing.assert_close(estimate(linear.ladder(), x, draws=3), exact)

    def test_a_shifted_posterior_costs_its_divergence(self):
        """KL(q‖p(z|x)) = shift²/2 for each of the five dimensions, whatever x."""
        linear, x = Linear(), data()
        exact = linear.evidence.log_prob(x)
        ladder = linear.ladder(0.3)
        bounds = evaluation.bounds(ladder, x, draws=4_000)
        gap = (exact - bounds.elbo).mean()
        assert float(gap) == pytest.approx(0.09 / 2 * (TOP + BELOW), abs=0.02)
        assert (bounds.importance >= bounds.elbo).all()
        torch.testing.assert_close(bounds.importance, exact, rtol=0, atol=0.05)

    def test_the_gradient_leads_to_the_exact_posterior(self):
        linear, x = Linear(), data()
        for objective in (objectives.ELBO(samples=500), objectives.StickTheLanding(samples=500)):
            ladder = linear.ladder(0.3)
            objective(ladder, x, Moment()).total.backward()
            for group, size in zip(ladder.groups, (TOP, BELOW), strict=True):
                assert float(group.shift.grad) == pytest.approx(0.3 * size, abs=0.12)

    def test_what_is_generated_follows_the_evidence(self):
        linear = Linear()
        x = linear.ladder().generate(40_000).sample()[0]
        wanted = linear.evidence.covariance_matrix
        torch.testing.assert_close(x.mT @ x / len(x), wanted, rtol=0.06, atol=0.15)


SIZE = (12, 10)


def binary(**options: object) -> Ladder:
    head = pixels.BernoulliPixels(1)
    return image_ladder(1, SIZE, head, levels=2, width=6, latent=2, groups=(0, 2, 1), **options)


def images(n: int = 5) -> Tensor:
    return torch.randint(0, 2, (n, 1, *SIZE), dtype=torch.uint8)


OBJECTIVES: dict[str, Callable[[], nn.Module]] = {
    "elbo": lambda: objectives.ELBO(objectives.WarmUp(1.0, 0.5), samples=2),
    "free-bits": lambda: objectives.FreeBits(0.01),
    "group-free-bits": lambda: objectives.GroupFreeBits(objectives.Fade(2.0, 0.5)),
    "capacity": lambda: objectives.Capacity(5.0, gamma=10.0),
    "constrained": lambda: objectives.Constrained(distortion=20.0),
    "iwae": lambda: objectives.IWAE(3),
    "stl": lambda: objectives.StickTheLanding(samples=2),
}


class TestConvolutions:
    def test_shapes(self):
        model, x = binary(), images()
        assert isinstance(model, LatentModel)
        inference: Inference = model(x, samples=3)
        shapes = [latent.z.shape for latent in inference.latents]
        assert shapes == [(3, 5, 2, 3, 3), (3, 5, 2, 6, 5), (3, 5, 2, 6, 5)]
        for latent in inference.latents:
            assert latent.posterior.batch_shape == latent.prior.batch_shape == (3, 5)
            assert latent.kl().shape == latent.log_p().shape == latent.log_q().shape == (3, 5)
            assert latent.kl_per_dimension().shape == (5, *latent.z.shape[2:])
            torch.testing.assert_close(
                latent.kl().mean(0), latent.kl_per_dimension().flatten(1).sum(1)
            )
        assert inference.likelihood.batch_shape == (3, 5)
        assert inference.log_weight(x).shape == (3, 5)

    @pytest.mark.parametrize("name", OBJECTIVES)
    def test_objectives(self, name):
        model, x = binary(), images()
        model(x)
        loss = OBJECTIVES[name]()(model, x, Moment(0.2, items=50))
        loss.total.backward()
        assert loss.total.isfinite()
        for key, parameter in model.named_parameters():
            assert parameter.grad is not None, key
            assert parameter.grad.isfinite().all(), key
            assert parameter.grad.abs().max() > 0, key
        difference = loss.terms["log_likelihood"] - loss.terms["kl"]
        torch.testing.assert_close(loss.terms["elbo"], difference)
        if name not in ("iwae", "stl"):
            assert loss.terms["kl_per_group"].shape == (3,)
            torch.testing.assert_close(loss.terms["kl_per_group"].sum(), loss.terms["kl"])
        model.to("meta")
        OBJECTIVES[name]().to("meta")(model, x.to("meta"), Moment()).total.backward()

    @pytest.mark.parametrize(
        "objective",
        [
            objectives.TotalCorrelation(),
            objectives.DIP(1.0, 1.0),
            objectives.MMD(1.0),
            objectives.Factor(1.0, 2),
            objectives.DReG(2),
        ],
        ids=lambda o: type(o).__name__,
    )
    def test_objectives_that_need_one_aggregate_posterior_say_so(self, objective):
        model, x = binary(), images()
        with pytest.raises(TypeError, match=r"hierarchy|one group of latents"):
            objective(model, x, Moment())

    def test_estimators(self):
        model, x = binary(), images(6)
        model(x)
        bounds = evaluation.bounds(model, x, draws=7, chunk=3, rows=4)
        assert (bounds.importance >= bounds.elbo - 1e-9).all()
        together = evaluation.log_evidence(model, x, draws=6, common=True, chunk=6)
        apart = evaluation.log_evidence(model, x[2:4], draws=6, common=True, chunk=2)
        torch.testing.assert_close(together[2:4], apart, rtol=1e-5, atol=1e-4)
        units = 2 * (3 * 3 + 2 * 6 * 5)
        assert evaluation.kl_per_dimension(model, x).shape == (units,)
        assert evaluation.active_units(model, x, draws=8) <= units
        weights = evaluation.importance_weights(model, x, draws=5)
        torch.testing.assert_close(weights.sum(0), torch.ones(6).double())

    def test_the_elbo_is_the_mean_of_the_log_weights(self):
        model, x = binary(), images()
        model(x)
        with torch.no_grad():
            inference = model(x, samples=600)
            analytic = inference.log_likelihood(x) - inference.kl()
            drawn = inference.log_weight(x)
        error = (analytic - drawn).std(0) / 600**0.5
        assert ((analytic - drawn).mean(0).abs() < 4 * error + 1e-4).all()

    def test_checkpointing_changes_no_number(self):
        x, found = images(), []
        for checkpointing in (False, True):
            torch.manual_seed(1)
            model = binary(checkpointing=checkpointing)
            model(x)
            torch.manual_seed(2)
            objectives.ELBO()(model, x, Moment()).total.backward()
            found.append([p.grad for p in model.parameters()])
        for a, b in zip(*found, strict=True):
            torch.testing.assert_close(a, b)

    def test_generation_and_temperature(self):
        model = binary()
        p = model.generate(4)
        assert p.sample().shape == (1, 4, 1, *SIZE)
        cold = model.generate(4, temperature=1e-6).mean
        torch.testing.assert_close(cold, cold[:, :1].expand_as(cold), rtol=0, atol=1e-4)
        with pytest.raises(OptionError, match="temperature"):
            model.generate(4, temperature=0.0)

    def test_the_top_groups_can_be_given(self):
        model, x = binary(), images()
        inference = model(x, samples=2)
        draws = [latent.z for latent in inference.latents]
        same = model.decode(draws)
        torch.testing.assert_close(same.mean, inference.likelihood.mean)
        assert model.decode(draws[:1], temperature=0.5).batch_shape == (2, 5)
        for wrong in ([], [*draws, draws[0]]):
            with pytest.raises(OptionError, match="draws of 1 to 3 groups"):
                model.decode(wrong)

    @pytest.mark.parametrize(
        ("size", "groups", "maps"),
        [
            ((8, 8), (1, 0, 2), [(2, 2), (2, 2), (8, 8)]),
            ((9, 21), (1,), [(9, 21)]),
            ((28, 28), None, [(7, 7)] * 3 + [(14, 14)] * 3),
            ((33, 16), (0, 0, 1), [(9, 4)]),
        ],
    )
    def test_any_size_and_depth(self, size, groups, maps):
        head = pixels.LogisticMixturePixels(3, components=2)
        model = image_ladder(3, size, head, width=4, latent=1, groups=groups)
        x = torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8)
        inference = model(x)
        assert [latent.z.shape[-2:] for latent in inference.latents] == maps
        assert inference.log_likelihood(x).isfinite().all()
        assert model.generate(1).sample().shape == (1, 1, 3, *size)

    @pytest.mark.parametrize("groups", [(), (3, 0), (-1, 2), (0.5, 1)])
    def test_groups_are_counts_that_end_above_zero(self, groups):
        with pytest.raises(OptionError, match="how many groups of latents"):
            image_ladder(1, SIZE, pixels.BernoulliPixels(1), groups=groups)

    def test_many_groups_keep_the_state_of_the_size_it_has(self):
        model = image_ladder(1, SIZE, pixels.BernoulliPixels(1), width=8, groups=(0, 30, 30))
        inference = model(images())
        assert float(inference.kl().detach().mean()) < 100
        assert float(inference.likelihood.mean.detach().std()) < 0.3

    def test_bfloat16_stays_inside_the_networks(self):
        model, x = binary(), images()
        model(x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            inference = model(x)
        for latent in inference.latents:
            assert latent.posterior.mean.dtype == latent.kl().dtype == torch.float32
        assert inference.log_weight(x).dtype == torch.float32

    def test_maps_stay_in_the_layout_of_the_weights(self):
        """Each that does not costs a copy: only the image and the start may."""
        model, x = binary(), images()
        model(x)
        torch.manual_seed(3)
        expected = model(x).log_weight(x)
        model.to(memory_format=torch.channels_last)
        copied = []

        def look(module, given, _):
            if not given[0].is_contiguous(memory_format=torch.channels_last):
                copied.append(module)

        for module in model.modules():
            if isinstance(module, nn.Conv2d):
                module.register_forward_hook(look)
        torch.manual_seed(3)
        torch.testing.assert_close(model(x).log_weight(x), expected, rtol=1e-4, atol=1e-3)
        assert copied in (
            [model.groups[0].prior_first],
            [model.encoder.stem, model.groups[0].prior_first],
        )

    @pytest.mark.slow
    @pytest.mark.filterwarnings("ignore")
    def test_the_compiler_takes_it_as_one_graph(self):
        """Nothing in it waits for a value or is left to Python."""
        model, x = binary(), images()
        model(x)
        whole = torch.compile(
            lambda x: model(x, 2).log_weight(x), backend="eager", fullgraph=True, dynamic=False
        )
        torch.manual_seed(3)
        expected = model(x, 2).log_weight(x)
        torch.manual_seed(3)
        torch.testing.assert_close(whole(x), expected)

    def test_it_learns_through_the_loop(self):
        x = torch.zeros(256, 1, *SIZE, dtype=torch.uint8)
        x[torch.arange(256), 0, torch.randint(0, 12, (256,))] = 1  # one bright line
        objective = objectives.GroupFreeBits(objectives.Fade(1.0, 0.5), objectives.WarmUp(1.0, 0.2))
        model = binary()
        *_, finished = vt.train(model, objective, x, epochs=25, batch_size=32, learning_rate=3e-3)
        assert finished.terms["elbo"] > -45  # log 12 = 2.5 nats at best, 83 untrained
        assert len(finished.terms["kl_per_group"]) == 3


class TestObjectivesOfGroups:
    def test_free_nats_of_a_group(self):
        model, x = binary(), images()
        model(x)
        for free in (0.0, 1e-6, 50.0):
            torch.manual_seed(0)
            loss = objectives.GroupFreeBits(free)(model, x, Moment())
            paid = loss.terms["kl_per_group"].clamp(min=free).sum()
            torch.testing.assert_close(loss.terms["kl_floored"], paid)
            torch.testing.assert_close(loss.total.detach(), paid - loss.terms["log_likelihood"])

    def test_a_fade_ends_at_zero(self):
        fade = objectives.Fade(4.0, 0.5)
        assert [fade(p) for p in (0.0, 0.25, 0.5, 1.0)] == [4.0, 2.0, 0.0, 0.0]
        with pytest.raises(OptionError):
            objectives.Fade(1.0, 0.0)


def test_the_parts_have_names():
    for part in (ConvContexts, ConvFinish, ConvGroup):
        assert part.__doc__
