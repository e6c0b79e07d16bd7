"""Networks, tensor -> tensor; none of them knows a probability."""

from variate.nets.conv import ConvDecoder, ConvEncoder, ResidualBlock, Upsample
from variate.nets.members import Members
from variate.nets.mlp import MLP
from variate.nets.recurrent import RecurrentDecoder, RecurrentEncoder
from variate.nets.transformer import TransformerDecoder

__all__ = [
    "MLP",
    "ConvDecoder",
    "ConvEncoder",
    "Members",
    "RecurrentDecoder",
    "RecurrentEncoder",
    "ResidualBlock",
    "TransformerDecoder",
    "Upsample",
]
