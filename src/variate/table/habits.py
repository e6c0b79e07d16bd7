"""What training a table's model takes, chosen from how large the table is.

A network learns a small table by heart before it has found out what hangs together in it, so small
tables get smaller steps, smaller batches, a stronger pull of the weights towards zero, more dropout
and a narrower network. A table that is mostly numbers needs precision: a wider network, twice the
steps, and weights that are hardly pulled. The figures were found on six tables of 9,000 to 38,000
rows, with an eye on the held-out likelihood, and on small simulated ones.

This module does not know what the columns are.
"""

from dataclasses import dataclass

from variate.table.schema import NUMBER, TableSchema

__all__ = ["Habits", "habits_for", "habits_of"]

REFERENCE = 30_000  # rows
STEPS = 1_750  # at so many
FEWEST_STEPS = 400
SMALL = 5_000  # rows; below, numbers are dropped out too


@dataclass(frozen=True)
class Habits:
    """Choices that the user did not make.

    Attributes:
        steps: Of training.
        batch_size: Rows of a step.
        rate: What the learning rate is multiplied by.
        weight_decay: Decoupled, of the optimiser.
        dropout: Of categories' and closed numbers' networks.
        number_dropout: Of the other numbers' networks.
        width: Of a column's network.
    """

    steps: int
    batch_size: int
    rate: float
    weight_decay: float
    dropout: float
    number_dropout: float
    width: int


def habits_of(schema: TableSchema) -> Habits:
    """The habits for a table."""
    numbers = sum(column.kind in NUMBER and not column.closed for column in schema.modelled)
    return habits_for(schema.rows, len(schema.modelled), numbers)


def habits_for(rows: int, columns: int, open_numbers: int) -> Habits:
    """The habits for a table of so many rows.

    Args:
        rows: Of the table.
        columns: That are modelled.
        open_numbers: Columns of numbers that take many values.

    Example:
        >>> habits_for(30_000, 15, 3)
        Habits(steps=1750, batch_size=256, rate=1.0, weight_decay=0.1, dropout=0.1, \
number_dropout=0.0, width=32)
        >>> habits_for(300, 6, 1).batch_size
        32
    """
    share = rows / REFERENCE
    batch = min(max(rows // 30, 32), 256)
    dropout = 0.1 * min(max(share**-0.25, 0.5), 3.0)
    wide = open_numbers > 0.6 * columns and columns <= 24 and rows >= SMALL
    narrow = rows < SMALL / 2
    steps = STEPS * min(share**0.75, 4.0) * (2.0 if wide else 1.0)
    return Habits(
        steps=round(max(steps, FEWEST_STEPS)),
        batch_size=batch,
        rate=(batch / 256) ** 0.5,
        weight_decay=0.02 if wide else 0.1 * min(max(1 / share, 0.1), 20.0),
        dropout=dropout,
        number_dropout=dropout if rows < SMALL else 0.0,
        width=64 if wide else 16 if narrow else 32,
    )
