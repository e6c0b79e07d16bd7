"""MusicVAE: melodies and music of several voices, on the grid of sixteenths.

The generative model, for an item x of a metre and V voices over T steps and a code z:

    z ~ p(z)      x ~ p(x|z) = p(x_0|z) Π_t Π_v p(x_tv | x_<t, x_t1 … x_t(v-1), z)

each voice given those above it, so that the law of a chord is joint over its notes; all symbols
that the grammar forbids have probability zero. log p(x) is in nats per item.

This module does not know files' formats (see `reading`), nor how training works.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.distributions import Distribution

from variate.codec import Codec
from variate.errors import DataError, OptionError
from variate.estimator import Estimator
from variate.inference import Objective
from variate.models import VAE, SequenceDecoder, priors
from variate.music.codec import MOST_BARS, MusicCodec
from variate.music.grid import REST
from variate.music.network import MusicDecoder, MusicEncoder, layout_of
from variate.music.presets import Preset, Sampling, dimensions, free_nats
from variate.music.splitting import split_by_piece
from variate.music.transposing import transposing
from variate.objectives import GroupFreeBits, WarmUp
from variate.options import whole
from variate.preparation import Prepared
from variate.report import Section
from variate.training import AugmentedSource, MemorySource

__all__ = ["MusicVAE"]

STEPS = 3_000  # of training, by default
BATCH = 128
EXAMPLE = 4_096  # windows that a prior is fitted to
BLOCK = 1 << 20  # logits of an item's draw that are looked at at once


class MusicVAE(Estimator):
    """A variational autoencoder of music.

    Args:
        bars: Of an item.
        voices: 1 for melodies, 4 for chorales …; None chooses from the files.
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
        prior: p(z); None is standard normal in training, then a mixture fitted to the codes.
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
        codec_: The bars, the voices, the metres and the range.
        extraction_: What became of the files: `print(model.extraction_)`.
        facts_: What it was trained on, and the figures on held-out pieces, in nats per item.
        history_: The validations, in order.
        latent_: The number of latent dimensions.

    Examples:
        >>> from variate.music import MusicVAE, Note, Piece
        >>> scale = [Note(i / 2, 0.5, 60 + p) for i, p in enumerate([0, 2, 4, 5, 7, 9, 11, 12])]
        >>> pieces = [Piece((tuple(scale[i:] + scale[:i]),), bars=1) for i in range(8)]
        >>> model = MusicVAE(bars=1, hidden=16, width=8, latent=2, epochs=1).fit([pieces[0]])
        >>> len(model.sample(3, seed=0))
        3
    """

    kind = "music"
    codec = MusicCodec
    codec_: MusicCodec

    def __init__(  # noqa: PLR0913 - the signature is the configuration
        self,
        *,
        bars: int = 2,
        voices: int | None = None,
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
        if self.bars > MOST_BARS:
            raise OptionError(f"bars must be at most {MOST_BARS}, got {self.bars}.")
        if self.preset is not None and not isinstance(self.preset, Preset):
            raise OptionError(
                f"preset must be vt.music.Sampling() or vt.music.Fidelity(), got {self.preset!r:.60}."
            )
        down, up = self.transpose
        if not -24 <= down <= 0 <= up <= 24:
            raise OptionError(
                "transpose must be the fewest and the most semitones, -24 to 0 and 0 to 24, got "
                f"{self.transpose!r}; (0, 0) leaves music where it is."
            )

    @property
    def _preset(self) -> Preset:
        return self.preset or Sampling()

    def _prepare(self, X: Any, scratch: Path) -> Prepared:  # noqa: ARG002 - in memory
        codec = MusicCodec(self.bars, self.voices, tuple(self.transpose))
        windows = codec.extracted(X, show=self.verbose)
        codec.learn(windows)
        if len(windows) < 2:
            raise DataError(
                "there is one window of music, and a model is fitted to many: hundreds at the "
                f"least.\n{codec.extraction}"
            )
        self.extraction_ = codec.extraction
        assert self.extraction_ is not None
        x = codec.symbols(windows)
        training, validation, held_out = split_by_piece(windows.pieces, codec.length, self.seed)
        change = transposing(codec)
        some = torch.randperm(len(training), generator=Generator().manual_seed(self.seed))
        example = change(x[training[some[:EXAMPLE]]], Generator().manual_seed(self.seed))
        return Prepared(
            codec=codec,
            training=AugmentedSource(MemorySource(x[training]), change),
            example=example,
            validation=None if validation is None else x[validation],
            held_out=None if held_out is None else x[held_out],
            notes={"pieces": len(windows.names), "extraction": self.extraction_.facts()},
        )

    def _rows(self, X: Any) -> Tensor:
        return self.codec_.encode(X)

    def _network(self, codec: Codec, posterior: nn.Module, prior: nn.Module) -> VAE:
        assert isinstance(codec, MusicCodec)
        latent, hidden = self._latent(codec), self._preset.word_dropout
        layout = layout_of(codec)
        reads = MusicEncoder(layout, self.width, self.hidden, self.dropout)
        writes = MusicDecoder(
            layout, latent, self.width, self.hidden, dropout=self.dropout, word_dropout=hidden
        )
        block = max(4, min(128, BLOCK // (codec.length * codec.size)))
        decoder = SequenceDecoder(
            writes, codec.length, grammar=codec.grammar(), block=block
        )
        return VAE(nn.Sequential(reads, posterior), decoder, prior)

    def _objective(self) -> Objective:
        if self.objective is not None:
            return self.objective
        free = free_nats(self._preset, self.codec_.bars, self.codec_.voices or 1)
        return GroupFreeBits(free, beta=WarmUp(self.beta, 1 / 3))

    def _habits(self, rows: int) -> dict[str, Any]:
        batch = min(self.batch_size or BATCH, rows)
        chosen = super()._habits(rows) | {"batch_size": batch}
        if self.epochs is None and self.minutes is None:
            chosen["epochs"] = STEPS * batch / rows
        return chosen

    def _blank(self, codec: Codec) -> Tensor:
        assert isinstance(codec, MusicCodec)
        x = torch.zeros(1, codec.length, dtype=torch.int64)
        x[:, 0] = codec.first_meter
        x[:, 1 : 1 + (codec.voices or 1)] = REST
        return x

    def _point(self, likelihood: Distribution) -> Tensor:
        return likelihood.mode

    def _default_prior(self, latent: int) -> nn.Module:
        return priors.Aggregate(latent)

    def _default_latent(self, codec: Codec) -> int:
        assert isinstance(codec, MusicCodec)
        return dimensions(self._preset, codec.bars, codec.voices or 1)

    def _measure(self, x: Tensor, seed: int) -> tuple[dict[str, Any], list[Section]]:
        return {}, []
