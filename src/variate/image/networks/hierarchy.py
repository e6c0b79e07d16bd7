"""A hierarchy of latent maps for pictures: `models.topdown`, seen as a model of one flat code.

This module does not know how the non-centred representation works, nor how it is trained.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from variate import verbs
from variate.errors import OptionError
from variate.image.codec import ImageCodec
from variate.image.illustrations import sheet
from variate.image.network import OneVector, at_once, expect_fitting, head_of
from variate.image.networks.protocol import expect_objective, expect_share
from variate.image.renewal import with_groups_renewed
from variate.inference import Objective
from variate.models import image_ladder
from variate.models.noncentred import NonCentred
from variate.models.topdown import shapes_of
from variate.nets.conv import halved
from variate.objectives import (
    DIP,
    MMD,
    DReG,
    Factor,
    Fade,
    GroupFreeBits,
    TotalCorrelation,
    WarmUp,
)
from variate.options import whole
from variate.report import Section

__all__ = ["Hierarchy"]

FREE = 0.5  # nats of each group that cost nothing, fading to none
FADED = 0.5  # the share of the budget after which they do
WILD = 10.0  # times the usual norm of the gradient, from which on a step is skipped
MOST_GROUPS = 256
ROWS, COLUMNS = 4, 12  # of the sheet that shows what each depth decides


class Hierarchy(OneVector):
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

    draws = 16  # each is a walk down all groups

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

        expect_objective(
            options.objective,
            (DIP, MMD, DReG, Factor, TotalCorrelation),
            "it needs a posterior that is given the picture alone, and in a hierarchy a lower "
            "group's is given the groups above it; leave it out, or take ELBO, GroupFreeBits, "
            "FreeBits, IWAE or StickTheLanding",
        )

    def assembled(self, codec: ImageCodec, options: Any) -> NonCentred:
        """The ladder, seen as a model of one flat code."""
        expect_fitting(codec, options.objective)
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

    def varied(
        self,
        model: Any,
        z: Tensor,
        n: int,
        *,
        strength: float,
        keep: int | None,
        seed: int | None,
    ) -> Tensor:
        """The groups below the first `keep` mixed with new draws."""
        expect_share(strength)
        most = len(model.sizes)
        if keep is not None and not (isinstance(keep, int) and 0 <= keep <= most):
            raise OptionError(f"keep must be 0 to {most} of the {most} groups, got {keep!r}.")
        return with_groups_renewed(model, z, n, strength=strength, keep=keep or 0, seed=seed)

    def examined(self, view: Any, x: Tensor) -> tuple[dict[str, Any], list[Section]]:
        """What each depth decides: pictures that share more and more groups, from the top down."""
        _, sections = super().examined(view, x)
        model = view.model
        count = len(model.sizes)
        depths = sorted({round(count * i / ROWS) for i in range(ROWS + 1)})
        u = verbs.encode(model, x[:1])[0]
        codes = [
            with_groups_renewed(model, u, COLUMNS, strength=1.0, keep=keep, seed=view.seed)
            for keep in depths
        ]
        shared = ", ".join(map(str, depths))
        caption = (
            f"New pictures that have the top {shared} of {count} groups in common with the first "
            f"picture (row by row); a group further down is finer. {_sizes(model)}"
        )
        pictures = view.shown(view.means(torch.cat(codes)))
        page = Section("From the top down", pictures=(sheet(pictures, COLUMNS, caption),))
        return {}, [*sections, page]

    def objective(self, beta: float) -> Objective:
        """The ELBO, with nats of each group free in the first half of the run."""
        return GroupFreeBits(Fade(FREE, FADED), beta=WarmUp(beta))

    def habits(self) -> dict[str, Any]:
        """Gradients of deep hierarchies are at times wild."""
        return {"skip": WILD}


def _sizes(model: Any) -> str:
    """How many groups there are at each size, in words."""
    maps = [shape[1:] for shape in model.shapes]
    each = [f"{maps.count(size)} of {size[0]} x {size[1]}" for size in dict.fromkeys(maps)]
    return f"From the top: {', '.join(each)}."
