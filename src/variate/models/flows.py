r"""Flows: densities made by bending a normal, as priors and inside a posterior.

**Change of variables.** With z = f(ε), ε ~ N(0, I) and f invertible,

    log p(z) = log N(f⁻¹(z)) + log |∂f⁻¹/∂z|

`Flow` is such a prior, f⁻¹ a chain of spline couplings (Durkan et al. 2019) from zuko.

**Inverse autoregressive flow** (Kingma et al. 2016, algorithm 1). Given a context h, an
autoregressive network, whose outputs for dimension i see ε_{<i} only, gives m and s, and

    z = σ ⊙ ε + (1 - σ) ⊙ m,       σ = a + (1 - a) sigmoid(s + 2),    log |∂z/∂ε| = Σ_i log σ_i

One pass draws; the inverse finds one dimension per pass. A flow remembers its last draw, so that
the density of a posterior's own draws costs no inversion.

**Flow matching** (Lipman et al. 2023). Along the straight path u_t = (1 - t) u_0 + t u_1 from noise
u_0 ~ N(0, I) to data u_1, a velocity v is fitted to the path's slope, and transports the noise:

    loss = E |v(u_t, t) - (u_1 - u_0)|²,        du/dt = v(u, t),
    log p(u_1) = log N(u_0) - ∫_0^1 div v(u_t, t) dt

The divergence is the exact trace of the Jacobian. The integral takes a fixed number of Runge-Kutta
steps: with steps that adapt to the batch an item's density would depend on which others are scored
beside it. Data are standardised by a location and scale found in `start`, whose Jacobian is
included. It is fitted after the VAE, to draws of its posterior; until then it is that normal.

This module does not know what the latents mean, nor where the draws come from.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Transform, constraints

from variate.distributions import tempered
from variate.errors import OptionError
from variate.inference import Loss, Moment
from variate.models.normalising import require_zuko, standard_normal

__all__ = [
    "ContinuousFlow",
    "Flow",
    "FlowMatching",
    "InverseAutoregressiveTransform",
    "autoregressive_net",
    "matching",
]

_GATE = 1e-3  # a, the least σ of an inverse autoregressive flow: its inverse divides by σ

Velocity = Callable[[Tensor, Tensor], Tensor]


class Flow(nn.Module):
    """A prior made of spline couplings, fast both ways (Durkan et al. 2019).

    Outside of [-5, 5] in a dimension its density is that of a standard normal there.

    Args:
        latent: How many dimensions z has.
        transforms: How many couplings; each turns the order of the dimensions around.
        hidden: The widths of each coupling's network.

    Raises:
        MissingExtraError: zuko is not installed.
    """

    mean: Tensor

    def __init__(self, latent: int, transforms: int = 4, hidden: Sequence[int] = (64, 64)) -> None:
        super().__init__()
        self.latent = latent
        self.transforms = transforms
        self.hidden = hidden
        zuko = require_zuko("The flow prior")
        flow = zuko.flows.NSF(latent, transforms=transforms, passes=2, hidden_features=hidden)
        self.transform = flow.transform
        self.normalising_flow = zuko.distributions.NormalizingFlow
        self.register_buffer("mean", torch.zeros(latent), persistent=False)

    def forward(self) -> Distribution:
        """p(z), batch shape `[]`, event shape `[latent]`."""
        prior: Distribution = self.normalising_flow(self.transform(), standard_normal(self.mean))
        return prior


def autoregressive_net(
    latent: int, context: int, hidden: Sequence[int], *, flip: bool
) -> nn.Module:
    """A network [ε, h] `[..., latent + context]` -> [m, s] `[..., 2 latent]`, autoregressive in ε.

    Args:
        latent: How many dimensions ε has.
        context: How many dimensions h has; all outputs see all of it.
        hidden: The widths of the layers.
        flip: Whether dimension i sees those after it in place of those before it.

    Raises:
        MissingExtraError: zuko is not installed.
    """
    zuko = require_zuko("The inverse autoregressive posterior")
    before = torch.ones(latent, latent, dtype=torch.bool).tril(-1)
    sees = torch.cat([before.mT if flip else before, before.new_ones(latent, context)], 1)
    net: nn.Module = zuko.nn.MaskedMLP(sees.repeat(2, 1), hidden, nn.SiLU)
    return net


class InverseAutoregressiveTransform(Transform):
    """ε -> z of one inverse autoregressive flow, for `TransformedDistribution`.

    Args:
        net: What `autoregressive_net` gives.
        context: h, `[B, C]`.
    """

    domain = constraints.real_vector
    codomain = constraints.real_vector
    bijective = True

    def __init__(self, net: nn.Module, context: Tensor) -> None:
        super().__init__(cache_size=1)
        self.net = net
        self.context = context
        self._last: tuple[Tensor, Tensor, Tensor] | None = None

    def _parts(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """m and σ of a noise, remembered for the last one."""
        if self._last is None or self._last[0] is not noise:
            context = self.context.expand(*noise.shape[:-1], -1)
            mean, raw = self.net(torch.cat([noise, context], -1)).chunk(2, -1)
            self._last = noise, mean, _GATE + (1 - _GATE) * torch.sigmoid(raw + 2)
        return self._last[1:]

    def _call(self, x: Tensor) -> Tensor:
        mean, gate = self._parts(x)
        return torch.lerp(mean, x, gate)

    def _inv_call(self, y: Tensor) -> Tensor:
        # A draw that is held, for a score function, must not be followed back to its noise: its
        # density is then a function of the parameters at a fixed z, and not at a fixed noise.
        held = torch.is_grad_enabled() and not y.requires_grad
        noise: Tensor = self._inverse(y) if held else super()._inv_call(y)
        return noise

    def _inverse(self, y: Tensor) -> Tensor:
        shape = torch.broadcast_shapes(y.shape[:-1], self.context.shape[:-1])
        y = y.expand(*shape, -1)
        x = torch.zeros_like(y)
        for _ in range(y.shape[-1]):
            mean, gate = self._parts(x)
            x = (y - (1 - gate) * mean) / gate
        return x

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:  # noqa: ARG002 - torch's name
        """Log |∂z/∂ε|, `[...]`."""
        _, gate = self._parts(x)
        return gate.log().sum(-1)


class FlowMatching(nn.Module):
    """A prior that transports noise along a velocity fitted to draws of the posterior.

        flow = FlowMatching(latent)
        flow.start(draws)                                  # [N, latent], of the trained posterior
        ...                                                # minimise matching(flow, draws, moment)
        vae.prior = flow

    Its density can be trained through, as that of any prior, but at the cost of the integral.

    Args:
        latent: How many dimensions z has.
        hidden: The widths of the velocity's network.
        steps: How many Runge-Kutta steps an integral takes.

    Raises:
        OptionError: There is not at least one step.
    """

    location: Tensor
    scale: Tensor
    frequencies: Tensor

    def __init__(self, latent: int, hidden: Sequence[int] = (128, 128), steps: int = 32) -> None:
        super().__init__()
        if steps < 1:
            raise OptionError(f"steps must be a positive whole number, but is {steps!r}")
        self.latent = latent
        self.hidden = hidden
        self.steps = steps
        self.register_buffer("location", torch.zeros(latent))
        self.register_buffer("scale", torch.ones(latent))
        frequencies = torch.arange(1, 4) * math.pi
        self.register_buffer("frequencies", frequencies, persistent=False)
        layers: list[nn.Module] = []
        for before, after in pairwise((latent + 2 * len(frequencies), *hidden)):
            layers += [nn.Linear(before, after), nn.SiLU()]
        last = nn.Linear(hidden[-1], latent)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.net = nn.Sequential(*layers, last)

    @torch.no_grad()
    def start(self, z: Tensor) -> None:
        """Set the location and scale from draws `[N, latent]` of the aggregate posterior."""
        scale, location = torch.std_mean(z, 0, correction=0)
        self.location.copy_(location)
        self.scale.copy_(scale.clamp(min=1e-6))

    def velocity(self, u: Tensor, t: Tensor) -> Tensor:
        """v(u, t) for u `[..., latent]` and t of a shape that broadcasts with `[..., 1]`."""
        angle = (self.frequencies * t).expand(*u.shape[:-1], -1)
        v: Tensor = self.net(torch.cat([u, angle.cos(), angle.sin()], -1))
        return v

    def forward(self) -> Distribution:
        """p(z), batch shape `[]`, event shape `[latent]`."""
        return ContinuousFlow(self.velocity, self.location, self.scale, self.steps)


def matching(flow: nn.Module, z: Tensor, moment: Moment) -> Loss:  # noqa: ARG001 - an objective
    """The loss of flow matching, an objective whose model is a `FlowMatching` and whose data are z.

    Args:
        flow: The prior to be fitted.
        z: Draws `[N, latent]` of the posterior.
        moment: Not used.

    Returns:
        The mean squared error of the velocity per item, in units of the standardised latent.
    """
    if not isinstance(flow, FlowMatching):
        raise TypeError(f"matching fits a FlowMatching prior, but got a {type(flow).__name__}")
    u = (z - flow.location) / flow.scale
    noise, t = torch.randn_like(u), torch.rand_like(u[:, :1])
    error = flow.velocity(torch.lerp(noise, u, t), t) - (u - noise)
    total = error.square().sum(-1).mean()
    return Loss(total, {"matching": total.detach()})


class ContinuousFlow(Distribution):
    """The law of location + scale · u_1, where du/dt = v(u, t) from u_0 ~ N(0, I).

    Args:
        velocity: v(u `[..., D]`, t), differentiable.
        location: `[D]`.
        scale: `[D]`, positive.
        steps: How many steps of the classical Runge-Kutta method of order 4 cover [0, 1].
        temperature: T, where the flow starts from N(0, T² I) instead.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012 - torch's contract
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        velocity: Velocity,
        location: Tensor,
        scale: Tensor,
        steps: int,
        temperature: float = 1.0,
    ) -> None:
        self.temperature = temperature
        self.velocity = velocity
        self.location = location
        self.scale = scale
        self.steps = steps
        super().__init__(torch.Size(), location.shape, validate_args=False)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draws `[*sample_shape, D]`."""
        shape = (*sample_shape, *self.event_shape)
        u = torch.randn(shape, dtype=self.location.dtype, device=self.location.device)
        u = self.temperature * u
        (u,) = _integrate(lambda t, u: (self.velocity(u, t),), (u,), 0.0, 1.0, self.steps)
        return self.location + self.scale * u

    def log_prob(self, value: Tensor) -> Tensor:
        """Log p(z) in nats, `[...]` for z `[..., D]`."""
        u = (value - self.location) / self.scale
        start = (u, torch.zeros_like(u[..., 0]))
        u, change = _integrate(self._slope, start, 1.0, 0.0, self.steps)
        noise = tempered(standard_normal(torch.zeros_like(self.location)), self.temperature)
        return noise.log_prob(u) + change - self.scale.log().sum()

    def _slope(self, t: Tensor, u: Tensor, _: Tensor) -> tuple[Tensor, Tensor]:
        """v and its divergence Σ_i ∂v_i/∂u_i: one pull-back of each basis vector."""
        v, pull_back = torch.func.vjp(lambda u: self.velocity(u, t), u)[:2]
        basis = torch.eye(u.shape[-1], dtype=u.dtype, device=u.device)
        basis = basis.reshape(-1, *[1] * (u.ndim - 1), u.shape[-1]).expand(-1, *u.shape)
        (rows,) = torch.func.vmap(pull_back)(basis)
        return v, rows.diagonal(dim1=0, dim2=-1).sum(-1)


@tempered.register
def _cooler(flow: ContinuousFlow, temperature: float) -> Distribution:
    cooler = flow.temperature * temperature
    return ContinuousFlow(flow.velocity, flow.location, flow.scale, flow.steps, cooler)


def _integrate(
    slope: Callable[..., tuple[Tensor, ...]],
    state: tuple[Tensor, ...],
    start: float,
    end: float,
    steps: int,
) -> tuple[Tensor, ...]:
    """The state at time `end` of d state / dt = slope(t, *state), by `steps` of Runge-Kutta 4."""
    h = (end - start) / steps

    def ahead(share: float, k: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(y + share * h * d for y, d in zip(state, k, strict=True))

    for step in range(steps):
        t = torch.full_like(state[0][..., :1], start + step * h)
        k1 = slope(t, *state)
        k2 = slope(t + h / 2, *ahead(0.5, k1))
        k3 = slope(t + h / 2, *ahead(0.5, k2))
        k4 = slope(t + h, *ahead(1.0, k3))
        mean = tuple((a + 2 * b + 2 * c + d) / 6 for a, b, c, d in zip(k1, k2, k3, k4, strict=True))
        state = ahead(1.0, mean)
    return state
