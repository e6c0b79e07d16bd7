"""Encoder, chain of columns and prior put together for a table.

This module does not know the rows, nor how the parts are trained.
"""

from typing import Any

from torch import nn

from variate.models import VAE
from variate.table.chain import Chain
from variate.table.codec import TableCodec
from variate.table.completion import positions_of
from variate.table.habits import habits_of
from variate.table.network import RowEncoder, chain_order, layout_of
from variate.table.rows import RowDecoder

__all__ = ["assembled"]


def assembled(
    estimator: Any, codec: TableCodec, latent: int, posterior: nn.Module, prior: nn.Module
) -> VAE:
    """The model that the options of a `TableVAE` ask for.

    Args:
        estimator: Its `condition_on`, `components`, `hidden`, `width` and `privacy` are read.
        codec: What is known of the table; it keeps the width that is chosen for it.
        latent: D.
        posterior: Features -> q(z|x).
        prior: () -> p(z).
    """
    first = positions_of(estimator.condition_on, codec)
    # what comes first cannot repeat what comes later
    copies = [(c, copy) for c, copy in codec.copies if c not in first or {*copy.sources} <= first]
    layout = layout_of(codec.modelled, copies, estimator.components)
    encoder = RowEncoder(layout, tuple(estimator.hidden), posterior)
    habits, noisy = habits_of(codec.schema), estimator.privacy is not None
    codec.width = codec.width or habits.width  # habits may change, a model's file does not
    chain = Chain(
        layout,
        latent,
        chain_order(layout, first),
        width=estimator.width or codec.width,
        dropout=0.0 if noisy else habits.dropout,  # the noise is enough
        number_dropout=0.0 if noisy else habits.number_dropout,
        sums=codec.sums,
    )
    return VAE(encoder, RowDecoder(chain), prior)
