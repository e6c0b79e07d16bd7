"""A linear-Gaussian VAE: everything that a VAE approximates is known here in closed form.

    z ~ N(0, I)        x|z ~ N(W z + b, σ² I)                       with W [E, D]
    p(x)   = N(b, C)                       C = W Wᵀ + σ² I
    p(z|x) = N(M⁻¹ Wᵀ (x - b), σ² M⁻¹)     M = Wᵀ W + σ² I

Its maximum-likelihood solution is probabilistic PCA (Tipping & Bishop 1999): with λ_1 >= … >= λ_E
the eigenvalues of the data's covariance and U the eigenvectors of the D largest,

    σ² = mean of λ_{D+1..E}      W = U (Λ - σ² I)^½ R, for any rotation R
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from variate.models.vae import VAE


class Prior(nn.Module):
    """p(z) = N(0, I)."""

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.register_buffer("zero", torch.zeros(latent, dtype=torch.float64))

    def forward(self) -> Distribution:
        return Independent(Normal(self.zero, torch.ones_like(self.zero)), 1)


class Decoder(nn.Module):
    """p(x|z) = N(W z + b, σ² I)."""

    def __init__(self, weight: Tensor, bias: Tensor, scale: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.clone())
        self.bias = nn.Parameter(bias.clone())
        self.log_scale = nn.Parameter(torch.tensor(scale, dtype=weight.dtype).log())

    def forward(self, z: Tensor) -> Distribution:
        mean = z @ self.weight.mT + self.bias
        return Independent(Normal(mean, self.log_scale.exp().expand_as(mean)), 1)


class Encoder(nn.Module):
    """q(z|x) = N(A x + a, T Tᵀ), T lower triangular."""

    def __init__(self, gain: Tensor, offset: Tensor, tril: Tensor) -> None:
        super().__init__()
        self.gain = nn.Parameter(gain.clone())
        self.offset = nn.Parameter(offset.clone())
        self.lower = nn.Parameter(tril.tril(-1))
        self.log_diagonal = nn.Parameter(tril.diagonal().log().clone())

    def tril(self) -> Tensor:
        return self.lower.tril(-1) + self.log_diagonal.exp().diag()

    def forward(self, x: Tensor) -> Distribution:
        return MultivariateNormal(x @ self.gain.mT + self.offset, scale_tril=self.tril())


@dataclass(frozen=True)
class LinearGaussian:
    """W, b and σ, and what follows from them."""

    weight: Tensor
    bias: Tensor
    scale: float

    @classmethod
    def random(cls, event: int, latent: int, scale: float, seed: int) -> "LinearGaussian":
        generator = torch.Generator().manual_seed(seed)
        draw = torch.randn(event, latent + 1, generator=generator, dtype=torch.float64)
        return cls(draw[:, :latent], draw[:, latent], scale)

    def evidence(self) -> MultivariateNormal:
        """p(x)."""
        identity = torch.eye(len(self.bias), dtype=torch.float64)
        covariance = self.weight @ self.weight.mT + self.scale**2 * identity
        return MultivariateNormal(self.bias, covariance)

    def posterior(self, x: Tensor) -> MultivariateNormal:
        """p(z|x), batch shape `[B]`."""
        latent = self.weight.shape[1]
        m = self.weight.mT @ self.weight + self.scale**2 * torch.eye(latent, dtype=torch.float64)
        mean = torch.linalg.solve(m, self.weight.mT @ (x - self.bias).mT).mT
        return MultivariateNormal(mean, self.scale**2 * torch.linalg.inv(m))

    def data(self, n: int, seed: int) -> Tensor:
        """x `[n, E]` from p(x)."""
        generator = torch.Generator().manual_seed(seed)
        event, latent = self.weight.shape
        z = torch.randn(n, latent, generator=generator, dtype=torch.float64)
        noise = torch.randn(n, event, generator=generator, dtype=torch.float64)
        return z @ self.weight.mT + self.bias + self.scale * noise

    def model(self, *, shift: float = 0.0, stretch: float = 1.0) -> VAE:
        """The VAE whose posterior is exact, but for a shift of its mean and a stretch of its scale.

        The shift is in standard deviations, so that for D latent dimensions, whatever x,
        KL(q(z|x)‖p(z|x)) = D (shift² + stretch² - 1 - 2 log stretch) / 2.
        """
        exact = self.posterior(self.bias[None])
        tril = exact.scale_tril[0]
        gain = exact.covariance_matrix[0] @ self.weight.mT / self.scale**2
        shifted = shift * tril.sum(1) - gain @ self.bias
        encoder = Encoder(gain, shifted, stretch * tril)
        decoder = Decoder(self.weight, self.bias, self.scale)
        return VAE(encoder, decoder, Prior(self.weight.shape[1]))


def probabilistic_pca(x: Tensor, latent: int) -> tuple[Tensor, float, float]:
    """The maximum-likelihood solution: (W Wᵀ `[E, E]`, σ², the mean log-likelihood in nats)."""
    centred = x - x.mean(0)
    values, vectors = torch.linalg.eigh(centred.mT @ centred / len(x))
    variance = values[:-latent].mean()
    basis = vectors[:, -latent:]
    signal = basis @ (values[-latent:] - variance).diag() @ basis.mT
    covariance = signal + variance * torch.eye(x.shape[1], dtype=x.dtype)
    best = MultivariateNormal(x.mean(0), covariance).log_prob(x).mean()
    return signal, variance.item(), best.item()
