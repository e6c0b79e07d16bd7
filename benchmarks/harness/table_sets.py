"""The shared tables: their splits on disk, and what the published benchmarks know of their columns.

A folder `tables` holds NAME_train.csv.gz, NAME_test.csv.gz and schema.json, which names for each
table the columns that are categories whatever their type, the column to predict, and the task.

This module does not know what is done with the tables.
"""

import json
from dataclasses import dataclass
from pathlib import Path

__all__ = ["DATES", "SETS", "TableSet", "table_set"]

SETS = ("adult", "default", "shoppers", "magic", "beijing", "news_sub")
DATES = "beijing_dt"  # moments and missing cells: for zero configuration, not for the comparison


@dataclass(frozen=True)
class TableSet:
    """One shared table.

    Attributes:
        name: Its name.
        train: The file of the rows to learn from.
        test: The file of the rows kept apart.
        categorical: The columns that are categories, whatever their type.
        target: The column that a downstream model predicts.
        task: `binary` or `regression`.
    """

    name: str
    train: Path
    test: Path
    categorical: tuple[str, ...]
    target: str
    task: str

    @property
    def knows_categories(self) -> bool:
        """Whether methods are told the categories; the table of dates is for knowing nothing."""
        return self.name != DATES


def table_set(data: Path, name: str) -> TableSet:
    """The table of that name in the folder `data`/tables."""
    folder = data / "tables"
    schema = folder / "schema.json"
    if not schema.exists():
        raise SystemExit(f"there is no {schema}: --data must name a folder that has tables/")
    tables = json.loads(schema.read_text(encoding="utf-8"))
    if name not in tables:
        raise SystemExit(f"{schema} knows no table {name!r}, only {', '.join(tables)}")
    about = tables[name]
    train, test = (folder / f"{name}_{split}.csv.gz" for split in ("train", "test"))
    return TableSet(name, train, test, tuple(about["categorical"]), about["target"], about["task"])
