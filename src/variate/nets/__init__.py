"""Networks, tensor -> tensor; none of them knows a probability."""

from variate.nets.members import Members
from variate.nets.mlp import MLP

__all__ = ["MLP", "Members"]
