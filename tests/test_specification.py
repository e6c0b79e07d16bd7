"""Options as JSON: what goes in comes out, and nothing else can be built."""

import importlib
import inspect
import json
from typing import Any

import numpy as np
import pytest
from torch import nn

from variate import objectives
from variate.errors import ModelFileError, OptionError
from variate.models import posteriors, priors
from variate.specification import PACKAGES, describe, revive


def through_json(value: Any) -> Any:
    return revive(json.loads(json.dumps(describe(value), allow_nan=False)))


@pytest.mark.parametrize(
    "value",
    [None, True, 3, 0.5, "text", [1, [2, None]], (1, (2.5, "x")), {"a": (1,)}, [], (), {}],
)
def test_plain_values_come_back(value: Any) -> None:
    assert through_json(value) == value
    assert type(through_json(value)) is type(value)


def test_numpy_numbers_become_numbers() -> None:
    back = through_json({"i": np.int64(3), "f": np.float32(0.5), "b": np.bool_(True)})
    assert [type(value) for value in back.values()] == [int, float, bool]


def test_a_dict_that_looks_like_a_description_is_a_dict() -> None:
    value = {"type": "objectives.ELBO", "arguments": {"tuple": [1]}}
    assert through_json(value) == value


def test_objects_come_back_with_their_arguments() -> None:
    objective = objectives.FreeBits(0.1, beta=objectives.WarmUp(4.0, share=0.3), samples=2)
    back = through_json({"objective": objective})["objective"]
    assert type(back) is objectives.FreeBits
    assert back.nats_per_dimension == 0.1
    assert back.samples == 2
    assert type(back.beta) is objectives.WarmUp
    assert back.beta(0.15) == objective.beta(0.15)
    assert describe(back) == describe(objective)


EXAMPLES: dict[str, Any] = {
    "beta": 2.0,
    "latent": 3,
    "rank": 2,
    "components": 4,
    "event": (5,),
}


def public_classes() -> list[tuple[str, type]]:
    """Every public class that a model file may name, whose arguments we can make up."""
    found = []
    for package in PACKAGES:
        try:
            module = importlib.import_module(f"variate.{package}")
        except ImportError:
            continue
        for name in module.__all__:
            cls = getattr(module, name)
            if not inspect.isclass(cls) or inspect.isabstract(cls):
                continue
            if _required(cls) <= EXAMPLES.keys():
                found.append((f"{package}.{name}", cls))
    return found


def _required(cls: type) -> set[str]:
    parameters = inspect.signature(cls).parameters.values()
    return {p.name for p in parameters if p.default is p.empty}


@pytest.mark.parametrize(("name", "cls"), public_classes())
def test_every_public_class_keeps_its_arguments(name: str, cls: type) -> None:
    made = cls(**{argument: EXAMPLES[argument] for argument in _required(cls)})
    description = describe(made)
    assert description["type"] == name
    assert description["arguments"].keys() == inspect.signature(cls).parameters.keys()
    assert describe(through_json(made)) == description


def test_the_latent_parts_are_among_them() -> None:
    names = {name for name, _ in public_classes()}
    assert {"models.posteriors.DiagonalGaussian", "models.priors.StandardNormal"} <= names
    assert through_json(posteriors.DiagonalGaussian(3)).latent == 3
    assert through_json(priors.StandardNormal(3)).latent == 3


class OfMyOwn(nn.Module):
    """A user's module, which a model file cannot keep."""


@pytest.mark.parametrize(
    "value",
    [
        OfMyOwn(),
        nn.Linear(1, 1),
        objectives.ELBO,
        print,
        lambda: None,
        b"bytes",
        {1: 2},
        {1, 2},
        float("nan"),
        float("inf"),
        np.zeros(3),
        1j,
    ],
)
def test_anything_else_cannot_be_kept(value: Any) -> None:
    with pytest.raises(OptionError, match=r"options\.objective\[1\] = .* cannot be kept"):
        describe({"options": {"objective": (0, value)}})


def test_an_argument_within_an_object_is_named() -> None:
    objective = objectives.FreeBits(0.1)
    objective.samples = b"two"  # type: ignore[assignment]
    with pytest.raises(OptionError, match=r"objective\.samples = b'two'"):
        describe({"objective": objective})


@pytest.mark.parametrize(
    "name",
    ["os.system", "builtins.eval", "objectives.torch", "objectives.elbo.ELBO", "objectives.__all__",
     "models.vae.VAE", "bundle.write", "ELBO", "", "objectives.", ".ELBO", "objectives.nn.Linear",
     "objectives..ELBO"],
)  # fmt: skip
def test_only_public_classes_are_built(name: str) -> None:
    with pytest.raises(ModelFileError):
        revive({"type": name, "arguments": {}})


@pytest.mark.parametrize(
    "description",
    [
        {},
        {"type": "objectives.ELBO"},
        {"type": 3, "arguments": {}},
        {"type": "objectives.ELBO", "arguments": []},
        {"type": "objectives.ELBO", "arguments": {}, "more": 1},
        {"type": "objectives.ELBO", "arguments": {"no_such": 1}},
        {"type": "objectives.ELBO", "arguments": {"beta": -1.0}},
        {"type": "objectives.ELBO", "arguments": {"beta": "one"}},
        {"tuple": 3},
        {"tuple": [], "dict": {}},
        {"dict": []},
        {"set": []},
        [{"unknown": 1}],
    ],
)
def test_damaged_descriptions_are_refused(description: Any) -> None:
    with pytest.raises(ModelFileError):
        revive(description)
