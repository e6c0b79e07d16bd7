"""Constructor arguments as JSON, and back: how a model file keeps the options it was made with.

An option that changes behaviour is an object, such as `FreeBits(0.1, beta=WarmUp(1.0))`. Every
such class keeps its constructor's arguments as attributes of the same names, so that the object
can be described by its class and these, and built again by calling the class:

    3, 0.5, "mean", True, None   themselves
    [a, b]                       [a, b]
    (a, b)                       {"tuple": [a, b]}
    {"k": a}                     {"dict": {"k": a}}
    FreeBits(0.1)                {"type": "objectives.FreeBits",
                                  "arguments": {"nats_per_dimension": 0.1, "beta": 1.0}}

Only the public classes of `PACKAGES` are ever described or built: a description of anything else,
from a hostile model file, is an error before anything is imported or called.

This module does not know what an option does, nor how large a network it asks for.
"""

import inspect
import math
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np

from variate.errors import ModelFileError, OptionError

__all__ = ["PACKAGES", "describe", "revive"]

ROOT = "variate"
PACKAGES = (
    "objectives",
    "models.posteriors",
    "models.priors",
    "models.quantized",
    "models.codeprior",
    "models.codeflow",
    "table.constraints",
    "text.presets",
    "models.flows",
    "models.likelihoods",
    "models.pixels",
    "models.readers",
    "image.networks",
    "privacy",
    "music.presets",
    "music.chain",
)


def describe(value: Any, name: str = "") -> Any:
    """A value as JSON.

    Args:
        value: JSON scalars, lists, tuples, dicts with text keys, and objects of the public classes
            of `PACKAGES`, nested at will.
        name: What the value is called in an error message.

    Raises:
        OptionError: The value is, or holds, anything else, which no model file can keep.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, list):
        return [describe(item, f"{name}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, tuple):
        return {"tuple": [describe(item, f"{name}[{i}]") for i, item in enumerate(value)]}
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {"dict": {key: describe(item, _within(name, key)) for key, item in value.items()}}
    return {"type": _public_name(value, name), "arguments": _arguments(value, name)}


def revive(description: Any) -> Any:
    """The value that `describe` described.

    Raises:
        ModelFileError: The description is damaged, or asks for something that is not one of the
            public classes of `PACKAGES`.
    """
    if isinstance(description, list):
        return [revive(item) for item in description]
    if not isinstance(description, dict):
        return description
    match description:
        case {"tuple": list(items), **rest} if not rest:
            return tuple(revive(item) for item in items)
        case {"dict": dict(items), **rest} if not rest:
            return {key: revive(item) for key, item in items.items()}
        case {"type": str(public), "arguments": dict(arguments), **rest} if not rest:
            return _build(public, {key: revive(item) for key, item in arguments.items()})
    raise ModelFileError(
        f"the model file describes an option as {description!r:.200}, which variate does not "
        "write; fit and save the model again"
    )


def _within(name: str, key: str) -> str:
    return f"{name}.{key}" if name else key


def _public_name(value: Any, name: str) -> str:
    """The name under which the value's class is public, such as objectives.ELBO."""
    cls = type(value)
    for package in PACKAGES:
        home = f"{ROOT}.{package}"
        if cls.__module__ == home or cls.__module__.startswith(home + "."):
            module = import_module(home)
            if cls.__name__ in module.__all__ and getattr(module, cls.__name__) is cls:
                return f"{package}.{cls.__name__}"
    raise OptionError(
        f"{name or 'the value'} = {value!r:.100} cannot be kept in a model file: it is a "
        f"{cls.__module__}.{cls.__qualname__}, and only finite numbers, text, lists, tuples, dicts "
        f"and the objects of {', '.join(PACKAGES)} can. Save its weights yourself, "
        "with safetensors, or use one of these"
    )


def _arguments(value: Any, name: str) -> dict[str, Any]:
    """What the constructor was given, read off the attributes of the same names."""
    arguments = {}
    for argument, parameter in inspect.signature(type(value)).parameters.items():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise TypeError(
                f"{type(value).__name__} takes *{argument}; a class whose objects are to be kept "
                "in a model file must name all its arguments"
            )
        arguments[argument] = describe(getattr(value, argument), _within(name, argument))
    return arguments


def _build(public: str, arguments: dict[str, Any]) -> Any:
    """Call one of the public classes of PACKAGES."""
    package, _, name = public.rpartition(".")
    if package not in PACKAGES:
        raise ModelFileError(
            f"the model file asks for {public!r:.100}, which is not an option of variate; "
            "nothing was imported or called. Do not trust the file"
        )
    module = import_module(f"{ROOT}.{package}")
    cls = getattr(module, name, None) if name in module.__all__ else None
    if not isinstance(cls, type):
        raise ModelFileError(
            f"the model file asks for {public!r:.100}, which this variate does not have; "
            "update it: pip install --upgrade variate"
        )
    try:
        return cls(**arguments)
    except (TypeError, ValueError, ArithmeticError, RuntimeError) as error:
        raise ModelFileError(
            f"the model file describes {public} with arguments that it does not take: {error}"
        ) from error
