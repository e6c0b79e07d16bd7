"""The critic: who is trained by what, how hard it pulls, that a run resumes, that blur goes."""

import numpy as np
import pytest
import torch
from torch import nn

import variate as vt
from variate import objectives
from variate.errors import OptionError
from variate.inference import Moment
from variate.models import VAE, pixels, posteriors, priors
from variate.nets.conv import ConvDecoder, ConvEncoder
from variate.training import Step, train

SIZE = (8, 8)


def pictures(count: int, size: int = 8, seed: int = 0) -> np.ndarray:
    """Bright rectangles with sharp edges, of any place, size and brightness."""
    draw = np.random.default_rng(seed)
    x = np.zeros((count, size, size), np.uint8)
    for each in x:
        height, width = draw.integers(size // 4, size // 2 + 2, 2)
        top, left = draw.integers(0, size - height + 1), draw.integers(0, size - width + 1)
        each[top : top + height, left : left + width] = draw.integers(140, 256)
    return x


def model(head: nn.Module | None = None) -> VAE:
    torch.manual_seed(0)
    encoder = nn.Sequential(ConvEncoder(1, SIZE, 256, 8), posteriors.DiagonalGaussian(2))
    head = pixels.LogisticMixturePixels(1, 256, 3) if head is None else head
    made = VAE(encoder, nn.Sequential(ConvDecoder(2, SIZE, 8), head), priors.StandardNormal(2))
    made(batch()[:2])
    return made


def batch() -> torch.Tensor:
    return torch.from_numpy(pictures(20)[:, None])


@pytest.mark.parametrize("head", ["LogisticMixture", "Categorical", "Gaussian"])
def test_the_critic_and_the_model_do_not_train_each_other(head: str) -> None:
    vae = model(getattr(pixels, f"{head}Pixels")(1, 256))
    objective = objectives.Critic(1, 256, width=4)
    loss = objective(vae, batch(), Moment())
    ours, theirs = list(objective.parameters()), list(vae.parameters())
    options = {"allow_unused": True, "retain_graph": True}
    assert all(g is None for g in torch.autograd.grad(loss.total, ours, **options))
    assert all(g is None for g in torch.autograd.grad(loss.critic, theirs, **options))
    moved = torch.autograd.grad(loss.critic, ours, **options)
    assert all(g.isfinite().all() for g in moved)
    assert max(g.abs().max() for g in moved) > 0
    # The critic does move the model: what it adds reaches the decoder and, through z, the encoder.
    torch.manual_seed(1)
    slopes = torch.autograd.grad(objective(vae, batch(), Moment()).total, theirs)
    torch.manual_seed(1)
    plain = torch.autograd.grad(objectives.ELBO()(vae, batch(), Moment()).total, theirs)
    assert (slopes[0] - plain[0]).abs().max() > 0
    assert (slopes[-1] - plain[-1]).abs().max() > 0


def test_at_the_last_layer_the_critic_pulls_as_hard_as_its_weight_says() -> None:
    vae = model()
    last = [p for p in vae.parameters() if p.ndim >= 2][-1]
    pulls = []
    for weight in (0.0, 0.25):
        torch.manual_seed(1)
        loss = objectives.Critic(1, 256, weight=weight, beta=0.0)
        torch.manual_seed(1)
        found = loss(vae, batch(), Moment())
        pulls.append(torch.autograd.grad(found.total, last)[0])
    ratio = (pulls[1] - pulls[0]).norm() / pulls[0].norm()
    assert ratio.item() == pytest.approx(0.25, rel=1e-3)


def test_what_is_reported_is_the_elbo_and_by_it_weights_are_chosen() -> None:
    vae, objective = model(), objectives.Critic(1, 256, weight=3.0, width=4)
    torch.manual_seed(1)
    terms = objective(vae, batch(), Moment()).terms
    torch.manual_seed(1)
    exact = objectives.ELBO()(vae, batch(), Moment())
    assert terms["elbo"] == exact.terms["elbo"]
    objective.eval()
    torch.manual_seed(1)
    measured = objective(vae, batch(), Moment())
    assert measured.total == exact.total
    assert measured.terms["critic_weight"] == 0


def test_what_a_critic_cannot_be_used_for() -> None:
    for wrong in ({"channels": 0}, {"width": 10_000}, {"weight": -1.0}, {"channels": 10**7}):
        with pytest.raises(OptionError):
            objectives.Critic(**({"channels": 1} | wrong))

    with pytest.raises(OptionError, match=r"\[B, C, H, W\] with C = 3 was expected"):
        objectives.Critic(3, 256, width=4)(model(), batch(), Moment())
    for wrong, reason in (({"channels": 3}, "1 channels"), ({"levels": 17}, "256 levels")):
        critic = objectives.Critic(**({"channels": 1} | wrong))
        with pytest.raises(OptionError, match=f"does not fit: the pictures have {reason}"):
            vt.ImageVAE(width=4, latent=2, epochs=1, objective=critic).fit(pictures(30))

    class Still(torch.distributions.Independent):
        @property
        def mean(self) -> torch.Tensor:
            return super().mean.detach()

    class Stopped(nn.Module):
        def forward(self, h: torch.Tensor) -> torch.distributions.Distribution:
            return Still(torch.distributions.Normal(h.mean(2, keepdim=True), 1.0), 3)

    with pytest.raises(TypeError, match="a likelihood whose mean has a gradient"):
        objectives.Critic(1, 256, width=4)(model(Stopped()), batch(), Moment())


def test_a_hierarchy_has_a_critic_too() -> None:
    head = pixels.LogisticMixturePixels(1, 256, 2)
    ladder = vt.image_ladder(1, SIZE, head, width=8, latent=2, groups=(0, 2), checkpointing=True)
    loss = objectives.Critic(1, 256, width=4)(ladder, batch(), Moment())
    loss.total.backward()
    assert loss.terms["critic_weight"] > 0
    assert all(p.grad is None or p.grad.isfinite().all() for p in ladder.parameters())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_run_that_was_stopped_after_every_step_ends_where_the_other_does(
    tmp_path, precision: str
) -> None:
    options = {"epochs": 2, "batch_size": 10, "seed": 3, "precision": precision}
    whole, critic = model(), objectives.Critic(1, 256, width=4)
    first = {name: value.clone() for name, value in critic.state_dict().items()}
    list(train(whole, critic, batch(), **options))
    saving = options | {"checkpoint": tmp_path / "run", "resume": True}
    finished = False
    while not finished:
        chopped = model()
        again = objectives.Critic(1, 256, width=4)
        again.load_state_dict(first)
        finished = True
        for event in train(chopped, again, batch(), **saving):
            if isinstance(event, Step):
                finished = False
                break
    for one, other in ((whole, chopped), (critic, again)):
        states = one.state_dict(), other.state_dict()
        assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert any(not torch.equal(first[name], value) for name, value in critic.state_dict().items())


def test_an_estimator_is_fitted_kept_and_resumed_with_a_critic(tmp_path) -> None:
    x = pictures(60)
    options = {"width": 4, "latent": 2, "epochs": 4, "batch_size": 20, "precision": "bfloat16"}
    fitted = vt.ImageVAE(objective=objectives.Critic(1, width=4), **options).fit(x)
    fitted.save(tmp_path / "m.variate")
    again = vt.load(tmp_path / "m.variate")
    assert again.objective.width == 4
    assert np.array_equal(again.sample(3, seed=0), fitted.sample(3, seed=0))
    assert np.isfinite(fitted.score_samples(x[:5])).all()


def roughness(x: np.ndarray) -> float:
    """The mean over pictures of the variance of their Laplacian: the more, the sharper."""
    p = x.astype(float) / 255
    inner = 4 * p[:, 1:-1, 1:-1] - p[:, :-2, 1:-1] - p[:, 2:, 1:-1] - p[:, 1:-1, :-2]
    return float((inner - p[:, 1:-1, 2:]).var((1, 2)).mean())


@pytest.mark.slow
def test_blur_decreases() -> None:
    x = pictures(1_000, 16)
    options = {"width": 16, "latent": 3, "epochs": 25, "batch_size": 100, "learning_rate": 3e-3}
    found = []
    for objective in (None, objectives.Critic(1, weight=0.5, width=16)):
        fitted = vt.ImageVAE(objective=objective, **options).fit(x)
        with torch.no_grad():
            z = fitted.model_.prior().sample((300,))
        found.append(roughness(fitted.decode(z)))
    plain, sharper = found
    assert 1.5 * plain < sharper < roughness(x)
