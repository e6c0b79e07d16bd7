"""A small variational autoencoder of plain modules and its ELBO, for the tests of training.

Nothing here comes from the rooms above the shared records, so that the loop is tested alone; the
scripts that tests start in other processes import it too.
"""

import hashlib

import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal
from torch.nn import functional as F

from variate.inference import Loss, Moment
from variate.models.vae import VAE

WIDTH, HIDDEN, LATENT = 6, 16, 2


def gaussian(location: Tensor, scale: Tensor) -> Independent:
    """A diagonal Gaussian, without checks as in the library's own models."""
    return Independent(Normal(location, scale, validate_args=False), 1, validate_args=False)


class Encoder(nn.Module):
    """x -> a diagonal Gaussian, with dropout and a batch normalisation if asked for."""

    def __init__(self, *, restless: bool = False) -> None:
        super().__init__()
        extra = [nn.BatchNorm1d(HIDDEN), nn.Dropout(0.2)] if restless else []
        self.net = nn.Sequential(
            nn.Linear(WIDTH, HIDDEN), *extra, nn.Tanh(), nn.Linear(HIDDEN, 2 * LATENT)
        )

    def forward(self, x: Tensor) -> Independent:
        location, raw = self.net(x).chunk(2, -1)
        return gaussian(location, F.softplus(raw) + 1e-3)


class PointEncoder(Encoder):
    """x -> a Gaussian so narrow that its draws are its mean."""

    def forward(self, x: Tensor) -> Independent:
        location, _ = self.net(x).chunk(2, -1)
        return gaussian(location, torch.full_like(location, 1e-12))


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(LATENT, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, WIDTH))
        self.raw_scale = nn.Parameter(torch.zeros(WIDTH))

    def forward(self, z: Tensor) -> Independent:
        location = self.net(z)
        return gaussian(location, F.softplus(self.raw_scale).expand_as(location))


class Prior(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("zero", torch.zeros(LATENT))
        self.register_buffer("one", torch.ones(LATENT))

    def forward(self) -> Independent:
        return gaussian(self.zero, self.one)


def tiny(encoder: nn.Module | None = None) -> VAE:
    """The model; its weights are the same at every call with the same encoder's weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return VAE(Encoder() if encoder is None else encoder, Decoder(), Prior())


def restless() -> VAE:
    """The model with dropout and a batch normalisation."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return VAE(Encoder(restless=True), Decoder(), Prior())


def points() -> VAE:
    """The model without noise."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return VAE(PointEncoder(), Decoder(), Prior())


class Bound(nn.Module):
    """The ELBO, its KL warmed up over `share` of the budget; remembers the progress it saw."""

    def __init__(self, share: float = 0.1) -> None:
        super().__init__()
        self.share = share
        self.seen: list[float] = []

    def forward(self, model: nn.Module, x: Tensor, moment: Moment) -> Loss:
        if self.training:
            self.seen.append(moment.progress)
        inference = model(x)
        log_likelihood = inference.log_likelihood(x).mean()
        kl = inference.latents[0].kl_per_dimension().mean(0)
        beta = min(1.0, moment.progress / self.share)
        terms = {
            "elbo": log_likelihood - kl.sum(),
            "log_likelihood": log_likelihood,
            "kl": kl.sum(),
            "kl_per_dimension": kl,
            "beta": torch.tensor(beta),
        }
        total = beta * kl.sum() - log_likelihood
        return Loss(total, {name: term.detach() for name, term in terms.items()})


class Distortion(nn.Module):
    """-log p(x|z): with `points()` a loss without any noise."""

    def forward(self, model: nn.Module, x: Tensor, moment: Moment) -> Loss:
        log_likelihood = model(x).log_likelihood(x).mean()
        return Loss(-log_likelihood, {"log_likelihood": log_likelihood.detach()})


class WithCritic(nn.Module):
    """The ELBO and a critic that is told true codes from shuffled ones, and a running mean."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(6)
            self.critic = nn.Sequential(nn.Linear(LATENT, 8), nn.Tanh(), nn.Linear(8, 1))
        self.register_buffer("running", torch.zeros(()))

    def forward(self, model: nn.Module, x: Tensor, moment: Moment) -> Loss:
        inference = model(x)
        z = inference.latents[0].z[0]
        log_likelihood = inference.log_likelihood(x).mean()
        kl = inference.kl().mean()
        shuffled = z.detach().gather(0, torch.rand_like(z).argsort(0))
        critic = (
            F.softplus(-self.critic(z.detach())).mean() + F.softplus(self.critic(shuffled)).mean()
        )
        total = kl - log_likelihood + 0.1 * self.critic(z).mean()
        if self.training:
            with torch.no_grad():
                self.running.lerp_(total, 0.1)
        return Loss(total + 0.01 * self.running, {"kl": kl.detach()}, critic)


def correlated(items: int, seed: int = 3) -> Tensor:
    """Items on a noisy plane in `WIDTH` dimensions."""
    draw = torch.Generator().manual_seed(seed)
    plane = torch.randn(2, WIDTH, generator=draw)
    noise = 0.3 * torch.randn(items, WIDTH, generator=draw)
    return torch.randn(items, 2, generator=draw) @ plane + noise


def digest(model: nn.Module) -> str:
    """A hash of all weights and buffers, bit by bit."""
    total = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        total.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return total.hexdigest()
