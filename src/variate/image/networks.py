"""Networks that `ImageVAE` can have in place of the one with a single latent vector.

    Hierarchy   groups of latent maps from coarse to fine, the ladder of `models.topdown`
    FSQ, VQ     a grid of discrete codes, of a lattice or of a learned codebook

    vt.ImageVAE(network=vt.networks.Hierarchy(groups=(0, 4, 6)), width=64)
    vt.ImageVAE(network=vt.networks.FSQ((8, 5, 5, 5), halvings=2), width=64)

A network says what it is made of; the width of its maps and the likelihood are those of the
estimator. To it, a hierarchy is a model of one flat code (`models.noncentred`), and codes are one
vector too, so that every verb is the same.

This module does not know how any of them is trained.
"""

import copy
import math
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from torch import nn

from variate.errors import OptionError
from variate.image.codec import ImageCodec
from variate.image.network import PictureDecoder, at_once, head_of
from variate.inference import Objective
from variate.models import VAE, image_ladder, posteriors, priors
from variate.models.noncentred import NonCentred
from variate.models.quantized import CodeMap, Lattice
from variate.models.topdown import shapes_of
from variate.nets.conv import halved
from variate.nets.maps import MapDecoder, MapEncoder
from variate.objectives import ELBO, Fade, GroupFreeBits, WarmUp
from variate.options import at_least, whole

__all__ = ["FSQ", "VQ", "Hierarchy", "Network"]

FREE = 0.5  # nats of each group that cost nothing, fading to none
FADED = 0.5  # the share of the budget after which they do
WILD = 10.0  # times the usual norm of the gradient, from which on a step of a hierarchy is skipped
MOST_GROUPS = 256
PRIOR_WIDTH = 4  # of the prior over codes, times that of the maps; and its heads
WIDEST_PRIOR = 512


@runtime_checkable
class Network(Protocol):
    """What `ImageVAE` asks of a network."""

    def check(self, options: Any) -> None:
        """Refuse options of the estimator that do not go with it.

        Raises:
            OptionError: One does not.
        """
        ...

    def assembled(self, codec: ImageCodec, options: Any) -> nn.Module:
        """The model for the pictures that the codec describes.

        Raises:
            OptionError: It does not fit their size.
        """
        ...

    def objective(self, beta: float) -> Objective:
        """What is minimised by default."""
        ...

    def habits(self) -> dict[str, Any]:
        """Arguments of `train` that suit it."""
        ...


class Hierarchy:
    """Groups of latent maps, inferred from the top down (VDVAE, Child 2021; NVAE, Vahdat & Kautz).

    Trained by the ELBO with half a nat of each group free for the first half of the budget, the KL
    warmed up; steps whose gradient is ten times its usual size are skipped.

    Args:
        groups: How many groups there are at the full size of a picture, at half of it, a quarter
            and so on; the last number is not zero. None: none at the full size and three at each
            other, down to sides of 8 or less.
        channels: Of the latent maps of each group.
        checkpointing: Whether what the groups compute is computed again on the way back: a third
            slower, and in much less memory.

    Raises:
        OptionError: The groups are not counts that end above zero, or are more than 256.
    """

    def __init__(
        self,
        groups: Sequence[int] | None = None,
        channels: int = 8,
        *,
        checkpointing: bool = False,
    ) -> None:
        whole("channels", channels)
        if groups is not None and (
            not all(isinstance(n, int) for n in groups)
            or not 0 < sum(groups) <= MOST_GROUPS
            or min(groups) < 0
            or not groups[-1]
        ):
            raise OptionError(
                "groups must be how many groups of latents there are at the full size, at half of "
                f"it and so on, {MOST_GROUPS} or fewer in all and the last of them above zero, "
                f"such as (0, 4, 6), got {groups!r}."
            )
        self.groups = None if groups is None else tuple(groups)
        self.channels = channels
        self.checkpointing = checkpointing

    def __repr__(self) -> str:
        return f"Hierarchy(groups={self.groups}, channels={self.channels})"

    def check(self, options: Any) -> None:
        """Refuse options of a model with one latent vector."""
        for name, plain, instead in (
            ("latent", None, "say Hierarchy(channels=…) for the channels of its latent maps"),
            ("posterior", None, "each of its groups has its own, relative to the prior"),
            ("prior", None, "its groups are each other's prior, and that is learned"),
            ("depth", 1, "say Hierarchy(groups=…) for how many groups there are at each size"),
        ):
            if getattr(options, name) != plain:
                raise OptionError(
                    f"{name} is for models with one latent vector, not for a Hierarchy: {instead}."
                )

    def assembled(self, codec: ImageCodec, options: Any) -> NonCentred:
        """The ladder, seen as a model of one flat code."""
        steps = halved(codec.size, len(self.groups or (0,)) - 1)
        if len(set(steps)) < len(steps):
            deepest = len(set(steps))
            raise OptionError(
                f"groups={self.groups} says {len(steps)} sizes, but pictures of {codec.size[0]} x "
                f"{codec.size[1]} pixels can be halved down to 1 x 1 in {deepest} sizes, the full "
                f"one among them: give {deepest} numbers or fewer."
            )
        head = head_of(codec, options.likelihood)
        ladder = image_ladder(
            codec.channels, codec.size, head, levels=codec.levels, width=options.width,
            latent=self.channels, groups=self.groups, checkpointing=self.checkpointing,
        )  # fmt: skip
        shapes = shapes_of(codec.size, self.groups, self.channels)
        return NonCentred(ladder, shapes, at_once(codec.size))

    def objective(self, beta: float) -> Objective:
        """The ELBO, with nats of each group free in the first half of the run."""
        return GroupFreeBits(Fade(FREE, FADED), beta=WarmUp(beta))

    def habits(self) -> dict[str, Any]:
        """Gradients of deep hierarchies are at times wild."""
        return {"skip": WILD}


