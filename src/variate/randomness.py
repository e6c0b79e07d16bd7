"""Isolated randomness: a seeded stretch of code that leaves the caller's generators untouched.

torch.distributions draws from torch's global generators and takes no other, so repeatable draws
need those generators seeded; whoever calls us must not notice. This module does not know what
is drawn.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["isolated"]


@contextmanager
def isolated(seed: int | None, device: torch.device | str = "cpu") -> Iterator[None]:
    """Seed torch's generators inside the block and restore them after it.

    Args:
        seed: The seed; None is another one each time.
        device: The device whose generator is used, besides the CPU's.
    """
    device = torch.device(device)
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(secrets.randbits(63) if seed is None else seed)
        yield
