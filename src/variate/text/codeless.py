r"""A language model of the same size: the decoder with z held at 0, trained anew and as long.

    log p_0(x) = Σ_t log p_0(x_t | x_<t)        exact, nats per sentence

It is the yardstick of every VAE of sentences: an autoregressive decoder can do without its code
(Bowman et al. 2016), and where log p(x) is far below log p_0(x), the code was paid for with
likelihood. The trained decoder at z = 0 would be none: it has learned to rely on z. Given the
sentences that the model was fitted on, it learns from the same of them, and stops by the same. No
words are hidden from it in training: that is there for z to be asked, and would hold it back.

This module does not know how the two models are compared otherwise.
"""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from variate.errors import OptionError
from variate.evaluation.passes import block_of, evaluating
from variate.models import VAE
from variate.models.sequences import language_model
from variate.objectives import LanguageModel
from variate.progress import watch
from variate.randomness import isolated
from variate.text.intake import parted, source_of
from variate.text.presets import Sampling
from variate.text.reading import Texts
from variate.training import train
from variate.verbs import device_of

__all__ = ["Codeless", "taught_without_code"]


@dataclass(frozen=True)
class Codeless:
    """What a language model of the same size makes of sentences.

    Attributes:
        log_likelihood: The mean of log p_0(x), nats per sentence.
        steps: For how many steps it was trained.
    """

    log_likelihood: float
    steps: int


def taught_without_code(estimator: Any, texts: Texts | None, x: Tensor) -> Codeless:
    """Train the model of an estimator without its code, for as many steps, and score x `[N, T]`.

    Args:
        estimator: A `TextVAE`, fitted.
        texts: The sentences that it was fitted on.
        x: What is scored.

    Raises:
        OptionError: There are no such sentences, or all are too long.
    """
    if texts is None or len(texts.items) < 2:
        raise OptionError(
            "without_z=True trains the model again without its code, and needs the sentences that "
            "it was fitted on: give train=sentences (on the command line: --train FILE)."
        )
    codec = estimator.codec_
    rows, fits = codec.filled(codec.tokens.encode(texts.items), texts.labels)
    training, validation, _ = parted(texts, estimator.seed).rows(rows, fits)
    if training is None:
        raise OptionError("train= has no sentence that is short enough for this model.")
    alone = copy.copy(estimator)
    alone.preset = Sampling(estimator._preset.nats, estimator._preset.latent, word_dropout=0.0)
    with isolated(estimator.seed):
        model = alone._assemble(codec)
        model(estimator._blank(codec))  # gives lazy layers their shapes
    steps, habits = int(estimator.facts_["steps"]), estimator._habits(len(training))
    events = train(
        model,
        LanguageModel(),
        source_of(codec, training),
        validation=validation,
        seed=estimator.seed,
        device=estimator.device,
        precision=estimator.precision,
        **(habits | {"epochs": steps * habits["batch_size"] / len(training)}),
    )
    for _ in watch(events, show=estimator.verbose):
        pass
    return Codeless(_scored(model, x), steps)


def _scored(model: VAE, x: Tensor) -> float:
    total = torch.zeros((), dtype=torch.float64)
    with evaluating(model, 0):
        for block in x.split(block_of(model)):
            here = block.to(device_of(model))
            total += language_model(model, here).log_prob(here).double().sum().cpu()
    return float(total / len(x))
