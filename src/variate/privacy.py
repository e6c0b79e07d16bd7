"""Privacy: what a differentially private fit promises, and what it is told beforehand.

    P[fit(rows) in S] <= e^ε · P[fit(rows') in S] + δ        for every set S of results

where rows and rows' are tables of equally many rows that differ in one: in one of them that row
counts for nothing. Whatever is looked at must be paid for out of ε, so what describes the columns
is not looked up in the rows but declared, as public knowledge:

    Levels   the values of a category or a truth value
    Range    the least and the largest number, the grid, values with probabilities of their own
    Times    the first and the last moment, and the unit

This module does not know how a model is trained, nor how noise becomes ε.
"""

import datetime
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from variate.errors import OptionError

__all__ = [
    "Declaration",
    "Levels",
    "Privacy",
    "Range",
    "Times",
    "declared",
    "microseconds",
    "privacy_of",
]

DECIMALS = 12  # of a grid
LARGEST = 2**52
UNITS = ("day", "hour", "minute", "second", "ms", "us")


@dataclass(frozen=True)
class Levels:
    """A category: the values that it can have.

    Attributes:
        values: All of them, of one type: texts, whole numbers or truth values. Any other value of
            the data counts as not observed.
        missing: Whether a missing value is an outcome that the model learns; if not, a
            missing value says nothing.

    Raises:
        OptionError: There is none, one comes twice, or they are of several types.
    """

    values: Sequence[str | int | bool]
    missing: bool = False

    def __post_init__(self) -> None:
        """Check the values."""
        kinds = {type(value) for value in self.values}
        if len(kinds) != 1 or not kinds <= {str, int, bool}:
            raise OptionError(
                f"Levels({list(self.values)!r:.80}): levels are texts, whole numbers or truth "
                "values, one or more, and all of one type."
            )
        if len(set(self.values)) < len(self.values):
            raise OptionError(f"Levels({list(self.values)!r:.80}) gives a level twice.")


@dataclass(frozen=True)
class Range:
    """A number: where it can lie.

    Attributes:
        low: The least; what is below counts as this.
        high: The largest; what is above counts as this.
        step: 1 for whole numbers, 0.1, 0.01, ... for so many decimals; None for no grid. The
            data is rounded to it.
        atoms: Values that are known to be frequent, such as 0, which get probabilities of
            their own.
        missing: As in `Levels`.

    Raises:
        OptionError: The numbers do not fit together.
    """

    low: float
    high: float
    step: float | None = None
    atoms: Sequence[float] = ()
    missing: bool = False

    def __post_init__(self) -> None:
        """Check the numbers."""
        what = f"Range({self.low!r}, {self.high!r}, step={self.step!r})"
        if not -LARGEST < self.low < self.high < LARGEST:
            raise OptionError(f"{what}: low must be below high, and both less than 2^52 from 0.")
        if self.step is not None:
            if not any(math.isclose(self.step, 10.0**-d) for d in range(DECIMALS + 1)):
                raise OptionError(f"{what}: the step must be 1, 0.1, 0.01, ..., or None.")
            if not all(self.fits(end) for end in (self.low, self.high)):
                raise OptionError(f"{what}: low and high must be multiples of the step.")
        if list(self.atoms) != sorted(set(self.atoms)) or not all(map(self.fits, self.atoms)):
            raise OptionError(
                f"{what}: atoms must increase, lie in the range and on the grid; "
                f"got {list(self.atoms)!r:.80}."
            )

    def fits(self, value: float) -> bool:
        """Whether a value lies in the range and on the grid."""
        on_grid = self.step is None or abs(value / self.step - round(value / self.step)) < 1e-6
        return self.low <= value <= self.high and on_grid


@dataclass(frozen=True)
class Times:
    """A date or time: where it can lie.

    Attributes:
        first: The earliest, as ISO text such as "2010-01-01" or "2010-01-01T08:00"; what is
            before counts as this.
        last: The latest; what is after counts as this.
        unit: What it is recorded to: "day", "hour", "minute", "second", "ms" or "us".
        missing: As in `Levels`.

    Raises:
        OptionError: They are no times, or in the wrong order, or there is no such unit.
    """

    first: str
    last: str
    unit: str = "day"
    missing: bool = False

    def __post_init__(self) -> None:
        """Check the ends."""
        what = f"Times({self.first!r}, {self.last!r}, unit={self.unit!r})"
        if self.unit not in UNITS:
            raise OptionError(f"{what}: the unit must be one of {', '.join(UNITS)}.")
        try:
            first, last = self.ends()
        except (TypeError, ValueError) as error:
            raise OptionError(f"{what}: {error}; write times as 2010-01-01T08:00.") from None
        if not first < last:
            raise OptionError(f"{what}: the first must be before the last.")

    def ends(self) -> tuple[int, int]:
        """The first and the last in microseconds since 1970 (UTC where a zone is given)."""
        return microseconds(self.first), microseconds(self.last)


