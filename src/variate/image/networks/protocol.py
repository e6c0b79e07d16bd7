"""What `ImageVAE` asks of a network. This module does not know any."""

from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from variate.errors import OptionError
from variate.image.codec import ImageCodec
from variate.image.inpainting import Walk
from variate.inference import Objective
from variate.report import Section

__all__ = ["Network", "expect_objective", "expect_share"]


@runtime_checkable
class Network(Protocol):
    """What `ImageVAE` asks of a network.

    Attributes:
        draws: Of the code, for the bounds that are measured after training.
        walk: Of the chains that fill missing pixels.
    """

    draws: int
    walk: Walk

    def check(self, options: Any) -> None:
        """Refuse options of the estimator that do not go with it.

        Raises:
            OptionError: One does not.
        """
        ...

    def assembled(self, codec: ImageCodec, options: Any) -> nn.Module:
        """The model for the pictures that the codec describes.

        Raises:
            OptionError: It does not fit their size.
        """
        ...

    def objective(self, beta: float) -> Objective:
        """What is minimised by default."""
        ...

    def varied(
        self, model: Any, z: Tensor, n: int, *, strength: float, keep: int | None, seed: int | None
    ) -> Tensor:
        """n codes around each of z `[N, D]`, `[N·n, D]`.

        Raises:
            OptionError: The strength or `keep` does not suit it.
        """
        ...

    def flat(self, model: Any, z: Any) -> Any:
        """Codes in any form that it knows as z `[N, D]`."""
        ...

    def codes(self, model: Any, x: Tensor) -> Any:
        """The discrete codes of pictures x `[N, C, H, W]`.

        Raises:
            OptionError: It has none.
        """
        ...

    def told(self, model: Any, x: Tensor) -> dict[str, Any]:
        """What is to be remembered of a trained model, by pictures x of training."""
        ...

    def examined(self, view: Any, x: Tensor) -> tuple[dict[str, Any], list[Section]]:
        """Figures and sections of a report about the code, by pictures x and how they are shown."""
        ...

    def expect_dimensions(self) -> None:
        """Refuse to have one latent dimension moved by itself.

        Raises:
            OptionError: It has none that could be.
        """
        ...

    def habits(self) -> dict[str, Any]:
        """Arguments of `train` that suit it."""
        ...


def expect_objective(objective: Any, unfit: tuple[type[Any], ...], why: str) -> None:
    """Refuse an objective that a network cannot be trained with.

    Args:
        objective: The estimator's; None is the network's own.
        unfit: Classes that cannot.
        why: The reason, as the end of a sentence.

    Raises:
        OptionError: It is one of them.
    """
    if isinstance(objective, unfit):
        name = type(objective).__name__
        raise OptionError(f"objective={name}(…) does not go with this network: {why}.")


def expect_share(strength: float) -> None:
    """Refuse a strength that is no share.

    Raises:
        OptionError: It is not from 0 to 1.
    """
    if not 0 <= strength <= 1:
        raise OptionError(
            "of a network with groups or codes, strength is from 0 (the reconstruction) to 1 "
            f"(drawn anew), got {strength!r}."
        )
