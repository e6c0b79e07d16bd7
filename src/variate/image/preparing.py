"""What `ImageVAE` does before training: its options are checked, pictures read and set apart.

This module does not know any network.
"""

from pathlib import Path
from typing import Any

import torch

from variate.errors import DataError, OptionError
from variate.image.codec import ImageCodec
from variate.image.files import LARGE
from variate.image.networks.protocol import Network
from variate.image.sources import affordable, source_of
from variate.options import whole
from variate.preparation import Prepared, split

__all__ = ["expect_options", "prepared"]

EXAMPLE = 2_048  # pictures that a learned prior starts from


def expect_options(options: Any) -> None:
    """Refuse what pictures cannot be modelled with.

    Args:
        options: The estimator.

    Raises:
        OptionError: An option is out of its range, or two exclude each other.
    """
    whole("width", options.width)
    whole("depth", options.depth)
    size = options.size
    sides = size if isinstance(size, tuple | list) else (size,)
    if len(sides) not in (1, 2):
        raise OptionError(f"size must be a side, or height and width, got {size!r}.")
    for side in sides:
        whole("size", side)
    if options.channels not in (None, 1, 3, 4):
        raise OptionError(
            f"channels must be 1 (grey), 3 (colour) or 4 (with transparency), "
            f"got {options.channels!r}."
        )
    whole("levels", options.levels)
    if options.levels is not None and not 2 <= options.levels <= 1 << 16:
        raise OptionError(f"levels must be 2 to 65536, got {options.levels!r}.")
    network = options.network
    if network is None:
        return
    if not isinstance(network, Network):
        raise OptionError(
            "network must be one of vt.networks, such as vt.networks.Hierarchy(groups=(0, 4, 6)) "
            f"or vt.networks.FSQ((8, 5, 5, 5)), got {network!r:.100}."
        )
    network.check(options)


def prepared(options: Any, X: Any, scratch: Path) -> Prepared:
    """Pictures read, and set apart for training, validation and figures.

    Args:
        options: The estimator.
        X: The pictures.
        scratch: A folder for those that memory does not hold.

    Raises:
        DataError: They cannot be used.
    """
    codec = ImageCodec(
        options.size, options.channels, options.levels, binarize=options.binarize, seed=options.seed
    )
    pictures = codec.received(X, scratch=scratch, show=options.verbose)
    codec.learn(pictures)
    x = pictures.x
    if len(x) < 2:
        raise DataError(
            "there is one picture, and a model is fitted to many: hundreds at the least, "
            "thousands to draw new ones that are worth looking at."
        )
    training, validation, held_out = affordable(split(torch.arange(len(x)), options.seed), x)
    levels = pictures.scale.levels if options.binarize else None
    large = x.numel() * x.element_size() > LARGE
    return Prepared(
        codec=codec,
        training=source_of(x, training, levels, large=large),
        example=codec.levelled(x[training[:EXAMPLE]]),
        validation=None if validation is None else codec.levelled(x[validation]),
        held_out=None if held_out is None else codec.levelled(x[held_out]),
        notes={
            "pictures": len(x),
            "picture": [codec.channels, *codec.size],
            "levels": codec.levels,
            **pictures.notes,
        },
    )
