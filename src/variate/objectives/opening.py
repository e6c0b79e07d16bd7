r"""A decoder learns the language before it is given a code.

With s the share and p the progress,

    p < s     -log p(x|z = 0)                        the decoder alone, a language model
    p ≥ s     objective(model, x, (p - s) / (1 - s))            the schedules start here

A decoder that has yet to learn which symbols are frequent finds z of no use, and by the time that
it is of use the encoder has been pushed onto the prior. After a while as a language model z is the
only thing left to gain from.

`language_model` alone is the same with s = 1, for the model to be compared with.

Of the weights of that time none are kept as the best (β is 0 then; see `training.run`): whatever
they are worth as a language model, their encoder has learned nothing.

This module does not know what the symbols stand for; the model is a `models.VAE`.
"""

from typing import Any

import torch
from torch import Tensor, nn

from variate.errors import OptionError
from variate.inference import Inference, Loss, Moment, Objective
from variate.objectives.bound import arguments

__all__ = ["LanguageModel", "Opening"]


class LanguageModel(nn.Module):
    """-log p(x|z = 0), the decoder alone; terms `elbo`, which is log p(x), and `log_likelihood`."""

    def __init__(self) -> None:
        super().__init__()

    extra_repr = arguments

    def forward(self, model: Any, x: Tensor, moment: Moment) -> Loss:  # noqa: ARG002
        """The loss of a batch x `[B, T]`."""
        told_nothing: Inference = model(x, z=_nothing(model, x))
        mean = told_nothing.log_likelihood(x).mean()
        return Loss(-mean, {"elbo": mean.detach(), "log_likelihood": mean.detach()})


class Opening(nn.Module):
    """Another objective, after a share of the budget in which the decoder learns alone.

    Args:
        objective: What is minimised afterwards; its schedules are laid over the rest.
        share: s, of the budget.

    Raises:
        OptionError: The share is not at least 0 and below 1.
    """

    def __init__(self, objective: Objective, share: float = 0.3) -> None:
        super().__init__()
        if not 0.0 <= share < 1.0:
            raise OptionError(f"share must be at least 0 and below 1, but is {share!r}")
        self.objective = objective
        self.share = share
        self._alone = LanguageModel()

    extra_repr = arguments

    def forward(self, model: Any, x: Tensor, moment: Moment) -> Loss:
        """The loss of a batch x `[B, T]`."""
        if moment.progress < self.share:
            loss = self._alone(model, x, moment)
            # β = 0 says that z is not open yet: no weights are chosen before it is
            return Loss(loss.total, loss.terms | {"beta": torch.zeros_like(loss.total).detach()})
        progress = (moment.progress - self.share) / (1.0 - self.share)
        return self.objective(model, x, Moment(progress, moment.items))


def _nothing(model: Any, x: Tensor) -> Tensor:
    """The code 0 for each item, `[1, B, *latent]`."""
    weight = next(model.decoder.parameters())
    return weight.new_zeros(1, len(x), *model.prior().event_shape)
