"""Music looked at for anomalies: where the alarms of `variate.alarms` have their reasons from.

An item is strange by what its notes are, given all before them and its code. The reason names the
bar, and of several voices the voice, that has most of the surprise beyond an even share.

This module does not know how an alarm is raised.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from variate import alarms, verbs
from variate.distributions import Sequences
from variate.errors import SchemaError
from variate.evaluation import block_of
from variate.music.windows import Windows

__all__ = ["MusicItems"]


class MusicItems(alarms.Items):
    """Music that is looked at for anomalies; it is read once.

    Args:
        estimator: The model, fitted.
        X: The music.
    """

    def __init__(self, estimator: Any, X: Any) -> None:
        super().__init__(estimator, X)
        self._windows: Windows | None = None

    def parts(self) -> Iterator[Any]:
        """All of it at once: as symbols it is small."""
        if self._windows is None:
            self._windows = self.estimator.codec_.received(self.X)
        yield self._windows

    def look(self, part: Any) -> tuple[Tensor, Mapping[int, str]]:
        """The items; those in a metre or with a pitch that the model does not know are alarms.

        They are scored as silence, which is the score of nothing in particular.
        """
        codec = self.estimator.codec_
        found, certain = [], {}
        for number in range(len(part)):
            try:
                found.append(codec.symbols(part.part([number])))
            except SchemaError as error:
                certain[number] = str(error).partition(";")[0]
                found.append(codec.blank())
        return torch.cat(found), certain

    @torch.no_grad()
    def reasons(
        self, x: Tensor, strange: Sequence[int], normal: NDArray[Any], start: int
    ) -> list[str]:
        """Which bar of each of the strange items is least expected."""
        del normal, start
        model, texture = self.estimator.model_, self.estimator._texture
        chosen, rows = x[np.asarray(strange)], block_of(model)
        mean, _ = verbs.encode(model, chosen)
        found = []
        for items, codes in zip(chosen.split(rows), mean.split(rows), strict=True):
            law: Sequences = model.decoder(codes.to(next(model.decoder.parameters()))[None])
            lost = -law.log_probs(items.to(verbs.device_of(model)))[0].cpu()
            found += [_reason(item, texture.part) for item in texture.lost(lost, items)]
        return found


def _reason(by_bar: Tensor, part: str) -> str:
    """In words: the nats `[bars, parts]` of an item."""
    where = int(by_bar.argmax())
    number, voice = divmod(where, by_bar.shape[1])
    spoken = f", {part} {voice + 1}" if by_bar.shape[1] > 1 else ""
    return (
        f"bar {number + 1}{spoken} is least expected: {float(by_bar.flatten()[where]):.1f} of "
        f"{float(by_bar.sum()):.1f} nats"
    )
