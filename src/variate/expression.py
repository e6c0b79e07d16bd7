r"""Small arithmetic expressions over names, read safely and evaluated on arrays.

    amount * 0.02 if paid else -0.6 * amount
    max(income - 2_000, 0) * `share of wages`

An expression is parsed by Python's own grammar, and its tree is turned into functions of arrays
node by node; a node that is not in the list below has no function, and so is an error that says
where it is. Nothing is ever compiled or executed as Python.

    numbers, 'text', True, False      constants
    name, `any name`                  a value by name, in backticks where it is no identifier
    + - * / **                        of numbers; a truth value counts as 0 or 1
    == != < <= > >=                   of two of a kind; text is equal or not
    moment - moment                   days between two dates or times
    and or not, a if condition else b
    min max abs exp log sqrt round

Beside a date or time a text is one too, '2024-01-31' or '2024-01-31 12:30', in UTC where the other
has a zone. All of it is elementwise. Both branches of `a if c else b` are evaluated and the wanted
one is taken, so that what would divide by zero in the other does no harm. A result that is infinite
or no number is the caller's to refuse, who knows what the elements are.

The text has at most 2,000 characters and a constant exponent is at most 64, so that an expression
of any origin costs little.

This module does not know what the names mean.
"""

import ast
import datetime
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from variate.errors import OptionError

__all__ = ["ALLOWED", "Expression"]

ALLOWED = (
    "numbers, 'text', names of columns (in `backticks` where they are no identifiers), "
    "+ - * / **, comparisons, dates such as '2024-01-31' beside dates (less each other: days), "
    "and, or, not, 'x if c else y', and the functions min, max, abs, exp, log, sqrt, round"
)
LENGTH = 2_000  # characters
EXPONENT = 64.0
MOMENT = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d)?)?", re.ASCII)
DAY = np.timedelta64(1, "D")
BREAKS = {ord(space): " " for space in "\n\r\t\f\v"}  # an expression may go over several lines

Values = Mapping[str, NDArray[Any]]
Function = Callable[[Values], NDArray[Any]]

ARITHMETIC: dict[type[ast.operator], Any] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.Pow: np.power,
}
COMPARISONS: dict[type[ast.cmpop], Any] = {
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
}
FUNCTIONS: dict[str, Any] = {
    "abs": np.abs,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
}
PAIRWISE: dict[str, Any] = {"min": np.minimum, "max": np.maximum}


