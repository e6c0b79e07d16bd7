"""AnomalyDetector: strange rows of arrays and tables, found without labels.

    rows -> features -> scales -> an ensemble of VAEs that see a part of each row -> voices -> score

The score is not a likelihood, which is a mediocre detector by itself (Nalisnick et al. 2019): it is
made of distances in the spaces of what the ensemble expects (`voices`). p-values are conformal,
against the scores that the training rows have out of bag: for members and references that are not
the row. So no row is spent on calibration, and p-values are valid as far as a score out of bag is
exchangeable with that of a new row.

This module does not know how a score comes about, nor what alarms promise.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from variate import alarms, bundle
from variate._version import __version__
from variate.anomaly.ensemble import FOLDS, LIMIT, PartlySeen
from variate.anomaly.features import Features
from variate.anomaly.items import ArrayItems, RowItems
from variate.anomaly.known import Known
from variate.anomaly.scales import Scales
from variate.anomaly.voices import Voices
from variate.diary import follow
from variate.errors import DataError, OptionError
from variate.evaluation import Reference
from variate.fitting import unchanged_by_failure
from variate.options import share
from variate.randomness import isolated
from variate.specification import describe, revive
from variate.table import files
from variate.table.constrained import ConstrainedCodec
from variate.table.frames import is_frame
from variate.table.intake import received
from variate.training import train

__all__ = ["AnomalyDetector"]

STEPS = 800
BATCH = 384  # rows of a step, of which each member learns from two thirds
RATE = 4e-3
SCORED_ONCE = 1  # draws: the score has no noise


class AnomalyDetector(OutlierMixin, BaseEstimator):  # type: ignore[misc]
    """Finds strange rows; the training rows may be clean or not, and it is not told.

    scikit-learn's outlier API: `predict` gives -1 for outliers and 1 for inliers, `score_samples`
    and `decision_function` are higher for more normal rows. NaN is a missing cell. A row that it
    was trained on is scored as if it were new.

    Args:
        level: The share of normal rows that `predict` may take for outliers; `detect` bounds the
            share of false alarms among the alarms instead.
        columns: Kinds that override what is inferred of a table's columns, by name: see `TableVAE`.
        seed: Of everything random.
        verbose: Show progress on standard error.

    Attributes:
        offset_: `decision_function` is `score_samples` less this.
        calibration_: The scores of the training rows, out of bag.
        facts_: What it was trained on.
        n_features_in_: The number of columns.

    Examples:
        >>> import numpy as np
        >>> from variate import AnomalyDetector
        >>> rows = np.random.default_rng(0).normal(size=(300, 3))
        >>> rows[7] = 6.0
        >>> detector = AnomalyDetector().fit(rows)
        >>> int(detector.score_samples(rows).argmin())
        7
    """

    kind = "anomaly"

    def __init__(
        self,
        *,
        level: float = 0.05,
        columns: Mapping[str, str] | None = None,
        seed: int = 0,
        verbose: bool = False,
    ) -> None:
        self.level = level
        self.columns = columns
        self.seed = seed
        self.verbose = verbose

    def __sklearn_tags__(self) -> Tags:
        """NaN is a gap, not an error."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    # -- learning -------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: ARG002 - scikit-learn's signature
        """Learn what is normal.

        Args:
            X: Rows: an array `[N, C]`, a frame, or the path of a table.
            y: Ignored; there for scikit-learn.

        Raises:
            DataError: The rows cannot be used.
            OptionError: An argument cannot be used.
        """
        share("level", self.level)
        with unchanged_by_failure(self, by_interruption=True):
            x = self._first_seen(X)
            wide = self.features_.expand(x)
            self.scales_ = Scales(wide)
            self.facts_: dict[str, Any] = {"rows": len(x), "variate": __version__}
            self._train(wide)
            self._calibrate()
        return self

    def _first_seen(self, X: Any) -> Tensor:
        """Training rows as x `[N, C]`; what is known of their columns is kept."""
        self.codec_: ConstrainedCodec | None = None
        with files.naming(X):
            if isinstance(X, str | Path) or is_frame(X):
                raw = received(self, X, reset=True)
                self.codec_ = ConstrainedCodec(self.columns).fit(raw)
                x = self.codec_.encode(raw)
                self.features_ = Features.of_columns(self.codec_.modelled, x)
                return x
        if self.columns:
            raise OptionError(
                f"columns says of what kind {next(iter(self.columns))!r} is, and an array has no "
                "names and only numbers; give a frame, or leave columns out."
            )
        x = torch.from_numpy(
            np.array(
                validate_data(
                    self, X, dtype=np.float64, ensure_all_finite="allow-nan", ensure_min_samples=2
                )
            )
        )
        names = getattr(self, "feature_names_in_", [f"x{c}" for c in range(x.shape[1])])
        self.features_ = Features.of_numbers([str(name) for name in names])
        return x

    def _train(self, wide: Tensor) -> None:
        with isolated(self.seed):
            generator = torch.Generator().manual_seed(self.seed)
            folds = torch.randperm(len(wide), generator=generator) % FOLDS
            self.voices_ = Voices(wide.shape[1])
            standard = self.scales_.standard(wide).clamp(-LIMIT, LIMIT)
            batch = min(BATCH, len(wide))
            events = train(
                self.voices_.ensemble,
                PartlySeen(),
                torch.cat([standard, folds.unsqueeze(-1).float()], 1),
                epochs=STEPS * batch / len(wide),
                batch_size=batch,
                learning_rate=RATE,
                ema=0.0,
                validate_every=STEPS,
                seed=self.seed,
                device="cpu",
            )
            follow(events, self.facts_, [], show=self.verbose)
            self.voices_.eval()
            self.oob_scores_ = self.voices_.learn(wide, self.scales_, folds, generator).numpy()
        self.known_ = Known()
        self.known_.learn(wide, torch.from_numpy(self.oob_scores_))

    def _calibrate(self) -> None:
        self.calibration_: Reference | None = Reference.of(self.oob_scores_, SCORED_ONCE)
        ordered, n = np.sort(self.oob_scores_)[::-1], len(self.oob_scores_)
        allowed = max(int(self.level * (n + 1) * (1 + 1e-12)) - 1, 0)  # that may be as strange
        self.offset_ = -float(ordered[allowed])

    # -- scoring --------------------------------------------------------------------------------

    def score_samples(self, X: Any) -> NDArray[np.float64]:
        """How normal each row is, `[N]`: 0 for the median training row, -1 at the 95 % quantile."""
        check_is_fitted(self)
        items = self._items(X)
        parts = [self._scored(items.look(part)[0]) for part in items.parts()]
        return -np.concatenate(parts)

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """`score_samples` less `offset_`: negative for outliers."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> NDArray[np.int64]:
        """-1 for rows stranger than all but `level` of normal ones, else 1; `[N]`."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def detect(self, X: Any, *, fdr: float = 0.05) -> Any:
        """Which rows are anomalies, and why: see `TableVAE.detect` and docs/anomaly.md.

        Raises:
            OptionError: `fdr` is not between 0 and 1.
        """
        check_is_fitted(self)
        return alarms.detect(self._items(X), fdr=fdr, draws=None)

    def recalibrate(self, X: Any, *, extend: bool = False) -> Self:
        """Hold `detect` against these rows, which are believed to be normal, from now on.

        Args:
            X: The rows.
            extend: Whether the calibration that there is stays, and these are added.
        """
        check_is_fitted(self)
        items = self._items(X)
        self.calibration_ = alarms.recalibrated(items, extend=extend, draws=SCORED_ONCE)
        return self

    def _items(self, X: Any) -> alarms.Items:
        if self.codec_ is not None:
            return RowItems(self, X)
        if isinstance(X, str | Path):
            raise DataError(
                f"{X} is a table, and this detector was fitted on an array; fit it on a table, or "
                "give an array."
            )
        return ArrayItems(self, X)

    def _scored(self, x: Tensor) -> NDArray[np.float64]:
        """How strange rows x `[N, C]` are, `[N]`."""
        wide = self.features_.expand(x)
        scores: NDArray[np.float64] = self.known_.recall(
            wide, self.voices_.score(wide, self.scales_)
        ).numpy()
        return scores

    def _has_density(self) -> bool:
        return True  # in the sense of `alarms`: there is a score

    # -- files ----------------------------------------------------------------------------------

    def save(self, path: str | Path) -> Path:
        """Write the model file, atomically. It holds up to 10,000 training rows: the references.

        Raises:
            OutputError: The file cannot be written.
        """
        check_is_fitted(self)
        weights = {f"voices.{n}": value for n, value in self.voices_.state_dict().items()}
        weights |= {f"known.{n}": value for n, value in self.known_.state_dict().items()}
        assert self.calibration_ is not None
        manifest = {
            "kind": self.kind,
            "parameters": describe(self.get_params(deep=False)),
            "codec": None if self.codec_ is None else self.codec_.state(),
            "features": self.features_.state(),
            "scales": self.scales_.state(),
            "calibration": self.calibration_.state(),
            "offset": self.offset_,
            "facts": self.facts_,
            "columns": self.n_features_in_,
            "names": [str(name) for name in getattr(self, "feature_names_in_", ())],
        }
        return bundle.write(path, manifest, weights, self.card())

    @classmethod
    def _restored(cls, manifest: dict[str, Any], weights: dict[str, Tensor]) -> Self:
        """The detector that a model file describes."""
        self = cls(**revive(manifest["parameters"]))
        codec = manifest["codec"]
        self.codec_ = None if codec is None else ConstrainedCodec.from_state(codec)
        self.features_ = Features.from_state(manifest["features"])
        self.scales_ = Scales.from_state(manifest["scales"])
        self.calibration_ = Reference.from_state(manifest["calibration"])
        self.offset_, self.facts_ = float(manifest["offset"]), manifest["facts"]
        self.n_features_in_ = int(manifest["columns"])
        if manifest["names"]:
            self.feature_names_in_ = np.array(manifest["names"], dtype=object)
        width = self.features_.width
        if len(self.scales_.mean) != width or len(self.features_.groups) != self._columns():
            raise ValueError("the columns and their scales do not fit together")
        self.voices_, self.known_ = Voices(width), Known(len(weights["known.hashes"]))
        for name, part in (("voices", self.voices_), ("known", self.known_)):
            own = {n.partition(".")[2]: v for n, v in weights.items() if n.startswith(f"{name}.")}
            part.load_state_dict(own)
            part.eval()
        self.voices_.expect_whole()
        return self

    def _columns(self) -> int:
        return self.n_features_in_ if self.codec_ is None else len(self.codec_.modelled)

    def card(self) -> str:
        """What the detector is, for people (Markdown)."""
        return (
            f"# An anomaly detector\n\ntrained on {self.facts_['rows']:,} rows of "
            f"{self._columns()} columns by variate {self.facts_['variate']}. The file holds rows "
            "of training: new ones are held against them.\n"
        )