def microseconds(text: str) -> int:
    """Microseconds since 1970 of a time as ISO text, in UTC where a zone is given.

    Raises:
        ValueError: It is none.
    """
    moment = datetime.datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    return (moment - epoch) // datetime.timedelta(microseconds=1)


Declaration = Levels | Range | Times


@dataclass(frozen=True)
class Privacy:
    """Differentially private training, for `TableVAE(privacy=...)`.

    Attributes:
        epsilon: ε, what may be spent in all, preparation included.
        delta: δ, the chance that the bound fails; well below one over the number of rows.
        columns: What is publicly known of each column that is modelled.
        clip: The norm that the gradient of a row is scaled down to.
        share: Of ε, for the histograms from which the numbers' scores and the starting
            probabilities come.

    Raises:
        OptionError: A number is out of its range.

    Examples:
        >>> from variate.privacy import Levels, Privacy, Range
        >>> public = {"sex": Levels(["f", "m"]), "age": Range(0, 120, step=1)}
        >>> Privacy(epsilon=3.0, delta=1e-5, columns=public).epsilon
        3.0
    """

    epsilon: float
    delta: float = 1e-5
    columns: Mapping[str, Declaration] = field(default_factory=dict)
    clip: float = 1.0
    share: float = 0.1

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name in ("epsilon", "clip"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise OptionError(f"privacy: {name} must be above 0 and finite, got {value!r}.")
        for name in ("delta", "share"):
            value = getattr(self, name)
            if not 0 < value < 1:
                raise OptionError(f"privacy: {name} must lie between 0 and 1, got {value!r}.")
        for name, column in self.columns.items():
            if not isinstance(column, Declaration):
                raise OptionError(
                    f"privacy: column {name!r} is declared as {column!r:.60}; "
                    "it must be a Levels, a Range or a Times."
                )


def declared(document: Any) -> dict[str, Declaration]:
    """Declarations from JSON: for each column the arguments of `Levels`, `Range` or `Times`.

    Raises:
        OptionError: It says something else.

    Examples:
        >>> declared({"sex": {"values": ["f", "m"]}, "age": {"low": 0, "high": 120, "step": 1}})
        {'sex': Levels(values=['f', 'm'], missing=False), 'age': Range(low=0, high=120, step=1, \
atoms=(), missing=False)}
    """
    if not isinstance(document, dict):
        raise OptionError("the public description of the columns must be a JSON object by column.")
    return {str(name): _declaration(str(name), given) for name, given in document.items()}


def privacy_of(epsilon: float | None, delta: float, public: Path | None) -> Privacy | None:
    """What the command line asks for: None without ε.

    Args:
        epsilon: ε, or None.
        delta: δ.
        public: A JSON file of declarations.

    Raises:
        OptionError: One of ε and the file is lacking, or the file cannot be used.
    """
    if epsilon is None and public is None:
        return None
    if epsilon is None or public is None:
        raise OptionError(
            "privacy needs both --epsilon and --public, a JSON file that says what is publicly "
            'known of each column: {"sex": {"values": ["f", "m"]}, "age": {"low": 0, "high": 120, '
            '"step": 1}, ...}.'
        )
    try:
        document = json.loads(public.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise OptionError(f"{public} cannot be read as JSON: {error}.") from None
    return Privacy(epsilon=epsilon, delta=delta, columns=declared(document))


def _declaration(name: str, given: Any) -> Declaration:
    for kind in (Levels, Range, Times):
        known = {argument.name for argument in fields(kind)}
        if isinstance(given, dict) and given and given.keys() <= known:
            try:
                return kind(**given)
            except TypeError:
                break
    raise OptionError(
        f"column {name!r} is described as {given!r:.80}; give {{'values': [...]}} for a category, "
        "{'low': ..., 'high': ..., 'step': ...} for a number or {'first': ..., 'last': ..., "
        "'unit': ...} for times, each with 'missing': true where gaps are to be learned."
    )