class Expression:
    """An expression, parsed and checked.

    Args:
        text: As a person wrote it.

    Attributes:
        text: The same.
        names: The names that it reads, each once.

    Raises:
        OptionError: It is too long, not an expression, or uses what is not allowed; the message
            has the expression and the position.

    Examples:
        >>> import numpy as np
        >>> margin = Expression("0.1 * amount if paid else -amount")
        >>> sorted(margin.names)
        ['amount', 'paid']
        >>> margin({"amount": np.array([100.0, 50.0]), "paid": np.array([True, False])})
        array([ 10., -50.])
    """

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise OptionError(f"an expression is text, got {text!r:.80}; allowed are {ALLOWED}.")
        if len(text) > LENGTH:
            raise OptionError(
                f"the expression {text[:60]!r}… has {len(text):,} characters; it may have "
                f"{LENGTH:,}."
            )
        self.text = text
        self._plain, self._quoted = _without_backticks(text.translate(BREAKS))
        self.names: tuple[str, ...] = ()
        self._function = self._read(self._tree())

    def __call__(self, values: Values) -> NDArray[np.float64]:
        """Its value for each element.

        Args:
            values: Arrays `[M]` by name, all that `names` lists: of numbers, truth values, text or
                times.

        Returns:
            Numbers, `[M]`, or `[]` where nothing is read; perhaps not finite.

        Raises:
            OptionError: An operation meets a value of a kind that it is not for.
        """
        with np.errstate(all="ignore"):
            try:
                return self._number(self._function(values), 0)
            except RecursionError:
                self._refuse("it is nested too deeply", 0)

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    # -- from text to functions -----------------------------------------------------------------

    def _tree(self) -> ast.expr:
        try:
            return ast.parse(self._plain.strip(), mode="eval").body
        except SyntaxError as error:
            at = max(0, (error.offset or 1) - 1) + self._indent
            self._refuse(f"it is no expression ({error.msg})", at)
        except (ValueError, OverflowError, RecursionError, MemoryError) as error:
            self._refuse(f"it is no expression ({type(error).__name__})", 0)

    def _read(self, node: ast.expr) -> Function:
        """The function of arrays that a node stands for."""
        reader = READERS.get(type(node))
        if reader is None:
            self._refuse(f"{WORDS.get(type(node), 'this')} is not allowed", self._place(node))
        try:
            return reader(self, node)
        except RecursionError:
            self._refuse("it is nested too deeply", 0)

    def _constant(self, node: ast.Constant) -> Function:
        value = node.value
        if isinstance(value, bool | str):
            constant = np.array(value)
        elif isinstance(value, int | float):
            try:
                constant = np.array(float(value))
            except OverflowError:
                self._refuse("this number is too large", self._place(node))
        else:
            self._refuse(f"{value!r:.40} is not allowed", self._place(node))
        return lambda values: constant  # noqa: ARG005

    def _name(self, node: ast.Name) -> Function:
        place = self._place(node)
        name = self._quoted.get(place, node.id)
        if name.startswith("__"):
            self._refuse(f"the name {name!r} is not allowed", place)
        if name not in self.names:
            self.names += (name,)
        return lambda values: values[name]

    def _binary(self, node: ast.BinOp) -> Function:
        operation = ARITHMETIC.get(type(node.op))
        place = self._place(node)
        if operation is None:
            self._refuse("this operator is not allowed", place)
        if operation is np.power:
            self._expect_small(node.right)
        left, right = self._read(node.left), self._read(node.right)
        if operation is np.subtract:
            return lambda values: self._difference(left(values), right(values), place)
        return lambda values: operation(
            self._number(left(values), place), self._number(right(values), place)
        )

    def _unary(self, node: ast.UnaryOp) -> Function:
        place, inner = self._place(node), self._read(node.operand)
        if isinstance(node.op, ast.Not):
            return lambda values: np.logical_not(self._truth(inner(values), place))
        if isinstance(node.op, ast.Invert):
            self._refuse("this operator is not allowed", place)
        sign = -1.0 if isinstance(node.op, ast.USub) else 1.0
        return lambda values: sign * self._number(inner(values), place)

    def _compare(self, node: ast.Compare) -> Function:
        place = self._place(node)
        operations = [COMPARISONS.get(type(op)) for op in node.ops]
        if None in operations:
            self._refuse("this comparison is not allowed", place)
        parts = [self._read(part) for part in (node.left, *node.comparators)]

        def compared(values: Values) -> NDArray[Any]:
            found = [part(values) for part in parts]
            steps = zip(operations, found, found[1:], strict=False)
            met = [self._compared(operation, a, b, place) for operation, a, b in steps]
            return np.logical_and.reduce(np.broadcast_arrays(*met))

        return compared

    def _combine(self, node: ast.BoolOp) -> Function:
        place = self._place(node)
        operation: Any = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
        parts = [self._read(part) for part in node.values]

        def combined(values: Values) -> NDArray[Any]:
            found = [self._truth(part(values), place) for part in parts]
            return operation.reduce(np.broadcast_arrays(*found))

        return combined

    def _choose(self, node: ast.IfExp) -> Function:
        place = self._place(node)
        condition, yes, no = (self._read(part) for part in (node.test, node.body, node.orelse))
        return lambda values: np.where(
            self._truth(condition(values), place),
            self._number(yes(values), place),
            self._number(no(values), place),
        )

    def _call(self, node: ast.Call) -> Function:
        place = self._place(node)
        name = node.func.id if isinstance(node.func, ast.Name) else None
        known = (*FUNCTIONS, *PAIRWISE, "round")
        if name not in known:
            self._refuse(f"only {', '.join(known)} can be called", place)
        if node.keywords or any(isinstance(given, ast.Starred) for given in node.args):
            self._refuse(f"{name} takes plain arguments", place)
        if name == "round":
            return self._rounded(node, place)
        parts = [self._read(given) for given in node.args]
        if name in FUNCTIONS:
            if len(parts) != 1:
                self._refuse(f"{name} takes one argument", place)
            operation = FUNCTIONS[name]
            return lambda values: operation(self._number(parts[0](values), place))
        if len(parts) < 2:
            self._refuse(f"{name} takes two arguments or more", place)
        pairwise = PAIRWISE[name]

        def extreme(values: Values) -> NDArray[Any]:
            found = [self._number(part(values), place) for part in parts]
            return pairwise.reduce(np.broadcast_arrays(*found))

        return extreme

    def _rounded(self, node: ast.Call, place: int) -> Function:
        digits = [given.value for given in node.args[1:] if isinstance(given, ast.Constant)]
        whole = [digit for digit in digits if isinstance(digit, int) and digit <= 15]
        if not 1 <= len(node.args) <= 2 or len(whole) != len(node.args) - 1:
            self._refuse("round takes a value, and perhaps how many decimals, 0 to 15", place)
        inner, places = self._read(node.args[0]), int(sum(whole))
        return lambda values: np.round(self._number(inner(values), place), places)

    # -- what is refused --------------------------------------------------------------------------

    def _expect_small(self, node: ast.expr) -> None:
        inner = node.operand if isinstance(node, ast.UnaryOp) else node
        value = inner.value if isinstance(inner, ast.Constant) else 0
        if isinstance(value, int | float) and abs(value) > EXPONENT:
            self._refuse(f"an exponent is at most {EXPONENT:g}", self._place(node))

    def _number(self, value: NDArray[Any], place: int) -> NDArray[np.float64]:
        if value.dtype.kind not in "biuf":
            self._refuse(f"a number is needed here, not {_kind(value)}", place)
        return value.astype(np.float64)

    def _difference(self, a: NDArray[Any], b: NDArray[Any], place: int) -> NDArray[np.float64]:
        """a - b: of moments the days between them, NaN where one is missing."""
        if "M" not in a.dtype.kind + b.dtype.kind:
            return self._number(a, place) - self._number(b, place)
        found: NDArray[np.float64] = (self._moment(a, place) - self._moment(b, place)) / DAY
        return found

    def _moment(self, value: NDArray[Any], place: int) -> NDArray[Any]:
        """A moment in microseconds, which hold all years; a text that stands for one is read."""
        if value.dtype.kind == "M":
            return value.astype("datetime64[us]")
        if value.dtype.kind != "U" or value.ndim:
            self._refuse(f"a time goes with another, not with {_kind(value)}", place)
        text = str(value)
        try:
            moment = datetime.datetime.fromisoformat(text) if MOMENT.fullmatch(text) else None
        except ValueError:
            moment = None
        if moment is None:
            self._refuse(
                f"{text!r:.60} is no date; write it as '2024-01-31' or '2024-01-31 12:30'", place
            )
        return np.asarray(np.datetime64(moment, "us"))

    def _truth(self, value: NDArray[Any], place: int) -> NDArray[np.bool_]:
        if value.dtype.kind != "b":
            self._refuse(f"a condition is needed here, not {_kind(value)}", place)
        return value

    def _compared(
        self, operation: Any, a: NDArray[Any], b: NDArray[Any], place: int
    ) -> NDArray[Any]:
        if "M" in a.dtype.kind + b.dtype.kind and "U" in a.dtype.kind + b.dtype.kind:
            a, b = self._moment(a, place), self._moment(b, place)
        if _kind(a) != _kind(b):
            self._refuse(f"{_kind(a)} is compared with {_kind(b)}", place)
        if _kind(a) == "text" and operation not in (np.equal, np.not_equal):
            self._refuse("text can be equal or not, and has no order", place)
        return np.asarray(operation(a, b), dtype=np.bool_)

    @property
    def _indent(self) -> int:
        """Characters before the expression begins: Python takes none."""
        return len(self._plain) - len(self._plain.lstrip())

    def _place(self, node: ast.expr) -> int:
        """The position of a node in the text, in characters from 0; Python counts bytes."""
        before = self._plain.strip().encode()[: node.col_offset]
        return self._indent + len(before.decode())

    def _refuse(self, what: str, place: int) -> NoReturn:
        raise OptionError(
            f"the expression {self.text!r}, position {place + 1}: {what}. Allowed are {ALLOWED}."
        )


