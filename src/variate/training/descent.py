"""One step of descent that never waits for the device.

    g  <- ∇ total                     averaged over the processes
    n   = ‖g‖                         over all parameters, on the device
    g  <- g / max(1, n / clip)        clipping scales, it never skips: it cannot dead-lock
    θ  <- AdamW(θ, g, η)              Loshchilov & Hutter 2019; only where n is finite

The last two lines happen inside torch's fused kernel, which takes the divisor as `grad_scale` and,
where `found_inf` is 1, leaves parameters, moments and its own step counter alone. These are the
hooks of torch's gradient scaler, semi-private, and tests pin what they do. The norms of the last
`WINDOW` steps stay on the device until somebody asks which of them were not finite.

An objective with a critic returns a second loss. Then the critic's loss alone moves the objective's
parameters, and the total alone the model's; both gradients are taken before either is used.

This module does not know the model, the objective, nor what to do about a gradient that is not
finite. The fused kernel exists for real parameters on the CPU and on CUDA devices.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from variate.inference import Loss
from variate.training.processes import Processes

__all__ = ["WINDOW", "Descent"]

WINDOW = 50


class _AdamW:
    """AdamW over some parameters, with clipping and the refusal of what is not finite."""

    def __init__(
        self, parameters: Sequence[nn.Parameter], weight_decay: float, clip: float | None
    ) -> None:
        self.parameters = list(parameters)
        device = self.parameters[0].device
        matrices = [p for p in self.parameters if p.ndim >= 2]
        others = [p for p in self.parameters if p.ndim < 2]
        groups = [
            {"params": some, "weight_decay": decay}
            for some, decay in ((matrices, weight_decay), (others, 0.0))
            if some
        ]
        if weight_decay == 0.0:
            groups = [{"params": self.parameters, "weight_decay": 0.0}]
        self._adamw = torch.optim.AdamW(groups, lr=0.0, fused=True)
        for p in self.parameters:
            self._adamw.state[p] = {
                "step": torch.zeros((), device=device),
                "exp_avg": torch.zeros_like(p, memory_format=torch.preserve_format),
                "exp_avg_sq": torch.zeros_like(p, memory_format=torch.preserve_format),
            }
        self._clip = clip
        self._zero = torch.zeros((), device=device)
        self._scale = torch.ones((), device=device)
        self._bad = torch.zeros((), device=device)
        self._norms = torch.zeros(WINDOW, device=device)
        self._slots = self._norms.unbind()
        self._adamw.found_inf = self._bad  # type: ignore[attr-defined]
        self._adamw.grad_scale = None if clip is None else self._scale  # type: ignore[attr-defined]

    @torch.no_grad()
    def step(self, rate: float, slot: int) -> None:
        """Use up the gradients that the parameters hold."""
        grads = [p.grad for p in self.parameters if p.grad is not None]
        norm = torch.linalg.vector_norm(
            torch.stack(torch._foreach_norm(grads)), dtype=torch.float32, out=self._slots[slot]
        )
        torch.ne(norm - norm, self._zero, out=self._bad)  # 1 where the norm is NaN or infinite
        if self._clip is not None:
            torch.clamp_min(norm / self._clip, 1.0, out=self._scale)
        for group in self._adamw.param_groups:
            group["lr"] = rate
        self._adamw.step()
        for p in self.parameters:
            p.grad = None

    def norms(self) -> list[float]:
        """The norms by slot; waits for the device."""
        values: list[float] = self._norms.tolist()
        return values

    def tensors(self, name: str) -> dict[str, Tensor]:
        """The live tensors that a checkpoint must hold."""
        state = {
            f"{name}/{i}/{key}": value
            for i, p in enumerate(self.parameters)
            for key, value in self._adamw.state[p].items()
        }
        return state | {f"{name}/norms": self._norms}


class Descent:
    """Moves parameters down the gradient of a loss.

    Args:
        parameters: What the total moves.
        critic: What the critic's loss moves; empty if there is no critic.
        weight_decay: Decoupled decay of the parameters with two dimensions or more.
        clip: The largest norm of a gradient, or None.
        processes: Whose gradients are averaged.
    """

    def __init__(
        self,
        parameters: Sequence[nn.Parameter],
        critic: Sequence[nn.Parameter],
        *,
        weight_decay: float,
        clip: float | None,
        processes: Processes,
    ) -> None:
        self._main = _AdamW(parameters, weight_decay, clip)
        self._critic = _AdamW(critic, weight_decay, clip) if critic else None
        self._processes = processes
        self.weight_decay = weight_decay
        self.clip = clip

    def step(self, loss: Loss, rate: float, step: int) -> None:
        """Take the gradients of the loss of `step` and use them at the learning rate `rate`."""
        if self._critic is None:
            loss.total.backward()
        else:
            loss.total.backward(inputs=self._main.parameters, retain_graph=True)
            if loss.critic is not None:
                loss.critic.backward(inputs=self._critic.parameters)
        used = [part for part in (self._main, self._critic) if part is not None]
        if self._processes.world > 1:
            self._processes.average_gradients([p for part in used for p in part.parameters])
        for part in used:
            part.step(rate, step % WINDOW)

    def bad_steps(self, first: int, after: int) -> list[int]:
        """Which of the steps first, …, after - 1 (at most `WINDOW`) had a gradient not finite."""
        parts = [part.norms() for part in (self._main, self._critic) if part is not None]
        return [
            step
            for step in range(first, after)
            if not all(abs(norms[step % WINDOW]) < float("inf") for norms in parts)
        ]

    def tensors(self) -> dict[str, Tensor]:
        """The live tensors that a checkpoint must hold."""
        main = self._main.tensors("descent")
        return main if self._critic is None else main | self._critic.tensors("critic")
