"""Grids of discrete codes for pictures: convolutions down to a grid, a codebook, and back up.

The prior over the codes is autoregressive and fitted in a second stage, when the codes are learned
(`priors.SecondStage`); until then all grids of codes are as likely.

This module does not know how codes are chosen (see `models.quantized`), nor how it is trained.
"""

import copy
import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from variate import verbs
from variate.errors import CollapseWarning, OptionError
from variate.evaluation import code_usage
from variate.image.codec import ImageCodec
from variate.image.illustrations import sheet
from variate.image.inpainting import Walk
from variate.image.network import PictureDecoder, expect_fitting, head_of
from variate.image.networks.protocol import expect_objective, expect_share
from variate.image.renewal import codes_of, codes_where_missing, vectors_of, with_codes_renewed
from variate.inference import Objective
from variate.models import VAE, posteriors, priors
from variate.models.quantized import CodeMap, Lattice
from variate.nets.conv import halved
from variate.nets.maps import MapDecoder, MapEncoder
from variate.objectives import (
    DIP,
    ELBO,
    MMD,
    DReG,
    Factor,
    StickTheLanding,
    TotalCorrelation,
    WarmUp,
)
from variate.options import at_least, whole
from variate.report import Section

__all__ = ["FSQ", "VQ", "Codes"]

ROUNDS = 3  # of chains that fill missing pixels: each draws all that is missing anew
COLLAPSED = 2.0  # codes in use
PRIOR_WIDTH = 2  # of the prior over codes, times that of the maps
HEADS = 4
WIDEST_PRIOR = 512
SHARES, COLUMNS = (0.1, 0.25, 0.5, 1.0), 12  # of the sheet with codes drawn anew


class Codes:
    """What networks with a grid of codes share; `FSQ` and `VQ` are such."""

    halvings: int
    draws = 64  # all the same, so one is made
    walk = Walk(codes_where_missing, ROUNDS)

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
        expect_objective(
            options.objective,
            (DIP, DReG, Factor, MMD, StickTheLanding, TotalCorrelation),
            "it needs a posterior with a density, and codes are certain; leave it out",
        )
        prior = getattr(options.prior, "prior", options.prior)  # within a second stage
        if not isinstance(prior, priors.CodePrior | None):
            raise OptionError(
                f"the prior {type(prior).__name__} does not fit: the latents of {name} are codes. "
                "Leave prior out for an autoregressive one that is fitted when the codes are "
                "learned, or take priors.UniformCodes, priors.AutoregressiveCodes or, for FSQ, "
                "priors.FlowCodes."
            )

    def assembled(self, codec: ImageCodec, options: Any) -> VAE:
        """Convolutions down to the grid, the codes, and convolutions up."""
        expect_fitting(codec, options.objective)
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

    def varied(
        self, model: VAE, z: Tensor, n: int, *, strength: float, keep: int | None, seed: int | None
    ) -> Tensor:
        """A share of the codes drawn anew by the prior."""
        expect_share(strength)
        if keep is not None:
            raise OptionError(f"keep is for a Hierarchy, and {type(self).__name__} is none.")
        return with_codes_renewed(model, z, n, strength=strength, seed=seed)

    def flat(self, model: VAE, z: Any) -> Any:
        """Whole numbers `[N, h, w]` are codes; anything else is z already.

        Raises:
            OptionError: There are no such codes, or they are not a grid of this size.
        """
        codes = np.asarray(z)
        if not np.issubdtype(codes.dtype, np.integer):
            return z
        head = model.encoder[1]  # type: ignore[index]
        grid, size = tuple(head.positions), head.codebook.size
        if codes.shape[1:] != grid or codes.min(initial=0) < 0 or codes.max(initial=0) >= size:
            raise OptionError(
                f"codes must be whole numbers from 0 to {size - 1} of the shape [N, {grid[0]}, "
                f"{grid[1]}], got {list(codes.shape)} from {codes.min(initial=0)} to "
                f"{codes.max(initial=0)}."
            )
        return vectors_of(model, torch.from_numpy(codes.astype(np.int64)).flatten(1))

    def told(self, model: VAE, x: Tensor) -> dict[str, Any]:
        """How much of its codebook is used; too little is worth a warning."""
        usage = code_usage(model, x)
        if usage.perplexity < COLLAPSED and len(x) > 1:
            warnings.warn(
                f"the codes have collapsed: pictures use {usage.perplexity:.2f} of "
                f"{len(usage.counts)} codes (perplexity), so the codes say next to nothing. Train "
                "for longer, or with a larger learning rate; FSQ has no codebook to be learned",
                CollapseWarning,
                stacklevel=2,
            )
        return {
            "codebook": {
                "size": len(usage.counts),
                "perplexity": round(usage.perplexity, 3),
                "share_used": round(usage.share, 4),
            }
        }

    def examined(self, view: Any, x: Tensor) -> tuple[dict[str, Any], list[Section]]:
        """How much of the codebook pictures use, and pictures of which a share is drawn anew."""
        usage = code_usage(view.model, x)
        size = len(usage.counts)
        figures = {"codebook_perplexity": usage.perplexity, "codebook_used": usage.share}
        z = verbs.encode(view.model, x[:1])[0]
        renewed = [
            with_codes_renewed(view.model, z, COLUMNS, strength=share, seed=view.seed)
            for share in SHARES
        ]
        said = ", ".join(f"{share:.0%}" for share in SHARES)
        pictures = view.shown(view.means(torch.cat(renewed)))
        caption = f"The first picture with {said} of its codes drawn anew (row by row)."
        text = (
            f"{len(x):,} pictures use {usage.share:.0%} of the {size:,} codes, which is as much "
            f"choice as {usage.perplexity:,.1f} codes that are all used alike (perplexity)."
        )
        return figures, [Section("Codes", text, pictures=(sheet(pictures, COLUMNS, caption),))]

    def expect_dimensions(self) -> None:
        """Refuse: a number of a code means nothing by itself."""
        raise OptionError(
            f"{type(self).__name__} has codes and no latent dimensions to be traversed: vary draws "
            "codes anew, and decode takes codes that you have changed."
        )

    def codes(self, model: VAE, x: Tensor) -> NDArray[np.int64]:
        """The codes of pictures x `[N, C, H, W]`, `[N, h, w]`."""
        grid = tuple(model.encoder[1].positions)  # type: ignore[index]
        return codes_of(model, x).unflatten(-1, grid).numpy()

    def objective(self, beta: float) -> Objective:
        """The ELBO; its KL, the length of the codes, is constant until the prior is fitted."""
        return ELBO(beta=WarmUp(beta))

    def habits(self) -> dict[str, Any]:
        """None of its own."""
        return {}


class FSQ(Codes):
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


class VQ(Codes):
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


def _later(shape: tuple[int, int, int], width: int) -> priors.SecondStage:
    """A prior over codes in a second stage, as wide as suits networks of this width."""
    hidden = HEADS * max(4, min(WIDEST_PRIOR, PRIOR_WIDTH * width) // HEADS)
    return priors.SecondStage(priors.AutoregressiveCodes(*shape, hidden=hidden, heads=HEADS))