READERS: dict[type[ast.expr], Any] = {
    ast.Constant: Expression._constant,
    ast.Name: Expression._name,
    ast.BinOp: Expression._binary,
    ast.UnaryOp: Expression._unary,
    ast.Compare: Expression._compare,
    ast.BoolOp: Expression._combine,
    ast.IfExp: Expression._choose,
    ast.Call: Expression._call,
}
WORDS: dict[type[ast.expr], str] = {
    ast.Attribute: "an attribute",
    ast.Subscript: "an index",
    ast.Lambda: "a lambda",
    ast.ListComp: "a comprehension",
    ast.SetComp: "a comprehension",
    ast.DictComp: "a comprehension",
    ast.GeneratorExp: "a comprehension",
    ast.NamedExpr: "an assignment",
    ast.JoinedStr: "formatted text",
    ast.Tuple: "a tuple",
    ast.List: "a list",
}


def _kind(value: NDArray[Any]) -> str:
    kinds = {"O": "text", "U": "text", "M": "a time", "m": "a duration"}
    return kinds.get(value.dtype.kind, "a number")


def _without_backticks(text: str) -> tuple[str, dict[int, str]]:
    """The text with an identifier of the same length for each `name`, and the names by position."""
    plain, names, inside = list(text), {}, ""
    start = -1
    for i, letter in enumerate(text):
        if inside and letter == inside:
            if inside == "`":
                names[start] = text[start + 1 : i]
                plain[start : i + 1] = "_" * (i + 1 - start)
            inside = ""
        elif not inside and letter in "`'\"":
            inside, start = letter, i
    return "".join(plain), {at: name for at, name in names.items() if name}
