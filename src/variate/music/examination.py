"""What a model of music makes of music that it has not seen: figures, and a report's sections.

The figures are defined in `measures`. This module does not know how a report is laid out.
"""

from typing import Any

import torch
from torch import Tensor

from variate import verbs
from variate.evaluation import block_of, log_evidence
from variate.music import measures
from variate.music.attributes import ATTRIBUTES, attributes
from variate.music.pictures import curves, rolls
from variate.report import Section

__all__ = ["examined"]

MEASURED = 200  # reconstructions
DRAWN = 200
SHOWN = 12
SCORED = 64
DRAWS = 16

SAID = {
    "accuracy_teacher_forced": "symbols that are right, given the true past",
    "accuracy_free": "symbols that are right, from the code, greedily",
    "accuracy_free_sampled": "symbols that are right, from the code, drawn",
    "accuracy_all_hold": "symbols that are right, of an item of holds",
    "onset_f1": "steps at which a track begins a note, F1, greedily",
    "sounding_f1": "keys that are down at a step, F1, greedily",
    "note_f1_sampled": "notes that come back, F1, drawn",
    "note_f1_random": "notes that come back, F1, drawn from the prior: what knowing nothing gives",
    "length_accuracy": "lengths that are right, of notes that come back",
}  # fmt: skip


def examined(
    estimator: Any, x: Tensor, train: Tensor | None, seed: int, *, draws: int = DRAWS
) -> tuple[dict[str, Any], list[Section]]:
    """Figures of items x `[N, T']`, and the sections that show them.

    Args:
        estimator: A `MusicVAE`, fitted.
        x: The items.
        train: Those of training, or None.
        seed: Of the draws.
        draws: Importance draws of `nll_per_step`.
    """
    model, codec, texture = estimator.model_, estimator.codec_, estimator._texture
    some = _spread(x, MEASURED)
    figures: dict[str, Any] = dict(texture.reconstructions(model, some, seed))
    if estimator._has_density():
        few = _spread(some, SCORED)
        rows = max(1, block_of(model) // 2)
        bound = log_evidence(model, few, draws=draws, seed=seed, rows=rows)
        figures["nll_per_step"] = float((-bound / codec.steps_of(few)).mean())
    drawn = verbs.sample(model, DRAWN, temperature=1.0, seed=seed)
    pieces, real = codec.decode(drawn), codec.decode(some)
    figures |= measures.likeness(pieces, real)
    if train is not None:
        figures["copied"] = texture.copied(drawn, train)
        figures["data_copied"] = texture.copied(some, train)
    sections = [_drawn(pieces[:SHOWN], figures), _again(estimator, some, figures)]
    if len(some) > 1:
        forward, distances = measures.between(model, texture, some)
        figures["interpolation_monotone"] = forward
        sections.append(_ways(estimator, some, forward, distances))
    sections.append(_attributes(pieces, real))
    return figures, sections


def _spread(x: Tensor, most: int) -> Tensor:
    """At most so many of the items, from all over."""
    return x[torch.linspace(0, len(x) - 1, min(most, len(x))).long()]


def _drawn(pieces: Any, figures: dict[str, Any]) -> Section:
    copied = figures.get("copied")
    more = "" if copied is None else (
        f" {copied:.1%} of the drawn items are in the training data, at some pitch; of real ones "
        f"that training has not seen {figures['data_copied']:.1%} are."
    )  # fmt: skip
    return Section(
        "Drawn music",
        f"The law of notes in a bar overlaps with the data's by {figures['overlap_onsets']:.0%}, "
        f"that of degrees above the tonic by {figures['overlap_pitch_classes']:.0%}.{more}",
        pictures=(rolls(pieces, "Draws from the model, as piano-rolls."),),
    )


def _again(estimator: Any, x: Tensor, figures: dict[str, Any]) -> Section:
    codec = estimator.codec_
    mean, _ = verbs.encode(estimator.model_, x[:4])
    again = codec.decode(verbs.decode(estimator.model_, mean, estimator._point))
    rows = [{"of music that training has not seen": said, "share": figures[name]}
            for name, said in SAID.items() if name in figures]  # fmt: skip
    return Section(
        "Reconstructions",
        f"Of music that training has not seen: {figures['exact']:.1%} come back whole; the F1 of "
        f"notes is {figures['note_f1']:.3f}.",
        table=rows,
        pictures=(rolls([*codec.decode(x[:4]), *again], "Below each item what comes back."),),
    )


def _ways(estimator: Any, x: Tensor, forward: float, distances: Any) -> Section:
    codec = estimator.codec_
    pieces = codec.decode(x[:2])
    way = estimator.interpolate([pieces[0]], [pieces[1]], steps=8)
    return Section(
        "Between items",
        f"{forward:.0%} of the steps between two items lead away from the one, towards the other.",
        pictures=(
            rolls(way, "From one item to another."),
            curves(distances, "Mean distances to both ends."),
        ),
    )


def _attributes(drawn: Any, real: Any) -> Section:
    made, true = attributes(drawn), attributes(real)
    rows = [
        {"attribute": name, "of drawn music": float(made[name].mean()),
         "of the data": float(true[name].mean()), "spread in the data": float(true[name].std())}
        for name in ATTRIBUTES
    ]  # fmt: skip
    return Section("Attributes", table=rows)
