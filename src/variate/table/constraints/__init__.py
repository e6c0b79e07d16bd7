"""Rules that every row obeys, as reversible transforms of tables."""

from variate.table.constraints.combinations import FixedCombinations
from variate.table.constraints.compose import Constraints, FittedConstraints
from variate.table.constraints.document import read, write
from variate.table.constraints.formulas import Absolute, Linear, Sum
from variate.table.constraints.keys import Unique
from variate.table.constraints.lookup import Determined
from variate.table.constraints.order import LessEqual
from variate.table.constraints.rule import Fitted, Rule, Violation

__all__ = [
    "Absolute",
    "Constraints",
    "Determined",
    "Fitted",
    "FittedConstraints",
    "FixedCombinations",
    "LessEqual",
    "Linear",
    "Rule",
    "Sum",
    "Unique",
    "Violation",
    "read",
    "write",
]
