r"""Measures of sentences, each defined once.

With x̂ the sentence that comes of the mean code of x by taking the likeliest token at each place:

    teacher-forced accuracy   the share of x's tokens (its end among them) that are the likeliest
                              given z and the *true* tokens before
    free-running accuracy     the share of x's places at which x̂ has x's token
    exact                     the share of sentences with x̂ = x
    BLEU, chrF                of all x̂ against all x, by sacrebleu (0 to 100; chrF2)

The first flatters: a language model without a code has it too. Of drawn sentences, in words (see
`words`):

    distinct-n                different n-grams, as a share of all
    self-BLEU                 the mean of sentence-BLEU-4 of each against all the others: 100 if all
                              are the same
    copied                    the share that is in the training text as it stands
    near copies               the share that is nearer to a training sentence than 95 % of unseen
                              real ones are, by the cosine of their counts of four letters in a row;
                              a model that copies nothing has about .05

Drawn sentences are compared with as many real ones, since the figures depend on how many there are.

This module does not know any model.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variate.errors import MissingExtraError
from variate.text.words import spaced, words

__all__ = ["closeness", "distinct", "expect_measures", "likeness", "self_bleu"]

NEAR = 0.95  # of unseen sentences that are farther from training than a near copy
LETTERS = 4
AT_ONCE = 2048  # sentences
MOST = 2_000  # real sentences whose nearness is looked at
DECIMALS = 9  # of a cosine: a copy is no nearer than another for the rounding of its sum

Floats = NDArray[np.float64]


def likeness(real: Sequence[str], again: Sequence[str]) -> dict[str, float]:
    """How like sentences are to what is made of them: `exact`, `bleu`, `chrf`."""
    package = _sacrebleu()
    same = np.mean([a == b for a, b in zip(real, again, strict=True)])
    made, given = list(map(spaced, again)), [list(map(spaced, real))]
    return {
        "exact": float(same),
        "bleu": float(package.corpus_bleu(made, given).score),
        "chrf": float(package.corpus_chrf(list(again), [list(real)]).score),
    }


def distinct(sentences: Sequence[str], n: int) -> float:
    """Different n-grams of words, as a share of all; 0 if there are none."""
    grams: list[tuple[str, ...]] = []
    for sentence in sentences:
        said = words(sentence)
        grams += [tuple(said[i : i + n]) for i in range(len(said) - n + 1)]
    return len(set(grams)) / len(grams) if grams else 0.0


def self_bleu(sentences: Sequence[str]) -> float:
    """The mean BLEU of each sentence against all the others, 0 to 100."""
    package = _sacrebleu()
    measure = package.metrics.BLEU(effective_order=True, tokenize="none", force=True)
    said = [" ".join(words(sentence)) for sentence in sentences]
    scores = [
        measure.sentence_score(sentence, said[:i] + said[i + 1 :]).score
        for i, sentence in enumerate(said)
    ]
    return float(np.mean(scores))


def closeness(
    drawn: Sequence[str], real: Sequence[str], train: Sequence[str]
) -> tuple[dict[str, float], NDArray[np.int64], Floats]:
    """Whether drawn sentences repeat those of training.

    Args:
        drawn: Drawn sentences.
        real: Sentences that training has not seen.
        train: Those of training.

    Returns:
        `copied` and `near_copies` with the same of the real ones (`real_copied`); which training
        sentence is nearest to each drawn one; and the cosine, `[M]`.
    """
    known = set(train)
    number, cosine = _nearest(drawn, train)
    _, of_real = _nearest(real[:: -(-len(real) // MOST)], train)
    near = float(np.mean(_beyond(cosine, of_real)))
    return (
        {
            "copied": float(np.mean([sentence in known for sentence in drawn])),
            "real_copied": float(np.mean([sentence in known for sentence in real])),
            "near_copies": near,
        },
        number,
        cosine,
    )


def _beyond(cosines: Floats, of_real: Floats) -> Floats:
    """How far each cosine is among the highest 5 % of real ones, 0 to 1; ties are shared out.

    So the mean over the real ones is .05 in any case, and where many of them are copies, cosines
    of 1 still count.
    """
    limit = np.quantile(of_real, NEAR, method="inverted_cdf")
    above, tied = np.mean(of_real > limit), np.mean(of_real == limit)
    part: Floats = (cosines > limit) + (cosines == limit) * (1 - NEAR - above) / tied
    return part


def _nearest(some: Sequence[str], train: Sequence[str]) -> tuple[NDArray[np.int64], Floats]:
    """The nearest training sentence of each, and the cosine; of equals the first."""
    from sklearn.feature_extraction.text import HashingVectorizer

    counted = HashingVectorizer(
        analyzer="char", ngram_range=(LETTERS, LETTERS), alternate_sign=False, lowercase=False
    )
    own = counted.transform(some)
    numbers = np.zeros(len(some), dtype=np.int64)
    cosines = np.full(len(some), -1.0)
    for start in range(0, len(train), AT_ONCE):  # the counts of all at once would fill the memory
        of_train = counted.transform(train[start : start + AT_ONCE])
        for first in range(0, len(some), AT_ONCE):
            products = np.asarray((own[first : first + AT_ONCE] @ of_train.T).toarray())
            best, here = products.argmax(1), slice(first, first + AT_ONCE)
            highest = products.max(1).round(DECIMALS)
            nearer = highest > cosines[here]
            numbers[here] = np.where(nearer, start + best, numbers[here])
            cosines[here] = np.where(nearer, highest, cosines[here])
    return numbers, cosines


def expect_measures() -> None:
    """Find out before training, at the end of which sentences are measured.

    Raises:
        MissingExtraError: The package `sacrebleu` is not installed.
    """
    _sacrebleu()


def _sacrebleu() -> Any:
    try:
        import sacrebleu
    except ImportError as error:
        raise MissingExtraError("Measuring text", "sacrebleu", "text") from error
    return sacrebleu
