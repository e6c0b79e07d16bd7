r"""Priors over the codes of a quantised posterior (`models.quantized`).

    UniformCodes          p(c) = K^-P                       stage one: a constant, P log K nats
    AutoregressiveCodes   p(c) = Π_p p(c_p | c_<p)          learned, exact, of one pass
    FlowCodes             P(c) = ∫_cell(c) p(v) dv          learned, estimated: `models.codeflow`

KL(q‖p) = -log p(c(x)) is the length of an item's codes in nats. Nothing of it reaches the encoder,
for codes have no slope, so a prior can as well be learned when encoder and decoder are done (van
den Oord et al. 2017): by the very objective that it has in the ELBO,

    code_length    -log p(c) of codes that the encoder gives to the data

and the ELBO rises by P log K less the mean length. An `AutoregressiveCodes` is uniform until it is
trained, so it serves as the prior of stage one just as well, or is learned beside the model.

A prior speaks of vectors, and must be told whose codes they are: `start(encoder)`, once before use.
The codebook is held without being a submodule, as `Vamp` holds its encoder.

This module does not know how codes are chosen, nor what they are decoded to.
"""

import math
from collections.abc import Sequence
from functools import singledispatch
from typing import Any

import torch
from torch import Size, Tensor, nn
from torch.distributions import Categorical, Distribution, Independent, constraints

from variate.distributions import CodeLaw, tempered
from variate.errors import OptionError
from variate.inference import Loss, Moment
from variate.models.quantized import FSQ, VQ
from variate.nets.causal import CausalTransformer

__all__ = [
    "AutoregressiveCodes",
    "CodePrior",
    "GridLaw",
    "UniformCodes",
    "code_length",
    "renewed",
]

_BLOCK = 512  # sequences that are drawn at once


