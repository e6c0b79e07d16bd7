"""Isolated randomness: a seeded stretch of code that leaves the caller's generators untouched.

torch.distributions draws from torch's global generators and takes no other, so repeatable draws
need those generators seeded; whoever calls us must not notice. This module does not know what
is drawn.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["isolated"]


@contextmanager
def isolated(seed: int | None, device: torch.device | str = "cpu") -> Iterator[None]:
    """Seed torch's generators inside the block and restore them after it.

    Args:
        seed: The seed; None leaves the generators alone, so that draws are fresh each time.
        device: The device whose generator is used, besides the CPU's.
    """
    if seed is None:
        yield
        return
    device = torch.device(device)
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
