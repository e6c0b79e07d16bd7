"""TableVAE: rows of columns of mixed kinds, with gaps.

The generative model, for a row x of C columns and a code z of D dimensions:

    z ~ p(z)      x_j ~ p(x_j | x_1, ..., x_{j-1}, z)      q(z|x) = N(mu(x), diag(sigma(x)^2))

with the laws of `distributions.rows`. A value that is missing contributes nothing and is marked for
the encoder (Nazabal et al. 2020); that it is missing is an outcome where training had gaps.

This module does not know files' formats (see `files`), nor how training works.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from torch.distributions import Distribution

from variate.codec import Codec
from variate.errors import OptionError
from variate.estimator import Estimator
from variate.evaluation.decisions import Risk
from variate.inference import Objective
from variate.models import VAE, priors
from variate.objectives import ELBO, FreeBits, WarmUp
from variate.options import expect_seed, whole
from variate.preparation import Prepared
from variate.privacy import Privacy
from variate.records import Evaluation
from variate.report import Section
from variate.table import files, private
from variate.table.alarms import TableItems
from variate.table.assembly import assembled
from variate.table.calibration import settle
from variate.table.codec import TableCodec
from variate.table.completion import CANDIDATES, complete_rows, known_cells, positions_of
from variate.table.conditional import draw_rows
from variate.table.conditions import read_conditions
from variate.table.constrained import ConstrainedCodec
from variate.table.constraints import Rule
from variate.table.deciding import decide
from variate.table.derived import asked_of, draw_asked
from variate.table.examination import examined, without_code
from variate.table.finishing import finish, outcomes_of
from variate.table.habits import habits_of
from variate.table.imputation import Imputation
from variate.table.imputing import imputed
from variate.table.intake import prepared, received
from variate.table.rows import RowDecoder, Rows
from variate.table.utilities import Utilities

__all__ = ["TableVAE"]

FREE_NATS = 0.22  # of each latent dimension: a code that costs nothing is not given up
EMA = 0.995


class TableVAE(Estimator):
    """A variational autoencoder of table rows.

    Args:
        columns: Kinds that override what is inferred, by column name: "continuous", "integer",
            "boolean", "category", "datetime" or "ignore".
        constraints: Rules that every row obeys, such as `vt.constraints.LessEqual("low", "high")`;
            `vt.propose_constraints` finds them.
        condition_on: Names of columns that the others shall be drawn given: they come first in
            the chain, so that conditions on them are exact and cost nothing (see `complete`).
        latent: Latent dimensions; None chooses from the number of columns, at most 16.
        hidden: The widths of the encoder's hidden layers.
        width: Of the network that each column of the decoder has; None chooses from the table.
        components: Mixture components of a number's likelihood.
        beta: The weight of the KL term, warmed up over the first tenth, in the default objective
            `FreeBits(0.22)`: the ELBO but for 0.22 free nats of each latent dimension.
        objective: What is maximised instead; `vt.objectives.ELBO()` is the ELBO itself.
        posterior: q(z|x), such as `vt.posteriors.LowRankGaussian(8, rank=2)`; None is diagonal.
        prior: p(z), such as `vt.priors.Mixture(8, components=10)`; None is standard
            normal in training, then a mixture fitted to the codes.
        privacy: The bound to keep to, such as `vt.Privacy(epsilon=3.0, delta=1e-5, columns=...)`,
            and what is publicly known of the columns; see docs/privacy.md. None: no bound.
        epochs: The budget in passes over the training rows; None and no minutes: as the data asks.
        minutes: The budget in minutes of wall time.
        batch_size: Rows per step; None chooses from the number of rows.
        learning_rate: The peak of the schedule; less for the small batches of small tables.
        seed: Of everything random in training.
        device: "cpu", "cuda" …; None takes a GPU when there is one.
        precision: "float32", "bfloat16" or "auto".
        verbose: Show progress on standard error.

    Attributes:
        model_: The `vt.VAE`.
        codec_: The schema and how rows become tensors.
        facts_: What it was trained on, and the figures on held-out rows, in nats per row.
        calibration_: The scores of held-out rows that `detect` compares with, if there are any.
        history_: The validations, in order.
        latent_: The number of latent dimensions.

    Examples:
        >>> import numpy as np
        >>> from variate import TableVAE
        >>> rows = np.random.default_rng(0).normal(size=(200, 3)).round(2)
        >>> model = TableVAE(latent=2, epochs=2).fit(rows)
        >>> model.sample(5, seed=0).shape
        (5, 3)
        >>> model.score_samples(rows).shape
        (200,)
    """

    kind = "table"
    codec = ConstrainedCodec
    codec_: ConstrainedCodec

    def __init__(  # noqa: PLR0913 - the signature is the configuration
        self,
        *,
        columns: Mapping[str, str] | None = None,
        constraints: Sequence[Rule] = (),
        condition_on: Sequence[str] | None = None,
        latent: int | None = None,
        hidden: tuple[int, ...] = (256, 256),
        width: int | None = None,
        components: int = 8,
        beta: float = 1.0,
        objective: Any = None,
        posterior: Any = None,
        prior: Any = None,
        privacy: Privacy | None = None,
        epochs: int | None = None,
        minutes: float | None = None,
        batch_size: int | None = None,
        learning_rate: float = 3e-3,
        seed: int = 0,
        device: str | None = None,
        precision: str = "float32",
        verbose: bool = False,
    ) -> None:
        self.columns = columns
        self.constraints = constraints
        self.condition_on = condition_on
        self.latent = latent
        self.hidden = hidden
        self.width = width
        self.components = components
        self.beta = beta
        self.objective = objective
        self.posterior = posterior
        self.prior = prior
        self.privacy = privacy
        self.epochs = epochs
        self.minutes = minutes
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.seed = seed
        self.device = device
        self.precision = precision
        self.verbose = verbose

    def __sklearn_tags__(self) -> Tags:
        """NaN is a gap, not an error."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        tags.transformer_tags.preserves_dtype = ["float64"]
        return tags

    def _check_options(self) -> None:
        super()._check_options()
        if self.privacy is not None:
            private.expect_trainable(self)
        whole("components", self.components)
        whole("width", self.width)
        if not self.hidden:
            raise OptionError("hidden must be widths of at least 1, got none.")
        for width in self.hidden:
            whole("each width of hidden", width)

    def _prepare(self, X: Any, scratch: Path) -> Prepared:
        with files.naming(X):
            if self.privacy is not None:
                raw = files.read_untyped(X) if isinstance(X, str | Path) else X
                return private.prepared(self, received(self, raw, reset=True))
            return prepared(self, X, scratch)

    def _rows(self, X: Any) -> Tensor:
        with files.naming(X):
            return self.codec_.encode(received(self, X, reset=False))

    def _items(self, X: Any) -> TableItems:
        return TableItems(self, X)

    def _network(self, codec: Codec, posterior: nn.Module, prior: nn.Module) -> VAE:
        assert isinstance(codec, TableCodec)
        return assembled(self, codec, self._latent(codec), posterior, prior)

    def _started(self, model: VAE, example: Tensor) -> VAE:
        assert isinstance(model.decoder, RowDecoder)
        model.decoder.chain.begin(example)
        return model

    def _settle(self, prepared: Prepared) -> None:
        if self.privacy is not None:
            return
        settle(self.model_, prepared.many(), self.seed)
        assert isinstance(self.model_.decoder, RowDecoder)
        chain = self.model_.decoder.chain
        places = outcomes_of(chain, positions_of(self.condition_on, self.codec_))
        finish(self.model_, places, prepared.many(), prepared.validation, seed=self.seed)

    def _events(
        self, prepared: Prepared, checkpoint: Any, processes: int | None, *, resume: bool
    ) -> Iterator[Any]:
        if not isinstance(prepared, private.PrivatelyPrepared):
            return super()._events(prepared, checkpoint, processes, resume=resume)
        private.expect_uninterrupted(checkpoint, processes, resume=resume)
        return private.events(self, prepared, self._objective())

    def _objective(self) -> Objective:
        if self.privacy is not None and self.objective is None:
            return ELBO(beta=WarmUp(self.beta))
        return self.objective or FreeBits(FREE_NATS, beta=WarmUp(self.beta))

    def _habits(self, rows: int) -> dict[str, Any]:
        habits = habits_of(self.codec_.schema)
        batch = self.batch_size or habits.batch_size
        chosen: dict[str, Any] = {
            "epochs": self.epochs,
            "batch_size": batch,
            "learning_rate": self.learning_rate * habits.rate,
            "weight_decay": habits.weight_decay,
            "ema": EMA,
        }
        if self.epochs is None and self.minutes is None:
            chosen["epochs"] = habits.steps * min(batch, rows) / rows
            chosen["patience"] = habits.patience
        return chosen

    def _blank(self, codec: Codec) -> Tensor:
        assert isinstance(codec, TableCodec)
        return torch.zeros(1, len(codec.modelled), dtype=torch.float64)

    def _point(self, likelihood: Distribution) -> Tensor:
        assert isinstance(likelihood, Rows)
        return likelihood.central()

    def complete(
        self,
        X: Any,
        *,
        fill: bool = False,
        candidates: int = CANDIDATES,
        seed: int | None = None,
    ) -> Any:
        """Whole rows that have these cells: what is not known of a row is drawn given what is.

        Args:
            X: The rows: some of the columns that the model was trained on. What is known of
                `condition_on` columns alone is exact and costs little.
            fill: Whether a missing cell is unknown too, and is drawn, never as missing. Otherwise
                it is a value like others where its column had missing cells in training.
            candidates: Codes that are tried for each row; more are closer to exact.
            seed: Makes the draws repeatable.

        Returns:
            One row for each one given, in its order.

        Raises:
            DataError: There are no rows, or a cell cannot be used.
            OptionError: candidates < 1.
        """
        check_is_fitted(self)
        whole("candidates", candidates)
        with files.naming(X):
            cells = known_cells(self.codec_, received(self, X, reset=False), fill=fill)
        return self.codec_.decode(complete_rows(self.model_, cells, candidates, seed).x)

    def impute(self, X: Any, *, draws: int = 20, seed: int | None = None) -> Imputation:
        """Fill missing cells by draws from p(missing | known): see docs/impute.md.

        Args:
            X: Rows with gaps; columns of the training schema may be absent altogether.
            draws: How many completed tables there are to be.
            seed: Makes the draws repeatable.

        Returns:
            The table with its gaps filled (`filled`), `draws` completed tables (`tables`), and
            the uncertainty of each cell (`interval`, `probabilities`).

        Raises:
            DataError: There are no rows, or a cell cannot be used.
            OptionError: draws is no whole number of at least 1.
        """
        check_is_fitted(self)
        with files.naming(X):
            raw = received(self, X, reset=False)
            return imputed(self.model_, self.codec_, raw, draws, seed, show=self.verbose)

    def decide(
        self,
        X: Any,
        actions: Any,
        utility: Any,
        *,
        unknown: Sequence[str] = (),
        ask: Sequence[str] | Mapping[str, float] | None = None,
        risk: Risk = Risk(),  # noqa: B008 - it is frozen
        draws: int = 200,
        seed: int | None = None,
    ) -> Any:
        """The best action for each row, its risk, and what to ask first; see docs/decide.md.

        Args:
            X: The rows; what is missing, or not there, is drawn given the rest.
            actions: Names, or settings by name; None where `utility` has an expression for each.
            utility: An expression over columns and settings, one for each action by name, or a
                function of an action's name and the draws (arrays `[M]` by column) -> `[M]`.
            unknown: Columns that are not known when the decision is made, whatever X has in them.
            ask: Columns that one could ask about first, or what asking costs by name; None: what
                is missing in X, for nothing.
            risk: The limits beyond which a decision is left to others.
            draws: Of each row, in ten groups.
            seed: Makes the draws repeatable.

        Returns:
            A row each, in the type of X (of a path or an array, a pyarrow table).

        Raises:
            DataError: A row is impossible, or a utility is no finite number there.
            OptionError: An argument cannot be used.
        """
        check_is_fitted(self)
        utilities = Utilities(actions, utility)
        return decide(
            self, X, utilities, unknown=unknown, ask=ask, risk=risk, draws=draws, seed=seed
        )

    def evaluate(
        self,
        X: Any,
        *,
        draws: int = 64,
        seed: int = 0,
        train: Any = None,
        target: str | None = None,
        without_z: bool = False,
    ) -> Evaluation:
        """Measure the model, and the rows that it draws, on rows that it has not seen.

        Args:
            X: The rows.
            draws: Posterior draws per row for the bounds.
            seed: Of everything random.
            train: The rows that it was trained on; with them privacy is measured too.
            target: A column that a classifier or regressor is to predict: trained on drawn rows
                and on real ones, tested on X.
            without_z: Whether to train the model again without its code, on `train`, and to show
                what that scores; takes about as long as the fit.

        Returns:
            `elbo`, `log_likelihood`, `kl`, `active_units` in nats per row, and the figures of
            docs/evaluation.md, with a report.

        Raises:
            OptionError: There is no such target, or no model without z can be trained.
        """
        check_is_fitted(self)
        expect_seed(seed)
        x, known = self._rows(X), None if train is None else self._rows(train)
        codeless = without_code(self, x, known, draws, seed) if without_z else None
        own = examined(self, x, seed=seed, train=known, target=target, codeless=codeless)
        return self._evaluation(x, own, draws=draws, seed=seed)

    def _measure(self, x: Tensor, seed: int) -> tuple[dict[str, Any], list[Section]]:
        return examined(self, x, seed=seed)

    def conditions(self, texts: Sequence[str]) -> dict[str, Any]:
        """Conditions for `sample(given=...)` from COLUMN=VALUE, COLUMN=A|B or COLUMN=LOW..HIGH.

        Raises:
            OptionError: A text is written otherwise, or a value does not suit its column.
        """
        check_is_fitted(self)
        return read_conditions(texts, self.codec_.asked_about)

    def _draw(self, n: int, temperature: float, seed: int | None) -> Tensor:
        return draw_rows(self.model_, n, {}, temperature, seed).x

    def _draw_given(self, n: int, given: Any, temperature: float, seed: int | None) -> Tensor:
        asked = asked_of(given, self.codec_)
        return draw_asked(self.model_, self.codec_, n, asked, temperature, seed).x

    def _default_prior(self, latent: int) -> nn.Module:
        return priors.Aggregate(latent) if self.privacy is None else priors.StandardNormal(latent)

    def _default_latent(self, codec: Codec) -> int:
        assert isinstance(codec, TableCodec)
        return min(16, max(2, 2 * len(codec.modelled)))
