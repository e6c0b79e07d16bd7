"""The default network of pictures: residual convolutions, and a head for each sort of pixels.

    x [B, C, H, W] -> ConvEncoder -> q(z|x)        z [S, B, D] -> ConvDecoder -> head -> p(x|z)

The head follows the data: Bernoulli for two levels, for more a mixture of discretised logistics.

This module does not know where pictures come from.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from variate import verbs
from variate.errors import OptionError
from variate.image.codec import ImageCodec
from variate.image.inpainting import PLAIN
from variate.inference import Objective
from variate.models import VAE
from variate.models.pixels import BernoulliPixels, LogisticMixturePixels
from variate.nets.conv import ConvDecoder, ConvEncoder
from variate.objectives import ELBO, WarmUp
from variate.report import Section
from variate.steering import telling

__all__ = [
    "OneVector",
    "PictureDecoder",
    "at_once",
    "blank_of",
    "decoder_of",
    "default_latent",
    "encoder_of",
    "expect_fitting",
    "head_of",
    "vae_of",
]

PIXELS_AT_ONCE = 1 << 14  # of a block of pictures; some 2 kB each while a mixture is evaluated
DEEPEST = 64
MOST_LATENT, FEWEST_LATENT = 128, 16
MOST_AT_ONCE = 128  # pictures: a block is filled up, which few pictures should not cost much


def at_once(size: tuple[int, int]) -> int:
    """How many pictures of a size to look at at once."""
    return max(4, min(MOST_AT_ONCE, PIXELS_AT_ONCE // (size[0] * size[1])))


class PictureDecoder(nn.Module):
    """z `[S, B, D]` -> p(x|z).

    Args:
        body: Codes to feature maps.
        head: Feature maps to p(x|z).
        size: Height and width of the pictures.

    Attributes:
        block: How many pictures to look at at once, so that their laws fit into memory.
    """

    def __init__(self, body: nn.Module, head: nn.Module, size: tuple[int, int]) -> None:
        super().__init__()
        self.body = body
        self.head = head
        self.block = at_once(size)

    def forward(self, z: Tensor) -> Distribution:
        """p(x|z) of codes z `[S, B, D]`."""
        likelihood: Distribution = self.head(self.body(z))
        return likelihood


def expect_fitting(codec: ImageCodec, objective: Any) -> None:
    """Refuse an objective that is for pictures of other channels or levels, such as a critic.

    Raises:
        OptionError: It is.
    """
    found = {"channels": codec.channels, "levels": codec.levels}
    for what, number in found.items():
        asked = getattr(objective, what, number)
        if asked != number:
            raise OptionError(
                f"objective={type(objective).__name__}({what}={asked}, …) does not fit: the "
                f"pictures have {number} {what}."
            )


def blank_of(codec: ImageCodec) -> Tensor:
    """A black picture, `[1, C, H, W]`."""
    kind = torch.uint8 if codec.levels <= 256 else torch.int32
    return torch.zeros(1, codec.channels, *codec.size, dtype=kind)


def default_latent(codec: ImageCodec) -> int:
    """How many latent dimensions suit pictures of a size."""
    numbers = codec.channels * codec.size[0] * codec.size[1]
    return min(MOST_LATENT, max(FEWEST_LATENT, numbers // 24))


def vae_of(codec: ImageCodec, options: Any, posterior: nn.Module, prior: nn.Module) -> VAE:
    """The model with one latent vector.

    Args:
        codec: The pictures.
        options: The estimator.
        posterior: Features to q(z|x).
        prior: p(z).
    """
    expect_fitting(codec, options.objective)
    encoder = encoder_of(codec, posterior, options.width, options.depth)
    latent = options._latent(codec)
    decoder = decoder_of(codec, options.likelihood, latent, options.width, options.depth)
    return VAE(encoder, decoder, prior)


def encoder_of(codec: ImageCodec, posterior: nn.Module, width: int, depth: int) -> nn.Module:
    """x `[B, C, H, W]` -> q(z|x).

    Raises:
        OptionError: There are more blocks than any network of pictures has.
    """
    if depth > DEEPEST:
        raise OptionError(f"depth must be at most {DEEPEST}, got {depth}.")
    body = ConvEncoder(codec.channels, codec.size, codec.levels, width, depth)
    return nn.Sequential(body, posterior)


def decoder_of(
    codec: ImageCodec, likelihood: nn.Module | None, latent: int, width: int, depth: int
) -> PictureDecoder:
    """z `[S, B, D]` -> p(x|z)."""
    body = ConvDecoder(latent, codec.size, width, depth)
    return PictureDecoder(body, head_of(codec, likelihood), codec.size)


def head_of(codec: ImageCodec, likelihood: nn.Module | None) -> nn.Module:
    """The head that is asked for, or the one that suits the pictures.

    Raises:
        OptionError: The one that is asked for is for other pictures.
    """
    if likelihood is None:
        head = BernoulliPixels if codec.levels == 2 else LogisticMixturePixels
        return head(codec.channels, codec.levels)
    name = type(likelihood).__name__
    asked = {what: getattr(likelihood, what, None) for what in ("channels", "levels")}
    if asked["levels"] == 2 and codec.levels > 2:
        raise OptionError(
            f"{name} is for binary pixels, and these pictures have {codec.levels} levels: on grey, "
            "p(x|z) would not sum to one. Leave likelihood out for a mixture of discretised "
            "logistics, or say binarize=True to make the pictures binary by chance."
        )
    found = {"channels": codec.channels, "levels": codec.levels}
    for what, number in asked.items():
        if number is not None and number != found[what]:
            raise OptionError(
                f"likelihood={name}({what}={number}, …) does not fit: the pictures have "
                f"{found[what]} {what}."
            )
    return copy.deepcopy(likelihood)


class OneVector:
    """What this network, whose code is one vector, answers where others answer otherwise.

    Attributes:
        draws: Of the code, for the bounds that are measured after training.
        walk: Of the chains that fill missing pixels.
    """

    draws = 64
    walk = PLAIN

    def objective(self, beta: float) -> Objective:
        """The ELBO, its KL warmed up."""
        return ELBO(beta=WarmUp(beta))

    def habits(self) -> dict[str, Any]:
        """None of its own."""
        return {}

    def varied(
        self, model: VAE, z: Tensor, n: int, *, strength: float, keep: int | None, seed: int | None
    ) -> Tensor:
        """n codes around each of z `[N, D]`, moved by `strength` prior deviations."""
        if keep is not None:
            raise OptionError("keep is for network=vt.networks.Hierarchy(...); leave it out.")
        return verbs.vary(model, z, n, strength=strength, seed=seed)

    def flat(self, model: VAE, z: Any) -> Any:  # noqa: ARG002 - as others
        """A code is a vector already."""
        return z

    def codes(self, model: Any, x: Tensor) -> Any:  # noqa: ARG002 - as others
        """There are no discrete ones.

        Raises:
            OptionError: Always.
        """
        raise OptionError(
            "only a network of discrete codes has them: fit with network=vt.networks.FSQ(...) or "
            "VQ(...); encode gives the code of any other."
        )

    def told(self, model: Any, x: Tensor) -> dict[str, Any]:
        """What is to be remembered of a trained model: its dimensions by what they tell of x."""
        mean, scale = verbs.encode(model, x)
        return telling(mean.numpy(), scale.numpy())

    def examined(self, view: Any, x: Tensor) -> tuple[dict[str, Any], list[Section]]:
        """Figures and sections of a report about the code, by pictures x and how they are shown."""
        return {}, [view.dimensions(x[:1])]

    def expect_dimensions(self) -> None:
        """Its latent dimensions can be traversed."""
