"""Estimator: the verbs, written once for every kind of data.

A kind brings a codec (raw data <-> x), a network (encoder, decoder, prior) and the measures and
pictures of its kind. Everything else is here: fit, sample, reconstruct, encode, transform, decode,
vary, interpolate, score, evaluate, save, load.

scikit-learn's rules hold: the constructor stores its arguments, what is learned ends in `_`.

Three sets of rows are kept apart: the training rows move the weights, the validation rows choose
the moment to stop, and the figures that `fit` reports come from the held-out rows alone.

This module does not know any kind of data.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from torch.distributions import Distribution

from variate import alarms, bundle, verbs
from variate.card import model_card
from variate.codec import Codec
from variate.errors import OptionError
from variate.evaluation import Reference, summary
from variate.fitting import Course, begin, course_of, run, unchanged_by_failure
from variate.inference import Objective
from variate.manifest import manifest_of, restored
from variate.models import VAE, posteriors, priors
from variate.objectives import ELBO, WarmUp
from variate.options import (
    Options,
    above_zero,
    asked_latent,
    at_least,
    check_training,
    expect_seed,
    whole_from,
)
from variate.output import scratch_folder
from variate.preparation import Prepared
from variate.records import Encoding, Evaluation
from variate.report import Section
from variate.verdict import verdict

__all__ = ["Estimator"]


class Estimator(Options, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator, ABC):  # type: ignore[misc]
    """What all kinds share. A kind has a name, a codec, and writes the abstract methods."""

    kind: ClassVar[str]
    codec: ClassVar[type[Codec]]
    model_: VAE
    codec_: Codec
    judges_items: ClassVar[bool] = True  # `detect` does, and keeps the scores of held-out ones
    calibration_: Reference | None  # of `detect`

    # -- what a kind writes ---------------------------------------------------------------------

    @abstractmethod
    def _prepare(self, X: Any, scratch: Path) -> Prepared:
        """Validate raw data, fit the codec and split the rows.

        Data bigger than memory may use the scratch folder, which is there while training goes on.
        """

    @abstractmethod
    def _rows(self, X: Any) -> Tensor:
        """Raw data, as it comes in after fitting -> x."""

    @abstractmethod
    def _network(self, codec: Codec, posterior: nn.Module, prior: nn.Module) -> VAE:
        """Encoder, decoder and prior for the data that the codec describes.

        It must not read the values of a tensor that it makes under the default device: a model
        file is first tried on the device "meta", where tensors have shapes and no values.
        """

    def _started(self, model: VAE, example: Tensor) -> VAE:  # noqa: ARG002 - for those who can
        """The model that training starts from, given some rows; a kind may have a better one."""
        return model

    def _objective(self) -> Objective:
        """What is minimised: the user's choice, or what suits the kind."""
        return self.objective or ELBO(beta=WarmUp(self.beta))

    def _habits(self, rows: int) -> dict[str, Any]:
        """Arguments of `train` that a kind may choose itself, given how many training rows."""
        del rows
        return {
            "epochs": self.epochs,
            "batch_size": self.batch_size or 256,
            "learning_rate": self.learning_rate,
        }

    def _draws(self) -> int:
        """Draws of the code for the bounds that `fit` measures, and for the scores of `detect`."""
        return alarms.DRAWS

    @abstractmethod
    def _blank(self, codec: Codec) -> Tensor:
        """One row of valid x `[1, *event]`, to give lazy layers their shapes."""

    @abstractmethod
    def _point(self, likelihood: Distribution) -> Tensor:
        """The one x that stands for p(x|z), `[S, B, *event]`."""

    def _default_prior(self, latent: int) -> nn.Module:
        return priors.StandardNormal(latent)

    @abstractmethod
    def _default_latent(self, codec: Codec) -> int:
        """The number of latent dimensions when none is asked for."""

    @abstractmethod
    def _measure(self, x: Tensor, seed: int) -> tuple[dict[str, Any], list[Section]]:
        """The figures that only this kind has, and the sections of a report that show them."""

    # -- learning -------------------------------------------------------------------------------

    def fit(
        self,
        X: Any,
        y: Any = None,  # noqa: ARG002 - scikit-learn's signature
        *,
        checkpoint: str | Path | None = None,
        resume: bool = False,
        logdir: str | Path | None = None,
        processes: int | None = None,
    ) -> Self:
        """Learn from data.

        Args:
            X: The data: a frame, an array, a path.
            y: Ignored; there for scikit-learn.
            checkpoint: Where to keep a checkpoint; remove it once the model is saved (and, of a
                prior that is fitted afterwards, its own beside it, that ends in .prior).
            resume: Continue from the checkpoint if there is one.
            logdir: A folder for TensorBoard event files.
            processes: How many processes there must be; None for as many as torchrun started.

        Returns:
            self. After Ctrl-C it has the best model so far, after an error what it had before.

        Raises:
            DataError: The data cannot be used.
            OptionError: An argument cannot be used.
            TrainingError: Training cannot go on.
        """
        self._check_options()
        folder = None if checkpoint is None else Path(checkpoint).parent
        with unchanged_by_failure(self), scratch_folder(folder) as scratch:
            prepared = self._prepare(X, scratch)
            self.codec_ = prepared.codec
            self.facts_: dict[str, Any] = prepared.facts(X)
            self.history_: list[dict[str, Any]] = []
            begin(self, prepared)
            events = self._events(prepared, checkpoint, processes, resume=resume)
            run(self, events, prepared, Course(checkpoint, resume, processes), logdir)
        return self

    def _events(
        self, prepared: Prepared, checkpoint: Any, processes: int | None, *, resume: bool
    ) -> Iterator[Any]:
        """The training run, not yet begun."""
        return course_of(self, prepared, Course(checkpoint, resume, processes))

    def _settle(self, prepared: Prepared) -> None:
        """What a kind does to its model once all else is trained."""

    def _check_options(self) -> None:
        check_training(self)

    def _build(self, codec: Codec, example: Tensor) -> VAE:
        model = self._assemble(codec)
        if isinstance(model.prior, priors.Vamp | priors.CodePrior | priors.SecondStage):
            model.prior.start(model.encoder, example)
        model(self._blank(codec))  # gives lazy layers their shapes
        return model

    def _assemble(self, codec: Codec) -> VAE:
        latent = self._latent(codec)
        posterior = copy.deepcopy(self.posterior) or posteriors.DiagonalGaussian(latent)
        prior = copy.deepcopy(self.prior) or self._default_prior(latent)
        return self._network(codec, posterior, prior)

    def _latent(self, codec: Codec) -> int:
        return asked_latent(self) or self._default_latent(codec)

    # -- the verbs ------------------------------------------------------------------------------

    def sample(
        self, n: int = 1, *, given: Any = None, temperature: float = 1.0, seed: int | None = None
    ) -> Any:
        """Draw n new items: z ~ p(z), then x ~ p(x|z).

        Args:
            n: How many.
            given: What the items shall be like, in the terms of the kind.
            temperature: 1 samples the model; less makes both draws more typical.
            seed: Makes the draws repeatable.

        Raises:
            OptionError: n < 1, temperature <= 0, or a condition that cannot be met.
        """
        check_is_fitted(self)
        whole_from("n", n)
        above_zero("temperature", temperature)
        if given is not None:
            return self.codec_.decode(self._draw_given(n, given, temperature, seed))
        return self.codec_.decode(self._draw(n, temperature, seed))

    def _draw(self, n: int, temperature: float, seed: int | None) -> Tensor:
        """n draws of x."""
        return verbs.sample(self.model_, n, temperature=temperature, seed=seed)

    def _draw_given(self, n: int, given: Any, temperature: float, seed: int | None) -> Tensor:
        """n draws of x under a condition, for the kinds that have conditions."""
        del n, temperature, seed
        raise OptionError(f"a {self.kind} model draws without conditions; leave out {given!r:.60}.")

    def encode(self, X: Any) -> Encoding:
        """The posterior q(z|x) of each item: its mean and standard deviation, `[N, D]`."""
        check_is_fitted(self)
        mean, scale = verbs.encode(self.model_, self._rows(X))
        return Encoding(mean.numpy(), scale.numpy())

    def transform(self, X: Any) -> np.ndarray:
        """The posterior means `[N, D]`: scikit-learn's transformer."""
        return self.encode(X).mean

    def decode(self, z: Any) -> Any:
        """The likelihood's central value at each code of z `[N, D]`.

        Raises:
            OptionError: z does not have one column per latent dimension.
        """
        check_is_fitted(self)
        codes = z if isinstance(z, Tensor) else torch.from_numpy(np.array(z, dtype=np.float64))
        if codes.ndim != 2 or codes.shape[1] != self.latent_:
            raise OptionError(
                f"z must have the shape [N, {self.latent_}], got {list(codes.shape)}."
            )
        if not codes.isfinite().all():
            raise OptionError("z must be finite numbers, and some of it is infinite or NaN.")
        return self.codec_.decode(verbs.decode(self.model_, codes, self._point))

    def reconstruct(self, X: Any) -> Any:
        """What the model makes of each item: the likelihood's central value at its mean code."""
        return self.decode(self.encode(X).mean)

    def vary(self, X: Any, n: int = 8, *, strength: float = 0.5, seed: int | None = None) -> Any:
        """n variations of each item: its code moved by `strength` prior standard deviations.

        Returns:
            n items for each one given, in its order. A strength of 0 is the reconstruction.
        """
        whole_from("n", n)
        at_least("strength", strength, 0)
        mean = torch.from_numpy(self.encode(X).mean)
        return self.decode(verbs.vary(self.model_, mean, n, strength=strength, seed=seed))

    def interpolate(self, a: Any, b: Any, steps: int = 9) -> Any:
        """Items on the way from a to b (one item each), both ends included.

        Raises:
            OptionError: a or b is not one item, or steps < 2.
        """
        whole_from("steps", steps, 2)
        start, end = self.encode(a).mean, self.encode(b).mean
        if len(start) != 1 or len(end) != 1:
            raise OptionError(f"a and b must be one item each, got {len(start)} and {len(end)}.")
        spherical = isinstance(self.model_.prior, priors.StandardNormal)
        ends = torch.from_numpy(start[0]), torch.from_numpy(end[0])
        return self.decode(verbs.way(*ends, steps, spherical=spherical))

    def score_samples(self, X: Any, *, draws: int = 64) -> np.ndarray:
        """Log p(x) of each item in nats, `[N]`: the importance-weighted bound with `draws` draws.

        Every item sees the same noise (common random numbers, from the constructor's `seed`), so
        an item's score does not depend on which other items are scored with it.
        """
        check_is_fitted(self)
        whole_from("draws", draws)
        if not self._has_density():
            raise OptionError(
                "a deterministic autoencoder has no density, so there is no log p(x) to score; "
                "fit with a posterior that has one (the default), or use reconstruct."
            )
        return verbs.score(self.model_, self._rows(X), draws=draws, seed=self.seed).numpy()

    def score(self, X: Any, y: Any = None) -> float:  # noqa: ARG002 - scikit-learn's signature
        """The mean of `score_samples`: nats per item, higher is better."""
        return float(self.score_samples(X).mean())

    def detect(self, X: Any, *, fdr: float = 0.05, draws: int | None = None) -> Any:
        """Which items are anomalies, and why; docs/anomaly.md says what the alarms promise.

        Args:
            X: The items.
            fdr: The most that the expected share of false alarms among the alarms may be.
            draws: For the score; None for as many as the calibration has (64).

        Returns:
            `score` (-log p(x) in nats, higher is stranger), `p_value`, `anomaly` and `reasons` of
            each item, in their order.

        Raises:
            OptionError: `fdr` is not between 0 and 1, or there is no calibration for these draws.
        """
        check_is_fitted(self)
        return alarms.detect(self._items(X), fdr=fdr, draws=draws)

    def recalibrate(self, X: Any, *, extend: bool = False, draws: int = alarms.DRAWS) -> Self:
        """Hold `detect` against these items instead of the held-out ones of `fit`.

        Args:
            X: Items that are believed to be normal, and were not trained on.
            extend: Whether the calibration that there is stays, and these are added.
            draws: For the scores; more are closer to log p(x).
        """
        check_is_fitted(self)
        self.calibration_ = alarms.recalibrated(self._items(X), extend=extend, draws=draws)
        return self

    def _items(self, X: Any) -> alarms.Items:
        """What `detect` asks about data; a kind may know more than every kind does."""
        return alarms.Items(self, X)

    def evaluate(self, X: Any, *, draws: int = 64, seed: int = 0) -> Evaluation:
        """Measure the model on data that it has not seen.

        Returns:
            The figures (`elbo`, `log_likelihood`, `kl`, `active_units` in nats per item, then what
            this kind measures) and a report with pictures.
        """
        check_is_fitted(self)
        expect_seed(seed)
        x = self._rows(X)
        return self._evaluation(x, self._measure(x, seed), draws=draws, seed=seed)

    def _evaluation(
        self, x: Tensor, own: tuple[dict[str, Any], list[Section]], *, draws: int, seed: int
    ) -> Evaluation:
        """The figures that every kind has and the kind's own, with a report."""
        figures = {"rows": len(x)} | self._figures(x, draws=draws, seed=seed)
        return verdict(self.kind, self.facts_, self.history_, figures, own, seed=seed)

    def _figures(self, x: Tensor, *, draws: int, seed: int) -> dict[str, Any]:
        """The figures that every kind has: nats per item; None for what has no density."""
        if not self._has_density():
            return {"elbo": None, "log_likelihood": None, "kl": None, "active_units": None}
        return summary(self.model_, x, draws=draws, seed=seed)

    def save(self, path: str | Path) -> Path:
        """Write the model file (one zip: JSON, safetensors, a card; no pickle), atomically.

        Raises:
            OptionError: An argument is an object of your own, which no model file can keep.
            OutputError: The file cannot be written.
        """
        return bundle.write(path, *self._described(), self.card())

    def _described(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """The manifest of the model file, and its weights: what `_restored` takes."""
        check_is_fitted(self)
        weights = {n: value.contiguous() for n, value in self.model_.state_dict().items()}
        return manifest_of(self), weights

    @classmethod
    def _restored(cls, manifest: dict[str, Any], weights: dict[str, Tensor]) -> Self:
        """The estimator that a model file describes."""
        return restored(cls, manifest, weights)

    def card(self) -> str:
        """What the model is and how good it is, for people (Markdown)."""
        return model_card(self.kind, self.facts_, self.latent_)

    @property
    def latent_(self) -> int:
        """The number of latent dimensions."""
        return int(self.model_.prior.latent)  # type: ignore[arg-type]

    def _has_density(self) -> bool:
        """Whether there is an evidence to bound: a point mass as posterior has no density."""
        return not isinstance(self.posterior, posteriors.Delta)

    @property
    def _n_features_out(self) -> int:
        return self.latent_
