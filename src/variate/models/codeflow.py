r"""A flow as a prior over the codes of a lattice: probabilities of codes, by dequantisation.

The codes of `FSQ` are D = P·d whole numbers s_i, one of L_i each. Number s_i is the cell of the
line whose share of a standard normal is the s_i-th of L_i equal ones (Φ its distribution function),

    v_i = Φ⁻¹((s_i + u_i) / L_i),    0 < u_i < 1                 P(c) = ∫_cell(c) p(v) dv

with p(v) the density of a flow. The cells fill the space, so P sums to one over all grids of codes,
and a code is drawn as the cell of a draw of v. While the flow is the identity, as it is until it is
trained, all grids are as likely: P(c) = K^-P.

The integral over a cell has no closed form. It is estimated at a point u ~ q(u|c) of the cell,
which is *dequantisation* (Theis et al. 2016; a learned q: Ho et al. 2019),

    log P̂(c) = log p(v) + Σ_i [log φ(a_i) + log σ_i - log L_i - log φ(v_i) - log N(ε_i)]
    u_i = Φ(a_i),     a_i = m_i(c) + σ_i(c) ε_i,     ε ~ N(0, I)

with φ the density of N(0, 1) and m, σ a network of the codes: u is uniform until it is trained.
E P̂(c) = P(c), so

    E log P̂(c)  <=  E log (1/K) Σ_k P̂_k(c)  <=  log P(c),        the second -> log P(c) with K

**What is reported is a bound with a gap more.** The ELBO under this prior is log p(x|z) + E log P̂
of the codes, below that under P itself by KL(q(u|c)‖p(u|c)), the gap of dequantisation. Each of the
draws of `evaluation.log_evidence` has a u of its own, so that its bound closes this gap with them,
and as the codes of an item are certain, what it is above the ELBO is all of this gap.

The entries of a `VQ` have no order and no cells that fill a space of few numbers; there the
autoregressive prior is the one to take.

This module does not know how codes are chosen, nor what they are decoded to.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Size, Tensor, nn
from torch.distributions import Distribution, constraints

from variate.distributions import tempered
from variate.errors import OptionError
from variate.models.codeprior import CodePrior, renewed
from variate.models.normalising import require_zuko, standard_normal
from variate.models.quantized import VQ, Lattice

__all__ = ["DequantisedGrid", "FlowCodes"]

_BINS = 8
_MASKS = 7_919  # a seed: which numbers a coupling moves is no chance of a run
_LEAST = 1e-30  # of a share of a standard normal
_BLOCK = 512  # grids that are renewed at once
_LOG_ROOT = 0.5 * math.log(2 * math.pi)


class FlowCodes(CodePrior):
    """A flow of spline couplings (Durkan et al. 2019) over the codes of an `FSQ`, dequantised.

    `prior().log_prob(z)` is an estimate by one point of the cell: below log P(z) in the mean.

    Args:
        positions: P, how many codes an item has.
        levels: How many values each of the d numbers of a code has, as of the `FSQ`.
        transforms: How many couplings; each second one moves what the one before has held.
        hidden: The widths of each coupling's network, and of that of the dequantisation.

    Raises:
        MissingExtraError: zuko is not installed.
        OptionError: A number has less than two levels, or there is no coupling.
    """

    exact = False
    counts: Tensor
    mean: Tensor

    def __init__(
        self,
        positions: int,
        levels: Sequence[int] = (8, 5, 5, 5),
        transforms: int = 4,
        hidden: Sequence[int] = (128, 128),
    ) -> None:
        book = Lattice(levels)
        super().__init__(positions, book.size, book.width)
        if transforms < 1:
            raise OptionError(f"transforms must be a positive whole number, but is {transforms!r}")
        self.levels = levels
        self.transforms = transforms
        self.hidden = hidden
        zuko = require_zuko("The flow prior over codes")
        parts = [_coupling(zuko, mask, hidden) for mask in _masks(self.latent, transforms)]
        self.transform = zuko.lazy.LazyComposedTransform(*parts)
        self.normalising_flow = zuko.distributions.NormalizingFlow
        self.dequantiser = zuko.nn.MLP(self.latent, 2 * self.latent, hidden, nn.SiLU)
        _vanish(self.dequantiser[-1])
        self.register_buffer("counts", torch.tensor(levels).repeat(positions), persistent=False)
        self.register_buffer("mean", torch.zeros(self.latent), persistent=False)

    def start(self, encoder: nn.Module, x: Tensor | None = None) -> None:
        """Refer to the codebook of the encoder's head, an `FSQ` of the same levels.

        Args:
            encoder: The encoder of the same model, or its head.
            x: Not used.

        Raises:
            OptionError: There is not just one head that quantises, it is no `FSQ`, or its codes are
                of another shape.
        """
        if any(isinstance(module, VQ) for module in encoder.modules()):
            raise OptionError(
                "FlowCodes is for the codes of an FSQ, whose numbers have an order; the entries "
                "of a VQ have none, and no cells for a flow to fill. Take AutoregressiveCodes, "
                "or an FSQ"
            )
        super().start(encoder, x)
        levels = getattr(self._head[0], "levels", self.levels)
        if tuple(levels) != tuple(self.levels):
            raise OptionError(
                f"FlowCodes has levels={tuple(self.levels)}, but the encoder's FSQ has "
                f"{tuple(levels)}"
            )

    def grid(self) -> "DequantisedGrid":
        """The law over codes, batch shape `[]`, event shape `[P]`."""
        flow = self.normalising_flow(self.transform(), standard_normal(self.mean))
        return DequantisedGrid(flow, self.dequantiser, self.counts, self.positions)


class DequantisedGrid(Distribution):
    """The law over P codes of which cell a draw of a flow falls into.

    Args:
        flow: p(v), batch shape `[]`, event shape `[D]`.
        dequantiser: Numbers `[..., D]` in [-1, 1] -> m and log σ, `[..., 2 D]`.
        counts: L, `[D]`: of the numbers of a code, code after code.
        positions: P.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012 - torch's contract

    def __init__(
        self, flow: Distribution, dequantiser: nn.Module, counts: Tensor, positions: int
    ) -> None:
        self.flow = flow
        self.dequantiser = dequantiser
        self.counts = counts
        width = len(counts) // positions
        # A code is read as a number whose last digit turns fastest, as `Lattice` counts.
        self.radix = counts[:width].flip(0).cumprod(0).flip(0) // counts[:width]
        super().__init__(Size(), Size((positions,)), validate_args=False)

    @property
    def support(self) -> constraints.Constraint:
        """Codes 0 to K - 1 at each position."""
        size = math.prod(self.counts[: len(self.radix)].tolist())
        return constraints.independent(constraints.integer_interval(0, size - 1), 1)

    def numbers(self, codes: Tensor) -> Tensor:
        """The numbers s `[..., D]` of codes `[..., P]`."""
        return (codes[..., None] // self.radix % self.counts[: len(self.radix)]).flatten(-2)

    def codes(self, numbers: Tensor) -> Tensor:
        """The codes `[..., P]` of numbers s `[..., D]`."""
        return (numbers.unflatten(-1, (-1, len(self.radix))) * self.radix).sum(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log P̂ in nats of codes `[..., P]`, `[...]`: an estimate by one draw of u."""
        numbers = self.numbers(value)
        a, log_q = self._dequantised(numbers)
        v = _places(numbers, self.counts, a)
        cell = _log_normal(a) - _log_normal(v) - self.counts.log()
        log_p: Tensor = self.flow.log_prob(v)
        return log_p + cell.sum(-1) - log_q

    def _dequantised(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """A draw of a `[..., D]` and log q(a|c) `[...]`."""
        centred = 2 * numbers / (self.counts - 1) - 1
        weight = next(self.dequantiser.parameters())
        m, log_scale = self.dequantiser(centred.to(weight.dtype)).chunk(2, -1)
        noise = torch.randn_like(m)
        return m + log_scale.exp() * noise, (_log_normal(noise) - log_scale).sum(-1)

    @torch.no_grad()
    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draws `[*sample_shape, P]`."""
        return self.codes(self._cells(self.flow.sample(Size(sample_shape))))

    def _cells(self, v: Tensor) -> Tensor:
        """The numbers s of the cells that v `[..., D]` lies in."""
        return (torch.special.ndtr(v) * self.counts).long().minimum(self.counts - 1)

    def sweep(self, codes: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """See `renewed`; codes `[N, P]` of a block."""
        moved = chosen.repeat_interleave(len(self.radix), dim=1)
        fresh = self.flow.sample(Size(codes.shape[:1]))
        numbers = torch.where(moved, self._cells(fresh), self.numbers(codes))
        held = _places(numbers, self.counts, self._dequantised(numbers)[0])
        v = torch.where(moved, fresh, held)
        log_q = torch.zeros_like(v[:, 0])
        for i in range(len(self.counts)):
            rows = moved[:, i].nonzero()[:, 0]
            if len(rows):
                drawn = self._drawn(v[rows], numbers[rows, i], i)
                numbers[rows, i], v[rows, i] = drawn[0], drawn[1]
                log_q[rows] += drawn[2]
        return torch.where(chosen, self.codes(numbers), codes), log_q

    def _drawn(self, v: Tensor, now: Tensor, i: int) -> tuple[Tensor, Tensor, Tensor]:
        """Number i drawn given the others: the number, its place, log of its probability."""
        count = int(self.counts[i])
        each = torch.arange(count, device=v.device).expand(len(v), -1)
        places = _places(each, self.counts[i], torch.randn_like(v[:, :1].expand(-1, count)))
        places = places.scatter(1, now[:, None], v[:, i, None])  # the present one as it is
        tried = v[:, None].expand(-1, count, -1).clone()
        tried[..., i] = places
        logits = torch.log_softmax(self.flow.log_prob(tried) - _log_normal(places), -1)
        new = torch.multinomial(logits.exp(), 1)
        return new[:, 0], places.gather(1, new)[:, 0], logits.gather(1, new)[:, 0]


@tempered.register
def _cooler(law: DequantisedGrid, temperature: float) -> Distribution:
    flow = tempered(law.flow, temperature)
    return DequantisedGrid(flow, law.dequantiser, law.counts, *law.event_shape)


@renewed.register
@torch.no_grad()
def _renewed(law: DequantisedGrid, codes: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """From a fresh draw, each chosen number given all others: one sweep of a Gibbs sampler.

    Every other level is tried at one u, and one is taken by its density. (With the present place
    among those tried, that leaves the law of codes as it is; Neal 2011 calls it an ensemble.)
    """
    blocks = zip(codes.split(_BLOCK), chosen.split(_BLOCK), strict=True)
    made = [law.sweep(own, new) for own, new in blocks]
    return torch.cat([block for block, _ in made]), torch.cat([log_q for _, log_q in made])


def _places(numbers: Tensor, counts: Tensor, a: Tensor) -> Tensor:
    """v = Φ⁻¹((s + Φ(a)) / L): counted from the end that is nearer, so that no tail is cut."""
    below = (numbers + torch.special.ndtr(a)) / counts
    above = (counts - 1 - numbers + torch.special.ndtr(-a)) / counts
    tail = torch.special.ndtri(torch.minimum(below, above).clamp_min(_LEAST))
    return torch.where(below < above, tail, -tail)


def _log_normal(value: Tensor) -> Tensor:
    """Log of the density of N(0, 1)."""
    return -0.5 * value.square() - _LOG_ROOT


def _masks(latent: int, transforms: int) -> list[Tensor]:
    """What each coupling holds, bool `[D]`: half of the numbers by chance, then the other half."""
    chance = torch.Generator().manual_seed(_MASKS)
    held: list[Tensor] = []
    for t in range(transforms):
        order = torch.randperm(latent, generator=chance)
        held.append(~held[-1] if t % 2 else order < (latent + 1) // 2)
    return held


def _coupling(zuko: Any, mask: Tensor, hidden: Sequence[int]) -> nn.Module:
    """A coupling of splines that is the identity until it is trained."""
    part: nn.Module = zuko.flows.coupling.GeneralCouplingTransform(
        len(mask),
        mask=mask,
        univariate=zuko.transforms.MonotonicRQSTransform,
        shapes=[(_BINS,), (_BINS,), (_BINS - 1,)],
        **({"hidden_features": hidden, "activation": nn.SiLU} if len(mask) > 1 else {}),
    )
    if len(mask) > 1:
        _vanish(part.hyper[-1])  # type: ignore[arg-type, index]
    else:
        for parameter in part.parameters():  # of one number: no network, its spline itself
            nn.init.zeros_(parameter)
    return part


def _vanish(layer: nn.Module) -> None:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
