"""Options that are objects, written on the command line as in Python.

    --objective "FreeBits(0.1, beta=WarmUp(1.0))"      a call of a public class of that room, whose
    --prior "Vamp(16, components=64)"                  arguments are numbers, text, truth values,
    --likelihood "CategoricalPixels(1, 256)"           tuples, lists, and such calls

The text is parsed, never executed: names are looked up among the public classes that a model file
may hold, and nothing else has a meaning.

This module does not know what an option does.
"""

import ast
from importlib import import_module
from typing import Any

from variate.errors import OptionError, VariateError

__all__ = ["ROOMS", "given_objects"]

ROOMS = {
    "objective": ("objectives",),
    "posterior": ("models.posteriors", "models.quantized"),
    "prior": ("models.priors", "models.flows", "models.codeprior"),
    "likelihood": ("models.pixels",),
    "network": ("image.networks",),
}
_EXAMPLES = {
    "objective": "FreeBits(0.1, beta=WarmUp(1.0))",
    "posterior": "LowRankGaussian(16, rank=2)",
    "prior": "Vamp(16, components=64)",
    "likelihood": "CategoricalPixels(1, 256)",
    "network": "Hierarchy(groups=(0, 4, 6))",
}


def given_objects(**texts: str | None) -> dict[str, Any]:
    """The objects of options that are given.

    Args:
        texts: What was written, under the names of `ROOMS`; None where nothing was.

    Raises:
        OptionError: A text is no such call, or names what is not there.
    """
    return {name: _object(name, text) for name, text in texts.items() if text is not None}


def _object(option: str, text: str) -> Any:
    known = _classes(option)
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _unclear(option, text, known) from None
    if isinstance(tree, ast.Name):  # a bare name is a call without arguments
        tree = ast.Call(tree, [], [])
    if not isinstance(tree, ast.Call):
        raise _unclear(option, text, known)
    return _value(tree, option, text, known)


def _classes(option: str) -> dict[str, type[Any]]:
    """The public classes of an option's rooms, by name."""
    found: dict[str, type[Any]] = {}
    for room in ROOMS[option]:
        module = import_module(f"variate.{room}")
        for name in module.__all__:
            value = getattr(module, name)
            if isinstance(value, type):
                found.setdefault(name, value)
    return found


def _value(node: ast.expr, option: str, text: str, known: dict[str, type[Any]]) -> Any:
    match node:
        case ast.Constant(value=bool() | int() | float() | str() | None as value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -value
        case ast.Tuple(elts=items):
            return tuple(_value(item, option, text, known) for item in items)
        case ast.List(elts=items):
            return [_value(item, option, text, known) for item in items]
        case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords) if name in known:
            values = [_value(item, option, text, known) for item in args]
            named = {
                word.arg: _value(word.value, option, text, known) for word in keywords if word.arg
            }
            if len(named) < len(keywords):  # **something
                raise _unclear(option, text, known)
            return _built(known[name], values, named, option)
    raise _unclear(option, text, known)


def _built(cls: type[Any], values: list[Any], named: dict[str, Any], option: str) -> Any:
    try:
        return cls(*values, **named)
    except VariateError:
        raise
    except (TypeError, ValueError, ArithmeticError, RuntimeError) as error:
        raise OptionError(f"--{option}: {error}.") from error


def _unclear(option: str, text: str, known: dict[str, type[Any]]) -> OptionError:
    return OptionError(
        f"--{option} {text!r:.100} is not a call such as {_EXAMPLES[option]!r}, of numbers, text, "
        f"tuples and the classes {', '.join(sorted(known))}."
    )
