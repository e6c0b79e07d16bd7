"""The figure by which weights are chosen: the objective on items that training does not see.

With V items in parts of n_1, n_2, … items, every term is averaged over items, Σ n_i·term_i / V,
never over parts, and the parts are as equal as can be, so that no small last part is left. The
noise of a part is the same at every validation, so two figures differ by the weights alone; the
moment is the end of all schedules, so figures from a warm-up and from after it can be compared.

Where nothing is held out the same is measured on some training items.

This module does not know which weights the model has at the time.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from variate.inference import Loss, Moment, Objective
from variate.training.noise import Noise
from variate.training.processes import Processes

__all__ = ["HeldOut", "Measured"]

_NOISE = 4


class Measured(NamedTuple):
    """The means over items of what was measured.

    Attributes:
        figure: Minus the objective's total; higher is better.
        terms: The objective's terms.
        bad_part: The first part whose total was not finite, or None.
    """

    figure: float
    terms: dict[str, float | list[float]]
    bad_part: int | None


class HeldOut:
    """Items to measure weights on.

    Args:
        model: Whose weights.
        objective: What is measured.
        x: The items `[V, *event]`, on the device.
        fresh: Whether training does not see them.
        items: How many items training has.
        part: How many items are evaluated at once.
        noise: The run's noise.
        processes: Who shares the work.
    """

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        x: Tensor,
        *,
        fresh: bool,
        items: int,
        part: int,
        noise: Noise,
        processes: Processes,
    ) -> None:
        self.model = model
        self.objective = objective
        self.x = x
        self.fresh = fresh
        self.items = items
        self._noise = noise
        # too few items to share: every process measures all of them
        self._processes = processes if len(x) >= processes.world else None
        self._parts = max(-(-len(x) // part), 1 if self._processes is None else processes.world)

    def rows(self, part: int) -> Tensor:
        """The numbers of the items in a part."""
        return torch.arange(len(self.x)).tensor_split(self._parts)[part]

    @torch.no_grad()
    def loss(self, part: int) -> Loss:
        """The loss of a part, in the mode that the model is in."""
        x = self.x.tensor_split(self._parts)[part]
        with self._noise.at(_NOISE, part):
            return self.objective(self.model, x, Moment(1.0, self.items))

    def measure(self) -> Measured:
        """Measure the weights that the model has now, in evaluation mode."""
        modules = [m for m in (self.model, self.objective) if isinstance(m, nn.Module)]
        modes = [module.training for module in modules]
        for module in modules:
            module.eval()
        try:
            return self._mean(*self._sums())
        finally:
            for module, mode in zip(modules, modes, strict=True):
                module.train(mode)

    def _sums(self) -> tuple[Tensor, list[tuple[str, int]]]:
        """Items times terms, summed over parts, flat; and the names and sizes of the terms.

        First the number of items, then for each part whether its total is not finite.
        """
        rank, world = (
            (0, 1)
            if self._processes is None
            else (
                self._processes.rank,
                self._processes.world,
            )
        )
        sums: list[Tensor] = []
        names: list[tuple[str, int]] = []
        bad = torch.zeros(self._parts, dtype=torch.float64, device=self.x.device)
        for part in range(rank, self._parts, world):
            loss = self.loss(part)
            terms = {"": loss.total, **loss.terms}
            names = [(name, term.numel() if term.ndim else 0) for name, term in terms.items()]
            flat = torch.cat([term.detach().double().reshape(-1) for term in terms.values()])
            n = len(self.rows(part))
            sums.append(torch.cat([flat.new_ones(1), flat]) * n)
            bad[part] = (~torch.isfinite(loss.total)).double()
        total = torch.cat([torch.stack(sums).sum(0), bad])
        if self._processes is not None:
            self._processes.sum(total)
        return total, names

    def _mean(self, total: Tensor, names: list[tuple[str, int]]) -> Measured:
        values = total.tolist()
        bad = [part for part, flag in enumerate(values[len(values) - self._parts :]) if flag]
        means = [value / values[0] for value in values[1 : len(values) - self._parts]]
        terms: dict[str, float | list[float]] = {}
        at = 0
        for name, size in names:
            terms[name] = means[at : at + size] if size else means[at]
            at += max(size, 1)
        figure = terms.pop("")
        assert isinstance(figure, float)
        return Measured(-figure, terms, bad[0] if bad else None)
