"""What training a table's model takes, chosen from how large the table is.

A network learns a small table by heart before it has found out what hangs together in it, so small
tables get smaller steps, smaller batches, a stronger pull of the weights towards zero, more dropout
and a narrower network. A table that is mostly numbers needs precision: a wider network, more steps,
weights that are hardly pulled, and a little dropout instead. The figures were found on six tables
of 9,000 to 38,000 rows, with an eye on the held-out likelihood, and on small simulated ones.

How long a small table takes to be learned differs: of four of 3,000 rows with a third of the cells
missing, one was at its best after 200 steps and one after 500. They get steps enough, at a rate
that falls slowly, and stop when the validation rows have long had nothing to gain: 0.01 to 0.18
nats per row better, held out, than 400 steps to the end.

This module does not know what the columns are.
"""

from dataclasses import dataclass

from variate.table.schema import NUMBER, TableSchema

__all__ = ["Habits", "habits_for", "habits_of"]

REFERENCE = 30_000  # rows
STEPS = 1_750  # at so many
FEWEST_STEPS = 1_200
PATIENCE = 8  # validations without a better one, where there are no more steps than these
PRECISE_STEPS = 2_800  # of a table that is mostly numbers, at so many
MOST_WORK = 2_100_000  # steps by columns by width, at so many: two minutes of two cores
ENOUGH = 12_500  # rows; below, a wider network would learn them by heart
MANY = 30_000  # rows, from which on a still wider one does not
SMALL = 5_000  # rows; below, numbers are dropped out too


@dataclass(frozen=True)
class Habits:
    """Choices that the user did not make.

    Attributes:
        steps: Of training, at most.
        patience: After how many validations without a better one training stops; None: never.
        batch_size: Rows of a step.
        rate: What the learning rate is multiplied by.
        weight_decay: Decoupled, of the optimiser.
        dropout: Of categories' and closed numbers' networks.
        number_dropout: Of the other numbers' networks.
        width: Of a column's network.
    """

    steps: int
    patience: int | None
    batch_size: int
    rate: float
    weight_decay: float
    dropout: float
    number_dropout: float
    width: int


def habits_of(schema: TableSchema) -> Habits:
    """The habits for a table."""
    numbers = sum(column.kind in NUMBER for column in schema.modelled)
    return habits_for(schema.rows, len(schema.modelled), numbers)


def habits_for(rows: int, columns: int, numbers: int) -> Habits:
    """The habits for a table of so many rows.

    Args:
        rows: Of the table.
        columns: That are modelled.
        numbers: Columns of them that are numbers.

    Example:
        >>> habits_for(30_000, 15, 6)
        Habits(steps=1750, patience=None, batch_size=256, rate=1.0, weight_decay=0.1, dropout=0.1, \
number_dropout=0.0, width=32)
        >>> habits_for(300, 6, 1).batch_size
        32
    """
    share = rows / REFERENCE
    batch = min(max(rows // 30, 32), 256)
    dropout = 0.1 * min(max(share**-0.25, 0.5), 3.0)
    precise = numbers > 0.5 * columns and columns <= 24 and rows >= ENOUGH
    narrow = rows < SMALL / 2
    width = _width(rows, columns) if precise else 16 if narrow else 32
    steps = STEPS * min(share**0.75, 4.0)
    if precise:
        steps = PRECISE_STEPS * min(share ** (1 / 3), 4.0)
        steps = min(steps, MOST_WORK * max(share ** (1 / 3), 1.0) / (columns * width))
    return Habits(
        steps=round(max(steps, FEWEST_STEPS)),
        patience=PATIENCE if steps < FEWEST_STEPS else None,
        batch_size=batch,
        rate=(batch / 256) ** 0.5,
        weight_decay=0.03 if precise else 0.1 * min(max(1 / share, 0.1), 20.0),
        dropout=dropout,
        number_dropout=dropout if rows < SMALL else 0.05 if precise else 0.0,
        width=width,
    )


def _width(rows: int, columns: int) -> int:
    """Of a column's network in a table that is mostly numbers; many columns make it dear."""
    return 96 if rows >= MANY and columns <= 16 else 64
