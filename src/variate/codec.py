"""Codec: raw data <-> tensors, one class per kind of data, both directions in one place.

A codec learns from the raw data what it needs (column types, levels, a vocabulary), and keeps it
as plain JSON so that a model file can hold it. `decode(encode(raw))` gives back the raw data.

This module does not know any model: a codec never sees a network, nor a latent.
"""

from abc import ABC, abstractmethod
from typing import Any, Self

from torch import Tensor

__all__ = ["Codec"]


class Codec(ABC):
    """The contract between a kind of data and the tensors that models see."""

    @abstractmethod
    def fit(self, raw: Any) -> Self:
        """Learn the schema from raw data."""

    @abstractmethod
    def encode(self, raw: Any) -> Tensor:
        """Raw data -> x `[N, *event]`, still in the data's own units."""

    @abstractmethod
    def decode(self, x: Tensor) -> Any:
        """x `[N, *event]` -> raw data, in the type and with the dtypes that were put in."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """What was learned, as JSON-able values."""

    @classmethod
    @abstractmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The codec that `state` describes."""
