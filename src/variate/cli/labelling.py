"""Labels of items on the command line: one for each, from a column, a file, or the folders.

    --labels NAME      a column of DATA, if that is a table (pictures in Parquet too)
    --labels FILE      a table of two columns or more: `picture` (or `item`), the name of each as
                       `score` writes it, and one other, or `label`; or of one, in the order of the
                       items; or an .npy array, in that order
    --labels folders   of pictures: the folder that each lies in

This module does not know what labels are for.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from variate.errors import DataError, OptionError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["labels_of"]

FOLDERS = "folders"
NAMES = ("picture", "item", "name", "file")


def labels_of(source: str, data: Path, items: Any) -> "NDArray[Any]":
    """A label for each item.

    Args:
        source: What `--labels` says.
        data: The file or folder of the items.
        items: What was read of it; pictures have names, which labels may go by.

    Returns:
        `[N]`, numbers or words.

    Raises:
        DataError: The labels cannot be read, or are not one for each item.
        OptionError: There are no such labels.
    """
    import numpy as np

    from variate.reading import files

    names = [str(name) for name in items.labels()] if callable(_labels(items)) else None
    path = Path(source)
    if source == FOLDERS and names is not None and data.is_dir():
        return np.array([Path(name).parent.as_posix() for name in names])
    if path.suffix.lower() == ".npy":
        return _as_many(_array(path), names, path)
    if files.suffix_of(path) is not None:
        return _of_file(path, names)
    if files.suffix_of(data) is not None:
        return _of_column(source, data, _rows(items, names))
    raise OptionError(
        f"--labels {source}: this is neither a file (.npy, {', '.join(files.SUFFIXES)}) nor, as "
        f"{data} is no table, a column" + (f"; of a folder of folders say --labels {FOLDERS}."
        if data.is_dir() else ".")
    )  # fmt: skip


def _array(path: Path) -> "NDArray[Any]":
    import numpy as np

    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} cannot be read as .npy: {error}.") from error
    if not isinstance(found, np.ndarray) or found.ndim != 1:
        raise DataError(f"{path} must hold one label for each item, an array of one axis.")
    return found


def _of_file(path: Path, names: list[str] | None) -> "NDArray[Any]":
    """Labels from a table of their own, by name if it has names."""
    import numpy as np

    from variate.reading import files

    table = files.read(path)
    named = next((n for n in NAMES if n in table.column_names), None)
    others = [name for name in table.column_names if name != named]
    if "label" in others:
        others = ["label"]
    if len(others) != 1:
        raise DataError(
            f"{path} has the columns {', '.join(table.column_names)}; a file of labels has the "
            f"column 'label', or one column beside {' or '.join(map(repr, NAMES[:2]))}."
        )
    labels = _column(table, others[0], path)
    if named is None or names is None:
        return _as_many(labels, names, path)
    by_name = dict(zip(map(str, table[named].to_pylist()), labels, strict=True))
    without = [name for name in names if name not in by_name]
    if without:
        raise DataError(
            f"{path} has no label for {len(without):,} of {len(names):,} items; the first is "
            f"{without[0]!r}. The column {named!r} has to name them as `variate score` does."
        )
    return np.array([by_name[name] for name in names])


def _labels(items: Any) -> Any:
    """What pictures and music have names by; the labels of sentences are no names."""
    return getattr(items, "labels", None)


def _rows(items: Any, names: list[str] | None) -> list[int] | None:
    """Which rows of their table items are: of pictures those that could be read, of text not empty.

    None is all of them.
    """
    if names is not None:
        return [int(each.removeprefix("row ")) for each in names]
    return items.rows() if hasattr(items, "rows") else None


def _of_column(name: str, data: Path, rows: list[int] | None) -> "NDArray[Any]":
    """A column of the data, of those rows that are items."""
    from variate.reading import files

    table = files.read(data)
    if name not in table.column_names:
        raise OptionError(
            f"--labels {name}: {data} has no such column; it has {', '.join(table.column_names)}."
        )
    return _column(table if rows is None else table.take(rows), name, data, rows)


def _column(table: Any, name: str, path: Path, rows: list[int] | None = None) -> "NDArray[Any]":
    import numpy as np

    values = table[name].to_pylist()
    if None in values:
        number = values.index(None)
        raise DataError(
            f"{path}: the column {name!r} has no label in row "
            f"{number if rows is None else rows[number]}; leave such "
            "items out of the data."
        )
    return np.array(values)


def _as_many(labels: "NDArray[Any]", names: list[str] | None, path: Path) -> "NDArray[Any]":
    if names is not None and len(labels) != len(names):
        raise DataError(f"{path} has {len(labels):,} labels, and there are {len(names):,} items.")
    return labels
