"""One step of descent that never waits for the device.

    g  <- ∇ total                     averaged over the processes
    n   = ‖g‖                         over all parameters, on the device
    g  <- g / max(1, n / clip)        clipping scales, it never skips: it cannot dead-lock
    θ  <- AdamW(θ, g, η)              Loshchilov & Hutter 2019; only where n is finite

With `skip`, a step whose norm is more than so many times the usual changes nothing either, as
VDVAE's does (Child 2021). What is usual is the geometric mean of the norms so far, of the last
hundred or so, those of refused steps among them:

    log u  <- log u + (log n - log u) / 100

A threshold that is a number locks for ever once norms stay above it. This one cannot: norms that
stay r times above u are usual after 100 log(log r / log skip) steps at most.

The two lines of clipping and AdamW are one call of torch's fused kernel, which takes the divisor
as `grad_scale` and, where `found_inf` is 1, leaves parameters and moments alone. It is called as
`torch.optim.AdamW` does inside: with one step counter for all parameters in place of one for each,
a step of a small network takes a tenth less time. Tests pin the agreement with `torch.optim.AdamW`
and the refusal. The norms of the last `WINDOW` steps stay on the device until somebody asks which
of them were not finite.

Moments of a weight whose gradient has become zero, that of a dead unit for one, decay and then stay
at the smallest numbers there are: 0.9 of those rounds to themselves. Processors take many times as
long for such denormal numbers, so that after a thousand steps a third of a step's time can go into
them. On a CPU, moments that `_EPS` drowns are made zero now and then, which moves no weight.

An objective with a critic returns a second loss. Then the critic's loss alone moves the objective's
parameters, and the total alone the model's; both gradients are taken before either is used.

This module does not know the model, the objective, nor what to do about a gradient that is not
finite. The fused kernel exists for real parameters on the CPU and on CUDA devices.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from variate.inference import Loss
from variate.training.processes import Processes

__all__ = ["WINDOW", "Descent"]

WINDOW = 50
_BETAS = (0.9, 0.999)
_CRITIC_BETAS = (0.5, 0.9)  # Kim & Mnih 2018: what a critic has to learn moves
_EPS = 1e-8
_SHARE = 0.01  # of a new norm in what is usual, once there were 100
_LEAST = 20  # norms, before any is called unusual
# Moments, first and second, that move nothing beside _EPS: in WINDOW steps, what is larger comes
# nowhere near a denormal number.
_FAINT = (1e-20, 1e-30)


class _Group:
    """Parameters of one dtype and one weight decay, with their moments."""

    def __init__(self, parameters: list[nn.Parameter], weight_decay: float) -> None:
        self.parameters = parameters
        self.weight_decay = weight_decay
        keep = torch.preserve_format
        self.means = [torch.zeros_like(p, memory_format=keep) for p in parameters]
        self.squares = [torch.zeros_like(p, memory_format=keep) for p in parameters]

    def step(
        self,
        rate: float | Tensor,
        betas: tuple[float, float],
        *,
        count: Tensor,
        scale: Tensor,
        bad: Tensor,
    ) -> None:
        """Move the parameters that have a gradient."""
        used = [
            (p, p.grad, mean, square)
            for p, mean, square in zip(self.parameters, self.means, self.squares, strict=True)
            if p.grad is not None
        ]
        if not used:
            return
        parameters, grads, means, squares = zip(*used, strict=True)
        torch._fused_adamw_(
            parameters,
            grads,
            means,
            squares,
            [],
            [count] * len(used),
            lr=rate,
            beta1=betas[0],
            beta2=betas[1],
            weight_decay=self.weight_decay,
            eps=_EPS,
            amsgrad=False,
            maximize=False,
            grad_scale=scale,
            found_inf=bad,
        )

    @torch.no_grad()
    def clear(self) -> None:
        """Make moments zero that are too small to move a weight."""
        for moments, faint in zip((self.means, self.squares), _FAINT, strict=True):
            for moment in moments:
                moment.masked_fill_(moment.abs() < faint, 0.0)


class _Usual:
    """What norms are usual, on the device."""

    def __init__(self, device: torch.device) -> None:
        self.log_norm = torch.zeros((), device=device)
        self.seen = torch.zeros((), device=device)

    def exceeded(self, norm: Tensor, times: float) -> Tensor:
        """1 where the norm is more than so many times the usual; takes it into the mean."""
        log_norm = norm.clamp_min(torch.finfo(norm.dtype).tiny).log()
        far = (log_norm - self.log_norm > math.log(times)) & (self.seen >= _LEAST)
        finite = log_norm.isfinite()
        self.seen += finite
        share = self.seen.clamp_min(1.0).reciprocal().clamp_min(_SHARE)
        moved = torch.lerp(self.log_norm, log_norm, share)
        self.log_norm.copy_(torch.where(finite, moved, self.log_norm))
        return far.to(norm.dtype)


class _AdamW:
    """AdamW over some parameters, with clipping and the refusal of what is not finite."""

    def __init__(
        self,
        parameters: Sequence[nn.Parameter],
        betas: tuple[float, float],
        weight_decay: float,
        clip: float | None,
        skip: float | None,
    ) -> None:
        self.parameters = list(parameters)
        self._betas = betas
        sorts: dict[tuple[torch.dtype, float], list[nn.Parameter]] = {}
        for p in self.parameters:
            sorts.setdefault((p.dtype, weight_decay if p.ndim >= 2 else 0.0), []).append(p)
        self._groups = [_Group(some, decay) for (_, decay), some in sorts.items()]
        self._clip = float("inf") if clip is None else clip
        device = self.parameters[0].device
        self._count = torch.zeros((), device=device)
        self._scale = torch.ones((), device=device)
        self._bad = torch.zeros((), device=device)
        self._norm = torch.zeros((), device=device)
        self._norms = torch.zeros(WINDOW, device=device)
        self._slots = self._norms.unbind()
        self._skip = skip
        self._usual = None if skip is None else _Usual(device)

    @torch.no_grad()
    def step(self, rate: float | Tensor) -> None:
        """Use up the gradients that the parameters hold."""
        grads = [p.grad for p in self.parameters if p.grad is not None]
        norm = self._norm.zero_()
        if not grads:
            return
        norm.copy_(torch.linalg.vector_norm(torch.stack(torch._foreach_norm(grads))))
        torch.ne(norm - norm, 0.0, out=self._bad)  # 1 where the norm is NaN or infinite
        if self._usual is not None and self._skip is not None:
            self._bad.add_(self._usual.exceeded(norm, self._skip)).clamp_(max=1.0)
        torch.clamp_min(norm / self._clip, 1.0, out=self._scale)
        self._count += 1.0
        for group in self._groups:
            group.step(rate, self._betas, count=self._count, scale=self._scale, bad=self._bad)
        self._count -= self._bad
        for p in self.parameters:
            p.grad = None

    def remember(self, slot: int) -> None:
        """Keep the norm of the last step; on a CPU, clear faint moments at the last slot."""
        self._slots[slot].copy_(self._norm)
        if slot == WINDOW - 1 and self._norm.device.type == "cpu":
            for group in self._groups:
                group.clear()

    def norms(self) -> list[float]:
        """The norms by slot; waits for the device."""
        values: list[float] = self._norms.tolist()
        return values

    def tensors(self, name: str) -> dict[str, Tensor]:
        """The live tensors that a checkpoint must hold."""
        state = {f"{name}/count": self._count, f"{name}/norms": self._norms}
        if self._usual is not None:
            state |= {f"{name}/usual": self._usual.log_norm, f"{name}/seen": self._usual.seen}
        for i, group in enumerate(self._groups):
            state |= {f"{name}/{i}/mean/{k}": mean for k, mean in enumerate(group.means)}
            state |= {f"{name}/{i}/square/{k}": square for k, square in enumerate(group.squares)}
        return state


class Descent:
    """Moves parameters down the gradient of a loss.

    Args:
        parameters: What the total moves.
        critic: What the critic's loss moves; empty if there is no critic.
        weight_decay: Decoupled decay of the parameters with two dimensions or more.
        clip: The largest norm of a gradient, or None.
        skip: A norm this many times the usual is refused; None for no such rule.
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
        skip: float | None = None,
    ) -> None:
        self._main = _AdamW(parameters, _BETAS, weight_decay, clip, skip)
        critics = (_CRITIC_BETAS, weight_decay, clip, skip)
        self._critic = _AdamW(critic, *critics) if critic else None
        self._parts = [part for part in (self._main, self._critic) if part is not None]
        self._processes = processes
        self.weight_decay = weight_decay
        self.clip = clip
        self.skip = skip

    def step(self, loss: Loss, rate: float | Tensor) -> None:
        """Take the gradients of a loss and use them at the learning rate `rate`."""
        if self._critic is None:
            loss.total.backward()
        else:
            loss.total.backward(inputs=self._main.parameters, retain_graph=True)
            if loss.critic is not None:
                loss.critic.backward(inputs=self._critic.parameters)
        if self._processes.world > 1:
            self._processes.average_gradients([p for part in self._parts for p in part.parameters])
        for part in self._parts:
            part.step(rate)

    def remember(self, step: int) -> None:
        """Keep the norm of the gradient, which was that of `step`."""
        for part in self._parts:
            part.remember(step % WINDOW)

    def bad_steps(self, first: int, after: int) -> list[int]:
        """Which of the steps first, …, after - 1 (at most `WINDOW`) had a gradient not finite."""
        parts = [part.norms() for part in self._parts]
        return [
            step
            for step in range(first, after)
            if not all(abs(norms[step % WINDOW]) < float("inf") for norms in parts)
        ]

    def tensors(self) -> dict[str, Tensor]:
        """The live tensors that a checkpoint must hold."""
        main = self._main.tensors("descent")
        return main if self._critic is None else main | self._critic.tensors("critic")
