r"""Drawn pictures beside real ones, by their features: how far apart, what is wrong or copied.

Real pictures are split at random into two halves of n (one third more is set aside for a classifier
that has to learn from them). With φ the features, what is measured is

    drawn   φ of n draws x ~ p(x|z), z ~ p(z), against the first half: what `sample` gives
    means   φ of the means of p(x|z) of the same sort of codes: what `decode` gives
    real    φ of the second half against the first: the floor, which no model is expected to pass

all of the same n, since the Fréchet distance is too large for small samples. Neighbours are looked
for among the training pictures where these are given, else among the first half, in features too.

**No figure here is an FID or a KID**: those are of Inception's features. These compare models that
are measured with the very same features on the very same pictures, and nothing else.

This module does not know where features come from.
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from variate import verbs
from variate.errors import DataError, DataWarning, OptionError
from variate.evaluation import features as measures
from variate.image.codec import rendered
from variate.image.illustrations import sheet, stacked
from variate.report import Section

__all__ = ["Pool", "Space", "realism", "space_of"]

FEWEST, MOST = 20, 5_000  # pictures of each half
NUMBERS = 1 << 26  # pixels times channels of all that the classifier learns from
BLOCK = 2_048  # pictures whose features are asked for at once
SHOWN, BESIDE = 12, 3  # drawn pictures in the report, and neighbours of each
LISTED = {
    "frechet_distance": ("that of real pictures", "How far means and covariances are apart."),
    "kernel_distance": ("0", "How far the first three moments are apart, without bias."),
    "precision": ("that of real pictures", "The share of them that lie among real pictures."),
    "recall": ("that of real pictures", "The share of real pictures that lie among them."),
    "density": ("1", "How densely they lie where real pictures are."),
    "coverage": ("that of real pictures", "The share of real pictures that have one of them near."),
    "copy_rate": (
        "that of real pictures",
        "The share that is nearer to a training picture than 99 of 100 new pictures are.",
    ),
}

Features = Callable[[Any], Any]
Numbers = NDArray[np.generic]


@dataclass(frozen=True)
class Space:
    """Features, and what is to be said of them.

    Attributes:
        features: Pictures, in the form that the model gives them, to `[N, D]`.
        said: Whose features they are, in a clause.
        notes: Figures about them.
    """

    features: Features
    said: str
    notes: Mapping[str, Any]


@dataclass(frozen=True)
class Pool:
    """Real pictures, as levels `[N, C, H, W]`.

    Attributes:
        real: What drawn ones are held against.
        other: As many, by which the floor is measured.
        train: Those of training, or None.
    """

    real: Tensor
    other: Tensor
    train: Tensor | None


def space_of(
    estimator: Any,
    x: Tensor,
    train: Tensor | None,
    *,
    features: Features | None,
    labels: Any,
    seed: int,
) -> tuple[Space, Pool]:
    """The features to measure by, and the pictures to measure.

    Args:
        estimator: An `ImageVAE`, fitted.
        x: Real pictures that training has not seen.
        train: Those of training, or None.
        features: The caller's own, or None.
        labels: Of the training pictures if these are given, else of x: for a classifier.
        seed: Of the split and the classifier.

    Raises:
        DataError: There are too few pictures, or not a label for each.
        OptionError: Both features and labels are given.

    Warns:
        DataWarning: The classifier is no better than guessing.
    """
    if features is not None and labels is not None:
        raise OptionError(
            "features and labels are both given, and labels are for features of a classifier; "
            "leave one out."
        )
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(x)))
    parts = 3 if features is None and train is None else 2
    half = min(MOST, len(x) // parts)
    if half < FEWEST:
        raise DataError(
            f"{len(x)} pictures are too few to be compared by features, which takes "
            f"{parts * FEWEST} at least and gets worth reading with thousands. Give more."
        )
    pool = Pool(x[order[:half]], x[order[half : 2 * half]], train)
    if features is not None:
        return Space(features, "features that were given", {"features": "given"}), pool
    of = "the training pictures" if train is not None else "the pictures"
    taught = x if train is None else train
    given = np.asarray(labels)
    if given.shape != (len(taught),):
        raise DataError(
            f"labels must be one for each of {of}, {len(taught)}, got the shape "
            f"{list(given.shape)}."
        )
    chosen = order[2 * half :] if train is None else torch.arange(len(taught))
    chosen = chosen[torch.randperm(len(chosen), generator=torch.Generator().manual_seed(seed))]
    chosen = chosen[: max(FEWEST, NUMBERS // x[0].numel())]
    return _learned(estimator, taught[chosen], given[chosen.numpy()], seed), pool


def _learned(estimator: Any, x: Tensor, labels: NDArray[Any], seed: int) -> Space:
    """The features of a classifier, and a warning where it is no better than guessing."""
    learned = measures.classifier_features(_flat(estimator, x), labels, seed=seed)
    guessed = float(np.unique(labels, return_counts=True)[1].max() / len(labels))
    unsure = 2 * np.sqrt(guessed * (1 - guessed) / np.ceil(len(labels) / 10))
    if learned.accuracy <= guessed + unsure:
        warnings.warn(
            f"the classifier whose features are to compare pictures tells {learned.accuracy:.0%} "
            f"of new ones right, and guessing the commonest label would {guessed:.0%}: what its "
            "features say means little. Give more labelled pictures, labels that can be seen, or "
            "features of your own",
            DataWarning,
            stacklevel=2,
        )
    said = (
        f"the last hidden layer of a small classifier that was trained here on {len(x):,} labelled "
        f"pictures ({len(learned.classes)} labels; {learned.accuracy:.0%} of those set apart told "
        f"right, where guessing the commonest would have {guessed:.0%})"
    )
    notes = {
        "features": "classifier",
        "classifier_accuracy": learned.accuracy,
        "classifier_chance": guessed,
    }
    return Space(lambda pictures: learned(_shaped(pictures)), said, notes)


def realism(
    estimator: Any, space: Space, pool: Pool, means: Tensor, *, seed: int
) -> tuple[dict[str, Any], list[Section]]:
    """Figures of drawn pictures beside real ones, and the sections that show them.

    Args:
        estimator: An `ImageVAE`, fitted.
        space: The features.
        pool: The real pictures, n to be held against.
        means: The means of p(x|z) of n codes from the prior, in levels, `[n, C, H, W]`.
        seed: Of the draws.

    Returns:
        `samples`, what is to be said of all, and the same figures in `samples_drawn`,
        `samples_means` and `samples_real`.

    Raises:
        DataError: The features are no finite numbers `[N, D]`, D the same for all.
    """
    count = len(pool.real)
    drawn = verbs.sample(estimator.model_, count, temperature=1.0, seed=seed)
    sets = {"drawn": drawn, "means": means, "real": pool.other}
    found = {name: _features(estimator, space, x) for name, x in sets.items()}
    real = _features(estimator, space, pool.real)
    train = None if pool.train is None else _features(estimator, space, pool.train)
    figures = {name: _measured(real, other, seed) for name, other in found.items()}
    if train is not None:
        for name, other in found.items():
            figures[name] |= _copies(other, train, held_out=real)
    told: dict[str, Any] = {"pictures": count, **space.notes, "comparable_with_published": False}
    among = real if train is None else train
    shown = {
        "What was drawn": (drawn, found["drawn"]), "Means of p(x|z)": (means, found["means"])
    }  # fmt: skip
    neighbours = _beside(shown, pool, among, estimator.codec_.levels)
    sections = [_table(space, figures, count), neighbours]
    return {"samples": told} | {f"samples_{name}": f for name, f in figures.items()}, sections


def _measured(real: Numbers, other: Numbers, seed: int) -> dict[str, float]:
    far = measures.frechet_distance(real, other)
    blocks = min(20, len(real) // 2)
    kernel = measures.kernel_distance(real, other, blocks=blocks, seed=seed)
    both = measures.precision_recall(real, other)
    balls = measures.density_coverage(real, other)
    return {
        "frechet_distance": far.squared,
        "kernel_distance": kernel.squared,
        "kernel_distance_error": kernel.error,
        "precision": both.precision,
        "recall": both.recall,
        "density": balls.density,
        "coverage": balls.coverage,
    }


def _copies(other: Numbers, train: Numbers, *, held_out: Numbers) -> dict[str, float]:
    share = max(0.01, 1 / (len(held_out) + 1))
    copies = measures.copy_rate(other, train, held_out, share=share)
    return {"copy_rate": copies.rate, "copy_chance": copies.chance, "copy_error": copies.error}


def _features(estimator: Any, space: Space, x: Tensor) -> Numbers:
    """The features of pictures in levels, `[N, D]`."""
    parts = []
    for part in x.split(BLOCK):
        found = space.features(estimator.codec_.decode(part))
        array = found.detach().cpu().numpy() if isinstance(found, Tensor) else np.asarray(found)
        if array.ndim < 2 or len(array) != len(part):
            raise DataError(
                f"features of {len(part)} pictures must be [{len(part)}, D], got the shape "
                f"{list(array.shape)}."
            )
        parts.append(array.reshape(len(array), -1))
    return np.concatenate(parts)


def _flat(estimator: Any, x: Tensor) -> Numbers:
    return np.concatenate([_shaped(estimator.codec_.decode(part)) for part in x.split(BLOCK)])


def _shaped(pictures: Any) -> Numbers:
    """Pictures in whatever form as numbers `[N, D]`."""
    stack = np.stack([np.asarray(p) for p in pictures])
    return stack.reshape(len(stack), -1)


# -- a report -------------------------------------------------------------------------------------


def _table(space: Space, figures: Mapping[str, Mapping[str, float]], count: int) -> Section:
    rows = [
        {
            "figure": name.replace("_", " ").capitalize().replace("Frechet", "Fréchet"),
            "drawn": figures["drawn"].get(name),
            "means": figures["means"].get(name),
            "other real pictures": figures["real"].get(name),
            "best": best,
            "meaning": meaning,
        }
        for name, (best, meaning) in LISTED.items()
        if name in figures["drawn"]
    ]
    return Section(
        "Drawn pictures beside real ones",
        f"By {space.said}; {count:,} pictures of each sort against as many real ones. These "
        "figures are not comparable with a published FID or KID, which are of Inception's "
        "features, nor with those of other features or other numbers of pictures. Other real "
        "pictures are the floor: what a set of the very same law scores.\n\n"
        "Draws have the noise of p(x|z), as sample gives them; means have none, are smoother than "
        "any real picture, and show what the codes say. Features see what they were learned for, "
        "and may not see noise, blur or a background: look at the pictures too.",
        table=rows,
    )


def _beside(
    shown: Mapping[str, tuple[Tensor, Numbers]], pool: Pool, among: Numbers, levels: int
) -> Section:
    """Drawn pictures and their features, above their neighbours: some, and those nearest to one."""
    shelf = pool.real if pool.train is None else pool.train
    whose = "the pictures measured on" if pool.train is None else "the training pictures"
    beside, pictures = min(BESIDE, len(among)), []
    for name, (x, features) in shown.items():
        found = measures.nearest_neighbours(features, among, beside)
        order = np.argsort(found.distances[:, 0], kind="stable")
        count = min(SHOWN, len(order))
        spread = order[np.linspace(0, len(order) - 1, count).round().astype(int)]
        for said, which in (("from near to far", spread), ("the nearest of all", order[:count])):
            rows = [x[which], *(shelf[found.indices[which, k]] for k in range(beside))]
            stack = stacked(*(rendered(row, levels) for row in rows))
            caption = f"{name}, {said}, above their {beside} nearest of {whose}."
            pictures.append(sheet(stack, count, caption))
    what = (
        "If a picture of training is repeated, it is among the nearest."
        if pool.train is not None
        else "The training pictures were not given, so this does not show what is copied."
    )
    text = f"By the same features, among {whose}. {what}"
    return Section("Neighbours of drawn pictures", text, pictures=tuple(pictures))
