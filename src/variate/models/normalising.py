"""What normalising flows start from: a standard normal, and the package zuko, which is an extra.

This module does not know what a flow is for.
"""

from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from variate.distributions import tempered
from variate.errors import MissingExtraError

__all__ = ["require_zuko", "standard_normal"]


def require_zuko(need: str) -> ModuleType:
    """The package zuko, whose import must not change what torch's distributions validate.

    Args:
        need: What asks for it, as the error says.

    Raises:
        MissingExtraError: It is not installed.
    """
    validates = Distribution._validate_args
    try:
        import zuko
    except ImportError as error:
        raise MissingExtraError(need, "zuko", "flow") from error
    finally:
        Distribution.set_default_validate_args(validates)
    tempered.register(zuko.distributions.NormalizingFlow, _cooler_flow)
    return zuko


def _cooler_flow(flow: Any, temperature: float) -> Distribution:
    """A transformed normal whose normal is narrower."""
    cooler: Distribution = type(flow)(flow.transform, tempered(flow.base, temperature))
    return cooler


def standard_normal(mean: Tensor) -> Distribution:
    """N(mean, I), event shape `[D]` of a mean `[D]`."""
    normal = Normal(mean, torch.ones_like(mean), validate_args=False)
    return Independent(normal, 1, validate_args=False)
