r"""Quantised posteriors: heads whose z is a grid of P codes out of K, each known for certain.

The head makes of the features a vector y_p of d numbers for each position, and q(z|x) is the point
mass at the codebook's entries for them (`distributions.codes`). Rounding has no slope, so the
gradient of z is handed to y as it is, *straight through* (Bengio et al. 2013):

    z = e_c + (y - sg(y)),        sg(y) = y without its gradient

**FSQ**, finite scalar quantisation (Mentzer et al. 2023). The codebook is a fixed lattice: number j
is squashed and rounded to one of L_j values, evenly spaced in [-1, 1], so K = Π_j L_j,

    t_j = tanh(y_j + s_j)             e_j = 2 round((L_j - 1) (t_j + 1) / 2) / (L_j - 1) - 1

straight through to t. Where L_j is even, no value is at zero, and s_j = atanh(1 / (L_j - 1)) moves
y_j = 0 from the border of two cells into the middle of one (theirs has tan in place of atanh).
Before that y is standardised over the data (`nets.renorm`), which theirs is not. With nothing to
hold it there, y may run out to where tanh is flat before the decoder has found a use for it, and
all items have one code: so it went in five of six runs of 750 steps on digits (ELBO -133), and in
none of six with it (-100).

**VQ**, vector quantisation (van den Oord et al. 2017). c_p is the entry nearest to y_p. The entries
are running means of the vectors that chose them (their appendix A.1), which in training move by
each batch before they are looked up: with n_k of the N vectors of a batch choosing k, and a_t = 1 -
min(decay, (1 + t) / (10 + t)) at step t, so that what the first batches left is soon forgotten,

    u_k <- u_k + a_t (n_k K/N - u_k)        m_k <- m_k + a_t (K/N Σ_{p: c_p = k} y_p - m_k)
    e_k = m_k / u_k

An entry that is chosen by less than a twentieth of its share 1/K is dead: before the next batch
chooses, it becomes one of the batch's own vectors at random (so do all at the start). The vectors
are held near their entries by the *commitment* β Σ_p ‖y_p - sg(e_p)‖², `Latent.penalty`: it is
part of the loss and no part of the ELBO.

This module does not know the prior over the codes, nor the decoder.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from variate.distributions import CodePoint
from variate.errors import OptionError
from variate.nets.renorm import BatchRenorm, rate_of

__all__ = ["FSQ", "VQ", "CodeMap", "Lattice", "MovingCodebook"]

_ALIVE = 0.05  # of the share that every entry would have if all were chosen alike


class FSQ(nn.Module):
    """Finite scalar quantisation (Mentzer et al. 2023): a lattice for a codebook.

    Five levels or more are advised: (8, 6, 5) makes 240 codes, (8, 5, 5, 5) a thousand.

    Args:
        positions: P, how many codes there are: all made of one vector of features `[B, F]`. Or
            (H, W): one at each place of a feature map `[B, F, H, W]`, row by row.
        levels: How many values each of the d numbers of a vector has.

    Raises:
        OptionError: There are no positions, or a number has less than two levels.
    """

    def __init__(
        self, positions: int | Sequence[int], levels: Sequence[int] = (8, 5, 5, 5)
    ) -> None:
        super().__init__()
        self.positions = positions
        self.levels = levels
        self.codebook = Lattice(levels)
        self.vectors = _Vectors(positions, self.codebook.width)
        self.latent = self.vectors.count * self.codebook.width
        self.standard = BatchRenorm(self.vectors.linear.out_features)

    def forward(self, features: Tensor) -> Distribution:
        """q(z|x) from features `[B, F]` or `[B, F, H, W]`, event shape `[P·d]`."""
        vectors = self.vectors(features)
        numbers = vectors.reshape(-1, self.vectors.linear.out_features)
        squashed = self.codebook.squash(self.standard(numbers).reshape(vectors.shape))
        codes = self.codebook.nearest(squashed.detach())
        return CodePoint(_straight(squashed, self.codebook.look_up(codes)), codes, self.codebook)


class VQ(nn.Module):
    """Vector quantisation (van den Oord et al. 2017), its entries running means.

    The entries move whenever the head is used in training mode with gradients on; in evaluation
    mode they are held.

    Args:
        positions: P, how many codes there are: all made of one vector of features `[B, F]`. Or
            (H, W): one at each place of a feature map `[B, F, H, W]`, row by row.
        size: K, how many entries the codebook has.
        width: d, how many numbers an entry has.
        commitment: β, the price of a vector's squared distance from its entry, in nats.
        decay: The share of a running mean that a batch leaves.

    Raises:
        OptionError: A size is not a positive whole number, the codebook has less than two entries,
            the commitment is negative or not finite, or the decay not within [0, 1).
    """

    def __init__(
        self,
        positions: int | Sequence[int],
        size: int = 512,
        width: int = 16,
        commitment: float = 0.25,
        decay: float = 0.99,
    ) -> None:
        super().__init__()
        if not (commitment >= 0 and math.isfinite(commitment)):
            raise OptionError(
                f"commitment must be zero or greater and finite, but is {commitment!r}"
            )
        self.positions = positions
        self.size = size
        self.width = width
        self.commitment = commitment
        self.decay = decay
        self.codebook = MovingCodebook(size, width, decay)
        self.vectors = _Vectors(positions, width)
        self.latent = self.vectors.count * width

    def forward(self, features: Tensor) -> Distribution:
        """q(z|x) from features `[B, F]` or `[B, F, H, W]`, event shape `[P·d]`."""
        vectors = self.vectors(features)
        held = vectors.detach()
        if self.training and torch.is_grad_enabled():
            self.codebook.learn(held.flatten(0, 1))
        codes = self.codebook.choose(held)
        entries = self.codebook.look_up(codes)
        penalty = self.commitment * (vectors - entries).square().sum((-2, -1))
        return CodePoint(_straight(vectors, entries), codes, self.codebook, penalty)


class CodeMap(nn.Module):
    """The first lines of a convolutional decoder: z as a map, through a network of maps.

    Args:
        positions: (H, W), as the head has them.
        net: Maps `[N, d, H, W]` -> maps `[N, F, H', W']`.
    """

    def __init__(self, positions: Sequence[int], net: nn.Module) -> None:
        super().__init__()
        self.positions = positions
        self.net = net

    def forward(self, z: Tensor) -> Tensor:
        """Feature maps `[S, B, F, H', W']` of z `[S, B, H·W·d]`."""
        vectors = z.flatten(0, 1).unflatten(-1, (math.prod(self.positions), -1))
        maps: Tensor = self.net(vectors.mT.unflatten(-1, tuple(self.positions)))
        return maps.unflatten(0, z.shape[:2])


class Lattice(nn.Module):
    """The codebook of all combinations of evenly spaced numbers in [-1, 1]; the last turns fastest.

    Args:
        levels: How many values each number has.

    Raises:
        OptionError: A number has less than two levels, or there is none.
    """

    counts: Tensor
    radix: Tensor
    shift: Tensor

    def __init__(self, levels: Sequence[int]) -> None:
        super().__init__()
        if not levels or any(n < 2 or n != int(n) for n in levels):
            raise OptionError(
                "levels must be whole numbers of at least 2, one for each number of a vector, "
                f"but are {levels!r}"
            )
        self.size = math.prod(levels)
        self.width = len(levels)
        radix = [math.prod(levels[j + 1 :]) for j in range(self.width)]
        shift = [math.atanh(1 / (n - 1)) if n % 2 == 0 and n > 2 else 0.0 for n in levels]
        self.register_buffer("counts", torch.tensor(levels), persistent=False)
        self.register_buffer("radix", torch.tensor(radix), persistent=False)
        self.register_buffer("shift", torch.tensor(shift), persistent=False)

    def squash(self, vectors: Tensor) -> Tensor:
        """Any vectors `[..., d]` -> what is rounded, in [-1, 1]."""
        return torch.tanh(vectors + self.shift)

    def nearest(self, vectors: Tensor) -> Tensor:
        """Codes `[...]` of the lattice points nearest to vectors `[..., d]`."""
        last = self.counts - 1
        steps = ((vectors + 1) * last / 2).round().long()
        return (steps.clamp_min(0).minimum(last) * self.radix).sum(-1)

    def look_up(self, codes: Tensor) -> Tensor:
        """The lattice points `[..., d]` of codes `[...]`."""
        steps = codes[..., None] // self.radix % self.counts
        return 2 * steps.to(self.shift.dtype) / (self.counts - 1) - 1


class MovingCodebook(nn.Module):
    """A codebook whose entries are running means of the vectors that chose them.

    Its buffers move by amounts that are averages over a batch, so that several processes which
    average what moved have the codebook of one process with all their batches. A dead entry is put
    in its new place by one of them, for the mean of two vectors from far apart is like neither.

    Args:
        size: K.
        width: d.
        decay: The share of a running mean that a batch leaves.

    Raises:
        OptionError: K is below 2, d below 1, or the decay not within [0, 1).
    """

    usage: Tensor
    sums: Tensor
    steps: Tensor

    def __init__(self, size: int, width: int, decay: float) -> None:
        super().__init__()
        for name, value, least in (("size", size, 2), ("width", width, 1)):
            if value < least or value != int(value):
                raise OptionError(
                    f"{name} must be a whole number of at least {least}, but is {value!r}"
                )
        if not 0 <= decay < 1:
            raise OptionError(f"decay must be from 0 to below 1, but is {decay!r}")
        self.size = size
        self.width = width
        self.decay = decay
        self._who = (0, 1)
        start = _ALIVE / 10  # all entries are dead, and the first batch puts its own in place
        self.register_buffer("usage", torch.full((size,), start))
        self.register_buffer("sums", start * torch.randn(size, width))
        self.register_buffer("steps", torch.zeros(()))

    def shared_by(self, rank: int, world: int) -> None:
        """Several processes average what moves: each revives entries of its own.

        Args:
            rank: This process, 0 to world - 1.
            world: How many there are.
        """
        self._who = (rank, world)

    def entries(self) -> Tensor:
        """e, `[K, d]`."""
        return self.sums / self.usage[:, None]

    def nearest(self, vectors: Tensor) -> Tensor:
        """Codes `[...]` of the entries nearest to vectors `[..., d]`, to the last digit."""
        flat = vectors.flatten(0, -2)
        exact = "donot_use_mm_for_euclid_dist"
        distance = torch.cdist(flat, self.entries(), compute_mode=exact)
        return distance.argmin(-1).unflatten(0, vectors.shape[:-1])

    def choose(self, vectors: Tensor) -> Tensor:
        """The same by a matrix product: faster, and of two as near as rounding either."""
        return _nearly(vectors, self.entries())

    def look_up(self, codes: Tensor) -> Tensor:
        """The entries `[..., d]` of codes `[...]`."""
        return self.entries()[codes]

    @torch.no_grad()
    def learn(self, vectors: Tensor) -> None:
        """Move the entries by a batch of vectors `[N, d]`; waits for no device."""
        sound = vectors.isfinite().all()  # a batch that is not is skipped by the optimiser too
        usage, sums = self._revived(vectors)
        chosen = _nearly(vectors, sums / usage[:, None])
        share = self.size / len(vectors)
        one = torch.full_like(vectors[:, 0], share)
        counts = torch.zeros_like(usage).index_add_(0, chosen, one)
        totals = torch.zeros_like(sums).index_add_(0, chosen, share * vectors)
        rate = rate_of(self.steps, self.decay).to(usage.dtype)
        self.usage.copy_(torch.where(sound, torch.lerp(usage, counts, rate), self.usage))
        self.sums.copy_(torch.where(sound, torch.lerp(sums, totals, rate), self.sums))
        self.steps.add_(sound)

    def _revived(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """The running means, those of dead entries at vectors of the batch."""
        rank, world = self._who
        own = torch.arange(self.size, device=vectors.device) % world == rank
        dead = (self.usage < _ALIVE) & own
        order = torch.randperm(len(vectors), device=vectors.device)
        picked = vectors[order[torch.arange(self.size, device=order.device) % len(vectors)]]
        usage = torch.where(dead, 1.0, self.usage)
        return usage, torch.where(dead[:, None], picked, self.sums)


class _Vectors(nn.Module):
    """Features -> P vectors of d numbers, `[B, P, d]`."""

    def __init__(self, positions: int | Sequence[int], width: int) -> None:
        super().__init__()
        self.grid = () if isinstance(positions, int) else tuple(positions)
        sizes = self.grid or (positions,)
        if any(not isinstance(n, int) or n < 1 for n in sizes):
            raise OptionError(
                "positions must be a positive whole number, or a height and a width, "
                f"but is {positions!r}"
            )
        self.count = math.prod(sizes)  # type: ignore[arg-type]
        self.width = width
        self.linear = nn.LazyLinear(width if self.grid else self.count * width)

    def forward(self, features: Tensor) -> Tensor:
        """`[B, P, d]`, of full precision: under autocast codes would be chosen by three digits."""
        if self.grid:
            if features.shape[2:] != self.grid:
                raise ValueError(
                    f"the head has positions={self.grid}, so features [B, F, "
                    f"{', '.join(map(str, self.grid))}] were expected, but they are "
                    f"{list(features.shape)}"
                )
            vectors = self.linear(features.flatten(2).mT)
        else:
            vectors = self.linear(features).unflatten(-1, (self.count, self.width))
        half = vectors.dtype in {torch.bfloat16, torch.float16}
        return vectors.float() if half else vectors


def _nearly(vectors: Tensor, entries: Tensor) -> Tensor:
    """The nearest of entries `[K, d]`: |y - e|² is |y|², the same for all, and |e|² - 2 y·e."""
    return (entries.square().sum(-1) / 2 - vectors @ entries.mT).argmin(-1)


def _straight(vectors: Tensor, entries: Tensor) -> Tensor:
    """The entries, with the gradient of the vectors: `[B, P·d]`."""
    return (entries + (vectors - vectors.detach())).flatten(-2)
