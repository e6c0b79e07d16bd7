"""Where a NaN or an infinity was born.

The step is computed again, with its own batch and noise, and every operation that torch executes,
forward and backward, is watched. An operation whose result is not finite is recorded together with
those of its inputs that were not finite before it. From the loss, or from a gradient, the records
are followed back; the first operation with finite inputs and a result that is not is the birth. (A
-inf in a mask, or the logarithm of a value that is masked afterwards, does not reach the loss, and
is so not accused.) Data may hold NaN for what is missing, and tensors made from it do too: so an
operation on single elements is a birth as well if any element is not finite whose own inputs were,
and where several inputs were not finite, one that was born is followed before one that came in.
The rows are those of the first tensor on the way whose first or second dimension is the batch.

This costs a few steps' time, once. This module does not know why a value is wrong.
"""

import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from variate.inference import Loss

__all__ = ["Birth", "advice", "trace"]

_TORCH = str(Path(torch.__file__).parent)
_SHOWN_ROWS = 8


@dataclass(frozen=True)
class Birth:
    """Where a value that is not finite came from.

    Attributes:
        what: "the data", "the weight NAME" or "the operation NAME".
        module: The module in whose forward it happened; empty outside of all modules.
        line: The line of code, or empty.
        backward: Whether it happened while the gradient was computed.
        rows: Positions in the batch; empty if they cannot be told.
    """

    what: str
    module: str
    line: str
    backward: bool
    rows: tuple[int, ...]

    def __str__(self) -> str:
        """A phrase, without the rows."""
        phrase = f"in {self.what}"
        if self.module:
            phrase += f" of module '{self.module}'"
        if self.line:
            phrase += f" ({self.line})"
        return phrase + (", while the gradient was computed" if self.backward else "")


@dataclass
class _Record:
    """One storage that is not finite."""

    what: str
    tensor: Tensor  # kept, so that its storage is not used again
    bad: Tensor
    module: str = ""
    line: str = ""
    backward: bool = False
    parents: list["_Record"] = field(default_factory=list)
    came_in: bool = False  # from the data or a weight, at the root


def trace(
    compute: Callable[[], Loss],
    x: Tensor,
    modules: Sequence[tuple[str, nn.Module]],
    *,
    gradient: bool = True,
) -> Birth | None:
    """Compute a loss (and its gradient) again, and find where it stops being finite.

    Args:
        compute: Computes the loss of x with the noise it had.
        x: The batch `[B, *event]`.
        modules: The model and the objective, with the names to give them.
        gradient: Whether to go on with the gradient where the loss is finite.

    Returns:
        The birth, or None if everything is finite this time.
    """
    leaves = {
        f"{name}.{key}": tensor
        for name, module in modules
        for key, tensor in (*module.named_parameters(), *module.named_buffers())
    }
    tracer = _Tracer({"the data": x} | {f"the weight '{k}'": t for k, t in leaves.items()})
    parameters = [tensor for tensor in leaves.values() if tensor.requires_grad]
    with (
        tracer.names(modules),
        torch.autograd.set_detect_anomaly(True, check_nan=False),  # keeps the forward lines
        torch.autograd.set_multithreading_enabled(False),
        torch.compiler.set_stance("force_eager"),
        tracer,
    ):
        ends, found = [], None
        try:
            loss = compute()
            ends = [loss.total] if loss.critic is None else [loss.total, loss.critic]
            found = tracer.first(ends)
        except ValueError:  # a distribution has refused its parameters
            found = tracer.path(tracer.latest)
        if found is None and gradient:
            for end in ends:
                end.backward(retain_graph=True)
            found = tracer.first([p.grad for p in parameters if p.grad is not None])
    for p in parameters:
        p.grad = None
    return None if found is None else _birth(found, len(x))


def advice(birth: Birth) -> str:
    """What a user can do about it."""
    if birth.what == "the data":
        return "repair or remove these rows: training needs finite values"
    return (
        "look at these rows for extreme values; else lower learning_rate or clip, "
        "or bound what this operation gets"
    )


