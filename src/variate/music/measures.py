r"""How good a model of music is, beside what knowing nothing gives; all figures are defined here.

Reconstructions, at the posterior's mean, over the symbols of items (steps times voices):

    accuracy_teacher_forced   the likeliest symbol given the true past and the code is the true one
    accuracy_free             so is the symbol of what is written from the code alone (greedily)
    accuracy_free_sampled     and of what is drawn from the code alone
    accuracy_all_hold         what an item of holds would score: most symbols are holds
    note_f1                   of notes that agree in voice, onset and pitch, greedily written
    exact                     the share of items that come back whole, their metre too
    nll_per_step              -log p(x) / steps, importance-weighted, a mean over items, nats (in
                              `examination`: of at most 64 items, evenly spread)

Samples (draws from the prior), as overlaps of histograms. Two samples of one law of as many items
overlap by a little less than 1, since what is in one by chance is not in the other:

    overlap_onsets            of notes in a bar            overlap_pitch_classes   of the degrees
    key_fit, off_beat         of samples, and the same of the data (`data_key_fit` …)
    copied                    the share of samples that are, at some pitch, in the training data

A rest that is written in silence counts as the hold that it says.

`off_beat` is the share of notes that begin where no eighth does. The degrees are pitch classes
above the tonic of the key that fits best, since a model is trained in all keys.

Ways between items: `interpolation_monotone`, the share of steps by which the distance to the start
does not fall and that to the end does not rise. All steps of a way that ends where it began count
as none of them: a model whose codes say nothing scores 0.

This module does not know the codec of other kinds, nor reports.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from variate import verbs
from variate.distributions import Sequences
from variate.evaluation import block_of
from variate.models import priors
from variate.music.attributes import NAMES, attributes, key_of
from variate.music.codec import MusicCodec
from variate.music.grid import HOLD, PITCH, REST, at_any_pitch
from variate.music.layout import heard
from variate.music.pieces import STEPS_PER_QUARTER, Piece, bar_of
from variate.music.texture import Texture
from variate.randomness import isolated

__all__ = ["between", "copied", "forced_and_drawn", "likeness", "part_of", "reconstructions"]

WAYS, STEPS = 24, 9

Floats = NDArray[np.float64]


def part_of(codec: MusicCodec, x: Tensor) -> Tensor:
    """Which places of items x are symbols of their steps, bool `[N, 1 + T V]`."""
    voices = codec.voices or 1
    place = torch.arange(codec.length)
    return (place > 0) & (place <= codec.steps_of(x)[:, None] * voices)


def reconstructions(model: Any, codec: MusicCodec, x: Tensor, seed: int) -> dict[str, float]:
    """The figures of reconstructions of x `[N, 1 + T V]`."""
    mean, _ = verbs.encode(model, x)
    counts = part_of(codec, x)
    forced, drawn = forced_and_drawn(model, x, mean, seed)
    drawn = _plain(codec, drawn)
    greedy = _plain(codec, verbs.decode(model, mean, lambda law: law.mode))

    def accuracy(y: Tensor) -> float:
        return float((y == x)[counts].double().mean())

    return {
        "accuracy_teacher_forced": accuracy(forced),
        "accuracy_free": accuracy(greedy),
        "accuracy_free_sampled": accuracy(drawn),
        "accuracy_all_hold": accuracy(torch.full_like(x, HOLD)),
        "note_f1": _note_f1(codec, x, greedy),
        "exact": float((greedy == x).all(1).double().mean()),
    }


@torch.no_grad()
def forced_and_drawn(model: Any, x: Tensor, z: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """The likeliest symbols given the true past, and what is drawn from the code alone."""
    device, weight = verbs.device_of(model), next(model.decoder.parameters())
    forced, drawn, rows = [], [], block_of(model)
    with isolated(seed, device):
        for block, codes in zip(x.split(rows), z.split(rows), strict=True):
            law: Sequences = model.decoder(codes.to(weight)[None])
            forced.append(law.next_logits(block.to(device))[0].argmax(-1).cpu())
            drawn.append(law.sample()[0].cpu())
    return torch.cat(forced), torch.cat(drawn)


def _note_f1(codec: MusicCodec, x: Tensor, y: Tensor) -> float:
    """The F1 of notes: a note of the one is one of the other if voice, onset and pitch agree."""
    true, made = x[:, 1:] >= PITCH, y[:, 1:] >= PITCH
    counts = part_of(codec, x)[:, 1:]
    true, made = true & counts, made & part_of(codec, y)[:, 1:]
    both = (true & made & (x[:, 1:] == y[:, 1:])).sum()
    return float(2 * both / (true.sum() + made.sum()).clamp(min=1))


def likeness(drawn: Sequence[Piece], real: Sequence[Piece]) -> dict[str, float]:
    """How much drawn pieces are like real ones."""
    told = {"": attributes(drawn), "data_": attributes(real)}
    found = {
        "overlap_onsets": _overlap(_onsets(drawn), _onsets(real)),
        "overlap_pitch_classes": _overlap(_degrees(drawn), _degrees(real)),
    }
    for before, pieces in (("", drawn), ("data_", real)):
        found[f"{before}key_fit"] = float(told[before]["key_fit"].mean())
        found[f"{before}off_beat"] = _off_beat(pieces)
        found[f"{before}density"] = float(told[before]["density"].mean())
    return found


def copied(codec: MusicCodec, drawn: Tensor, train: Tensor) -> float:
    """The share of drawn items that training items are, at the same or another pitch."""
    known = set(_signatures(codec, train))
    return float(np.mean([item in known for item in _signatures(codec, _plain(codec, drawn))]))


def _plain(codec: MusicCodec, x: Tensor) -> Tensor:
    """Items x with holds where a model wrote rests in silence, which say the same."""
    symbols = x[:, 1:].unflatten(1, (codec.steps, -1))
    before = F.pad(heard(symbols)[:, :-1], (0, 0, 1, 0), value=PITCH)
    plain = torch.where((symbols == REST) & (before == REST), HOLD, symbols)
    return torch.cat([x[:, :1], plain.flatten(1)], 1)


def _signatures(codec: MusicCodec, x: Tensor) -> list[tuple[int, bytes]]:
    """The metre of each item, and its notes at any pitch."""
    return [
        (meter, at_any_pitch(item))
        for meter, item in zip(x[:, 0].tolist(), codec.voices_of(x), strict=True)
    ]


def between(model: Any, texture: Texture, x: Tensor) -> tuple[float, Floats]:
    """The share of steps that go forward, and the mean distances to both ends `[2, STEPS]`.

    No step of a way goes forward whose ends decode to the same music. Distances are the texture's:
    of voices, shares of symbols that differ.
    """
    pairs = min(WAYS, len(x) // 2)
    ends = x[torch.linspace(0, len(x) - 1, 2 * pairs).long()]  # far apart: neighbours are alike
    mean, _ = verbs.encode(model, ends)
    spherical = isinstance(model.prior, priors.StandardNormal)
    curves = []
    for start, end in zip(mean[:pairs], mean[pairs:], strict=True):
        codes = verbs.way(start, end, STEPS, spherical=spherical)
        way = verbs.decode(model, codes, lambda p: p.mode)
        curves.append([texture.apart(way, item) for item in (way[0], way[-1])])
    found = np.array(curves)  # [pairs, 2, STEPS]
    forward = (np.diff(found[:, 0]) >= -1e-9) & (np.diff(found[:, 1]) <= 1e-9)
    forward &= found[:, 0, -1:] > 1e-9
    return float(forward.mean()), found.mean(0)


# -- histograms -----------------------------------------------------------------------------------


def _overlap(a: Floats, b: Floats) -> float:
    return float(np.minimum(a / (a.sum() or 1.0), b / (b.sum() or 1.0)).sum())


def _onsets(pieces: Sequence[Piece]) -> Floats:
    """How often a bar has 0, 1, … notes."""
    found = np.zeros(256)
    for piece in pieces:
        bar = bar_of(piece.meter)
        counts = np.zeros(max(1, round(piece.quarters / bar)), int)
        for note in piece.notes:
            counts[min(len(counts) - 1, int(note.onset // bar))] += 1
        np.add.at(found, np.minimum(counts, 255), 1)
    return found


def _degrees(pieces: Sequence[Piece]) -> Floats:
    """How long each degree above the tonic sounds, of major and of minor keys."""
    found = np.zeros((2, 12))
    for piece in pieces:
        key = key_of(piece)
        tonic = NAMES.index(key.removesuffix("m"))
        for note in piece.notes:
            found[int(key.endswith("m")), (note.pitch - tonic) % 12] += note.duration
    return found.flatten()


def _off_beat(pieces: Sequence[Piece]) -> float:
    steps = [round(note.onset * STEPS_PER_QUARTER) for piece in pieces for note in piece.notes]
    return sum(step % 2 for step in steps) / max(len(steps), 1)
