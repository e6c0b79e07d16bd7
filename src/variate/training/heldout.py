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
_ITEMS, _BAD = "/items", "/bad"  # names that no term has


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
        self._processes = processes
        self._shared = len(x) >= processes.world  # else every process measures all of them
        self._parts = max(-(-len(x) // part), processes.world if self._shared else 1)

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
            return self._means()
        finally:
            for module, mode in zip(modules, modes, strict=True):
                module.train(mode)

    def _means(self) -> Measured:
        who = self._processes
        mine = range(who.rank, self._parts, who.world) if self._shared else range(self._parts)
        bad = torch.zeros(self._parts, dtype=torch.float64, device=self.x.device)
        sums: dict[str, Tensor] = {"": bad.new_zeros(()), _ITEMS: bad.new_zeros(()), _BAD: bad}
        for part in mine:
            loss = self.loss(part)
            n = len(self.rows(part))
            sums[_ITEMS] += n
            bad[part] = ~torch.isfinite(loss.total)
            for name, term in {"": loss.total, **loss.terms}.items():
                sums[name] = sums.get(name, 0.0) + n * term.detach().double()
        means = self._reduced(sums)
        items, flags = means.pop(_ITEMS), means.pop(_BAD)
        means = {name: value / items for name, value in means.items()}
        figure = -float(means.pop(""))
        terms = {name: v.tolist() if v.ndim else float(v) for name, v in means.items()}
        first = flags.nonzero().flatten().tolist()
        return Measured(figure, terms, first[0] if first else None)

    def _reduced(self, sums: dict[str, Tensor]) -> dict[str, Tensor]:
        """The sums over all processes, on the CPU."""
        flat = torch.cat([value.reshape(-1) for value in sums.values()])
        if self._shared:
            self._processes.sum(flat)
        self._processes.copy([flat])
        pieces = flat.cpu().split([value.numel() for value in sums.values()])
        return {
            name: piece.reshape(-1) if value.ndim else piece.squeeze(0)
            for (name, value), piece in zip(sums.items(), pieces, strict=True)
        }