class _Tracer(TorchDispatchMode):
    """Records the storages that are not finite, and what each was made from."""

    def __init__(self, leaves: dict[str, Tensor]) -> None:
        super().__init__()
        self.latest: _Record | None = None
        self._stack: list[str] = []
        self._records = {
            _storage(tensor): _Record(name, tensor, ~torch.isfinite(tensor), came_in=True)
            for name, tensor in leaves.items()
            if _is_bad(tensor)
        }

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Execute an operation and record its results."""
        inputs = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        known = [t for t in inputs if _storage(t) in self._records and _is_bad(t)]
        parents = [self._records[_storage(t)] for t in known]
        masks = [~torch.isfinite(t) for t in known]
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self._note(func, tensor, parents, masks)
        return result

    def _note(self, func: Any, tensor: Tensor, parents: list[_Record], masks: list[Tensor]) -> None:
        place = _storage(tensor)
        if not _is_bad(tensor):
            if func._schema.is_mutable:
                self._records.pop(place, None)
            return
        if place in self._records:
            return
        bad = ~torch.isfinite(tensor)
        if masks and torch.Tag.pointwise in func.tags:
            new = bad & ~torch.stack([mask.expand_as(bad) for mask in masks]).any(0)
            if new.any():
                bad, parents = new, []
        node = torch._C._current_autograd_node()
        self.latest = self._records[place] = _Record(
            what=f"the operation '{func.overloadpacket.__name__}'",
            tensor=tensor,
            bad=bad,
            module="" if node else ".".join(self._stack[-1:]),
            line=_line(node),
            backward=node is not None,
            parents=sorted(parents, key=lambda parent: parent.came_in),
            came_in=bool(parents) and all(parent.came_in for parent in parents),
        )

    def first(self, ends: Sequence[Tensor]) -> list[_Record] | None:
        """The records from the birth to the first of the ends that is not finite."""
        for end in ends:
            if _storage(end) in self._records and _is_bad(end):
                return self.path(self._records[_storage(end)])
        return None

    def path(self, end: _Record | None) -> list[_Record] | None:
        """The records from the birth to `end`."""
        if end is None:
            return None
        path = [end]
        while path[-1].parents:
            path.append(path[-1].parents[0])
        return path[::-1]

    @contextmanager
    def names(self, modules: Sequence[tuple[str, nn.Module]]) -> Iterator[None]:
        """Know, inside this block, which module is being computed."""
        with ExitStack() as hooks:
            for root, module in modules:
                for path, part in module.named_modules():
                    name = f"{root}.{path}" if path else root
                    hooks.callback(part.register_forward_pre_hook(self._enter(name)).remove)
                    hooks.callback(part.register_forward_hook(self._leave).remove)
            yield

    def _enter(self, name: str) -> Callable[..., None]:
        return lambda *_: self._stack.append(name)

    def _leave(self, *_: Any) -> None:
        self._stack.pop()


def _birth(path: list[_Record], items: int) -> Birth:
    born = path[0]
    rows: tuple[int, ...] = ()
    for record in path:
        bad = record.bad
        axis = next((i for i in range(min(2, bad.ndim)) if bad.shape[i] == items), None)
        if axis is not None:
            rows = tuple(bad.movedim(axis, 0).reshape(items, -1).any(1).nonzero()[:, 0].tolist())
            break
    return Birth(born.what, born.module, born.line, born.backward, rows[:_SHOWN_ROWS])


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _is_bad(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and not bool(torch.isfinite(tensor).all())


def _line(node: Any) -> str:
    """The innermost line outside of torch that is being executed, or was for a gradient's node."""
    if node is None:
        ours = (str(Path(__file__)), _TORCH)
        for frame in reversed(traceback.extract_stack()):
            if not frame.filename.startswith(ours):
                return f"{Path(frame.filename).name}, line {frame.lineno}: {frame.line}"
        return ""
    for entry in reversed(node.metadata.get("traceback_") or []):
        if f'"{_TORCH}' not in entry:
            place, _, code = entry.strip().partition("\n")
            file, line, *_ = place.split(", ")
            return f"{Path(file[6:-1]).name}, {line}: {code.strip()}"
    return ""
