"""A decision as a TOML file: what is unknown, the actions and what each is worth, limits of risk.

    unknown = ["default"]
    ask = ["income"]                        # or a block [ask] with what asking costs: income = 5.0

    [constants]
    margin = 0.12

    [actions]
    grant = "amount * margin if not default else -0.6 * amount"
    refuse = "0"

    [risk]
    level = 0.95
    cvar = -20_000
    regret = 0.4

An action may be a block of its own, `[actions.half]`, with `utility` and settings, which its
utility reads like the constants. Where all utilities are one expression, it is `utility` at the
top, and actions are blocks of settings.

What is read was typed by hand, so every error names the file, and the line or the key.

This module does not know what the expressions say, nor which columns there are.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from variate.errors import OptionError
from variate.evaluation.decisions import Risk
from variate.table.utilities import Utilities

__all__ = ["Decision", "read_decision"]

KEYS = ("unknown", "ask", "utility", "constants", "actions", "risk")


@dataclass(frozen=True)
class Decision:
    """What is to be decided: arguments of `TableVAE.decide`.

    Attributes:
        actions: The settings of each action, by name.
        utility: The expression of all actions, or of each by name.
        unknown: The columns that are not known.
        ask: The columns that one could ask about, or what asking costs by name; None: those that
            are missing.
        risk: The limits.
    """

    actions: Mapping[str, Mapping[str, Any]]
    utility: str | Mapping[str, str]
    unknown: tuple[str, ...]
    ask: tuple[str, ...] | Mapping[str, float] | None
    risk: Risk


def read_decision(path: str | Path) -> Decision:
    """The decision in a file.

    Raises:
        OptionError: It is not there, no such file, or something in it cannot be used; the message
            names the file, and the line or the key.
    """
    text, found = _parsed(path)
    try:
        _expect_keys(found, KEYS, "")
        constants = _block(found, "constants")
        actions, utility = _actions(_block(found, "actions"), found.get("utility"), constants)
        Utilities(actions, utility)
        return Decision(
            actions, utility, tuple(_names(found, "unknown") or ()), _ask(found), _risk(found)
        )
    except _KeyedError as error:
        at = _line_of(text, error.key)
        where = f"{path}, line {at}" if at else str(path)
        raise OptionError(f"{where}: {error}") from None
    except OptionError as error:
        raise OptionError(f"{path}: {error}") from error


class _KeyedError(OptionError):
    """An error at a key of the file."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def _parsed(path: str | Path) -> tuple[str, dict[str, Any]]:
    try:
        text = Path(path).read_text(encoding="utf-8")
        return text, tomllib.loads(text)
    except OSError as error:
        raise OptionError(f"cannot read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise OptionError(f"{path} is not UTF-8 text ({error.reason}).") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise OptionError(f"{path} is no TOML file: {error}.") from error


def _expect_keys(block: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in block:
        if key not in known:
            raise _KeyedError(
                key, f"the key {key!r}{where} means nothing; there are {', '.join(known)}."
            )


def _block(found: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    block = found.get(key, {})
    if not isinstance(block, dict):
        raise _KeyedError(key, f"{key!r} is a block, [{key}], got {block!r:.60}.")
    return block


def _names(found: Mapping[str, Any], key: str) -> list[str] | None:
    names = found.get(key)
    if names is not None and not (
        isinstance(names, list) and all(isinstance(name, str) for name in names)
    ):
        raise _KeyedError(key, f'{key!r} is a list of names, as in ["income"], got {names!r:.60}.')
    return names


def _ask(found: Mapping[str, Any]) -> tuple[str, ...] | Mapping[str, float] | None:
    block = found.get("ask")
    if not isinstance(block, dict):
        names = _names(found, "ask")
        return None if names is None else tuple(names)
    for name, cost in block.items():
        if isinstance(cost, bool) or not isinstance(cost, int | float):
            raise _KeyedError(name, f"the cost of asking about {name!r} is a number, got {cost!r}.")
    return block


def _risk(found: Mapping[str, Any]) -> Risk:
    block = _block(found, "risk")
    _expect_keys(block, tuple(field.name for field in fields(Risk)), " of [risk]")
    try:
        return Risk(**block)
    except OptionError as error:
        name = next((key for key in block if key in str(error).split()), "risk")
        raise _KeyedError(name, str(error)) from error


def _actions(
    block: Mapping[str, Any], shared: Any, constants: Mapping[str, Any]
) -> tuple[dict[str, dict[str, Any]], str | dict[str, str]]:
    """Settings and utilities by name, the constants among the settings of each."""
    if not block:
        raise _KeyedError("actions", 'there is no action; write [actions] and name = "expression".')
    if shared is not None and not isinstance(shared, str):
        raise _KeyedError("utility", f"'utility' is an expression in quotes, got {shared!r:.60}.")
    actions, utility = {}, {}
    for name, value in block.items():
        own = value if isinstance(value, dict) else {"utility": value}
        expression = own.get("utility", shared)
        if not isinstance(expression, str):
            raise _KeyedError(
                name,
                f"the action {name!r} has no utility; it is an expression in quotes, got "
                f"{expression!r:.60}.",
            )
        settings = {key: setting for key, setting in own.items() if key != "utility"}
        if both := settings.keys() & constants.keys():
            raise _KeyedError(name, f"{min(both)!r} is a constant and a setting of {name!r}.")
        actions[name] = {**constants, **settings}
        utility[name] = expression
    return actions, utility


def _line_of(text: str, key: str) -> int:
    """The first line on which a key seems to be; 0 where there is none."""
    begins = re.compile(rf"\s*\[?[\w.\s\"']*?[\"']?{re.escape(key)}[\"']?\s*(=|\]|\.)")
    lines = enumerate(text.split("\n"), 1)
    return next((number for number, line in lines if begins.match(line)), 0)