class CodePrior(nn.Module):
    """What priors over codes share: the shape of a grid of codes, and whose codes they are.

    Args:
        positions: P, how many codes an item has.
        size: K, how many entries the codebook has.
        width: d, how many numbers an entry has.

    Attributes:
        exact: Whether log p is known, and not estimated by draws as `models.codeflow` does.
    """

    exact = True

    def __init__(self, positions: int, size: int, width: int) -> None:
        super().__init__()
        self.positions = positions
        self.size = size
        self.width = width
        self.latent = positions * width
        self._head: tuple[FSQ | VQ, ...] = ()  # a tuple: not registered as a submodule

    def start(self, encoder: nn.Module, x: Tensor | None = None) -> None:  # noqa: ARG002 - as Vamp
        """Refer to the codebook of the encoder's head, an `FSQ` or a `VQ`.

        Args:
            encoder: The encoder of the same model, or its head.
            x: Not used.

        Raises:
            OptionError: There is not just one such head, or its codes are of another shape.
        """
        heads = [module for module in encoder.modules() if isinstance(module, FSQ | VQ)]
        if len(heads) != 1:
            raise OptionError(
                f"{type(self).__name__} needs an encoder with one quantising head, "
                f"posteriors.FSQ or posteriors.VQ, but found {len(heads)}"
            )
        book = heads[0].codebook
        found = (heads[0].latent // book.width, book.size, book.width)
        if found != (self.positions, self.size, self.width):
            raise OptionError(
                f"{type(self).__name__} has positions, size, width = {self.positions}, "
                f"{self.size}, {self.width}, but the codes of the encoder's "
                f"{type(heads[0]).__name__} have {found[0]}, {found[1]}, {found[2]}"
            )
        self._head = (heads[0],)

    def grid(self) -> Distribution:
        """The law over codes, batch shape `[]`, event shape `[P]`."""
        raise NotImplementedError

    def forward(self) -> Distribution:
        """p(z), batch shape `[]`, event shape `[P·d]`.

        Raises:
            ValueError: `start` was not called.
        """
        if not self._head:
            raise ValueError(
                f"{type(self).__name__} has no codebook yet: call its start(encoder) once before "
                "use"
            )
        return CodeLaw(self.grid(), self._head[0].codebook)


class UniformCodes(CodePrior):
    """All grids of codes are as likely: log p(z) = -P log K.

    Args:
        positions: P, how many codes an item has.
        size: K, how many entries the codebook has.
        width: d, how many numbers an entry has.
    """

    logits: Tensor

    def __init__(self, positions: int, size: int, width: int) -> None:
        super().__init__(positions, size, width)
        self.register_buffer("logits", torch.zeros(size), persistent=False)

    def grid(self) -> Distribution:
        """The law over codes, batch shape `[]`, event shape `[P]`."""
        logits = self.logits.expand(self.positions, self.size)
        return Independent(Categorical(logits=logits, validate_args=False), 1, validate_args=False)


class AutoregressiveCodes(CodePrior):
    """Each code given those before it, by a causal transformer; the order is that of the codes.

    Args:
        positions: P, how many codes an item has.
        size: K, how many entries the codebook has.
        width: d, how many numbers an entry has.
        hidden: The transformer's width.
        layers: How many layers it has.
        heads: How many heads of attention, a divisor of `hidden`.

    Raises:
        OptionError: `hidden` is no multiple of `heads`.
    """

    def __init__(
        self,
        positions: int,
        size: int,
        width: int,
        hidden: int = 128,
        layers: int = 3,
        heads: int = 4,
    ) -> None:
        super().__init__(positions, size, width)
        self.hidden = hidden
        self.layers = layers
        self.heads = heads
        self.net = CausalTransformer(positions, size, hidden, layers, heads)

    def grid(self) -> Distribution:
        """The law over codes, batch shape `[]`, event shape `[P]`."""
        return GridLaw(self.net, self.positions)


def code_length(prior: nn.Module, z: Tensor, moment: Moment) -> Loss:  # noqa: ARG001 - an objective
    """The length of codes, an objective whose model is a prior over codes and whose data are z.

    Args:
        prior: The prior to be fitted.
        z: Draws `[N, P·d]` of the posterior.
        moment: Not used.

    Returns:
        The mean of -log p(z) in nats per item.
    """
    if not isinstance(prior, CodePrior):
        raise TypeError(f"code_length fits a prior over codes, but got a {type(prior).__name__}")
    length = -prior().log_prob(z).mean()
    return Loss(length, {"code_length": length.detach()})


@singledispatch
@torch.no_grad()
def renewed(law: Distribution, codes: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Codes of which some are drawn anew, one place after the other, each given those before it.

    Another module adds a law of its own by `renewed.register`.

    Args:
        law: The law over codes, as `CodePrior.grid` gives it.
        codes: `[N, P]`.
        chosen: Which are drawn anew, bool `[N, P]`.

    Returns:
        The codes, and the log of the probability by which those that are new were drawn, `[N]`.
    """
    made = torch.where(chosen, law.sample(Size((len(codes),))), codes)
    independent: Any = law
    return made, _of_chosen(independent.base_dist.log_prob(made), chosen)


def _of_chosen(log_p: Tensor, chosen: Tensor) -> Tensor:
    return log_p.masked_fill(~chosen, 0.0).sum(-1)


class GridLaw(Distribution):
    """P codes, each given those before it.

    Args:
        net: Their logits.
        positions: P.
        temperature: By which the logits of each code are divided.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012 - torch's contract

    def __init__(self, net: CausalTransformer, positions: int, temperature: float = 1.0) -> None:
        self.net = net
        self.temperature = temperature
        super().__init__(Size(), Size((positions,)), validate_args=False)

    @property
    def support(self) -> constraints.Constraint:
        """Codes 0 to K - 1 at each position."""
        return constraints.independent(constraints.integer_interval(0, self.net.size - 1), 1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log p in nats, `[...]` for codes `[..., P]`."""
        flat = value.reshape(-1, value.shape[-1])
        return self.log_prob_of_places(flat).sum(-1).reshape(value.shape[:-1])

    def log_prob_of_places(self, codes: Tensor) -> Tensor:
        """Log p(c_p | c_<p) of each place, `[N, P]` for codes `[N, P]`."""
        log_p = torch.log_softmax(self.net(codes) / self.temperature, -1)
        return log_p.gather(-1, codes[..., None]).squeeze(-1)

    @torch.no_grad()
    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draws `[*sample_shape, P]`."""
        n = math.prod(sample_shape)
        blocks = [self.drawn(min(_BLOCK, n - i)) for i in range(0, n, _BLOCK)]
        return torch.cat(blocks).reshape(*sample_shape, *self.event_shape)

    def drawn(self, n: int, codes: Tensor | None = None, chosen: Tensor | None = None) -> Tensor:
        """Draws `[n, P]`; of given codes `[n, P]` those that are not chosen stay."""
        made: list[Tensor] = []
        past: list[Any] = []
        for position in range(self.event_shape[0]):
            logits, past = self.net.step(made[-1] if made else None, position, past, n)
            law = torch.softmax(logits / self.temperature, -1)
            new = torch.multinomial(law, 1)[:, 0]
            if codes is not None and chosen is not None:
                new = torch.where(chosen[:, position], new, codes[:, position])
            made.append(new)
        return torch.stack(made, 1)


@tempered.register
def _grid(distribution: GridLaw, temperature: float) -> Distribution:
    both = distribution.temperature * temperature
    return GridLaw(distribution.net, distribution.event_shape[0], both)


@renewed.register
@torch.no_grad()
def _renewed(law: GridLaw, codes: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    blocks = zip(codes.split(_BLOCK), chosen.split(_BLOCK), strict=True)
    made = torch.cat([law.drawn(len(own), own, new) for own, new in blocks])
    return made, _of_chosen(law.log_prob_of_places(made), chosen)
