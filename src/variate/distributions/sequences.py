r"""Sequences: p(x|z) of symbols x_1, x_2, …, each given those before it and the code z.

    log p(x|z) = Σ_{t ≤ τ} log p(x_t | x_<t, z)        τ the first end in x, or T if there is none

Symbols are 0, …, K - 1. One of them may be the end; behind it a sequence is filled up with the end,
which is certain there and adds nothing. So an item `[T]` has one way to be written, and the masses
of all items of T places sum to one: those without an end among their T symbols stand for all the
longer sequences that begin with them. What is filled up may be cut off or added at will.

The law holds a network that reads, not numbers: it is asked for log p of the x that it is to be
judged by, and computes all places at once; to draw, it goes from place to place and keeps the
network's memory. A temperature divides the logits, a nucleus keeps the likeliest symbols that
together have the mass `top_p` (Holtzman et al. 2020), a grammar rules symbols out: what is left
is a law again, and log p is that law's. The network runs in the precision in which the law was
made, however late it is asked.

This module does not know how the network remembers, nor what the symbols stand for.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Size, Tensor
from torch.distributions import Distribution, constraints

from variate.distributions.grammar import Rules
from variate.distributions.picked import Ruled, picked_log_probs, worthwhile
from variate.errors import OptionError

__all__ = ["Reader", "Sequences", "Shaping", "counted", "draw", "trimmed"]

_LOGITS = 2**24  # numbers that are held at once where no gradient is wanted
_LOOK = 8  # places between two looks at whether all sequences have ended


class Reader(Protocol):
    """A network that says what comes next, given what came before and a code.

    One whose logits are products W h + b may have `head()`, which gives W `[K, F]` and b `[K]`:
    they are then never all held (`picked`).
    """

    size: int

    def read(self, z: Tensor, x: Tensor) -> Tensor:
        """What is known before each place of x `[..., B, T]`, `[S, B, T, F]` for z `[S, B, D]`."""
        ...

    def logits(self, known: Tensor) -> Tensor:
        """Logits `[..., K]` of the symbol at a place, from what is known before it `[..., F]`."""
        ...

    def begin(self, z: Tensor) -> Any:
        """The memory of codes `[N, D]` before the first place."""
        ...

    def step(self, memory: Any, before: Tensor | None) -> tuple[Tensor, Any]:
        """Logits `[N, K]` after one more symbol `[N]` (None before the first), and the memory."""
        ...


class Shaping(NamedTuple):
    """How a law is narrowed.

    Attributes:
        temperature: What logits are divided by.
        top_p: The mass of the likeliest symbols that are kept.
    """

    temperature: float = 1.0
    top_p: float = 1.0


AS_IT_IS = Shaping()


def counted(x: Tensor, end: int | None) -> Tensor:
    """Which places of x `[..., T]` are part of a sequence, its end among them."""
    if end is None:
        return torch.ones_like(x, dtype=torch.bool)
    ends = x == end
    return (ends.cumsum(-1) - ends.long()) == 0


def trimmed(x: Tensor, end: int | None) -> Tensor:
    """x `[..., T]` without the places that all sequences fill up; waits for the device."""
    if end is None or x.shape[-1] < 2:
        return x
    longest = int(counted(x, end).reshape(-1, x.shape[-1]).any(0).sum())
    return x[..., : max(longest, 1)]


class Sequences(Distribution):
    """p(x|z) of sequences of symbols.

    Args:
        reader: What says what comes next.
        z: The codes `[S, B, D]`.
        length: T, how many places an item has.
        end: The symbol that ends a sequence, or None if all have T symbols.
        grammar: What may come next, or None for anything.
        shaping: How the law is narrowed.
        prompt: The symbol at the first place, if that place is given: it is read, adds nothing to
            log p, and where a draw begins. None if all places are modelled.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012 - torch's contract

    def __init__(
        self,
        reader: Reader,
        z: Tensor,
        length: int,
        end: int | None = None,
        grammar: Rules | None = None,
        shaping: Shaping = AS_IT_IS,
        prompt: int | None = None,
    ) -> None:
        self.reader = reader
        self.z = z
        self.length = length
        self.end = end
        self.grammar = grammar
        self.shaping = shaping
        self.prompt = prompt
        self._half = torch.is_autocast_enabled(z.device.type)
        super().__init__(z.shape[:-1], Size((length,)), validate_args=False)

    @property
    def support(self) -> constraints.Constraint:
        """Whole numbers 0, …, K - 1."""
        symbols = constraints.integer_interval(0, self.reader.size - 1)
        return constraints.independent(symbols, 1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log p(x|z) in nats, `[S, B]`, of x `[B, T]` or `[S, B, T]`."""
        return self.log_probs(value).sum(-1)

    def log_probs(self, value: Tensor) -> Tensor:
        """What each place adds to log p(x|z), `[S, B, T]`: 0 behind the end."""
        x, places = value.long(), value.shape[-1]
        if not torch.is_grad_enabled():
            x = trimmed(x, self.end)
        with torch.autocast(self.z.device.type, torch.bfloat16, enabled=self._half):
            known = self.reader.read(self.z, x)
        states = None if self.grammar is None else self.grammar.states(x)
        axis = x.ndim - 1
        x = x.expand(known.shape[:-1])
        head = getattr(self.reader, "head", None)
        if head is not None and self._picks(known):
            scored = self._picked(head(), known, x, states, axis)
        else:
            pieces = [
                self._scored(known[..., where, :], x[..., where], _cut(states, axis, where))
                for where in self._pieces(known)
            ]
            scored = torch.cat(pieces, -1)
        part = counted(x, self.end)
        if self.prompt is not None:
            part = part & (torch.arange(x.shape[-1], device=x.device) > 0)
        found = torch.where(part, scored, 0.0)
        return F.pad(found, (0, places - found.shape[-1]))

    def next_logits(self, value: Tensor) -> Tensor:
        """Log p of every symbol at each place of x, given those before it, `[S, B, T, K]`."""
        return torch.cat([log_p for _, log_p in self.next_pieces(value)], -2)

    def next_pieces(self, value: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """`next_logits`, as many places at a time as memory allows: which, and `[S, B, t, K]`."""
        x = value.long()
        with torch.autocast(self.z.device.type, torch.bfloat16, enabled=self._half):
            known = self.reader.read(self.z, x)
        axis = x.ndim - 1
        states = None if self.grammar is None else self.grammar.states(x)
        for where in self._pieces(known):
            with torch.autocast(self.z.device.type, torch.bfloat16, enabled=self._half):
                raw = self.reader.logits(known[..., where, :])
            yield where, self._shaped(raw, _cut(states, axis, where)).log_softmax(-1)

    @torch.no_grad()
    def sample(self, sample_shape: Any = Size()) -> Tensor:  # noqa: B008
        """Draws `[*sample_shape, S, B, T]`."""
        shape = Size(sample_shape) + self.batch_shape
        z = self.z.expand(*shape, self.z.shape[-1])
        return self._written(z.reshape(-1, z.shape[-1]), draw).unflatten(0, shape)

    @property
    def mode(self) -> Tensor:
        """What comes of taking the likeliest symbol at each place, `[S, B, T]`.

        The likeliest sequence need not be this one, which is what is commonly called greedy.
        """
        with torch.no_grad():
            flat = self.z.reshape(-1, self.z.shape[-1])
            return self._written(flat, _likeliest).unflatten(0, self.batch_shape)

    def continued(self, prefix: Tensor) -> Tensor:
        """Draws `[S, B, T]` that begin with a prefix `[B, t]` (or `[S, B, t]`) without an end."""
        with torch.no_grad():
            given = prefix.long().expand(*self.batch_shape, prefix.shape[-1]).flatten(0, 1)
            flat = self.z.reshape(-1, self.z.shape[-1])
            return self._written(flat, draw, given).unflatten(0, self.batch_shape)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "Sequences":
        """The same law with its batch broadcast to `batch_shape`."""
        return self._like(z=self.z.expand(*batch_shape, self.z.shape[-1]))

    def tempered(self, temperature: float) -> "Sequences":
        """The law with its logits divided by a temperature."""
        now = self.shaping.temperature * temperature
        return self._like(shaping=self.shaping._replace(temperature=now))

    def nucleus(self, top_p: float) -> "Sequences":
        """The law of the likeliest symbols at each place, which together have the mass `top_p`.

        Raises:
            OptionError: `top_p` is not above 0 and at most 1.
        """
        if not 0.0 < top_p <= 1.0:
            raise OptionError(f"top_p must be above 0 and at most 1, got {top_p!r}")
        return self._like(shaping=self.shaping._replace(top_p=top_p))

    def prompted(self, symbol: int) -> "Sequences":
        """The law given another symbol at the first place, which must be given."""
        return self._like(prompt=symbol)

    def _like(self, **changed: Any) -> "Sequences":
        names = ("reader", "z", "length", "end", "grammar", "shaping", "prompt")
        return Sequences(**({name: getattr(self, name) for name in names} | changed))

    def _pieces(self, known: Tensor) -> list[slice]:
        """Places that are looked at together: all, but for the memory of what needs no gradient."""
        places = known.shape[-2]
        if torch.is_grad_enabled():
            return [slice(0, places)]
        each = max(1, _LOGITS // max(1, known[..., 0, 0].numel() * self.reader.size))
        return [slice(start, start + each) for start in range(0, places, each)]

    def _picks(self, known: Tensor) -> bool:
        rows = known[..., 0].numel()
        return self.shaping == AS_IT_IS and worthwhile(rows, self.reader.size, known.device)

    def _picked(
        self, head: tuple[Tensor, Tensor], known: Tensor, x: Tensor, states: Tensor | None,
        axis: int,
    ) -> Tensor:  # fmt: skip
        """What `_scored` gives, without holding all logits."""
        ruled = None
        if self.grammar is not None and states is not None:
            of_each = states.expand(*x.shape, *states.shape[axis + 1 :])
            ruled = _ruled(self.grammar, of_each.flatten(0, x.ndim - 1))
        found = picked_log_probs(
            known.flatten(0, -2), *head, x.flatten(), ruled=ruled, half=self._half
        )
        return found.unflatten(0, x.shape)

    def _scored(self, known: Tensor, x: Tensor, states: Tensor | None) -> Tensor:
        with torch.autocast(self.z.device.type, torch.bfloat16, enabled=self._half):
            raw = self.reader.logits(known)
        logits = self._shaped(raw, states)
        lost = F.cross_entropy(logits.flatten(0, -2), x.flatten(), reduction="none")
        return -lost.unflatten(0, x.shape)

    def _shaped(self, raw: Tensor, states: Tensor | None) -> Tensor:
        logits = raw.float()
        if self.grammar is not None and states is not None:
            logits = self.grammar.masked(logits, states)
        if self.shaping.temperature != 1.0:
            logits = logits / self.shaping.temperature
        if self.shaping.top_p < 1.0:
            ordered, order = logits.sort(-1, descending=True)
            mass = ordered.softmax(-1)
            beyond = mass.cumsum(-1) - mass >= self.shaping.top_p
            logits = logits.masked_fill(beyond.scatter(-1, order, beyond), -torch.inf)
        return logits

    def _written(self, z: Tensor, choose: Any, given: Tensor | None = None) -> Tensor:
        """Sequences `[N, T]`, place after place."""
        memory, before = self.reader.begin(z), None
        count, device = len(z), z.device
        if self.prompt is not None and given is None:
            given = torch.full((count, 1), self.prompt, device=device)
        state = None if self.grammar is None else self.grammar.begin(count, device)
        over = torch.zeros(count, dtype=torch.bool, device=device)
        fill = 0 if self.end is None else self.end
        x = torch.full((count, self.length), fill, dtype=torch.int64, device=device)
        known = 0 if given is None else given.shape[-1]
        for place in range(self.length):
            logits, memory = self.reader.step(memory, before)
            if given is not None and place < known:
                before = given[:, place]
            else:
                before = choose(self._shaped(logits, state))
            if self.end is not None:
                before = torch.where(over, self.end, before)
                over = over | (before == self.end)
            x[:, place] = before
            if self.grammar is not None and state is not None:
                state = self.grammar.after(state, before)
            if self.end is not None and place % _LOOK == _LOOK - 1 and bool(over.all()):
                break
        return x


def draw(logits: Tensor) -> Tensor:
    """A symbol of each law `[..., K]` that is given as logits, `[...]`."""
    # the largest of logits and Gumbel noise is a draw (Gumbel 1954), and needs no normalisation
    noise = torch.empty_like(logits).exponential_().clamp_(min=1e-30).log()
    return (logits - noise).argmax(-1)


def _likeliest(logits: Tensor) -> Tensor:
    return logits.argmax(-1)


def _ruled(grammar: Rules, states: Tensor) -> Ruled:
    """What makes logits -∞ that a grammar does not allow in the states of their rows."""

    def ruled(logits: Tensor, rows: slice) -> Tensor:
        return grammar.masked(logits, states[rows])

    return ruled


def _cut(states: Tensor | None, axis: int, where: slice) -> Tensor | None:
    """The states of some places, which are their axis `axis`."""
    return None if states is None else states[(slice(None),) * axis + (where,)]
