"""MusicVAE: melodies, music of several voices, and of any number of notes at once.

The generative model, for an item x of T' symbols and a code z:

    z ~ p(z)      x ~ p(x|z) = Π_i p(x_i | x_<i, z)

from the top down at each step, so that the law of a chord is joint over its notes; all symbols that
the rules forbid have probability zero. log p(x) is in nats per item. What symbols an item has is
its texture's to say (`texture`): voices of single notes, or tracks.

This module does not know files' formats (see `reading`), nor how training works.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
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
from variate.music.adapting import adapted
from variate.music.attributes import attributes
from variate.music.chain import Chain
from variate.music.codec import MOST_BARS, MOST_VOICES
from variate.music.continuing import lengthened
from variate.music.editing import accompanied, rewritten
from variate.music.examination import examined
from variate.music.intake import made_ready
from variate.music.items import MusicItems
from variate.music.layout import expect_parts, spans_of
from variate.music.pieces import Piece
from variate.music.presets import Preset, dimensions, expect_preset, free_nats
from variate.music.records import Rewritten
from variate.music.sliders import Sliders
from variate.music.targets import drawn_given, parsed
from variate.music.texture import Sizes, Texture
from variate.music.textures import AnyMusic, expect_tracks, started, texture_of
from variate.music.transposing import expect_transpose
from variate.objectives import GroupFreeBits, WarmUp
from variate.options import expect_seed, finite, part, whole
from variate.preparation import Prepared
from variate.records import Evaluation
from variate.report import Section
from variate.steering import difference, expect_code

__all__ = ["MusicVAE"]

STEPS = 3_000  # of training, by default
BATCH = 128
LAID_OUT = 1_024  # windows whose attributes are laid over the codes


class MusicVAE(Estimator):
    """A variational autoencoder of music.

    Args:
        bars: Of an item; more than two have a code for each two bars, or for each bar if odd.
        voices: 1 for melodies, 4 for chorales …; None chooses from the files.
        tracks: For music of any number of notes at once: 1 for a piano (all tracks as one), so many
            for files that have as many, or names of tracks in the files: `["PIANO"]`.
        preset: What it is to be good at: `vt.music.Sampling()` (None), or `vt.music.Fidelity()` for
            codes that give back what went in.
        transpose: The fewest and the most semitones that music is moved by in training.
        width: Of the symbols' vectors.
        hidden: Of the networks' states.
        dropout: The share of the networks' numbers that training drops.
        latent: Latent dimensions; None chooses by the preset and the size of an item.
        beta: The weight of the KL term, warmed up over the first third; 1 is the ELBO.
        objective: What is maximised instead.
        posterior: q(z|x); None is diagonal.
        prior: p(z); None is standard normal in training, then a mixture fitted to the codes; of
            several parts each given those before it, learned.
        epochs: The budget in passes over the windows; None and no minutes: 3,000 steps.
        minutes: The budget in minutes of wall time.
        batch_size: Windows per step; None is 128.
        learning_rate: The peak of the schedule.
        seed: Of everything random in training.
        device: "cpu", "cuda" …; None takes a GPU when there is one.
        precision: "float32", "bfloat16" or "auto".
        verbose: Show progress on standard error.

    Attributes:
        model_: The `vt.VAE`.
        codec_: The bars, the voices or tracks, the metres and the range.
        extraction_: What became of the files: `print(model.extraction_)`.
        facts_: What it was trained on, and the figures on held-out pieces, in nats per item.
        history_: The validations, in order.
        latent_: The number of latent dimensions.

    Examples:
        >>> from variate.music import MusicVAE, Note, Piece
        >>> def tune(i):
        ...     return Piece((tuple(Note(t / 2, 0.5, 60 + t * i % 9) for t in range(8)),), bars=1)
        >>> model = MusicVAE(bars=1, hidden=16, latent=2, epochs=1).fit([*map(tune, range(8))])
        >>> len(model.sample(3, seed=0))
        3
    """

    kind = "music"
    codec = AnyMusic
    codec_: Any

    def __init__(  # noqa: PLR0913 - the signature is the configuration
        self,
        *,
        bars: int = 2,
        voices: int | None = None,
        tracks: Any = None,
        preset: Any = None,
        transpose: tuple[int, int] = (-5, 6),
        width: int = 48,
        hidden: int = 128,
        dropout: float = 0.1,
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
        self.bars = bars
        self.voices = voices
        self.tracks = tracks
        self.preset = preset
        self.transpose = transpose
        self.width = width
        self.hidden = hidden
        self.dropout = dropout
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
        for name in ("bars", "voices", "width", "hidden"):
            whole(name, getattr(self, name))
        for name, most in (("bars", MOST_BARS), ("voices", MOST_VOICES)):
            if (getattr(self, name) or 0) > most:
                raise OptionError(f"{name} must be at most {most}, got {getattr(self, name)}.")
        part("dropout", self.dropout)
        expect_preset(self.preset)
        expect_transpose(self.transpose)

    @property
    def _preset(self) -> Preset:
        return expect_preset(self.preset)

    @property
    def _texture(self) -> Texture:
        return texture_of(self.codec_)

    def _prepare(self, X: Any, scratch: Path) -> Prepared:  # noqa: ARG002 - in memory
        tracks, move = expect_tracks(self.tracks, self.voices), expect_transpose(self.transpose)
        bars, voices = int(self.bars), self.voices and int(self.voices)
        codec, windows = started(bars, voices, tracks, move, X, show=self.verbose)
        self.extraction_ = codec.extraction
        return made_ready(codec, windows, int(self.seed))

    def _rows(self, X: Any) -> Tensor:
        return self.codec_.encode(X)

    def _network(self, codec: Codec, posterior: nn.Module, prior: nn.Module) -> VAE:
        hiding = self._preset.word_dropout
        sizes = Sizes(self._latent(codec), int(self.width), int(self.hidden), self.dropout, hiding)
        return texture_of(codec).network(sizes, posterior, prior)

    def _objective(self) -> Objective:
        if self.objective is not None:
            return self.objective
        free = free_nats(self._preset, self.bars, self._texture.strands)
        return GroupFreeBits(free, beta=WarmUp(self.beta, 1 / 3))

    def _habits(self, rows: int) -> dict[str, Any]:
        batch = min(self.batch_size or BATCH, rows)
        chosen = super()._habits(rows) | {"batch_size": batch}
        if self.epochs is None and self.minutes is None:
            chosen["epochs"] = STEPS * batch / rows
        return chosen

    def _blank(self, codec: Any) -> Tensor:
        blank: Tensor = codec.blank()
        return blank

    def _point(self, likelihood: Distribution) -> Tensor:
        return likelihood.mode

    def _default_prior(self, latent: int) -> nn.Module:
        spans = spans_of(self.bars)
        return Chain(spans, latent // spans) if spans > 1 else priors.Aggregate(latent)

    def _latent(self, codec: Codec) -> int:
        return int(expect_parts(super()._latent(codec), self.bars))

    def _default_latent(self, codec: Codec) -> int:
        return dimensions(self._preset, self.bars, texture_of(codec).strands)

    def _settle(self, prepared: Prepared) -> None:
        some = prepared.example[:LAID_OUT]
        mean, _ = verbs.encode(self.model_, some)
        told = attributes(self.codec_.decode(some))
        self.facts_["sliders"] = Sliders.fit(mean.numpy(), told).state()

    def _measure(self, x: Tensor, seed: int) -> tuple[dict[str, Any], list[Section]]:
        return examined(self, x, None, seed)

    def _draw_given(self, n: int, given: Any, temperature: float, seed: int | None) -> Tensor:
        return drawn_given(self.model_, self.codec_, self.sliders_, n, given,
                           temperature=temperature, seed=seed)  # fmt: skip

    def _items(self, X: Any) -> MusicItems:
        return MusicItems(self, X)

    # -- the verbs of music ---------------------------------------------------------------------

    @property
    def sliders_(self) -> Sliders:
        """How attributes lie over the codes."""
        return Sliders.from_state(self.facts_["sliders"])

    def conditions(self, given: Sequence[str]) -> dict[str, Any]:
        """What `sample` takes as `given`, from the command line's NAME=VALUE.

        Raises:
            OptionError: One is none.
        """
        return parsed(given)

    def evaluate(self, X: Any, *, draws: int = 64, seed: int = 0, train: Any = None) -> Evaluation:
        """Measure the model on music that it has not seen; docs/music.md defines the figures.

        Args:
            X: The music.
            draws: Posterior draws per item for the bounds.
            seed: Of the draws.
            train: The music it was trained on: measures how many drawn items are copies.
        """
        check_is_fitted(self)
        expect_seed(seed)
        x, codec = self._rows(X), self.codec_
        known = None if train is None else codec.symbols(codec.received(train, overlapping=True))
        own = examined(self, x, known, seed, draws=draws)
        return self._evaluation(x, own, draws=draws, seed=seed)

    def score_table(self, X: Any, *, draws: int = 64) -> Any:
        """`score_samples` as a pyarrow table: the piece with its bars, and the score.

        Args:
            X: The music.
            draws: Of the code.
        """
        check_is_fitted(self)
        windows = self.codec_.received(X)
        scores = self.score_samples(windows, draws=draws)
        return pa.table({"music": windows.labels(), "log_likelihood": scores})

    def impute(
        self,
        X: Any,
        *,
        bars: Sequence[int] | None = None,
        voices: Sequence[int] | None = None,
        tracks: Sequence[int] | None = None,
        draws: int = 1,
        temperature: float = 1.0,
        seed: int | None = None,
    ) -> Rewritten:
        """Write some bars, voices or tracks anew, given the rest: `impute(X, bars=[3])`.

        Args:
            X: The music.
            bars: Of each item, counted from 1; None for all (then `voices` is given).
            voices: Counted from 1, the highest first; None for all.
            tracks: Of a model of tracks, the same.
            draws: Pieces to draw of each, beside the likeliest.
            temperature: Below 1: more typical ones.
            seed: Makes the draws repeatable.

        Raises:
            OptionError: There is no such bar, voice or track.
        """
        check_is_fitted(self)
        return rewritten(self, self._rows(X), bars, (voices, tracks), draws=draws,
                         temperature=temperature, seed=seed)  # fmt: skip

    def accompany(
        self, X: Any, *, draws: int = 1, temperature: float = 1.0, seed: int | None = None
    ) -> Rewritten:
        """Write the other voices or tracks to given tunes.

        Args:
            X: Music of one voice or track, or of which the first one counts.
            draws: Pieces to draw of each, beside the likeliest.
            temperature: Below 1: more typical ones.
            seed: Makes the draws repeatable.

        Raises:
            OptionError: The model has one voice or track.
        """
        check_is_fitted(self)
        return accompanied(self, X, draws=draws, temperature=temperature, seed=seed)

    def continued(
        self,
        piece: Piece | str | Path,
        bars: int,
        *,
        temperature: float = 1.0,
        seed: int | None = None,
    ) -> Piece:
        """A piece with so many more bars, each written given those before it.

        Args:
            piece: At least a bar of music, or a file of it.
            bars: How many more.
            temperature: Below 1: more typical ones.
            seed: Makes the draws repeatable.

        Raises:
            OptionError: The model has items of one bar, which nothing goes before.
            DataError: The file cannot be read, or has other voices than the model.
        """
        check_is_fitted(self)
        return lengthened(self, piece, bars, temperature=temperature, seed=seed)

    def direction(self, X: Any, labels: Any = None) -> NDArray[np.float64]:
        """A direction in the latent space, `[D]`; see `move`.

        Args:
            X: An attribute ("density", …), which a step of 1 raises by its standard deviation; or
                music.
            labels: Of music: truth values, one for each item; the direction leads from the middle
                of those without to the middle of those with.

        Raises:
            OptionError: There is no such attribute.
            DataError: The labels are no truth values, or all the same.
        """
        check_is_fitted(self)
        if isinstance(X, str) and labels is None:
            return self.sliders_.direction(X)
        return difference(self.encode(X).mean, labels)

    def move(self, X: Any, direction: Any, strength: float = 1.0) -> list[Piece]:
        """Music with its codes moved.

        Args:
            X: The music.
            direction: `[D]`, from `direction`.
            strength: How far.

        Raises:
            OptionError: The direction or the strength is none.
        """
        towards = expect_code(direction, self.latent_)
        finite("strength", strength)
        moved: list[Piece] = self.decode(self.encode(X).mean + strength * towards)
        return moved

    def adapt(self, X: Any, *, spread: float = 0.5) -> Self:
        """A model whose new music is like a few pieces: its prior is fitted to their codes.

        Args:
            X: The pieces; a handful of windows is enough.
            spread: 0 draws around their codes closely, 1 as widely as the codes are from each
                other.

        Returns:
            Another model; this one stays as it is.
        """
        check_is_fitted(self)
        return adapted(self, X, spread=spread)