class _Grid:
    """What networks with a grid of codes share."""

    halvings: int

    def head(self, grid: tuple[int, int]) -> posteriors.FSQ | posteriors.VQ:
        """What quantises features."""
        raise NotImplementedError

    def check(self, options: Any) -> None:
        """Refuse options of a model with continuous latents."""
        name = type(self).__name__
        for option, instead in (
            ("latent", f"its codes are a grid, whose size {name}(halvings=…) says"),
            ("posterior", "it quantises, and that is its posterior"),
        ):
            if getattr(options, option) is not None:
                raise OptionError(
                    f"{option} is for models with continuous latents, not for {name}: {instead}."
                )
        prior = getattr(options.prior, "prior", options.prior)  # within a second stage
        if not isinstance(prior, priors.CodePrior | None):
            raise OptionError(
                f"the prior {type(prior).__name__} does not fit: the latents of {name} are codes. "
                "Leave prior out for an autoregressive one that is fitted when the codes are "
                "learned, or take priors.UniformCodes or priors.AutoregressiveCodes."
            )

    def assembled(self, codec: ImageCodec, options: Any) -> VAE:
        """Convolutions down to the grid, the codes, and convolutions up."""
        grid = self.grid(codec.size)
        head = self.head(grid)
        size, book = codec.size, head.codebook
        encoder = nn.Sequential(
            MapEncoder(codec.channels, codec.levels, self.halvings, options.width, options.depth),
            head,
        )
        body = MapDecoder(book.width, size, self.halvings, options.width, options.depth)
        decoder = PictureDecoder(CodeMap(grid, body), head_of(codec, options.likelihood), size)
        shape = math.prod(grid), book.size, book.width
        return VAE(encoder, decoder, copy.deepcopy(options.prior) or _later(shape, options.width))

    def grid(self, size: tuple[int, int]) -> tuple[int, int]:
        """The height and width of the grid.

        Raises:
            OptionError: Pictures cannot be halved so many times.
        """
        steps = halved(size, self.halvings)
        if min(steps[-1]) < 2:
            most = max((n for n, step in enumerate(steps) if min(step) >= 2), default=0)
            raise OptionError(
                f"halvings={self.halvings} makes a grid of {steps[-1][0]} x {steps[-1][1]} codes "
                f"of pictures of {size[0]} x {size[1]} pixels; at most {most} leave a grid of 2 x "
                "2 or more."
            )
        return steps[-1]

    def objective(self, beta: float) -> Objective:
        """The ELBO; its KL, the length of the codes, is constant until the prior is fitted."""
        return ELBO(beta=WarmUp(beta))

    def habits(self) -> dict[str, Any]:
        """None of its own."""
        return {}


def _later(shape: tuple[int, int, int], width: int) -> priors.SecondStage:
    """A prior over codes in a second stage, as wide as suits networks of this width."""
    hidden = min(WIDEST_PRIOR, PRIOR_WIDTH * width)
    return priors.SecondStage(priors.AutoregressiveCodes(*shape, hidden=hidden, heads=PRIOR_WIDTH))


class FSQ(_Grid):
    """A grid of codes by finite scalar quantisation (Mentzer et al. 2023): a fixed lattice.

    Args:
        levels: How many values each number of a code has, of two or more; (8, 5, 5, 5) makes a
            codebook of a thousand.
        halvings: How many times the size of a picture is halved to that of the grid.

    Raises:
        OptionError: A number has less than two levels, or the halvings are not at least one.
    """

    def __init__(self, levels: Sequence[int] = (8, 5, 5, 5), halvings: int = 2) -> None:
        whole("halvings", halvings)
        self.levels = tuple(levels)
        self.halvings = halvings
        Lattice(self.levels)  # refuses what is none

    def __repr__(self) -> str:
        return f"FSQ({self.levels}, halvings={self.halvings})"

    def head(self, grid: tuple[int, int]) -> posteriors.FSQ:
        """What quantises features."""
        return posteriors.FSQ(grid, self.levels)


class VQ(_Grid):
    """A grid of codes by vector quantisation (van den Oord et al. 2017): a learned codebook.

    Args:
        size: How many entries the codebook has.
        width: How many numbers an entry has.
        halvings: How many times the size of a picture is halved to that of the grid.
        commitment: The price of a vector's squared distance from its entry, in nats.

    Raises:
        OptionError: A size is not a whole number, or the commitment is negative.
    """

    def __init__(
        self, size: int = 512, width: int = 16, halvings: int = 2, commitment: float = 0.25
    ) -> None:
        for name, value in (("size", size), ("width", width), ("halvings", halvings)):
            whole(name, value)
        at_least("size", size, 2)
        at_least("commitment", commitment, 0)
        self.size = size
        self.width = width
        self.halvings = halvings
        self.commitment = commitment

    def __repr__(self) -> str:
        return f"VQ({self.size}, {self.width}, halvings={self.halvings})"

    def head(self, grid: tuple[int, int]) -> posteriors.VQ:
        """What quantises features."""
        return posteriors.VQ(grid, self.size, self.width, self.commitment)
