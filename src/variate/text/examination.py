r"""What a model makes of sentences that it has not seen: measures, and the sections of a report.

    health            the code's nats, its mutual information, the language model beside it
    drawn sentences   how varied they are, and with `train` whether they are copies
    reconstructions   accuracy, exact matches, BLEU, chrF
    between           the way from one sentence to another
    the strangest     and which words are strange

Of all sentences measured, in nats per sentence and its end included,

    reconstruction = -E_q log p(x|z) = -ELBO - KL        perplexity = exp(-Σ log p(x) / words)

with log p(x) the importance-weighted bound, and words counted by white space (or by letters, see
`words`), the end of each sentence counted as one, whatever the tokens are.

This module does not know how a model is trained.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from variate import verbs
from variate.evaluation.latent import elbo_surgery
from variate.evaluation.passes import block_of
from variate.models import priors
from variate.randomness import isolated
from variate.report import Section
from variate.text.codeless import Codeless
from variate.text.items import strangest
from variate.text.measures import closeness, distinct, likeness, self_bleu
from variate.text.reading import Texts
from variate.text.rewriting import symbols_of, written
from variate.text.tokenwise import tokenwise
from variate.text.words import word_count

__all__ = ["examined"]

MEASURED = 500  # reconstructions
DRAWN = 200  # sentences, and as many real ones beside them
JUDGED = 100  # of them by self-BLEU, which compares all with all
POINTS = 1_000  # of the mutual information
SHOWN, WAYS, STEPS = 12, 3, 7
SCORED = 200  # among which the strangest are looked for

Row = dict[str, Any]


def examined(
    estimator: Any,
    texts: Texts,
    train: Texts | None,
    codeless: Codeless | None,
    common: Row,
    seed: int,
) -> tuple[Row, list[Section]]:
    """Figures of sentences, and the sections that show them.

    Args:
        estimator: A `TextVAE`, fitted.
        texts: The sentences.
        train: Those of training, or None.
        codeless: What a model without a code makes of them, or None.
        common: The figures that every kind has.
        seed: Of the draws.
    """
    view = _View(estimator, texts, seed)
    figures: Row = {}
    figures |= view.nats(common, codeless)
    figures |= view.accuracy()
    drawn, of_drawn = view.drawn()
    figures |= of_drawn
    sections = [view.health(common, figures), view.sentences(drawn, figures)]
    if train is not None:
        copies, section = view.copies(drawn, train)
        figures |= copies
        sections.append(section)
    sections.append(view.reconstructions(figures))
    if len(texts.items) > 1:
        sections.append(view.ways())
    if estimator._has_density():
        sections.append(view.strange())
    return figures, sections


class _View:
    """A fitted estimator, and the sentences that it is measured on."""

    def __init__(self, estimator: Any, texts: Texts, seed: int) -> None:
        self.estimator = estimator
        self.model = estimator.model_
        self.codec = estimator.codec_
        self.seed = seed
        self.items = list(texts.items)
        self.x: Tensor = self.codec.encode(texts)
        self.some = _spread(len(self.items), MEASURED)
        of_some = self.x[self.some]
        codes = verbs.encode(self.model, of_some)[0]
        self.free = written(estimator, codes, symbols_of(self.codec, of_some))
        self.again: list[str] = self.codec.decode(self.free)

    def decoded(self, z: Tensor) -> list[str]:
        """The likeliest tokens, one after the other, at codes `[N, D]`."""
        found: list[str] = self.codec.decode(verbs.decode(self.model, z, self.estimator._point))
        return found

    def nats(self, common: Row, codeless: Codeless | None) -> Row:
        """Reconstruction, perplexity, mutual information, and the language model's."""
        if common["elbo"] is None:
            return {}
        words = word_count(self.items)
        surgery = elbo_surgery(
            self.model, self.x, points=min(POINTS, len(self.x)), seed=self.seed,
            rows=block_of(self.model),
        )  # fmt: skip
        found = {
            "reconstruction": -common["elbo"] - common["kl"],
            "perplexity": _perplexity(common["log_likelihood"] * len(self.items), words),
            "words": words,
            "mutual_information": surgery.mutual_information,
        }
        if codeless is not None:
            found |= {
                "without_z": codeless.log_likelihood,
                "without_z_perplexity": _perplexity(
                    codeless.log_likelihood * len(self.items), words
                ),
                "gain": common["log_likelihood"] - codeless.log_likelihood,
            }
        return found

    def accuracy(self) -> Row:
        """How much of sentences comes back."""
        x = self.x[self.some]
        told = tokenwise(self.model, x)
        places = told.part.sum()
        return {
            "teacher_forced_accuracy": float(told.right.sum() / places),
            "free_running_accuracy": float(((self.free == x) & told.part).sum() / places),
            **likeness([self.items[i] for i in self.some], self.again),
        }

    def drawn(self) -> tuple[list[str], Row]:
        """Drawn sentences, and how varied they are beside real ones."""
        n = min(DRAWN, len(self.items))
        drawn = self.estimator.sample(DRAWN, seed=self.seed)
        with isolated(self.seed, verbs.device_of(self.model)), torch.no_grad():
            codes = self.model.prior().sample(torch.Size((JUDGED,)))
        real = [self.items[i] for i in _spread(len(self.items), n)]
        found = {
            "distinct_1": distinct(drawn[:n], 1), "real_distinct_1": distinct(real, 1),
            "distinct_2": distinct(drawn[:n], 2), "real_distinct_2": distinct(real, 2),
            "distinct_greedy": len(set(self.decoded(codes))) / len(codes),
        }  # fmt: skip
        judged = min(JUDGED, n)
        if judged > 1:
            found["self_bleu"] = self_bleu(drawn[:judged])
            found["real_self_bleu"] = self_bleu(real[:judged])
        return drawn, found

    def health(self, common: Row, figures: Row) -> Section:
        """Whether the code is used."""
        if common["elbo"] is None:
            return Section("Is the code used?", "A deterministic autoencoder has no such figures.")
        latent = self.estimator.latent_
        active, told = common["active_units"], figures["mutual_information"]
        verdict = (
            "The code is used." if told > min(1.0, math.log(len(self.x)) / 2) and active > 0 else
            "The posterior has collapsed: the decoder does without the code. Give more free nats "
            "(preset=vt.text.Fidelity(), or nats=), hide more words, or train for longer."
        )  # fmt: skip
        rows = [
            {"": "KL", "nats": common["kl"], "means": "what the code costs"},
            {"": "mutual information", "nats": told,
             "means": f"what it tells of a sentence (log N = {math.log(len(self.x)):.1f} at most)"},
            {"": "reconstruction", "nats": figures["reconstruction"],
             "means": "-log p(x|z), z from q(z|x)"},
        ]  # fmt: skip
        beside = (
            " How a language model of the same size does is told by evaluate(X, train=sentences, "
            "without_z=True), which trains one."
        )
        if "without_z" in figures:
            beside, said = "", "a language model of the same size, trained as long"
            gain = f"with the code: {figures['gain']:+.2f} nats"
            rows.append({"": "log p(x) without z", "nats": figures["without_z"], "means": said})
            rows.append({"": "log p(x)", "nats": common["log_likelihood"], "means": gain})
        return Section(
            "Is the code used?",
            f"{verdict} {active} of {latent} dimensions are active; of the likeliest sentences at "
            f"{JUDGED} codes {figures['distinct_greedy']:.0%} are different." + beside,
            table=rows,
        )

    def sentences(self, drawn: Sequence[str], figures: Row) -> Section:
        """Sentences drawn from the model."""
        narrow = self.estimator.sample(SHOWN, seed=self.seed, top_p=0.9)
        beside = ""
        if "self_bleu" in figures:
            beside = (
                f" Self-BLEU {figures['self_bleu']:.1f} (real ones "
                f"{figures['real_self_bleu']:.1f}); different pairs of words "
                f"{figures['distinct_2']:.2f} ({figures['real_distinct_2']:.2f})."
            )
        return Section(
            "Drawn sentences",
            "As the model has them, and of the likeliest tokens that together have 0.9 of the "
            "probability (top_p)." + beside,
            table=_numbered(
                {"drawn": a, "top_p=0.9": b} for a, b in zip(drawn, narrow, strict=False)
            ),
        )

    def copies(self, drawn: Sequence[str], train: Texts) -> tuple[Row, Section]:
        """Drawn sentences beside the nearest ones of training."""
        figures, number, cosine = closeness(drawn, self.items, list(train.items))
        order = (-cosine).argsort()[:SHOWN]
        return dict(figures), Section(
            "The nearest training sentences",
            f"{figures['copied']:.1%} of {len(drawn)} drawn sentences are in the training text as "
            f"they stand ({figures['real_copied']:.1%} of unseen real ones are), and "
            f"{figures['near_copies']:.1%} are nearer to it than 95 % of unseen real ones are: "
            "5 % would be chance. Those nearest to it:",
            table=[
                {
                    "cosine": f"{cosine[i]:.2f}",
                    "drawn": drawn[i],
                    "nearest": train.items[number[i]],
                }
                for i in order
            ],
        )

    def reconstructions(self, figures: Row) -> Section:
        """Sentences beside what is made of them."""
        pairs = [(self.items[i], b) for i, b in zip(self.some, self.again, strict=True)]
        return Section(
            "Reconstructions",
            f"Through the code and back: {figures['exact']:.1%} exactly; BLEU "
            f"{figures['bleu']:.1f}, chrF {figures['chrf']:.1f}; tokens right "
            f"{figures['free_running_accuracy']:.1%} (free-running), and "
            f"{figures['teacher_forced_accuracy']:.1%} where the true ones before are given.",
            table=_numbered({"sentence": a, "reconstruction": b} for a, b in pairs[:SHOWN]),
        )

    def ways(self) -> Section:
        """The way from one sentence to another."""
        pairs = min(WAYS, len(self.items) // 2)
        codes = verbs.encode(self.model, self.x[: 2 * pairs])[0]
        spherical = isinstance(self.model.prior, priors.StandardNormal)
        rows: list[Row] = []
        for i in range(pairs):
            way = verbs.way(codes[2 * i], codes[2 * i + 1], STEPS, spherical=spherical)
            rows.append({"": "from", "sentence": self.items[2 * i]})
            rows += [
                {"": f"{n}/{STEPS - 1}", "sentence": text}
                for n, text in enumerate(self.decoded(way))
            ]
            rows.append({"": "to", "sentence": self.items[2 * i + 1]})
        return Section("Between sentences", table=rows)

    def strange(self) -> Section:
        """The sentences of the lowest log p(x), and which words are strange."""
        x = self.x[:SCORED]
        scores = verbs.log_likelihood(self.model, x, draws=16, seed=self.seed)
        order = scores.argsort()[:SHOWN]
        lines = strangest(self.estimator, x[order])
        return Section(
            "The strangest",
            f"Of {len(x)} sentences those of the lowest log p(x); long ones are among them because "
            "they are long.",
            table=[
                {"log p(x)": f"{scores[i]:.1f}", "sentence": self.items[int(i)], "where": line}
                for i, line in zip(order, lines, strict=True)
            ],
        )


def _spread(count: int, most: int) -> list[int]:
    """Numbers below `count`, evenly spread, and no more than `most`: files are often sorted."""
    kept = min(count, most)
    return [i * count // kept for i in range(kept)]


def _perplexity(nats: float, words: int) -> float | None:
    """Per word, of sentences of so many nats in all; None where it is beyond all numbers."""
    try:
        return math.exp(-nats / words)
    except OverflowError:
        return None


def _numbered(rows: Iterable[Row]) -> list[Row]:
    """Rows that begin with their number: the first column of a table is its heads, and narrow."""
    return [{"": str(n), **row} for n, row in enumerate(rows, start=1)]
