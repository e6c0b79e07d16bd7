"""What a model makes of pictures that it has not seen: measures, and the sections of a report.

    reconstructions   PSNR and SSIM, side by side
    drawn pictures    with the nearest of the training pictures, if these are given
    the latent space  each dimension, the way between pictures, a map
    the strangest     and where they are strange

This module does not know how a model is trained.
"""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from variate import verbs
from variate.image.codec import rendered
from variate.image.illustrations import map_of_codes, sheet, stacked
from variate.image.measures import likeness, nearest
from variate.image.pictures import heat
from variate.image.pixelwise import unexpected
from variate.models import priors
from variate.randomness import isolated
from variate.records import Evaluation
from variate.report import Section
from variate.steering import along

__all__ = ["examined", "in_bits"]

MEASURED = 500  # reconstructions
MAPPED = 1_500  # pictures on the map
COLUMNS = 12
DRAWN = 48
SHOWN_DIMENSIONS, STEPS, EXTENT = 10, 11, 2.5
SCORED = 200  # among which the strangest are looked for
NEIGHBOURS = 8

Bytes = NDArray[np.uint8]


def examined(
    estimator: Any, x: Tensor, train: Tensor | None, seed: int
) -> tuple[dict[str, Any], list[Section]]:
    """Figures of pictures x `[N, C, H, W]`, and the sections that show them.

    Args:
        estimator: An `ImageVAE`, fitted.
        x: The pictures.
        train: Those of training, or None.
        seed: Of the draws.
    """
    view = _View(estimator, seed)
    some = x[:: max(1, len(x) // MEASURED)][:MEASURED]
    again = view.decoded(verbs.encode(estimator.model_, some)[0])
    figures: dict[str, Any] = likeness(some, again, view.levels)
    sections = [view.drawn(), view.reconstructions(some, again, figures)]
    sections.append(view.dimensions(some[:1]))
    if len(some) > 1:
        sections += [view.ways(some), view.map(x)]
    if estimator._has_density():
        sections.append(view.strangest(some[:SCORED]))
    if train is not None:
        closeness, section = view.neighbours(x, train)
        figures |= closeness
        sections.insert(1, section)
    return figures, sections


def in_bits(evaluation: Evaluation, levels: int) -> Evaluation:
    """An evaluation whose report says its bits per dimension, too."""
    bits, elbo = (evaluation[f"{name}bits_per_dimension"] for name in ("", "elbo_"))
    if bits is None:
        return evaluation
    section = Section(
        "Bits per dimension",
        f"{bits:.4f} by the log-likelihood, {elbo:.4f} by the ELBO: nats per picture, divided by "
        f"log 2 and by the numbers of a picture. Whoever knows nothing needs log₂ {levels} = "
        f"{math.log2(levels):.3g} bits.",
    )
    first, *others = evaluation.report.sections
    report = replace(evaluation.report, sections=(first, section, *others))
    return replace(evaluation, report=report)


class _View:
    """A fitted estimator, and how its pictures are shown."""

    def __init__(self, estimator: Any, seed: int) -> None:
        self.estimator = estimator
        self.model = estimator.model_
        self.levels: int = estimator.codec_.levels
        self.seed = seed

    def means(self, z: Tensor) -> Tensor:
        """The means of p(x|z) of codes `[N, D]`, `[N, C, H, W]`, in levels."""
        return verbs.decode(self.model, z, self.estimator._point)

    def decoded(self, z: Tensor) -> Tensor:
        """These, rounded to levels."""
        return self.means(z).round()

    def shown(self, x: Tensor) -> Bytes:
        """Levels as 8-bit pictures."""
        return rendered(x, self.levels)

    def prior_codes(self, n: int) -> Tensor:
        """N draws from the prior, `[N, D]`."""
        with torch.no_grad(), isolated(self.seed, verbs.device_of(self.model)):
            codes: Tensor = self.model.prior().sample(torch.Size((n,))).double().cpu()
        return codes

    def drawn(self) -> Section:
        """Pictures drawn from the model."""
        means = self.shown(self.means(self.prior_codes(DRAWN)))
        draws = self.shown(verbs.sample(self.model, DRAWN, temperature=1.0, seed=self.seed))
        return Section(
            "Drawn pictures",
            "A code is drawn from the prior. The mean of p(x|z) is what the code says; a draw from "
            "it has the noise of each pixel too, and is what sample gives.",
            pictures=(
                sheet(means, COLUMNS, "Means of p(x|z), z drawn from the prior."),
                sheet(draws, COLUMNS, "Draws from p(x|z)."),
            ),
        )

    def reconstructions(self, x: Tensor, again: Tensor, figures: dict[str, Any]) -> Section:
        """Pictures above what is made of them."""
        count = min(COLUMNS, len(x))
        rows = []
        for start in range(0, min(len(x), 3 * count) - count + 1, count):
            part = slice(start, start + count)
            rows += [self.shown(x[part]), self.shown(again[part])]
        return Section(
            "Reconstructions",
            f"Through the code and back, of pictures that training has not seen: PSNR "
            f"{figures['psnr']:.1f} dB, SSIM {figures['ssim']:.3f}.",
            pictures=(sheet(stacked(*rows), count, "Above each reconstruction its original."),),
        )

    def dimensions(self, x: Tensor) -> Section:
        """Each latent dimension by itself, from one picture on."""
        order = self.estimator.dimensions_by_use()[:SHOWN_DIMENSIONS]
        center = verbs.encode(self.model, x)[0][0].numpy()
        codes = along(center, order, np.linspace(-EXTENT, EXTENT, STEPS))
        names = ", ".join(map(str, order))
        return Section(
            "Latent dimensions",
            pictures=(
                sheet(
                    self.shown(self.means(torch.from_numpy(codes))),
                    STEPS,
                    f"A row for each dimension (from above: {names}), from -{EXTENT} to {EXTENT} "
                    "with all others as the first picture has them; those that say most about "
                    "pictures come first.",
                ),
            ),
        )

    def ways(self, x: Tensor) -> Section:
        """The way from one picture to another."""
        pairs = min(4, len(x) // 2)
        codes = verbs.encode(self.model, x[: 2 * pairs])[0]
        spherical = isinstance(self.model.prior, priors.StandardNormal)
        ways = [
            verbs.way(codes[2 * i], codes[2 * i + 1], STEPS, spherical=spherical)
            for i in range(pairs)
        ]
        caption = "Each row leads from one picture's code to another's."
        return Section(
            "Between pictures",
            pictures=(sheet(self.shown(self.means(torch.cat(ways))), STEPS, caption),),
        )

    def map(self, x: Tensor) -> Section:
        """Where pictures lie in the latent space."""
        some = x[:: max(1, len(x) // MAPPED)][:MAPPED]
        codes = verbs.encode(self.model, some)[0].numpy()
        caption = "Each picture where its code is; where several would cover each other, one."
        return Section("A map", pictures=(map_of_codes(self.shown(some), codes, caption),))

    def strangest(self, x: Tensor) -> Section:
        """The pictures of the lowest log p(x), and where they are strange."""
        scores = verbs.log_likelihood(self.model, x, draws=16, seed=self.seed)
        order = scores.argsort()[: min(COLUMNS, len(x))]
        found = x[order]
        again = self.decoded(verbs.encode(self.model, found)[0])
        maps = heat(unexpected(self.model, found, seed=self.seed))
        return Section(
            "The strangest",
            pictures=(
                sheet(
                    stacked(self.shown(found), self.shown(again), maps),
                    len(order),
                    f"Of {len(x)} pictures those of the lowest log p(x), their reconstructions, "
                    "and where they are less likely than the model expects (dark).",
                ),
            ),
        )

    def neighbours(self, x: Tensor, train: Tensor) -> tuple[dict[str, Any], Section]:
        """Drawn pictures beside the nearest ones of training."""
        means = self.decoded(self.prior_codes(MEASURED))
        own = nearest(means, train, self.levels)
        real = nearest(self.decoded(verbs.encode(self.model, x[:MEASURED])[0]), train, self.levels)
        figures = {
            "drawn_to_training": float(np.median(own.distance)),
            "held_out_to_training": float(np.median(real.distance)),
        }
        shown = min(NEIGHBOURS, len(means))
        pictures = stacked(self.shown(means[:shown]), self.shown(train[own.number[:shown]]))
        return figures, Section(
            "The nearest training pictures",
            f"Drawn pictures (their means) lie {figures['drawn_to_training']:.3f} from the nearest "
            f"training picture, and reconstructions of pictures that training has not seen "
            f"{figures['held_out_to_training']:.3f} (medians of root mean squares, in shares of "
            "the full scale). Were the first much smaller, training pictures would be repeated.",
            pictures=(sheet(pictures, shown, "Below each drawn picture the nearest of training."),),
        )
