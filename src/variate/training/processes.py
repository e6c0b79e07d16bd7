r"""Several processes that train one model, started by `torchrun`.

Each process takes its share of a batch; the gradients are averaged, so all hold the same weights
and take the same decisions: what depends on a clock is decided by the first process and told to the
others, and only the first writes. With equal shares the mean of the processes' mean gradients is
the mean over the whole batch, so the result is that of one process at the same batch.

The gradients travel as one flat tensor in one reduction after the backward pass. torch's
DistributedDataParallel would hide part of that time behind the backward pass; it would also want
the loss inside the `forward` of one module, would fail where an objective leaves a parameter out of
a step or has a second loss, and would broadcast buffers from one process where here the changes of
a buffer in a step are averaged, as the gradients are.

A process that dies makes the others fail within the timeout, and `torchrun` starts all of them
again; with `resume=True` they go on from the checkpoint. The launch line that recovers reliably:

    torchrun --nproc-per-node 2 --max-restarts 3 --rdzv-backend c10d \
             --rdzv-endpoint localhost:29400 script.py

This module does not know what is trained.
"""

import gc
import os
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from variate.errors import CheckpointError, OptionError, OutputError, ProcessError

__all__ = ["Processes", "SharedBuffers", "processes_of", "share"]

_LAUNCH = (
    "torchrun --nproc-per-node {n} --max-restarts 3 --rdzv-backend c10d "
    "--rdzv-endpoint localhost:29400 SCRIPT"
)


@dataclass(frozen=True)
class Processes:
    """Who trains together.

    Attributes:
        rank: This process, 0 to world - 1.
        world: How many there are.
        device: Where this process computes.
        control: Where small numbers are exchanged.
    """

    rank: int
    world: int
    device: torch.device
    control: torch.device

    def average_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace each gradient by its mean over the processes; a missing one counts as zero."""
        for p in parameters:
            if p.grad is None:
                p.grad = torch.zeros_like(p)
        self.average([p.grad for p in parameters if p.grad is not None])

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its mean over the processes, in one reduction per dtype."""
        for dtype in sorted({tensor.dtype for tensor in tensors}, key=str):
            some = [tensor for tensor in tensors if tensor.dtype == dtype]
            flat = torch.cat([tensor.reshape(-1) for tensor in some])
            self.sum(flat)
            flat /= self.world
            pieces = flat.split([tensor.numel() for tensor in some])
            torch._foreach_copy_(
                some, [piece.view(t.shape) for piece, t in zip(pieces, some, strict=True)]
            )

    def sum(self, tensor: Tensor) -> None:
        """Replace the tensor by its sum over the processes."""
        if self.world > 1:
            with _lost_peers():
                dist.all_reduce(tensor)

    @torch.no_grad()
    def copy(self, tensors: Iterable[Tensor]) -> None:
        """Replace the tensors by those of the first process."""
        if self.world > 1:
            for tensor in tensors:
                whole = tensor.contiguous()
                with _lost_peers():
                    dist.broadcast(whole, 0)
                tensor.copy_(whole)

    def agree(self, value: float) -> float:
        """The first process's value, for all."""
        if self.world == 1:
            return value
        told = torch.tensor([value], dtype=torch.float64, device=self.control)
        self.copy([told])
        return float(told)

    def agree_text(self, text: str) -> str:
        """The first process's text, for all."""
        if self.world == 1:
            return text
        coded = text.encode()
        length = int(self.agree(len(coded)))
        if length == 0:
            return ""
        told = torch.zeros(length, dtype=torch.uint8, device=self.control)
        if self.rank == 0:
            told.copy_(torch.frombuffer(bytearray(coded), dtype=torch.uint8))
        self.copy([told])
        return bytes(told.tolist()).decode()

    def raise_alike(self, error: CheckpointError | OutputError | None) -> None:
        """Raise the first process's error in all, so that all go the same way from there.

        Args:
            error: What befell the first process, which is not yet raised; None elsewhere.

        Raises:
            CheckpointError: As the first process says.
            OutputError: As the first process says.
        """
        told = self.agree_text("" if error is None else f"{type(error).__name__}\n{error}")
        if told:
            name, _, text = told.partition("\n")
            raise {kind.__name__: kind for kind in (CheckpointError, OutputError)}[name](text)

    def gather(self, values: Tensor, items: int) -> Tensor:
        """The rows of all processes, `[items, …]` in order, each having given its `share`."""
        whole = values.new_zeros((items, *values.shape[1:]))
        mine = share(items, self.rank, self.world)
        whole[mine.start : mine.stop] = values
        self.sum(whole)
        return whole


class SharedBuffers:
    """The floating-point buffers of modules, kept equal in all processes.

    A buffer that each process moves by its own share of a batch (a running mean, a multiplier) is
    moved by the mean of these moves. One that does not move is not touched, not even by rounding.
    A module that has a method `shared_by(rank, world)` is told who it is among, for moves of which
    a mean makes no sense.

    Args:
        modules: Whose buffers.
        processes: Who shares them; alone, a process does nothing here.
    """

    def __init__(self, modules: Sequence[nn.Module], processes: Processes) -> None:
        self._modules = modules
        self._processes = processes
        self._before: list[Tensor] = []
        for part in {part for module in modules for part in module.modules()}:
            shared_by = getattr(part, "shared_by", None)
            if callable(shared_by):
                shared_by(processes.rank, processes.world)

    def _buffers(self) -> list[Tensor]:
        return [b for module in self._modules for b in module.buffers() if b.is_floating_point()]

    def mark(self) -> None:
        """A step begins."""
        if self._processes.world > 1:
            self._before = [b.detach().clone() for b in self._buffers()]

    @torch.no_grad()
    def settle(self) -> None:
        """The step is over: average what it changed."""
        if self._processes.world > 1 and self._before:
            buffers = self._buffers()
            # An infinity that stays (the logit of a level that is not there) has not moved.
            pairs = zip(buffers, self._before, strict=True)
            moves = [torch.where(b == old, 0.0, b - old) for b, old in pairs]
            self._processes.average(moves)
            for b, old, move in zip(buffers, self._before, moves, strict=True):
                b.copy_(old + move)


