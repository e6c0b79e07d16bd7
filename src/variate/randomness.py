"""Isolated randomness: a seeded stretch of code that leaves the caller's generators untouched.

torch.distributions draws from torch's global generators and takes no other, so repeatable draws
need those generators seeded; whoever calls us must not notice.

Secret randomness is the opposite: nobody can repeat it. Noise that hides something must not follow
from a seed that a model file keeps, nor from a generator whose state can be guessed, so it comes
from the operating system's cryptographic generator. Normals are made of its uniform numbers u, v
in pairs (Box & Muller 1958),

    √(-2 log u) cos 2πv,   √(-2 log u) sin 2πv

This module does not know what is drawn.
"""

import operator
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from variate.errors import OptionError

__all__ = ["Secret", "isolated"]


@contextmanager
def isolated(seed: int | None, device: torch.device | str = "cpu") -> Iterator[None]:
    """Seed torch's generators inside the block and restore them after it.

    Args:
        seed: The seed; None is another one each time.
        device: The device whose generator is used, besides the CPU's.

    Raises:
        OptionError: The seed is no whole number that torch takes.
    """
    device = torch.device(device)
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        _seed(secrets.randbits(63) if seed is None else seed)
        yield


def _seed(seed: int) -> None:
    try:
        torch.manual_seed(operator.index(seed))
    except (TypeError, ValueError, RuntimeError):
        raise OptionError(
            f"seed must be a whole number from 0 to {2**63 - 1}, or None, got {seed!r:.60}."
        ) from None


class Secret:
    """Random numbers that cannot be repeated.

    Args:
        source: Gives so many random bytes; a test may give one that can be repeated.
    """

    def __init__(self, source: Callable[[int], bytes] = os.urandom) -> None:
        self._source = source

    def uniform(self, n: int) -> NDArray[np.float64]:
        """n numbers between 0 and 1, both excluded."""
        bits = np.frombuffer(self._source(8 * n), dtype=np.uint64) >> np.uint64(11)
        return (bits.astype(np.float64) + 0.5) * 2.0**-53

    def normal(self, *shape: int) -> Tensor:
        """Standard normals of a shape, float64, on the CPU."""
        count = int(np.prod(shape))
        half = (count + 1) // 2
        length = np.sqrt(-2.0 * np.log(self.uniform(half)))
        angle = 2.0 * np.pi * self.uniform(half)
        both = np.concatenate([length * np.cos(angle), length * np.sin(angle)])
        return torch.from_numpy(both[:count]).reshape(shape)

    def chosen(self, n: int, rate: float) -> Tensor:
        """Which of n items are chosen, each by itself with a probability: positions, int64."""
        return torch.from_numpy(np.flatnonzero(self.uniform(n) < rate))
