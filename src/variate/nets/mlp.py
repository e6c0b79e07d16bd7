r"""The multilayer perceptron: layers of affine map, SiLU and dropout.

    h_0     = x
    h_{i+1} = h_i + f(h_i)   where both are equally wide, else f(h_i)
    f(h)    = dropout(silu(A h + b))
    output  = C h_last + d   if `outputs` is given, else h_last

The last dimension is the features; all others are batch.

This module does not know what the features mean.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["MLP"]


class MLP(nn.Module):
    """A multilayer perceptron, tensor `[..., inputs]` -> tensor `[..., hidden[-1] or outputs]`.

    Args:
        inputs: Width of the input, or None to take it from the first batch (a lazy module).
        hidden: Widths of the layers; a layer as wide as its input is residual.
        dropout: Share of the activations that are dropped in training, 0 to 1.
        outputs: Width of a last affine map, or None for none.
    """

    def __init__(
        self,
        inputs: int | None = None,
        hidden: Sequence[int] = (256, 256),
        dropout: float = 0.0,
        outputs: int | None = None,
    ) -> None:
        super().__init__()
        widths = [inputs, *hidden]
        self.layers = nn.ModuleList(
            _affine(before, after) for before, after in zip(widths, hidden, strict=False)
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Identity() if outputs is None else _affine(widths[-1], outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Features of x, `[..., hidden[-1] or outputs]`."""
        for layer in self.layers:
            h = self.dropout(F.silu(layer(x)))
            x = x + h if h.shape == x.shape else h
        features: Tensor = self.head(x)
        return features


def _affine(inputs: int | None, outputs: int) -> nn.Linear:
    """An affine map, lazy where the width of its input is not known yet."""
    return nn.LazyLinear(outputs) if inputs is None else nn.Linear(inputs, outputs)
