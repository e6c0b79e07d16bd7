"""The networks of a text model: an encoder that reads both ways, a decoder that is given z.

This module does not know how they are trained.
"""

from torch import nn

from variate.distributions import Grammar
from variate.models import VAE, SequenceDecoder
from variate.models.readers import Architecture
from variate.nets import RecurrentEncoder
from variate.text.codec import TextCodec

__all__ = ["assembled"]

BLOCK = 64 * 130  # places of sentences that are looked at at once, of one draw


def assembled(
    codec: TextCodec,
    reader: Architecture,
    latent: int,
    word_dropout: float,
    posterior: nn.Module,
    prior: nn.Module,
) -> VAE:
    """The model of the sentences that a codec describes.

    Args:
        codec: The vocabulary and the length.
        reader: What the decoder is made of.
        latent: D.
        word_dropout: The share of words that training hides from the decoder.
        posterior: The encoder's head.
        prior: p(z).
    """
    encoder = RecurrentEncoder(
        codec.size, reader.embedding, reader.hidden, end=codec.end, dropout=reader.dropout
    )
    net = reader.build(codec.size, latent, codec.length, word_dropout)
    grammar = Grammar(codec.tokens.moves(len(codec.labels) + 1 if codec.labels else 0))
    block = max(4, min(64, BLOCK // codec.length))
    decoder = SequenceDecoder(net, codec.length, codec.end, grammar, block, codec.unlabelled)
    return VAE(nn.Sequential(encoder, posterior), decoder, prior)