def share(items: int, rank: int, world: int) -> range:
    """The rows of one process when `items` rows are dealt in order, as evenly as can be.

    Example:
        >>> [list(share(5, rank, 2)) for rank in range(2)]
        [[0, 1, 2], [3, 4]]
    """
    return range(-(-items * rank // world), -(-items * (rank + 1) // world))


@contextmanager
def processes_of(
    expected: int | None, device: str | torch.device | None, timeout: float
) -> Iterator[Processes]:
    """The processes that `torchrun` started, connected inside this block.

    Args:
        expected: How many there must be, or None for as many as there are.
        device: The device, or None for a GPU if there is one.
        timeout: Seconds after which a silent process counts as lost.

    Raises:
        ProcessError: There are not as many as expected, or they cannot reach each other.
        OptionError: The device does not exist here.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    if dist.is_available() and dist.is_initialized():
        world, rank = dist.get_world_size(), dist.get_rank()
    if expected is not None and expected != world:
        raise ProcessError(
            f"asked for {expected} processes, but {world} "
            f"{'is' if world == 1 else 'are'} running; start the program with: "
            + _LAUNCH.format(n=expected)
        )
    place = _place(device, world)
    if world == 1:
        yield Processes(0, 1, place, place)
        return
    ours = not dist.is_initialized()
    if ours:
        _connect(place, timeout)
    try:
        on_device = dist.get_backend() == "nccl"
        yield Processes(rank, world, place, place if on_device else torch.device("cpu"))
    finally:
        if ours:
            # The group's own threads may still hold tensors of the last exchange. Let go of what
            # refers to those from here, and wait for the threads, while there is an interpreter.
            gc.collect()
            dist.destroy_process_group()
            gc.collect()


def _place(device: str | torch.device | None, world: int) -> torch.device:
    try:
        place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    except RuntimeError:
        raise OptionError(f"device={device!r} is unknown; choose 'cpu' or 'cuda'") from None
    if place.type not in {"cpu", "cuda"}:
        raise OptionError(f"device='{place}' cannot be trained on; choose 'cpu' or 'cuda'")
    if place.type == "cuda":
        if not torch.cuda.is_available():
            raise OptionError(
                f"device='{place}' was asked for, but torch {torch.__version__} sees no CUDA "
                "device; use device='cpu', or install a CUDA build of torch"
            )
        if world > 1:
            place = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
            torch.cuda.set_device(place)
    return place


def _connect(place: torch.device, timeout: float) -> None:
    backend = "gloo" if place.type == "cpu" else "cpu:gloo,cuda:nccl"
    patience = timedelta(seconds=timeout)
    try:
        store, rank, world = next(rendezvous("env://", timeout=patience))
        store = _fresh(store, rank, world, timeout)
        dist.init_process_group(backend, store=store, rank=rank, world_size=world, timeout=patience)
    except (RuntimeError, ValueError) as error:
        raise ProcessError(
            f"this is process {os.environ.get('RANK', '?')} of {os.environ['WORLD_SIZE']}, but the "
            f"others could not be reached in {timeout:g} seconds ({error}); start all of them "
            "with: " + _LAUNCH.format(n=os.environ["WORLD_SIZE"])
        ) from error


def _fresh(store: Store, rank: int, world: int, timeout: float) -> Store:
    """A part of the store that belongs to the present life of the processes alone.

    After a restart torchrun's store still holds the addresses of the processes that died, and
    whoever reads them waits for a dead process. So the first process names the life, each other
    one writes its own new name into it, and goes on only when the first has read that name.
    """
    me = uuid.uuid4().hex
    if rank == 0:
        store.set("variate/life", me)
        names = [store.get(f"variate/{me}/{r}").decode() for r in range(1, world)]
        store.set(f"variate/{me}/all", ",".join(names))
        return PrefixStore(f"variate/{me}", store)
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        life = store.get("variate/life").decode()  # of an earlier life, perhaps
        store.set(f"variate/{life}/{rank}", me)
        everybody = f"variate/{life}/all"
        if _appears(store, everybody) and me in store.get(everybody).decode():
            return PrefixStore(f"variate/{life}", store)
        time.sleep(0.05)
    raise RuntimeError("the first process did not answer")


def _appears(store: Store, key: str) -> bool:
    try:
        store.wait([key], timedelta(seconds=0.5))
    except RuntimeError:
        return False
    return True


@contextmanager
def _lost_peers() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise ProcessError(
            f"another process of this run was lost, or did not answer in time ({error}); start "
            "again with resume=True to go on from the checkpoint; torchrun --max-restarts does "
            "that by itself"
        ) from error
