r"""What people say of a decision, as numbers: U[a, n, s] of each action, row and draw.

    actions = ["grant", "refuse"]                      names; the utility says what they mean
    actions = {"grant": {"share": 1.0}, ...}           names with settings, which the utility reads
    utility = "0.1 * amount * share if paid else ..."  one expression over columns and settings
    utility = {"grant": "...", "refuse": "0"}          an expression for each action
    utility = def f(action, draws): ...                a function; draws["amount"] is an array

An expression reads a column, a setting or nothing else. A function gets the name of the action and
the draws, in which the settings are columns like others, and gives a number for each draw or one
for all.

A utility that is no finite number is an error that names the action, the row and what was read
there: nothing can be decided on it.

This module does not know how the draws were made, nor what is decided.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variate.errors import DataError, OptionError
from variate.expression import Expression

__all__ = ["Draws", "Utilities"]

Setting = bool | int | float | str
Function = Callable[[str, "Draws"], Any]


class Draws(dict[str, NDArray[Any]]):
    """Columns by name, an array `[M]` each; one that is not there is an error that says so."""

    def __missing__(self, name: str) -> NDArray[Any]:
        raise OptionError(
            f"the utility reads {name!r}, which is no column and no setting of the action; there "
            f"are {', '.join(map(repr, self))}."
        )


class Utilities:
    """The actions and what each is worth.

    Args:
        actions: Their names, or their settings by name; None where the utility has an expression
            for each.
        utility: An expression, one for each action, or a function of an action and the draws.

    Attributes:
        actions: The settings of each action, by name.

    Raises:
        OptionError: There is no action, one has no utility, an expression cannot be read, or a
            setting is no number, truth value or text.
    """

    def __init__(self, actions: Any, utility: str | Mapping[str, str] | Function) -> None:
        self.actions = _settings(actions, utility)
        self._function: Function | None = None
        self._expressions: dict[str, Expression] = {}
        if callable(utility):
            self._function = utility
        elif isinstance(utility, Mapping):
            self._expressions = _of_each(self.actions, utility)
        else:
            shared = Expression(utility)
            self._expressions = dict.fromkeys(self.actions, shared)

    @property
    def reads(self) -> frozenset[str] | None:
        """The names that the expressions read; None of a function, which may read any."""
        if self._function is not None:
            return None
        return frozenset(name for each in self._expressions.values() for name in each.names)

    def expect_known(self, columns: Sequence[str]) -> None:
        """Refuse what reads, or is called, something wrong, before anything is drawn.

        Args:
            columns: The names that the draws will have.

        Raises:
            OptionError: An expression reads what is neither column nor setting, or a setting has
                the name of a column.
        """
        for action, settings in self.actions.items():
            if both := [name for name in settings if name in columns]:
                raise OptionError(
                    f"the action {action!r} has a setting {both[0]!r}, which is the name of a "
                    "column too; give it another name."
                )
            if action not in self._expressions:
                continue
            expression = self._expressions[action]
            known = (*settings, *columns)
            if strange := [name for name in expression.names if name not in known]:
                raise OptionError(
                    f"the utility of {action!r}, {expression.text!r}, reads {strange[0]!r}, which "
                    f"is no column and no setting; there are {', '.join(map(repr, known))}."
                )

    def __call__(
        self, draws: Mapping[str, NDArray[Any]], shape: tuple[int, int], first: int
    ) -> Any:
        """The utility of each action, `[A, N, S]`.

        Args:
            draws: Columns of N·S draws, those of a row one after the other.
            shape: N and S.
            first: The row of the table that the first is, for messages.

        Raises:
            DataError: A utility is no finite number.
            OptionError: A utility is not one number for each draw.
        """
        found = [self._one(action, draws, shape, first) for action in self.actions]
        return np.stack(found)

    def _one(
        self, action: str, draws: Mapping[str, NDArray[Any]], shape: tuple[int, int], first: int
    ) -> NDArray[np.float64]:
        settings = {name: np.asarray(value) for name, value in self.actions[action].items()}
        size = shape[0] * shape[1]
        if self._function is None:
            value: Any = self._expressions[action](Draws({**draws, **settings}))
        else:
            spread = {name: np.broadcast_to(value, size) for name, value in settings.items()}
            with np.errstate(all="ignore"):  # what is not finite is refused below
                value = self._function(action, Draws({**draws, **spread}))
        utility = _expect_numbers(action, value, size)
        wrong = np.flatnonzero(~np.isfinite(utility))
        if len(wrong):
            self._refuse(action, float(utility[wrong[0]]), int(wrong[0]), draws, shape, first)
        return utility.reshape(shape)

    def _refuse(
        self, action: str, value: float, at: int, draws: Any, shape: tuple[int, int], first: int
    ) -> None:
        expression = self._expressions.get(action)
        names = [name for name in (expression.names if expression else ()) if name in draws]
        read = ", ".join(f"{name} = {draws[name][at]}" for name in names)
        said = f" ({expression.text!r})" if expression else ""
        raise DataError(
            f"row {first + at // shape[1]}: the utility of {action!r}{said} is {value}"
            + (f" where {read}" if read else "")
            + ". It must be a finite number: look for a division by zero, a logarithm or root of "
            "what is not positive, an overflow, or a missing value, and say what holds there, for "
            "example by 'x if condition else y'. Rows are counted from 0."
        )


def _settings(actions: Any, utility: Any) -> dict[str, dict[str, Setting]]:
    """The settings of each action, by its name."""
    if actions is None:
        actions = list(utility) if isinstance(utility, Mapping) else []
    if isinstance(actions, str) or not isinstance(actions, Mapping | Sequence):
        raise OptionError(
            f"actions are a list of names, or a mapping from names to settings, got "
            f"{actions!r:.80}."
        )
    given = actions if isinstance(actions, Mapping) else {name: {} for name in actions}
    if len(given) < len(actions):
        raise OptionError(f"two actions have one name: {', '.join(map(repr, actions))}.")
    if not given:
        raise OptionError(
            'there is no action to choose from; name some, as in ["grant", "refuse"].'
        )
    for action, settings in given.items():
        if not isinstance(action, str) or not action:
            raise OptionError(f"the name of an action is text, got {action!r:.80}.")
        plain = isinstance(settings, Mapping) and all(
            isinstance(name, str) and isinstance(value, bool | int | float | str)
            for name, value in settings.items()
        )
        if not plain:
            raise OptionError(
                f"the settings of {action!r} are numbers, truth values or text by name, as in "
                f'{{"share": 0.5}}, got {settings!r:.80}.'
            )
    return {action: dict(settings) for action, settings in given.items()}


def _of_each(actions: Mapping[str, Any], utility: Mapping[str, str]) -> dict[str, Expression]:
    if missing := [action for action in actions if action not in utility]:
        raise OptionError(f"the action {missing[0]!r} has no utility; give it an expression.")
    if strange := [action for action in utility if action not in actions]:
        raise OptionError(
            f"there is a utility of {strange[0]!r}, which is no action; the actions are "
            f"{', '.join(map(repr, actions))}."
        )
    return {action: Expression(utility[action]) for action in actions}


def _expect_numbers(action: str, value: Any, size: int) -> NDArray[np.float64]:
    try:
        utility = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise OptionError(
            f"the utility of {action!r} is a number for each draw, got {value!r:.80}."
        ) from error
    if utility.shape not in ((), (size,)):
        raise OptionError(
            f"the utility of {action!r} is a number for each of {size} draws, or one for all, got "
            f"an array of the shape {list(utility.shape)}."
        )
    return np.array(np.broadcast_to(utility, size))
