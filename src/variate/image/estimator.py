"""ImageVAE: pictures, grey, colour or binary.

The generative model, for a picture x of C channels and H x W pixels and a code z of D dimensions:

    z ~ p(z)      x ~ p(x|z), pixels independent given z      q(z|x) = N(mu(x), diag(sigma(x)^2))

The likelihood follows the data: Bernoulli for two levels, a mixture of discretised logistics for
more, whose channels are conditioned on each other; each is normalised over the levels, so that
log p(x) is in nats per picture and -log2 p(x) / (C H W) in bits per dimension.

This module does not know files' formats (see `reading`), nor how training works.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from torch.distributions import Distribution

from variate.codec import Codec
from variate.estimator import Estimator
from variate.image.codec import ImageCodec
from variate.image.examination import examined, in_bits
from variate.image.inpainting import completions, expect_mask
from variate.image.items import PictureItems
from variate.image.measures import with_bits
from variate.image.network import OneVector, blank_of, default_latent, vae_of
from variate.image.pixelwise import unexpected
from variate.image.preparing import expect_options, prepared
from variate.image.reading import Pictures
from variate.image.records import Inpainted
from variate.inference import Objective
from variate.models import VAE, priors
from variate.options import above_zero, at_least, expect_seed, finite, whole, whole_from
from variate.preparation import Prepared
from variate.records import Evaluation
from variate.report import Section
from variate.steering import along, difference, expect_code, only

__all__ = ["ImageVAE"]

STEPS = 3_000  # of training, by default
BATCH = 128
TOLD = 512  # pictures by which latent dimensions are put in order
ROWS = 64  # of a traversal that names no dimensions


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
        network: What is learned instead of one latent vector: `vt.networks.Hierarchy(...)` or
            `vt.networks.FSQ(...)` and `VQ`, a grid of codes; see docs/images.md.
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
        model_: The `vt.VAE`; of a hierarchy a `vt.NonCentred`.
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
        network: Any = None,
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
        self.network = network
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
        expect_options(self)

    def _prepare(self, X: Any, scratch: Path) -> Prepared:
        return prepared(self, X, scratch)

    def _rows(self, X: Any) -> Tensor:
        if isinstance(X, Pictures):  # read already, for their names
            return self.codec_.levelled(X.x)
        return self.codec_.encode(X)

    def _assemble(self, codec: Codec) -> Any:
        plain = self.network is None
        return super()._assemble(codec) if plain else self.network.assembled(codec, self)

    def _design(self) -> Any:
        return self.network or OneVector()

    def _objective(self) -> Objective:
        return cast("Objective", self.objective or self._design().objective(self.beta))

    def _network(self, codec: Codec, posterior: nn.Module, prior: nn.Module) -> VAE:
        return vae_of(cast("ImageCodec", codec), self, posterior, prior)

    def _habits(self, rows: int) -> dict[str, Any]:
        batch = min(self.batch_size or BATCH, rows)
        chosen = super()._habits(rows) | self._design().habits() | {"batch_size": batch}
        if self.epochs is None and self.minutes is None:
            chosen["epochs"] = STEPS * batch / rows
        return chosen

    def _settle(self, prepared: Prepared) -> None:
        self.facts_ |= self._design().told(self.model_, prepared.example[:TOLD])

    def _draws(self) -> int:
        return int(self._design().draws)

    def _blank(self, codec: Codec) -> Tensor:
        return blank_of(cast("ImageCodec", codec))

    def _point(self, likelihood: Distribution) -> Tensor:
        return likelihood.mean

    def _default_prior(self, latent: int) -> nn.Module:
        return priors.Aggregate(latent)

    def _default_latent(self, codec: Codec) -> int:
        return default_latent(cast("ImageCodec", codec))

    def _figures(self, x: Tensor, *, draws: int, seed: int) -> dict[str, Any]:
        return with_bits(super()._figures(x, draws=draws, seed=seed), x[0].numel())

    def _measure(self, x: Tensor, seed: int) -> tuple[dict[str, Any], list[Section]]:
        return examined(self, x, None, seed)

    def _items(self, X: Any) -> PictureItems:
        return PictureItems(self, X)

    def vary(
        self, X: Any, n: int = 8, *, strength: float = 0.5, keep: int | None = None,
        seed: int | None = None,
    ) -> Any:  # fmt: skip
        """n variations of each picture.

        Args:
            X: The pictures.
            n: Of each.
            strength: By how many prior deviations the code is moved, 0 for the reconstruction; of
                a hierarchy or of discrete codes the share, 0 to 1, that is drawn anew.
            keep: Of a hierarchy: how many of the top groups stay as the picture has them.
            seed: Makes the draws repeatable.

        Raises:
            OptionError: An argument is out of its range.
        """
        whole_from("n", n)
        at_least("strength", strength, 0)
        z = torch.from_numpy(self.encode(X).mean)
        varied = self._design().varied
        return self.decode(varied(self.model_, z, n, strength=strength, keep=keep, seed=seed))

    def decode(self, z: Any) -> Any:
        """The mean of p(x|z), rounded to levels.

        Args:
            z: `[N, D]`; of discrete codes also whole numbers, as `codes` gives them.

        Raises:
            OptionError: z has another shape, or there are no such codes.
        """
        check_is_fitted(self)
        return super().decode(self._design().flat(self.model_, z))

    def codes(self, X: Any) -> NDArray[np.int64]:
        """The discrete codes of pictures, `[N, h, w]`.

        Raises:
            OptionError: The network has none.
        """
        check_is_fitted(self)
        found: NDArray[np.int64] = self._design().codes(self.model_, self._rows(X))
        return found

    # -- the verbs of pictures ------------------------------------------------------------------

    def evaluate(
        self, X: Any, *, draws: int = 64, seed: int = 0, train: Any = None, labels: Any = None,
        features: Any = None,
    ) -> Evaluation:  # fmt: skip
        """Measure the model on pictures that it has not seen; docs/images.md explains the figures.

        Args:
            X: The pictures.
            draws: Posterior draws per picture for the bounds.
            seed: Of the draws.
            train: The pictures it was trained on: shows the nearest of them beside drawn ones.
            labels: Of `train` if that is given, else of X: compares drawn pictures with real ones
                by the features of a classifier that learns them.
            features: For that comparison your own: pictures, as `sample` gives them, to `[N, D]`.

        Returns:
            `elbo`, `log_likelihood`, `kl`, `active_units` in nats per picture,
            `bits_per_dimension`, `elbo_bits_per_dimension`; `psnr` and `ssim` of reconstructions;
            with `train` how near drawn pictures are to it, and how near these are; `samples`, what
            the features tell. With a report.
        """
        check_is_fitted(self)
        expect_seed(seed)
        x, of = self._rows(X), None if train is None else self._rows(train)
        own = examined(self, x, of, seed, features=features, labels=labels)
        return in_bits(self._evaluation(x, own, draws=draws, seed=seed), self.codec_.levels)

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
            dimensions: Which; None takes those that say most about pictures first: all, or 64.
            steps: Pictures for each dimension.
            extent: In the units of the code, prior standard deviations of a standard normal.

        Returns:
            len(dimensions) · steps pictures, dimension after dimension.

        Raises:
            OptionError: X is not one picture, or there is no such dimension.
        """
        check_is_fitted(self)
        self._design().expect_dimensions()
        whole_from("steps", steps, 2)
        above_zero("extent", extent)
        center = np.zeros(self.latent_) if X is None else only(self.encode(X).mean)
        order = self.dimensions_by_use()[:ROWS] if dimensions is None else dimensions
        return self.decode(along(center, order, np.linspace(-extent, extent, steps)))

    def dimensions_by_use(self) -> list[int]:
        """The latent dimensions, those that say most about pictures first; of many the first."""
        return list(self.facts_.get("telling_dimensions", range(self.latent_)))

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
        towards = expect_code(direction, self.latent_)
        finite("strength", strength)
        return self.decode(self.encode(X).mean + strength * towards)

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
        missing = expect_mask(mask, len(x), self.codec_.size)
        walk, levels = self._design().walk, self.codec_.levels
        made = completions(self.model_, x, missing, levels, draws=draws, seed=seed, walk=walk)
        return Inpainted(self.codec_.decode(made.mean), [self.codec_.decode(d) for d in made.draws])

    def heat(self, X: Any, *, seed: int = 0) -> NDArray[np.float64]:
        """Where pictures are not as the model expects them, `[N, H, W]`, nats; see docs/images.md.

        Args:
            X: The pictures.
            seed: Of the draws.
        """
        check_is_fitted(self)
        return unexpected(self.model_, self._rows(X), seed=seed)
