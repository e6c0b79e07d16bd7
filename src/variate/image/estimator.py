"""ImageVAE: pictures, grey, colour or binary.

The generative model, for a picture x of C channels and H x W pixels and a code z of D dimensions:

    z ~ p(z)      x ~ p(x|z), pixels independent given z      q(z|x) = N(mu(x), diag(sigma(x)^2))

The likelihood follows the data: Bernoulli for two levels, a mixture of discretised logistics for
more, whose channels are conditioned on each other; each is normalised over the levels, so that
log p(x) is in nats per picture and -log2 p(x) / (C H W) in bits per dimension.

This module does not know files' formats (see `reading`), nor how training works.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from torch.distributions import Distribution

from variate import verbs
from variate.codec import Codec
from variate.errors import DataError, OptionError
from variate.estimator import Estimator
from variate.image.codec import ImageCodec
from variate.image.examination import examined, in_bits
from variate.image.files import LARGE
from variate.image.inpainting import completions
from variate.image.items import PictureItems
from variate.image.network import decoder_of, encoder_of
from variate.image.pixelwise import unexpected
from variate.image.reading import Pictures
from variate.image.records import Inpainted
from variate.image.sources import affordable, source_of
from variate.models import VAE, priors
from variate.options import at_least, whole
from variate.preparation import Prepared, split
from variate.records import Evaluation
from variate.report import Section
from variate.steering import along, difference, expect_code, told_by

__all__ = ["ImageVAE"]

STEPS = 3_000  # of training, by default
BATCH = 128
EXAMPLE = 2_048  # pictures that a learned prior starts from
TOLD = 512  # pictures by which latent dimensions are put in order
MOST_LATENT, FEWEST_LATENT = 128, 16


class ImageVAE(Estimator):
    """A variational autoencoder of pictures.

    Args:
        size: The side of the pictures, or height and width; None keeps their own if all have the
            same (files: of 8 to 128 pixels a side, else 64). Others are cropped and resized.
        channels: Of files: 1 (grey), 3 (colour) or 4 (with transparency); None follows them.
        levels: Of the pixels of arrays, 2 to 65,536; None follows them.
        binarize: Whether grey pixels are made 0 or 1 by chance, x ~ Bernoulli(grey), anew at each
            step of training: the dynamic binarisation of the literature.
        likelihood: p(x|z), such as `vt.pixels.LogisticMixturePixels(1, 256, components=5)`; None is
            Bernoulli for two levels, else a mixture of discretised logistics.
        width: Channels of the networks' maps at half size.
        depth: Residual blocks of the networks at each size.
        latent: Latent dimensions; None chooses from the size of a picture, 16 to 128.
        beta: The weight of the KL term, warmed up over the first tenth; 1 is the ELBO.
        objective: What is maximised instead, such as `vt.objectives.TotalCorrelation(6.0)`.
        posterior: q(z|x), such as `vt.posteriors.LowRankGaussian(8, rank=2)`; None is diagonal.
        prior: p(z), such as `vt.priors.Vamp(32)`; None is standard normal in training, then a
            mixture fitted to the codes.
        epochs: The budget in passes over the pictures; None and no minutes: 3,000 steps.
        minutes: The budget in minutes of wall time.
        batch_size: Pictures per step; None is 128.
        learning_rate: The peak of the schedule.
        seed: Of everything random in training.
        device: "cpu", "cuda" …; None takes a GPU when there is one.
        precision: "float32", "bfloat16" or "auto".
        verbose: Show progress on standard error.

    Attributes:
        model_: The `vt.VAE`.
        codec_: The size, the channels and the levels.
        facts_: What it was trained on (`skipped` pictures too), and the figures on held-out
            pictures, in nats per picture.
        history_: The validations, in order.
        latent_: The number of latent dimensions.

    Examples:
        >>> import numpy as np
        >>> from variate import ImageVAE
        >>> pictures = np.random.default_rng(0).integers(0, 2, (100, 8, 8)).astype(np.uint8)
        >>> model = ImageVAE(latent=2, width=8, epochs=2).fit(pictures)
        >>> model.sample(3, seed=0).shape
        (3, 8, 8)
        >>> model.score_samples(pictures[:2]).shape
        (2,)
    """

    kind = "image"
    codec = ImageCodec
    codec_: ImageCodec

    def __init__(  # noqa: PLR0913 - the signature is the configuration
        self,
        *,
        size: int | tuple[int, int] | None = None,
        channels: int | None = None,
        levels: int | None = None,
        binarize: bool = False,
        likelihood: Any = None,
        width: int = 32,
        depth: int = 1,
        latent: int | None = None,
        beta: float = 1.0,
        objective: Any = None,
        posterior: Any = None,
        prior: Any = None,
        epochs: int | None = None,
        minutes: float | None = None,
        batch_size: int | None = None,
        learning_rate: float = 1e-3,
        seed: int = 0,
        device: str | None = None,
        precision: str = "float32",
        verbose: bool = False,
    ) -> None:
        self.size = size
        self.channels = channels
        self.levels = levels
        self.binarize = binarize
        self.likelihood = likelihood
        self.width = width
        self.depth = depth
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
        whole("width", self.width)
        whole("depth", self.depth)
        sides = self.size if isinstance(self.size, tuple | list) else (self.size,)
        if len(sides) not in (1, 2):
            raise OptionError(f"size must be a side, or height and width, got {self.size!r}.")
        for side in sides:
            whole("size", side)
        if self.channels not in (None, 1, 3, 4):
            raise OptionError(
                f"channels must be 1 (grey), 3 (colour) or 4 (with transparency), "
                f"got {self.channels!r}."
            )
        whole("levels", self.levels)
        if self.levels is not None and not 2 <= self.levels <= 1 << 16:
            raise OptionError(f"levels must be 2 to 65536, got {self.levels!r}.")

    def _prepare(self, X: Any, scratch: Path) -> Prepared:
        codec = ImageCodec(
            self.size, self.channels, self.levels, binarize=self.binarize, seed=self.seed
        )
        pictures = codec.received(X, scratch=scratch, show=self.verbose)
        codec.learn(pictures)
        x = pictures.x
        if len(x) < 2:
            raise DataError(
                "there is one picture, and a model is fitted to many: hundreds at the least, "
                "thousands to draw new ones that are worth looking at."
            )
        training, validation, held_out = affordable(split(torch.arange(len(x)), self.seed), x)
        levels = pictures.scale.levels if self.binarize else None
        large = x.numel() * x.element_size() > LARGE
        return Prepared(
            codec=codec,
            training=source_of(x, training, levels, large=large),
            example=codec.levelled(x[training[:EXAMPLE]]),
            validation=None if validation is None else codec.levelled(x[validation]),
            held_out=None if held_out is None else codec.levelled(x[held_out]),
            notes={
                "pictures": len(x),
                "picture": [codec.channels, *codec.size],
                "levels": codec.levels,
                **pictures.notes,
            },
        )

    def _rows(self, X: Any) -> Tensor:
        if isinstance(X, Pictures):  # read already, for their names
            return self.codec_.levelled(X.x)
        return self.codec_.encode(X)

    def _network(self, codec: Codec, posterior: nn.Module, prior: nn.Module) -> VAE:
        assert isinstance(codec, ImageCodec)
        encoder = encoder_of(codec, posterior, self.width, self.depth)
        latent = self._latent(codec)
        decoder = decoder_of(codec, self.likelihood, latent, self.width, self.depth)
        return VAE(encoder, decoder, prior)

    def _habits(self, rows: int) -> dict[str, Any]:
        batch = min(self.batch_size or BATCH, rows)
        chosen = super()._habits(rows) | {"batch_size": batch}
        if self.epochs is None and self.minutes is None:
            chosen["epochs"] = STEPS * batch / rows
        return chosen

    def _settle(self, prepared: Prepared) -> None:
        mean, scale = verbs.encode(self.model_, prepared.example[:TOLD])
        self.facts_["nats_per_dimension"] = told_by(mean.numpy(), scale.numpy())

    def _blank(self, codec: Codec) -> Tensor:
        assert isinstance(codec, ImageCodec)
        kind = torch.uint8 if codec.levels <= 256 else torch.int32
        return torch.zeros(1, codec.channels, *codec.size, dtype=kind)

    def _point(self, likelihood: Distribution) -> Tensor:
        return likelihood.mean

    def _default_prior(self, latent: int) -> nn.Module:
        return priors.Aggregate(latent)

    def _default_latent(self, codec: Codec) -> int:
        assert isinstance(codec, ImageCodec)
        numbers = codec.channels * codec.size[0] * codec.size[1]
        return min(MOST_LATENT, max(FEWEST_LATENT, numbers // 24))

    def _figures(self, x: Tensor, *, draws: int, seed: int) -> dict[str, Any]:
        found = super()._figures(x, draws=draws, seed=seed)
        nats = {name: found[name] for name in ("log_likelihood", "elbo")}
        if nats["elbo"] is None:
            return found | {"bits_per_dimension": None, "elbo_bits_per_dimension": None}
        bits = {name: -value / (x[0].numel() * math.log(2)) for name, value in nats.items()}
        return found | {
            "bits_per_dimension": bits["log_likelihood"], "elbo_bits_per_dimension": bits["elbo"]
        }  # fmt: skip

    def _measure(self, x: Tensor, seed: int) -> tuple[dict[str, Any], list[Section]]:
        return examined(self, x, None, seed)

    def _items(self, X: Any) -> PictureItems:
        return PictureItems(self, X)

    # -- the verbs of pictures ------------------------------------------------------------------

    def evaluate(self, X: Any, *, draws: int = 64, seed: int = 0, train: Any = None) -> Evaluation:
        """Measure the model on pictures that it has not seen.

        Args:
            X: The pictures.
            draws: Posterior draws per picture for the bounds.
            seed: Of the draws.
            train: The pictures it was trained on: shows the nearest of them beside drawn ones.

        Returns:
            `elbo`, `log_likelihood`, `kl`, `active_units` in nats per picture,
            `bits_per_dimension`, `elbo_bits_per_dimension`; `psnr` and `ssim` of reconstructions;
            with `train` how near drawn pictures are to it, and how near these are. With a report.
        """
        check_is_fitted(self)
        x = self._rows(X)
        own = examined(self, x, None if train is None else self._rows(train), seed)
        found = self._evaluation(x, own, draws=draws, seed=seed)
        return in_bits(found, self.codec_.levels)

    def score_table(self, X: Any, *, draws: int = 64) -> Any:
        """`score_samples` as a pyarrow table: the picture's name or number, and the score.

        Args:
            X: The pictures.
            draws: Of the code.
        """
        check_is_fitted(self)
        pictures = self.codec_.received(X)
        scores = self.score_samples(pictures, draws=draws)
        return pa.table({"picture": pictures.labels(), "log_likelihood": scores})

    def traverse(
        self,
        X: Any = None,
        *,
        dimensions: Sequence[int] | None = None,
        steps: int = 9,
        extent: float = 2.5,
    ) -> Any:
        """One latent dimension after the other moved from -extent to extent, the others held.

        Args:
            X: The picture to start from; None starts from the code 0.
            dimensions: Which; None takes all, those that say most about pictures first.
            steps: Pictures for each dimension.
            extent: In the units of the code, prior standard deviations of a standard normal.

        Returns:
            len(dimensions) · steps pictures, dimension after dimension.

        Raises:
            OptionError: X is not one picture, or there is no such dimension.
        """
        check_is_fitted(self)
        at_least("steps", steps, 2)
        center = np.zeros(self.latent_) if X is None else self._one(X)
        order = self.dimensions_by_use() if dimensions is None else dimensions
        return self.decode(along(center, order, np.linspace(-extent, extent, steps)))

    def dimensions_by_use(self) -> list[int]:
        """The latent dimensions, those that say most about pictures first."""
        told = self.facts_.get("nats_per_dimension", [0.0] * self.latent_)
        return [int(d) for d in np.argsort(-np.asarray(told), kind="stable")]

    def direction(self, X: Any, labels: Any) -> NDArray[np.float64]:
        """The direction in the latent space from pictures without a label to those with it.

        Args:
            X: The pictures.
            labels: Truth values, one for each.

        Returns:
            The difference of the mean codes, `[D]`; see `move`.

        Raises:
            DataError: The labels are no truth values, or all the same.
        """
        return difference(self.encode(X).mean, labels)

    def move(self, X: Any, direction: Any, strength: float = 1.0) -> Any:
        """Pictures with their codes moved.

        Args:
            X: The pictures.
            direction: `[D]`, from `direction`.
            strength: How far: 1 is from the middle of those without to the middle of those with.
        """
        codes = self.encode(X).mean
        return self.decode(codes + strength * expect_code(direction, self.latent_))

    def impute(self, X: Any, mask: Any, *, draws: int = 1, seed: int | None = None) -> Inpainted:
        """Missing pixels filled, given the others; docs/images.md says how.

        Args:
            X: The pictures; what they hold at missing pixels counts for nothing, but must be
                levels.
            mask: True where a pixel is missing, `[H, W]` for all pictures or `[N, H, W]`.
            draws: Pictures to draw of each, beside the mean.
            seed: Makes the draws repeatable.

        Raises:
            OptionError: The mask has another shape.
        """
        check_is_fitted(self)
        whole("draws", draws)
        x = self._rows(X)
        missing = self._mask(mask, len(x))
        made = completions(self.model_, x, missing, self.codec_.levels, draws=draws, seed=seed)
        return Inpainted(self.codec_.decode(made.mean), [self.codec_.decode(d) for d in made.draws])

    def heat(self, X: Any, *, seed: int = 0) -> NDArray[np.float64]:
        """Where pictures are not as the model expects them, `[N, H, W]`, nats; see docs/images.md.

        Args:
            X: The pictures.
            seed: Of the draws.
        """
        check_is_fitted(self)
        return unexpected(self.model_, self._rows(X), seed=seed)

    def _one(self, X: Any) -> NDArray[np.float64]:
        """The code of the one picture that X must be."""
        codes = self.encode(X).mean
        if len(codes) != 1:
            raise OptionError(f"one picture is wanted here, got {len(codes)}.")
        return codes[0]

    def _mask(self, mask: Any, count: int) -> Tensor:
        given, size = np.asarray(mask), self.codec_.size
        if given.shape not in (size, (count, *size)) or given.dtype != bool:
            raise OptionError(
                f"the mask must be truth values of the shape {list(size)} or "
                f"{[count, *size]} (True: missing), got {given.dtype} {list(given.shape)}."
            )
        return torch.from_numpy(np.broadcast_to(given, (count, *size)).copy())
