"""SeriesVAE: windows of time series, with gaps, several channels, several series.

The generative model, for a window x of L steps and C channels and a code z of D dimensions:

    z ~ p(z)      x_tc ~ p(x_tc | z, x_1c … x_(t-1)c)      q(z|x) = N(mu(x), diag(sigma(x)^2))

with the laws of `law`: channels are independent given z, and the noise of each may wander. A cell
that was not observed contributes nothing; in training spans are hidden (see `windows`), so that the
same model fills gaps, forecasts and says how strange a step is given those around it. The items of
the verbs that all kinds share (sample, encode, score …) are windows; what is about steps has verbs
of its own here.

This module does not know files' formats (see `reading`), nor how training works.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from torch.distributions import Distribution

from variate.codec import Codec
from variate.errors import OptionError
from variate.estimator import Estimator
from variate.models import VAE, priors
from variate.options import at_least, expect_seed, share, whole
from variate.preparation import Prepared
from variate.records import Evaluation
from variate.report import Section
from variate.series import alarms
from variate.series.codec import SeriesCodec
from variate.series.completion import CANDIDATES
from variate.series.examination import examined
from variate.series.law import Steps
from variate.series.network import WindowDecoder, WindowEncoder
from variate.series.outward import forecast_of, imputed, window_table
from variate.series.reading import Columns
from variate.series.records import Forecast, Imputed
from variate.series.surprise import block_of, smoothed
from variate.series.windows import Apart, WindowSource, set_apart

__all__ = ["SeriesVAE"]

STEPS = 800  # of training, by default
BATCH = 128
EMA = 0.99
EXAMPLE = 2_048  # windows that the prior is fitted to

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Cut(Prepared):
    """Data made ready, and the stretches that were set apart."""

    series: list[Floats]
    apart: Apart | None


class SeriesVAE(Estimator):
    """A variational autoencoder of windows of time series.

    Args:
        time: The column of stamps; None takes the one whose type says so, if there is one.
        series: The column that names the series a row belongs to; None for one series.
        channels: The columns to model; None for all others.
        window: The steps of a window; None chooses from the dominant period.
        hidden: The widths of the hidden layers of encoder and decoder.
        hidden_spans: The share of windows that have spans hidden in training; 0 hides none, and
            then forecasts and gaps are not what the model was trained for.
        components: Shapes that the noise of a channel is a mixture of.
        latent: Latent dimensions; None chooses from the size of a window, at most 16.
        beta: The weight of the KL term, warmed up over the first tenth; 1 is the ELBO.
        objective: What is maximised instead.
        posterior: q(z|x), such as `vt.posteriors.LowRankGaussian(8, rank=2)`; None is diagonal.
        prior: p(z); None is standard normal in training, then a mixture fitted to the codes.
        epochs: The budget in passes over the windows; None and no minutes: 800 steps.
        minutes: The budget in minutes of wall time.
        batch_size: Windows per step; None is 128.
        learning_rate: The peak of the schedule.
        seed: Of everything random in training.
        device: "cpu", "cuda" …; None takes a GPU when there is one.
        precision: "float32", "bfloat16" or "auto".
        verbose: Show progress on standard error.

    Attributes:
        model_: The `vt.VAE`.
        codec_: The channels, the step, the length of a window, and the scaling.
        facts_: What it was trained on, and the figures on held-out windows, in nats per window.
        history_: The validations, in order.
        latent_: The number of latent dimensions.

    Examples:
        >>> import numpy as np
        >>> from variate import SeriesVAE
        >>> t = np.arange(600)
        >>> series = np.sin(t / 5) + 0.1 * np.random.default_rng(0).normal(size=600)
        >>> model = SeriesVAE(latent=2, window=40, epochs=2).fit(series)
        >>> model.sample(3, seed=0).shape
        (3, 40, 1)
        >>> model.forecast(series, 10, seed=0).mean.shape
        (10, 1)
    """

    kind = "series"
    codec = SeriesCodec
    judges_items = False  # `detect` is about blocks of steps, of which `facts_` keeps the scores
    codec_: SeriesCodec

    def __init__(  # noqa: PLR0913 - the signature is the configuration
        self,
        *,
        time: str | None = None,
        series: str | None = None,
        channels: Sequence[str] | None = None,
        window: int | None = None,
        hidden: tuple[int, ...] = (256, 256),
        hidden_spans: float = 0.7,
        components: int = 3,
        latent: int | None = None,
        beta: float = 1.0,
        objective: Any = None,
        posterior: Any = None,
        prior: Any = None,
        epochs: int | None = None,
        minutes: float | None = None,
        batch_size: int | None = None,
        learning_rate: float = 3e-3,
        seed: int = 0,
        device: str | None = None,
        precision: str = "float32",
        verbose: bool = False,
    ) -> None:
        self.time = time
        self.series = series
        self.channels = channels
        self.window = window
        self.hidden = hidden
        self.hidden_spans = hidden_spans
        self.components = components
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
        whole("components", self.components)
        whole("window", self.window)
        if self.window is not None:
            at_least("window", self.window, 4)
        if not 0 <= self.hidden_spans <= 1:
            raise OptionError(f"hidden_spans must be a share, 0 to 1, got {self.hidden_spans!r}.")
        if not self.hidden:
            raise OptionError("hidden must be widths of at least 1, got none.")
        for width in self.hidden:
            whole("each width of hidden", width)

    def _prepare(self, X: Any, scratch: Path) -> Prepared:
        del scratch
        codec = SeriesCodec(Columns(self.time, self.series, self.channels), self.window).fit(X)
        series = [part.values for part in codec.received(X)]
        apart = set_apart(series, codec.length, self.seed)
        source = WindowSource(
            series if apart is None else apart.training, codec.length, self.hidden_spans
        )
        numbers = torch.linspace(0, source.items - 1, min(EXAMPLE, source.items)).long()
        return _Cut(
            codec=codec,
            training=source,
            example=source.windows(numbers),
            validation=None if apart is None else _known(codec.windows(apart.validation)),
            held_out=None if apart is None else _known(codec.windows(apart.held_out)),
            notes={
                "series": len(series),
                "series_steps": sum(map(len, series)),
                "window": codec.length,
                "block": block_of(codec.length),
            },
            series=series,
            apart=apart,
        )

    def _rows(self, X: Any) -> Tensor:
        return self.codec_.encode(X)

    def windows(self, X: Any) -> NDArray[np.float64]:
        """The items of the verbs that all kinds share: windows one after the other, `[N, L, C]`.

        Those verbs take such windows as well as series.
        """
        check_is_fitted(self)
        return self._rows(X).numpy()

    def score_table(self, X: Any, *, draws: int = 64) -> Any:
        """`score_samples` as a frame: the series, `start` and `end` of each window, and the score.

        Args:
            X: The series.
            draws: Of the code.
        """
        scores = self.score_samples(X, draws=draws)
        return window_table(self.codec_, self.codec_.received(X), scores)

    def _network(self, codec: Codec, posterior: nn.Module, prior: nn.Module) -> VAE:
        assert isinstance(codec, SeriesCodec)
        hidden = tuple(self.hidden)
        encoder = WindowEncoder(codec.scaling, codec.length, hidden, posterior)
        decoder = WindowDecoder(
            codec.scaling, codec.length, self._latent(codec), hidden[::-1], self.components
        )
        return VAE(encoder, decoder, prior)

    def _habits(self, rows: int) -> dict[str, Any]:
        batch = min(self.batch_size or BATCH, rows)
        chosen = super()._habits(rows) | {"batch_size": batch, "ema": EMA}
        if self.epochs is None and self.minutes is None:
            chosen["epochs"] = STEPS * batch / rows
        return chosen

    def _settle(self, prepared: Prepared) -> None:
        assert isinstance(prepared, _Cut)
        if self._has_density():
            self.facts_ |= alarms.learned(self, prepared.series, prepared.apart)

    def _blank(self, codec: Codec) -> Tensor:
        assert isinstance(codec, SeriesCodec)
        return torch.zeros(1, codec.length, len(codec.channels), dtype=torch.float64)

    def _point(self, likelihood: Distribution) -> Tensor:
        assert isinstance(likelihood, Steps)
        return likelihood.central()

    def _default_prior(self, latent: int) -> nn.Module:
        return priors.Aggregate(latent)

    def _default_latent(self, codec: Codec) -> int:
        assert isinstance(codec, SeriesCodec)
        return min(16, max(2, codec.length * len(codec.channels) // 4))

    def _measure(self, x: Tensor, seed: int) -> tuple[dict[str, Any], list[Section]]:
        return examined(self.model_, x, self.codec_.channels, seed)

    def evaluate(self, X: Any, *, draws: int = 64, seed: int = 0) -> Evaluation:
        """Measure the model on series that it has not seen.

        Args:
            X: The series, or windows of them.
            draws: Posterior draws per window for the bounds.
            seed: Of the draws.

        Returns:
            `elbo`, `log_likelihood`, `kl`, `active_units` in nats per window, `nats_per_value`,
            and of the last quarter of windows, hidden and drawn: `coverage_50`, `coverage_90`,
            `error_median` and `error_last_value` in standard deviations; of series the number of
            `alarms`. With a report.
        """
        check_is_fitted(self)
        expect_seed(seed)
        x = self._rows(X)
        figures, sections = self._measure(x, seed)
        if getattr(X, "ndim", 0) != 3:
            more = alarms.report_of(self, self.codec_.received(X))
            figures, sections = figures | more[0], sections + more[1]
        return self._evaluation(x, (figures, sections), draws=draws, seed=seed)

    # -- the verbs of steps ---------------------------------------------------------------------

    def score_steps(self, X: Any, *, around: int = 1) -> Any:
        """How strange each step is; higher is stranger.

        Args:
            X: The series.
            around: Over how many steps around each the scores are averaged. 1 tells places best; a
                window (`facts_["window"]`) tells best which parts of a series are strange.

        Returns:
            `[T]` for each series (a list where several came in), in the order of its rows: 0 for a
            usual step, 1 where only a tenth of training's steps are as strange; NaN where nothing
            was observed. See docs/series.md for what the score is.

        Raises:
            OptionError: The model is a deterministic autoencoder, which has no density.
        """
        check_is_fitted(self)
        parts = self.codec_.received(X)
        whole("around", around)
        found = alarms.step_scores(self, [part.values for part in parts])
        found = [smoothed(s, around) for s in found]
        scores = [s[p.place][np.argsort(p.rows)] for s, p in zip(found, parts, strict=True)]
        return scores if len(scores) > 1 or parts[0].source == "arrays" else scores[0]

    def detect(self, X: Any, *, fdr: float = 0.05, draws: int | None = None) -> Any:
        """Which stretches of series are anomalies, and why: intervals, not points.

        Args:
            X: The series.
            fdr: The most that the expected share of false alarms may be, counted in blocks of
                `facts_["block"]` steps. It holds as far as blocks are exchangeable with those that
                were held out (see docs/series.md).
            draws: Candidates of the code, for what was to be expected; None for 64.

        Returns:
            A frame in the caller's type (pyarrow for arrays), an alarm each: the series, `start`,
            `end` and `peak`, `steps`, `score` (the highest), `p_value` (the smallest), `channel`
            and `reasons`.

        Raises:
            OptionError: `fdr` is not between 0 and 1, or there is no calibration.
        """
        check_is_fitted(self)
        share("fdr", fdr)
        whole("draws", draws)
        return alarms.detected(self, self.codec_.received(X), fdr, draws or CANDIDATES)

    def recalibrate(self, X: Any, *, extend: bool = False, draws: int = alarms.DRAWS) -> Self:
        """Hold `detect` against these series instead of what `fit` held out.

        Args:
            X: Series that are believed to be normal, and were not trained on.
            extend: Whether the calibration that there is stays, and these are added.
            draws: Of the code, for the scores; of series always 16.

        Raises:
            OptionError: Nothing is observed, or other draws are asked for.
        """
        check_is_fitted(self)
        if draws != alarms.DRAWS:
            raise OptionError(f"the scores of series have {alarms.DRAWS} draws; leave draws out.")
        series = [part.values for part in self.codec_.received(X)]
        self.facts_ = self.facts_ | alarms.recalibrated(self, series, extend=extend)
        return self

    def forecast(
        self, X: Any, steps: int, *, draws: int = 200, seed: int | None = None
    ) -> Forecast:
        """What comes next in each series.

        Args:
            X: The series; of each the last window is what the forecast goes on from.
            steps: How many steps.
            draws: Paths that are drawn.
            seed: Makes the draws repeatable.

        Returns:
            Mean, bands and paths (see `Forecast`).

        Raises:
            OptionError: steps or draws is not a whole number of at least 1.
        """
        check_is_fitted(self)
        whole("steps", steps)
        whole("draws", draws)
        parts = self.codec_.received(X)
        return forecast_of(self.model_, self.codec_, parts, steps, draws, seed)

    def impute(self, X: Any, *, draws: int = 20, seed: int | None = None) -> Imputed:
        """Fill the gaps of series, missing stamps within them included.

        Args:
            X: The series.
            draws: K, how many completed versions there are.
            seed: Makes the draws repeatable.

        Returns:
            The filled data, K completed versions and intervals (see `Imputed`).

        Raises:
            OptionError: draws is not a whole number of at least 1.
        """
        check_is_fitted(self)
        whole("draws", draws)
        return imputed(self.model_, self.codec_, self.codec_.received(X), draws, seed)


def _known(x: Tensor) -> Tensor:
    """The windows of which something is observed."""
    return x[~x.isnan().flatten(1).all(1)]
