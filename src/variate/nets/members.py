r"""Several multilayer perceptrons of one shape as one: a layer of all of them is one product.

    h_{i+1}[m] = elu(h_i[m] A_i[m] + b_i[m]),   m = 1, ..., M          output  h_last[m] C[m] + d[m]

M small products cost little more than one where each is too small to keep a processor busy.

This module does not know what the members are members of.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Members"]

LAST = 0.5  # what the last layer starts smaller by: outputs are near zero at first


class Members(nn.Module):
    """M multilayer perceptrons, `[M, B, inputs]` -> `[M, B, outputs]`.

    Args:
        members: M.
        widths: Inputs, hidden layers and outputs.
    """

    def __init__(self, members: int, widths: Sequence[int]) -> None:
        super().__init__()
        gains = [math.sqrt(2.0)] * (len(widths) - 2) + [LAST]
        sizes = list(zip(widths, widths[1:], gains, strict=False))
        self.weight = nn.ParameterList(
            torch.randn(members, before, after) * gain / math.sqrt(before)
            for before, after, gain in sizes
        )
        self.bias = nn.ParameterList(torch.zeros(members, 1, after) for _, after, _ in sizes)

    def forward(self, x: Tensor) -> Tensor:
        """The outputs of all members."""
        last = len(self.weight) - 1
        for i, (weight, bias) in enumerate(zip(self.weight, self.bias, strict=True)):
            x = torch.baddbmm(bias, x, weight)
            x = F.elu(x) if i < last else x
        return x
