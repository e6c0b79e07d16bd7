"""Constraints: several rules at once.

A rule takes columns and reads others. Rule A reads a column that rule B takes: then A is applied
first, while the column is still as the user knows it, and restored last, when it is so again. Hence
a chain a <= b <= c needs nothing but its two rules. The order in which rules are given decides only
where nothing else does.

No two rules may take one column, none may read a key, and none may, through others, read what it
takes itself. `LessEqual` rules with the same high column are made one: high is never below the
highest of the lows. As every rule is restored after all that it reads, and none changes what
another has put back, a restored row obeys all of them.

This module does not know what the rules say.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, Self

import pyarrow as pa

from variate.errors import DataError, ModelFileError, OptionError
from variate.table.constraints.combinations import FittedCombinations, FixedCombinations
from variate.table.constraints.formulas import Absolute, Linear, Sum
from variate.table.constraints.keys import FittedUnique, Unique
from variate.table.constraints.lookup import Determined, FittedLookup
from variate.table.constraints.order import FittedLessEqual, LessEqual
from variate.table.constraints.rule import Fitted, Rule, Violation
from variate.table.constraints.sums import FittedFormula

__all__ = ["Constraints", "FittedConstraints"]

RULES: dict[type[Rule], type[Fitted]] = {
    Unique: FittedUnique,
    LessEqual: FittedLessEqual,
    Sum: FittedFormula,
    Linear: FittedFormula,
    Absolute: FittedFormula,
    FixedCombinations: FittedCombinations,
    Determined: FittedLookup,
}


class Constraints:
    """Rules that all hold.

    Args:
        rules: The rules, in any order.

    Attributes:
        rules: The rules in the order in which they are applied.

    Raises:
        OptionError: Something is no rule, or the rules clash; the message names them.
    """

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        given = list(rules)
        for rule in given:
            if type(rule) not in RULES:
                names = ", ".join(kind.__name__ for kind in RULES)
                raise OptionError(f"{rule!r:.100} is no constraint; constraints are {names}")
        merged = _merged(list(dict.fromkeys(given)))
        takers = _takers(merged)
        for rule in merged:
            for name in rule.reads:
                if isinstance(takers.get(name), Unique):
                    raise OptionError(
                        f"{rule!r} needs {name!r}, but {takers[name]!r} gives every row a new one, "
                        "from which nothing follows; leave one of the two out"
                    )
        self.rules = tuple(_sorted(merged, takers))

    def __repr__(self) -> str:
        """The line of Python that declares them."""
        return f"Constraints([{', '.join(map(repr, self.rules))}])"

    def check(self, table: pa.Table) -> tuple[Rule, Violation] | None:
        """The first rule that a row breaks, with the row; or None."""
        for rule in self.rules:
            found = rule.check(table)
            if found is not None:
                return rule, found
        return None

    def fit(self, table: pa.Table) -> "FittedConstraints":
        """The rules with what they learn from a table that obeys them.

        Raises:
            SchemaError: A column is not there.
            DataError: A row breaks a rule, or a rule has no meaning for its columns.
        """
        parts, names = [], tuple(table.column_names)
        for rule in self.rules:
            fitted = rule.fit(table)
            parts.append(fitted)
            table = fitted.apply(table)
        return FittedConstraints(tuple(parts), names)


def _merged(rules: list[Rule]) -> list[Rule]:
    """The rules, those that bound the same column from below as one."""
    found: list[Rule] = []
    for rule in rules:
        for place, other in enumerate(found):
            if not (isinstance(rule, LessEqual) and isinstance(other, LessEqual)):
                continue
            if rule.high == other.high and rule.strict == other.strict:
                lows = tuple(dict.fromkeys((*other.lows, *rule.lows)))
                found[place] = LessEqual(lows, rule.high, strict=rule.strict)
                break
        else:
            found.append(rule)
    return found


def _takers(rules: list[Rule]) -> dict[str, Rule]:
    """Which rule takes a column."""
    takers: dict[str, Rule] = {}
    for rule in rules:
        for name in rule.takes:
            if name in takers:
                raise OptionError(
                    f"{takers[name]!r} and {rule!r} both settle the column {name!r}, which only "
                    "one constraint can; leave one of them out, or let it settle another column"
                )
            takers[name] = rule
    return takers


def _sorted(rules: list[Rule], takers: dict[str, Rule]) -> list[Rule]:
    """The rules, each before those that take what it reads."""
    left, done = list(rules), []
    while left:
        needed = {id(takers[name]) for rule in left for name in rule.reads if name in takers}
        ready = next((rule for rule in left if id(rule) not in needed), None)
        if ready is None:
            circle = ", ".join(map(repr, _circle(left)))
            raise OptionError(
                f"the constraints {circle} go round in a circle: each needs a column that another "
                "of them settles. Leave one of them out"
            )
        done.append(ready)
        left.remove(ready)
    return done


def _circle(rules: list[Rule]) -> list[Rule]:
    """Of rules that all take what another reads: some of which each reads what the next takes."""
    path = [rules[0]]
    while True:
        reader = next(rule for rule in rules if set(rule.reads) & set(path[0].takes))
        if reader in path:
            return path[: path.index(reader) + 1]
        path.insert(0, reader)


@dataclass(frozen=True)
class FittedConstraints:
    """Rules and what they learned.

    Attributes:
        parts: The fitted rules, in the order in which they are applied.
        names: The user's columns, in order.
    """

    parts: tuple[Fitted, ...]
    names: tuple[str, ...]

    def check(self, table: pa.Table) -> tuple[Rule, Violation] | None:
        """The first rule that a row of the user's columns breaks, with the row; or None."""
        for part in self.parts:
            found = part.check(table)
            if found is not None:
                return part.rule, found
        return None

    def apply(self, table: pa.Table) -> pa.Table:
        """The table that a model is trained on.

        Raises:
            SchemaError: A column is missing, has another type, or values that training had not.
        """
        for part in self.parts:
            table = part.apply(table)
        return table

    def restore(self, table: pa.Table, *, seed: int = 0, first: int = 0) -> pa.Table:
        """The user's columns, in their order, in rows that obey all rules.

        Args:
            table: Rows with the columns that `apply` gives.
            seed: Repeats the keys.
            first: How many rows of the same call have been restored already, so that a call can be
                restored in chunks.

        Raises:
            SchemaError: A column that a rule needs is missing.
            DataError: There are not so many free keys.
        """
        for part in reversed(self.parts):
            table = part.restore(table, seed=seed, first=first)
        return table.select([name for name in self.names if name in table.column_names])

    def state(self) -> dict[str, Any]:
        """The rules and what they learned, as JSON-able values."""
        parts = [
            {"rule": type(part.rule).__name__, "declared": _declared(part.rule), **part.state()}
            for part in self.parts
        ]
        return {"names": list(self.names), "parts": parts}

    @classmethod
    def from_state(cls, state: Any) -> Self:
        """What `state` describes.

        Raises:
            ModelFileError: It is damaged.
        """
        try:
            names = tuple(state["names"])
            if not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
                raise ValueError("the names of the columns are damaged")
            parts = tuple(_part(part) for part in state["parts"])
            rules = Constraints(part.rule for part in parts).rules
            if [*rules] != [part.rule for part in parts]:
                raise ValueError("the constraints are not in their order")
            if unknown := [n for rule in rules for n in rule.takes if n not in names]:
                raise ValueError(f"the columns {unknown} are not in the table")
        except (
            ArithmeticError,
            AttributeError,
            DataError,
            LookupError,
            OptionError,
            TypeError,
            ValueError,
            pa.ArrowException,
        ) as error:
            raise ModelFileError(
                f"the constraints in the model file are damaged ({error}); fit and save the model "
                "again."
            ) from error
        return cls(parts, names)


def _declared(rule: Rule) -> dict[str, Any]:
    values = {field.name: getattr(rule, field.name) for field in fields(rule)}  # type: ignore[arg-type]
    return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}


def _part(state: dict[str, Any]) -> Fitted:
    kinds = {kind.__name__: kind for kind in RULES}
    kind = kinds[state["rule"]]
    declared = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in state["declared"].items()
    }
    rule = kind(**declared)
    learned = {k: v for k, v in state.items() if k not in ("rule", "declared")}
    return RULES[kind].from_state(rule, learned)
