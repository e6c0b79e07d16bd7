"""Two related tables on the command line: fitted, shown, and written to two files.

This module does not know any mathematics.
"""

from pathlib import Path
from typing import Any

from variate.console import (
    expect_apart,
    expect_table,
    expect_writable,
    print_json,
    report,
    say,
    write_line,
)
from variate.errors import OptionError

__all__ = ["expect_pair", "fit_pair", "sample_pair", "show_pair"]


def expect_pair(
    children: Path | None, key: str | None, foreign_key: str | None, **other: Any
) -> bool:
    """Whether two tables are to be fitted.

    Args:
        children: The file of the second one.
        key: The parents' key.
        foreign_key: The children's column that holds it.
        other: Options that go with two tables (`child_key`, `order_by`), and under their names
            those that do not.

    Raises:
        OptionError: Something is missing, or does not go with two tables.
    """
    needed = {"--children": children, "--key": key, "--foreign-key": foreign_key}
    given = [name for name, value in needed.items() if value is not None]
    given += [
        f"--{name.replace('_', '-')}" for name in ("child_key", "order_by") if other.get(name)
    ]
    if not given:
        return False
    if missing := [name for name, value in needed.items() if value is None]:
        raise OptionError(
            f"{given[0]} is about two related tables, which need {' and '.join(missing)} too: "
            "variate fit parents.csv --children children.csv --key id --foreign-key parent_id."
        )
    alone = ("resume", "processes", "tensorboard", "epsilon", "kind", "likelihood")
    if clash := [f"--{name}" for name in alone if other.get(name)]:
        raise OptionError(f"{clash[0]} is for one table; two related ones are trained without.")
    return True


def fit_pair(
    files_of: tuple[Path, Path],
    keys: dict[str, Any],
    chosen: dict[str, Any],
    out: Path,
    *,
    json: bool,
) -> None:
    """Fit two tables and write the model file.

    Args:
        files_of: The parents' and the children's.
        keys: The names of the keys.
        chosen: The options of both models.
        out: The model file.
        json: Whether figures are printed for machines.
    """
    from variate.table import RelatedTables, TableVAE, files
    from variate.table.constraints import Unique

    tables = [files.read(path) for path in files_of]
    names = [table.column_names for table in tables]
    made = {Unique(name) for name in (keys["parent_key"], keys["child_key"]) if name is not None}
    chosen = chosen | {"constraints": [r for r in chosen["constraints"] if r not in made]}
    models = [TableVAE(**options) for options in _dealt_out(chosen, names, files_of)]
    pair = RelatedTables(**keys, parents=models[0], children=models[1]).fit(*tables)
    pair.save(out)
    say(f"wrote {out}")
    figures = {"parents": pair.parents_.facts_, "children": pair.children_.facts_}
    report({"model": str(out), **figures}, json=json)


def _dealt_out(
    chosen: dict[str, Any], names: list[list[str]], files_of: tuple[Path, Path]
) -> list[dict[str, Any]]:
    """The options of each table: what is about columns goes to the table that has them."""

    def home(columns: set[str], what: str) -> int:
        found = [i for i in (0, 1) if columns <= set(names[i])]
        if len(found) != 1:
            both = " and ".join(map(str, files_of))
            which = "both of" if found else "neither of"
            raise OptionError(f"{what} is about columns of {which} {both}; rename or leave it out.")
        return found[0]

    dealt = [{**chosen, "columns": {}, "constraints": [], "condition_on": []} for _ in names]
    for name, kind in (chosen["columns"] or {}).items():
        dealt[home({name}, f"--column {name}")]["columns"][name] = kind
    for rule in chosen["constraints"]:
        dealt[home({*rule.takes, *rule.reads}, repr(rule))]["constraints"].append(rule)
    for name in chosen["condition_on"] or ():
        dealt[home({name}, f"--condition-on {name}")]["condition_on"].append(name)
    return [
        options | {name: options[name] or None for name in ("columns", "condition_on")}
        for options in dealt
    ]


def sample_pair(
    pair: Any,
    n: int,
    given: list[str] | None,
    seed: int | None,
    outs: tuple[Path | None, Path | None],
    *,
    json: bool,
) -> None:
    """Draw parents and their children, and write both.

    Raises:
        OptionError: A file is not named, or a condition cannot be met.
    """
    if None in outs:
        raise OptionError(
            "the model holds two related tables, which are written to two files; name both: "
            "variate sample MODEL -n 1000 --out parents.csv --children children.csv."
        )
    from variate.table import files

    for out in outs:
        expect_writable(out)
        expect_table(out)
    expect_apart(*outs)
    conditions = pair.parents_.conditions(given) if given else None
    written = {}
    for name, table, out in zip(
        ("parents", "children"), pair.sample(n, given=conditions, seed=seed), outs, strict=True
    ):
        assert out is not None
        files.write(table, out)
        written[name] = {"rows": len(table), "out": str(out)}
    report(written, json=json)


def show_pair(pair: Any, *, json: bool) -> None:
    """What the two models are, and their schemas."""
    parts = {"parents": pair.parents_, "children": pair.children_}
    if json:
        told = {
            name: {"facts": part.facts_, "schema": part.codec_.state()}
            for name, part in parts.items()
        }
        print_json({"kind": pair.kind, **told})
        return
    write_line(pair.card())
    for name, part in parts.items():
        write_line(f"\n{name}\n{part.codec_.schema}")
