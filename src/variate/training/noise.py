"""Random numbers that depend on the seed and the step, and on nothing else.

Models and objectives draw from torch's global generators. So that a run can be taken up at any
step, and so that training leaves no trace in the caller's random numbers, each step runs between

    saved <- state of the generators;   seed <- mix(seed, purpose, ..., step)
    ...                                  the step
    state of the generators <- saved

which costs a few microseconds on the CPU. `mix` is splitmix64 (Steele, Lea & Flood 2014) folded
over its arguments, so that neighbouring steps, ranks and seeds give unrelated streams. (On the CPU
torch keeps the low 32 bits: two of 100,000 steps may share their noise, at different batches.)

This module does not know what the numbers are used for. Python's and NumPy's generators are left
alone: a model that draws from those is not resumed exactly.
"""

from types import TracebackType

import torch
from torch import Generator

__all__ = ["Noise", "mix"]

_MASK = (1 << 64) - 1


def mix(*numbers: int) -> int:
    """A 63-bit seed that is a well-mixed function of all the numbers, in their order."""
    state = 0
    for number in numbers:
        state = (state ^ (number & _MASK)) + 0x9E3779B97F4A7C15 & _MASK
        state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB & _MASK
        state ^= state >> 31
    return state >> 1


class Noise:
    """Torch's global generators, seeded inside a `with` block and restored after it.

    Example:
        >>> noise = Noise(torch.device("cpu"), 7)
        >>> with noise.at(3):
        ...     first = torch.rand(2)
        >>> with noise.at(3):
        ...     bool((torch.rand(2) == first).all())
        True

    Args:
        device: The device whose generator is seeded together with the CPU's.
        key: Numbers that are mixed into every seed.
    """

    def __init__(self, device: torch.device, *key: int) -> None:
        self._generators: list[Generator] = [torch.default_generator]
        if device.type == "cuda":
            torch.cuda.init()
            index = torch.cuda.current_device() if device.index is None else device.index
            self._generators.append(torch.cuda.default_generators[index])
        self._key = key
        self._seed = 0
        self._saved: list[torch.Tensor] = []

    def at(self, *numbers: int) -> "Noise":
        """The noise of a moment: `with noise.at(step): ...`; blocks do not nest."""
        self._seed = mix(*self._key, *numbers)
        return self

    def __enter__(self) -> None:
        self._saved = [generator.get_state() for generator in self._generators]
        for generator in self._generators:
            generator.manual_seed(self._seed)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for generator, state in zip(self._generators, self._saved, strict=True):
            generator.set_state(state)
