"""Networks, tensor -> tensor; none of them knows a probability."""

from variate.nets.conv import ConvDecoder, ConvEncoder, ResidualBlock, Upsample
from variate.nets.members import Members
from variate.nets.mlp import MLP

__all__ = ["MLP", "ConvDecoder", "ConvEncoder", "Members", "ResidualBlock", "Upsample"]
