r"""TextVAE: sentences, in any language and script.

The generative model, for a sentence of tokens x_1, …, x_τ, the last of them the end, and a code z:

    z ~ p(z)      x_t ~ p(x_t | x_<t, z)      q(z|x) = N(mu(x), diag(sigma(x)^2))

The tokens are strings of bytes that are learned from the text (`tokens`), so that every text has a
likelihood and nothing is unknown. log p(x) is in nats per sentence, its end included, and does not
speak of tokens but of the one way in which the sentence is written in them.

This module does not know files' formats (see `reading`), nor how training works.
"""

from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from torch.distributions import Distribution

from variate import verbs
from variate.codec import Codec
from variate.errors import OptionError
from variate.estimator import Estimator
from variate.inference import Objective
from variate.models import VAE, priors
from variate.models.readers import Architecture, Recurrent
from variate.objectives import GroupFreeBits, Opening, WarmUp
from variate.options import above_zero, at_least, expect_seed, finite, whole, whole_from
from variate.preparation import Prepared
from variate.records import Evaluation
from variate.report import Section
from variate.steering import difference, expect_code
from variate.text.codec import TextCodec, expect_keepable
from variate.text.codeless import taught_without_code
from variate.text.examination import examined
from variate.text.intake import made_ready
from variate.text.items import SentenceItems
from variate.text.measures import expect_measures
from variate.text.network import assembled
from variate.text.presets import Preset, Sampling
from variate.text.reading import Texts, expect_labels, read
from variate.text.rewriting import between, coded, prompted, written
from variate.text.tokens import BYTES
from variate.verdict import verdict

__all__ = ["TextVAE"]

STEPS, PASSES = 3_000, 40  # of training, by default: whichever is less
BATCH = 64
ALONE, WARM = 0.3, 0.35  # shares: of the budget as a language model, of the rest to warm up


