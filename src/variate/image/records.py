"""What the verbs of pictures give back where it is more than pictures.

This module does not know how they were made.
"""

from dataclasses import dataclass
from typing import Any

__all__ = ["Inpainted"]


@dataclass(frozen=True)
class Inpainted:
    """Pictures whose missing pixels were filled, in the form that they came in.

    Attributes:
        filled: The means of the missing pixels, given the others; of binary pictures the likelier
            value. What was observed is as it was.
        draws: Such pictures drawn, as many lists or arrays as were asked for. Each is a possible
            picture, which the mean, smooth where the model is unsure, is not.
    """

    filled: Any
    draws: list[Any]
