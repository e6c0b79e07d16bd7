r"""The ladder: a hierarchy of latents, inferred from the top down.

    p(x, z) = p(x | z_1, …, z_L) Π_l p(z_l | z_<l)         q(z|x) = Π_l q(z_l | z_<l, x)

The encoder reads x once, upwards and without chance, and leaves a context e_l for each group. A
state h then runs down the groups, in the model that generates and in the one that infers alike
(Sønderby et al. 2016, LVAE; Vahdat & Kautz 2020, NVAE; Child 2021, VDVAE):

    p_l, h <- prior(h)                p(z_l | z_<l)
    q_l    <- posterior(h, e_l, p_l)  q(z_l | z_<l, x), stated relative to p_l
    z_l     ~ q_l, or p_l where nothing is known
    h      <- advance(h, z_l)

and the decoder turns the last h into p(x|z). As q_l is given p_l and says what x changes of it, a
group whose variables x has nothing to say about costs nothing.

`log w = log p(x|z) + Σ_l log p_l(z_l) - log q_l(z_l)` is a weight like that of any model, so all
objectives and estimators that are made of it hold; KL(q‖p) is Σ_l KL(q_l‖p_l) on the draws above.

With `checkpointing` the insides of the groups are not kept for the way back but computed again, in
a time a third longer and a memory that does not grow with what a group computes inside.

This module does not know what a state is; `models.topdown` has groups of convolutions.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol, cast

import torch
from torch import Size, Tensor, nn
from torch.distributions import Distribution
from torch.utils.checkpoint import checkpoint

from variate.distributions import temper
from variate.errors import OptionError
from variate.inference import Inference, Latent, rsample

__all__ = ["Group", "Ladder", "Start"]


class Group(Protocol):
    """One group of latents, an `nn.Module`; h is the state `[S, B, *state]`."""

    def prior(self, h: Tensor) -> tuple[Distribution, Tensor]:
        """p(z_l | z_<l), batch shape `[]` or `[S, B]`, and the state that goes on."""
        ...

    def posterior(self, h: Tensor, context: Tensor, prior: Distribution) -> Distribution:
        """q(z_l | z_<l, x), batch shape `[S, B]`, from that state and the context `[B, *]`."""
        ...

    def advance(self, h: Tensor, z: Tensor) -> Tensor:
        """The state after z_l `[S, B, *latent]`."""
        ...


class Ladder(nn.Module):
    """A hierarchical variational autoencoder.

    Args:
        encoder: x `[B, *event]` -> a sequence of L contexts `[B, *]`, that of the top group first.
        start: () -> the state above the top group, `[*state]`.
        groups: L modules that are each a `Group`, the top one first.
        decoder: The last state `[S, B, *state]` -> p(x|z) of batch shape `[S, B]`.
        checkpointing: Whether the groups' insides are computed again on the way back.
    """

    def __init__(
        self,
        encoder: nn.Module,
        start: nn.Module,
        groups: Sequence[nn.Module],
        decoder: nn.Module,
        *,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.start = start
        self.groups = nn.ModuleList(groups)
        self.decoder = decoder
        self.checkpointing = checkpointing

    def forward(self, x: Tensor, samples: int = 1) -> Inference:
        """Infer all groups from x with `samples` draws each, and the likelihood they imply."""
        contexts = self.encoder(x)
        h = self.above(samples, len(x))
        latents = []
        for group, context in zip(self.rungs(), contexts, strict=True):
            if self.checkpointing and torch.is_grad_enabled():
                h, latent = checkpoint(_infer, group, h, context, use_reentrant=False)
            else:
                h, latent = _infer(group, h, context)
            latents.append(latent)
        return Inference(tuple(latents), self.decoder(h))

    @torch.no_grad()
    def generate(self, n: int, temperature: float = 1.0) -> Distribution:
        """The likelihood p(x|z) at n draws from the prior, batch shape `[1, n]`.

        Args:
            n: How many.
            temperature: Of every group's prior: its scale is multiplied by it.

        Raises:
            OptionError: The temperature is not a positive number.
        """
        return self._descend((), 1, n, temperature)

    def decode(self, z: Sequence[Tensor], temperature: float = 1.0) -> Distribution:
        """The likelihood p(x|z) at given draws of the top groups, batch shape `[S, B]`.

        Args:
            z: Draws `[S, B, *latent]` of the first groups, from the top; one or more. Those below
                are drawn from their priors.
            temperature: Of these priors.

        Raises:
            OptionError: There are no draws or more than there are groups, or the temperature is
                not a positive number.
        """
        if not 1 <= len(z) <= len(self.groups):
            raise OptionError(
                f"decode takes the draws of 1 to {len(self.groups)} groups, but got {len(z)}; "
                "without any, use generate"
            )
        samples, items = z[0].shape[:2]
        return self._descend(z, samples, items, temperature)

    def rungs(self) -> Iterable[Group]:
        """The groups, the top one first, as what they are."""
        return cast("Iterable[Group]", self.groups)

    def above(self, samples: int, items: int) -> Tensor:
        """The state above the top group, `[S, B, *state]`."""
        state: Tensor = self.start()
        return state.expand(samples, items, *state.shape)

    def _descend(
        self, z: Sequence[Tensor], samples: int, items: int, temperature: float
    ) -> Distribution:
        h = self.above(samples, items)
        for i, group in enumerate(self.rungs()):
            prior, h = group.prior(h)
            drawn = z[i] if i < len(z) else _draw(temper(prior, temperature), samples, items)
            h = group.advance(h, drawn)
        likelihood: Distribution = self.decoder(h)
        return likelihood


class Start(nn.Module):
    """The state above the top group, learned.

    Args:
        state: Its shape.
        spread: The standard deviation that it starts with.
    """

    def __init__(self, state: Sequence[int], spread: float = 0.1) -> None:
        super().__init__()
        self.state = nn.Parameter(spread * torch.randn(tuple(state)))

    def forward(self) -> Tensor:
        """The state, `[*state]`."""
        return self.state


def _infer(group: Group, h: Tensor, context: Tensor) -> tuple[Tensor, Latent]:
    prior, h = group.prior(h)
    posterior = group.posterior(h, context, prior)
    z = _posterior_draw(posterior, h.shape[0])
    return group.advance(h, z), Latent(z, posterior, prior)


def _posterior_draw(posterior: Distribution, samples: int) -> Tensor:
    """Draws `[S, B, *latent]` of laws of batch shape `[B]` or `[S, B]`."""
    if len(posterior.batch_shape) == 2 and posterior.has_rsample:
        return posterior.rsample()
    return rsample(posterior, samples)


def _draw(prior: Distribution, samples: int, items: int) -> Tensor:
    return prior.sample(Size((samples, items)[: 2 - len(prior.batch_shape)]))