class TextVAE(Estimator):
    """A variational autoencoder of sentences.

    Args:
        column: Of a table (.csv, .jsonl, .parquet): which column holds the text; None finds the
            only one.
        label: Of a table: which column holds labels, given which sentences are drawn and rewritten;
            of a list give them to `fit`.
        vocabulary: How many tokens are learned, 256 bytes among them; None follows the text, up to
            4,096.
        length: The most tokens of a sentence; None is half as many again as the longest has, up to
            128. Longer ones are left out of training, and refused afterwards.
        preset: What it is to be good at: `vt.text.Sampling()` (None) or `vt.text.Fidelity()`.
        reader: What the decoder is made of: `vt.readers.Recurrent()` (None) or
            `vt.readers.Transformer()`, with their sizes.
        latent: Latent dimensions; None is the preset's.
        beta: The weight of the KL term, warmed up; 1 is the ELBO.
        objective: What is maximised instead, such as `vt.objectives.FreeBits(0.5)`; None is the
            ELBO with the preset's free nats, after a third of the budget as a language model.
        posterior: q(z|x), such as `vt.posteriors.LowRankGaussian(8, rank=2)`; None is diagonal.
        prior: p(z), such as `vt.priors.Mixture(32, 16)`; None is standard normal in training, then
            a mixture fitted to the codes.
        epochs: The budget in passes over the sentences; None and no minutes: 3,000 steps,
            but at most 40 passes.
        minutes: The budget in minutes of wall time.
        batch_size: Sentences per step; None is 64.
        learning_rate: The peak of the schedule.
        seed: Of everything random in training.
        device: "cpu", "cuda" …; None takes a GPU when there is one.
        precision: "float32", "bfloat16" or "auto".
        verbose: Show progress on standard error.

    Attributes:
        model_: The `vt.VAE`.
        codec_: The vocabulary and the length.
        facts_: What it was trained on (`too_long` and `duplicates` too), and the figures on
            held-out sentences, in nats per sentence.
        history_: The validations, in order.
        latent_: The number of latent dimensions.

    Examples:
        >>> from variate import TextVAE
        >>> whom = ("tea", "a cat", "the sea", "him", "rain", "it")
        >>> said = [f"{who} like {what}." for who in ("I", "you", "we", "they") for what in whom]
        >>> model = TextVAE(latent=2, epochs=2, batch_size=8).fit(said)
        >>> len(model.sample(3, seed=0))
        3
        >>> model.score_samples(["I like rain."]).shape
        (1,)
    """

    kind = "text"
    codec = TextCodec
    codec_: TextCodec

    def __init__(  # noqa: PLR0913 - the signature is the configuration
        self,
        *,
        column: str | None = None,
        label: str | None = None,
        vocabulary: int | None = None,
        length: int | None = None,
        preset: Any = None,
        reader: Any = None,
        latent: int | None = None,
        beta: float = 1.0,
        objective: Any = None,
        posterior: Any = None,
        prior: Any = None,
        epochs: int | None = None,
        minutes: float | None = None,
        batch_size: int | None = None,
        learning_rate: float = 2e-3,
        seed: int = 0,
        device: str | None = None,
        precision: str = "float32",
        verbose: bool = False,
    ) -> None:
        self.column = column
        self.label = label
        self.vocabulary = vocabulary
        self.length = length
        self.preset = preset
        self.reader = reader
        self.latent = latent
        self.beta = beta
        self.objective = objective
        self.posterior = posterior
        self.prior = prior
        self.epochs = epochs
        self.minutes = minutes
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.seed = seed
        self.device = device
        self.precision = precision
        self.verbose = verbose

    # -- what a kind writes ---------------------------------------------------------------------

    def _check_options(self) -> None:
        super()._check_options()
        for name in ("vocabulary", "length"):
            whole(name, getattr(self, name))
        if self.vocabulary is not None:
            at_least("vocabulary", self.vocabulary, BYTES)
        expect_keepable(self.vocabulary, self.length)
        expect_measures()
        for name, needed in (("preset", "nats"), ("reader", "build")):
            given = getattr(self, name)
            if given is not None and not hasattr(given, needed):
                raise OptionError(
                    f"{name} must be an object, such as vt.text.Fidelity() (preset) or "
                    f"vt.readers.Transformer() (reader), got {given!r:.60}."
                )

    @property
    def _preset(self) -> Preset:
        return self.preset or Sampling()

    @property
    def _reader(self) -> Architecture:
        return self.reader or Recurrent()

    def _prepare(self, X: Any, scratch: Path) -> Prepared:
        del scratch
        codec = TextCodec(self.vocabulary, self.length, self.column, self.label)
        return made_ready(codec, expect_labels(codec.received(X), self.label), self.seed)

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        checkpoint: str | Path | None = None,
        resume: bool = False,
        logdir: str | Path | None = None,
        processes: int | None = None,
    ) -> Self:
        """Learn from sentences; see `Estimator.fit` for the rest.

        Args:
            X: A path, a frame, or a list, array or series of str.
            y: Labels, one for each sentence (None where there is none): the decoder is given them,
                so that `sample(given=label)` and `relabel` know them.
            checkpoint: Where to keep a checkpoint; remove it once the model is saved.
            resume: Continue from the checkpoint if there is one.
            logdir: A folder for TensorBoard event files.
            processes: How many processes there must be; None for as many as torchrun started.

        Raises:
            DataError: The sentences cannot be used, or there are not as many labels.
        """
        if y is not None:
            X = read(X, self.column).labelled(y)
        return super().fit(
            X, checkpoint=checkpoint, resume=resume, logdir=logdir, processes=processes
        )

    def _rows(self, X: Any) -> Tensor:
        return self.codec_.encode(X)

    def _network(self, codec: Codec, posterior: nn.Module, prior: nn.Module) -> VAE:
        assert isinstance(codec, TextCodec)
        latent, hidden = self._latent(codec), self._preset.word_dropout
        return assembled(codec, self._reader, latent, hidden, posterior, prior)

    def _objective(self) -> Objective:
        free = GroupFreeBits(self._preset.nats, beta=WarmUp(self.beta, WARM))
        return self.objective or Opening(free, ALONE)

    def _habits(self, rows: int) -> dict[str, Any]:
        batch = min(self.batch_size or BATCH, rows)
        chosen = super()._habits(rows) | {"batch_size": batch}
        if self.epochs is None and self.minutes is None:
            chosen["epochs"] = min(STEPS * batch / rows, PASSES)
        return chosen

    def _blank(self, codec: Codec) -> Tensor:
        assert isinstance(codec, TextCodec)
        return torch.full((1, codec.length), codec.end, dtype=torch.int32)

    def _point(self, likelihood: Distribution) -> Tensor:
        return likelihood.mode

    def _default_prior(self, latent: int) -> nn.Module:
        return priors.Aggregate(latent)

    def _default_latent(self, codec: Codec) -> int:
        del codec
        return self._preset.latent

    def _measure(self, x: Tensor, seed: int) -> tuple[dict[str, Any], list[Section]]:
        common = self._figures(x, draws=64, seed=seed)
        texts = Texts(self.codec_.decode(x), labels=self.codec_.labels_in(x))
        return examined(self, texts, None, None, common, seed)

    def _items(self, X: Any) -> SentenceItems:
        return SentenceItems(self, X)

    # -- the verbs of text ----------------------------------------------------------------------

    def sample(
        self,
        n: int = 1,
        *,
        given: Any = None,
        temperature: float = 1.0,
        top_p: float = 1.0,
        seed: int | None = None,
    ) -> list[str]:
        """Draw n new sentences: z ~ p(z), then each token given those before it and z.

        Args:
            n: How many.
            given: A label that the model was fitted with; None draws without one.
            temperature: 1 samples the model; less makes the code and the words more typical.
            top_p: Only the likeliest tokens that together have this probability are drawn
                (Holtzman et al. 2020); 1 is all.
            seed: Makes the draws repeatable.

        Raises:
            OptionError: n < 1, temperature <= 0, top_p not above 0 and at most 1, or a condition.
        """
        check_is_fitted(self)
        above_zero("top_p", top_p)
        whole_from("n", n)
        above_zero("temperature", temperature)
        symbol = self.codec_.unlabelled if given is None else self.codec_.symbol_of(given)

        def narrow(law: Distribution) -> Distribution:
            return prompted(law, symbol).nucleus(top_p)

        x = verbs.sample(self.model_, n, temperature=temperature, seed=seed, narrow=narrow)
        return self.codec_.decode(x)

    def relabel(self, X: Any, label: Any) -> list[str]:
        """Sentences decoded again from their codes, as if they had another label.

        Args:
            X: The sentences.
            label: One that the model was fitted with.

        Raises:
            OptionError: There is no such label.
        """
        check_is_fitted(self)
        symbol = self.codec_.symbol_of(label)
        codes, _ = coded(self, X)
        return self.codec_.decode(written(self, codes, torch.full((len(codes),), symbol)))

    def reconstruct(self, X: Any) -> list[str]:
        """What the model makes of each sentence, at its mean code and under its own label."""
        return self.codec_.decode(written(self, *coded(self, X)))

    def vary(
        self, X: Any, n: int = 8, *, strength: float = 0.5, seed: int | None = None
    ) -> list[str]:
        """n variations of each sentence, under its own label; see `Estimator.vary`."""
        whole_from("n", n)
        at_least("strength", strength, 0)
        codes, symbols = coded(self, X)
        varied = verbs.vary(self.model_, codes, n, strength=strength, seed=seed)
        of_each = None if symbols is None else symbols.repeat_interleave(n)
        return self.codec_.decode(written(self, varied, of_each))

    def interpolate(self, a: Any, b: Any, steps: int = 9) -> list[str]:
        """Sentences on the way from a to b, under the label that both have, if they have."""
        whole_from("steps", steps, 2)
        return self.codec_.decode(between(self, a, b, steps))

    def evaluate(
        self,
        X: Any,
        *,
        draws: int = 64,
        seed: int = 0,
        train: Any = None,
        without_z: bool = False,
    ) -> Evaluation:
        """Measure the model on sentences that it has not seen.

        Args:
            X: The sentences.
            draws: Posterior draws per sentence for the bounds.
            seed: Of the draws.
            train: The sentences it was trained on: tells whether drawn ones are copies.
            without_z: Whether to train a language model of the same size on `train`, for as many
                steps, and to show what it scores; takes about as long as the fit.

        Returns:
            `elbo`, `log_likelihood`, `kl`, `active_units` in nats per sentence, and the figures of
            docs/text.md, with a report.

        Raises:
            OptionError: `without_z` is asked for without `train`.
        """
        check_is_fitted(self)
        expect_seed(seed)
        texts = self.codec_.received(X)
        known = None if train is None else self.codec_.received(train)
        x = self._rows(texts)
        codeless = taught_without_code(self, known, x) if without_z else None
        figures = {"rows": len(x)} | self._figures(x, draws=draws, seed=seed)
        own = examined(self, texts, known, codeless, figures, seed)
        return verdict(self.kind, self.facts_, self.history_, figures, own, seed=seed)

    def score_table(self, X: Any, *, draws: int = 64) -> Any:
        """`score_samples` as a pyarrow table: the sentence, and the score."""
        check_is_fitted(self)
        texts = self.codec_.received(X)
        scores = self.score_samples(texts, draws=draws)
        return pa.table({"text": list(texts.items), "log_likelihood": scores})

    def direction(self, X: Any, labels: Any) -> NDArray[np.float64]:
        """The direction in the latent space from sentences without a label to those with it.

        Args:
            X: The sentences.
            labels: Truth values, one for each.

        Returns:
            The difference of the mean codes, `[D]`; `move` follows it.

        Raises:
            DataError: Labels are not truth values, or all the same.
        """
        return difference(self.encode(X).mean, labels)

    def move(self, X: Any, direction: Any, strength: float = 1.0) -> list[str]:
        """Sentences with their codes moved along a direction.

        Args:
            X: The sentences.
            direction: As `direction` gives it, `[D]`.
            strength: How far; 1 is from the middle of those without to the middle of those with.
        """
        towards = torch.from_numpy(expect_code(direction, self.latent_))
        finite("strength", strength)
        codes, symbols = coded(self, X)
        return self.codec_.decode(written(self, codes + strength * towards, symbols))
