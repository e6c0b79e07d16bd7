r"""Sequences from a code: the module that makes p(x|z) of symbols out of a network that reads.

    encoder   nn.Sequential(RecurrentEncoder(K, end=e), DiagonalGaussian(D))      x [B, T] -> q(z|x)
    decoder   SequenceDecoder(RecurrentDecoder(K, D), T, end=e)                z [S, B, D] -> p(x|z)

Two of these and a prior are a `VAE`, and all objectives and estimators take it as any other. What
an autoregressive decoder is apt to do is to leave z unused (Bowman et al. 2016). What is known to
help is made of parts that are all elsewhere: free nats (`objectives.GroupFreeBits`), a warm-up
(`objectives.WarmUp`), symbols that are hidden from the decoder and an encoder that is pooled
(`nets.recurrent`), and a decoder that is a language model before it is given z
(`objectives.Opening`).

At z = 0 the decoder is a language model of the same size (`language_model`), the yardstick of every
such VAE.

This module does not know what the symbols stand for, nor what is maximised.
"""

from torch import Tensor, nn
from torch.distributions import Distribution

from variate.distributions.grammar import Rules
from variate.distributions.sequences import Sequences
from variate.models.vae import VAE

__all__ = ["SequenceDecoder", "language_model"]


class SequenceDecoder(nn.Module):
    """Codes -> p(x|z) of sequences.

    Args:
        net: A network that reads; see `distributions.Reader`.
        length: T, the places of an item.
        end: The symbol that ends a sequence, or None if all have T symbols.
        grammar: What may come next, or None for anything.
        block: How many items are looked at at once outside of training.
        prompt: The symbol at the first place where nobody says another, if that place is given and
            not modelled (a label, say); None if all are modelled.
    """

    def __init__(
        self,
        net: nn.Module,
        length: int,
        end: int | None = None,
        grammar: Rules | None = None,
        block: int = 64,
        prompt: int | None = None,
    ) -> None:
        super().__init__()
        self.net = net
        self.length = length
        self.end = end
        self.grammar = grammar
        self.block = block
        self.prompt = prompt

    def forward(self, z: Tensor) -> Distribution:
        """p(x|z) at codes `[S, B, D]`."""
        return Sequences(
            self.net, z, self.length, self.end, self.grammar, prompt=self.prompt  # type: ignore[arg-type]
        )  # fmt: skip


def language_model(model: VAE, x: Tensor) -> Distribution:
    """p(x|z = 0) for each of x `[B, ...]`, batch shape `[1, B]`: a decoder told nothing."""
    weight = next(model.decoder.parameters())
    law: Distribution = model.decoder(weight.new_zeros(1, len(x), *model.prior().event_shape))
    return law
