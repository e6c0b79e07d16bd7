"""The default network of pictures: residual convolutions, and a head for each sort of pixels.

    x [B, C, H, W] -> ConvEncoder -> q(z|x)        z [S, B, D] -> ConvDecoder -> head -> p(x|z)

The head follows the data: Bernoulli for two levels, for more a mixture of discretised logistics.

This module does not know where pictures come from.
"""

import copy

from torch import Tensor, nn
from torch.distributions import Distribution

from variate.errors import OptionError
from variate.image.codec import ImageCodec
from variate.models.pixels import BernoulliPixels, LogisticMixturePixels
from variate.nets.conv import ConvDecoder, ConvEncoder

__all__ = ["PictureDecoder", "at_once", "decoder_of", "encoder_of", "head_of"]

PIXELS_AT_ONCE = 1 << 14  # of a block of pictures; some 2 kB each while a mixture is evaluated
DEEPEST = 64
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
