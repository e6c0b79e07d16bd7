"""The caller's tables to Arrow, and back to the caller's type.

    pandas, polars, pyarrow frames, NumPy arrays [N, C]     come back as they were
    a polars LazyFrame                                      is collected
    other frames that narwhals knows, a list of dicts       come back as pyarrow tables
    tensors [N, C], a list of lists                         come back as NumPy arrays

Each column keeps the name of its type, from which it is restored: a nullable pandas integer is one
again, a categorical has its categories in their order. A pandas index is not part of the data, and
a NaN is a missing value in every library.

This module does not know what the columns mean.
"""

import datetime
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa
from torch import Tensor

from variate.errors import DataError, MissingExtraError
from variate.table import written
from variate.table.schema import ColumnSchema, TableSchema

__all__ = ["Frame", "is_frame", "restore", "returned", "to_arrow", "to_frame"]


@dataclass(frozen=True)
class Frame:
    """A table as it came in.

    Attributes:
        table: Its columns, with distinct names.
        source: "pandas", "polars", "pyarrow" or "numpy": what it came from.
        dtypes: The caller's type of each column, as text.
        labels: The caller's name of each column where it is an integer, else None.
    """

    table: pa.Table
    source: str
    dtypes: tuple[str, ...]
    labels: tuple[int | None, ...]


def is_frame(raw: Any) -> bool:
    """Whether something is a data frame of any library (an array or a list is not)."""
    if isinstance(raw, pa.RecordBatch):
        return True
    try:
        return isinstance(nw.from_native(raw, pass_through=True), nw.DataFrame | nw.LazyFrame)
    except nw.exceptions.DuplicateError:
        return True


def to_arrow(raw: Any) -> pa.Table:
    """Any table as a pyarrow table."""
    return to_frame(raw).table


def to_frame(raw: Any, ignore: Collection[str] = ()) -> Frame:
    """Any table as Arrow columns, with what is needed to make it the caller's again.

    Args:
        raw: The table.
        ignore: Names of columns not to look at: they become empty.

    Raises:
        DataError: It is no table, two columns have one name, or a column holds values of several
            types or of one that Arrow does not know.
    """
    if isinstance(raw, pa.RecordBatch):
        raw = pa.Table.from_batches([raw])
    if isinstance(raw, Tensor):
        raw = raw.detach().cpu().numpy()
    if isinstance(raw, list) and raw and all(isinstance(row, dict) for row in raw):
        raw = _from_rows(raw)
    if isinstance(raw, np.ndarray | list | tuple):
        return _from_array(raw)
    try:
        frame = nw.from_native(raw, pass_through=True)
    except nw.exceptions.DuplicateError:
        names = raw.column_names if isinstance(raw, pa.Table) else raw.columns
        _expect_distinct(list(map(str, names)))
        raise
    if isinstance(frame, nw.LazyFrame):
        frame = frame.collect()
    if not isinstance(frame, nw.DataFrame):
        raise DataError(
            f"a {type(raw).__name__} is not a table. Give a pandas, polars or pyarrow frame, an "
            "array of rows and columns, or the path of a file."
        )
    native = nw.to_native(frame)
    if frame.implementation.is_pandas():
        return _from_pandas(native, ignore)
    if frame.implementation.is_polars():
        return _from_polars(native, ignore)
    table = frame.to_arrow()
    _expect_distinct(table.column_names)
    return Frame(table, "pyarrow", tuple(map(str, table.schema.types)), (None,) * table.num_columns)


def restore(columns: dict[str, pa.Array], schema: TableSchema) -> Any:
    """Decoded columns in the caller's type.

    Raises:
        MissingExtraError: The caller's library is not installed here.
    """
    if schema.source == "pandas":
        return _to_pandas(columns, schema.columns)
    if schema.source == "polars":
        return _to_polars(columns, schema.columns)
    if schema.source == "numpy":
        return _to_array(columns, schema.columns)
    return pa.table(columns)


def returned(columns: dict[str, pa.Array], like: Frame) -> Any:
    """Columns in the type that a table came in.

    Args:
        columns: Those of the table, and perhaps others.
        like: The table as it came in.
    """
    given = dict(
        zip(like.table.column_names, zip(like.dtypes, like.labels, strict=True), strict=True)
    )
    schemas = []
    for name, values in columns.items():
        dtype, label = given.get(name, (str(values.type), None))
        schemas.append(ColumnSchema(name, "missing", dtype, str(values.type), label=label))
    return restore(columns, TableSchema(tuple(schemas), 0, like.source, (), tuple(columns)))


def _from_rows(rows: list[dict[str, Any]]) -> pa.Table:
    """Rows as dicts; a name that one lacks is missing there."""
    columns = {}
    for name in dict.fromkeys(str(name) for row in rows for name in row):
        values = [row.get(name) for row in rows]
        _expect_one_type(name, values)
        columns[name] = _converted(name, partial(pa.array, values, from_pandas=True))
    return pa.table(columns)


def _expect_distinct(names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(
            f"the column names {', '.join(map(repr, twice))} are used more than once; "
            "rename the columns so that each name is used once."
        )


def _converted(name: str, make: Callable[[], Any]) -> Any:
    """The Arrow column that `make` makes."""
    try:
        return make()
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise DataError(
            f"column {name!r} cannot be read: {str(error).splitlines()[0]:.200}. Convert it to "
            f"numbers, text or times, or leave it out with columns={{{name!r}: 'ignore'}}."
        ) from error


def _expect_one_type(name: str, values: Sequence[Any]) -> None:
    """A column of Python objects holds one type of them (whole and other numbers count as one)."""
    first: dict[str, int] = {}
    for row, value in enumerate(values):
        if value is not None and not (isinstance(value, float) and math.isnan(value)):
            first.setdefault(_type_of(value), row)
    if len(first) > 1:
        shown = ", ".join(
            f"{kind} (first in row {row}: {values[row]!r:.40})" for kind, row in first.items()
        )
        raise DataError(
            f"column {name!r} mixes values of several types: {shown} (rows counted from 0). Make "
            f"them one type, or leave the column out with columns={{{name!r}: 'ignore'}}."
        )


def _type_of(value: Any) -> str:
    families = {
        "bool": bool | np.bool_,
        "number": int | float | np.integer | np.floating,
        "str": str,
        "datetime": datetime.datetime,
    }
    for name, family in families.items():
        if isinstance(value, family):
            return name
    return type(value).__name__


# -- arrays -------------------------------------------------------------------------------------


def _from_array(raw: Any) -> Frame:
    array = np.asarray(raw)
    if array.ndim != 2:
        raise DataError(
            f"an array of rows and columns has two dimensions; this one has the shape "
            f"{array.shape}. Reshape your data: array.reshape(-1, 1) makes one column of it, "
            "array.reshape(1, -1) one row."
        )
    if array.dtype.kind == "c":
        raise DataError("Complex data not supported: give real and imaginary parts as columns.")
    if array.dtype == np.longdouble:
        array = array.astype(np.float64)
    names = [f"x{i}" for i in range(array.shape[1])]
    columns = {name: _array_column(name, array[:, i]) for i, name in enumerate(names)}
    dtypes = (str(array.dtype),) * len(names)
    return Frame(pa.table(columns), "numpy", dtypes, (None,) * len(names))


def _array_column(name: str, values: Any) -> pa.Array:
    if values.dtype.kind == "O":
        _expect_one_type(name, values)
    plain = values.tolist() if values.dtype.kind == "U" else np.ascontiguousarray(values)
    return _converted(name, partial(pa.array, plain, from_pandas=True))


def _to_array(columns: dict[str, pa.Array], schemas: Sequence[ColumnSchema]) -> Any:
    dtype = np.dtype(schemas[0].dtype)
    if dtype.kind in "OU":
        parts = [np.array(column.to_pylist(), dtype=dtype) for column in columns.values()]
    else:
        parts = [column.to_numpy(zero_copy_only=False) for column in columns.values()]
        gaps = any(column.null_count for column in columns.values())
        dtype = np.dtype(np.float64) if gaps and dtype.kind in "biu" else dtype
    return np.stack([part.astype(dtype) for part in parts], axis=1)


# -- pandas -------------------------------------------------------------------------------------


def _from_pandas(raw: Any, ignore: Collection[str]) -> Frame:
    labels = [_label(label) for label in raw.columns]
    names = [str(label) for label in labels]
    _expect_distinct(names)
    columns = {}
    for i, name in enumerate(names):
        series = raw.iloc[:, i]
        columns[name] = pa.nulls(len(raw)) if name in ignore else _pandas_column(name, series)
    return Frame(
        pa.table(columns),
        "pandas",
        tuple(_pandas_name(dtype) for dtype in raw.dtypes),
        tuple(None if isinstance(label, str) else label for label in labels),
    )


def _label(label: Any) -> str | int:
    if isinstance(label, str):
        return label
    if isinstance(label, int | np.integer) and not isinstance(label, bool):
        return int(label)
    raise DataError(
        f"the column name {label!r} is neither text nor an integer; rename the columns, for "
        "example by frame.columns = ['_'.join(map(str, name)) for name in frame.columns]."
    )


def _pandas_column(name: str, series: Any) -> Any:
    if series.dtype == object:
        _expect_one_type(name, series.where(series.notna(), None).tolist())
    return _converted(name, partial(pa.array, series, from_pandas=True))


def _pandas_name(dtype: Any) -> str:
    """The name of a pandas type, complete enough to make it again."""
    kind = type(dtype).__name__
    if kind == "CategoricalDtype":
        return f"category[{_pandas_name(dtype.categories.dtype)}]"
    if kind == "ArrowDtype":
        return "ArrowDtype"
    if kind == "StringDtype" and str(dtype) == "string":
        return f"string[{dtype.storage}]"
    return str(dtype)


def _to_pandas(columns: dict[str, pa.Array], schemas: Sequence[ColumnSchema]) -> Any:
    pandas = _library("pandas")
    made = [_pandas_series(pandas, columns[schema.name], schema) for schema in schemas]
    frame = pandas.DataFrame(dict(enumerate(made)))
    frame.columns = [schema.name if schema.label is None else schema.label for schema in schemas]
    return frame


def _pandas_series(pandas: ModuleType, array: pa.Array, schema: ColumnSchema) -> Any:
    dtype = schema.dtype
    if schema.text == written.NUMBER:
        return array.to_pandas()
    if dtype.startswith("category["):
        inner = _pandas_dtype(pandas, dtype[len("category[") : -1])
        categories = pandas.Index(array.dictionary.to_pylist(), dtype=inner)
        codes = array.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        return pandas.Categorical.from_codes(codes, categories, ordered=array.type.ordered)
    if dtype == "ArrowDtype":
        return array.to_pandas(types_mapper=pandas.ArrowDtype)
    if dtype == "object":
        return pandas.Series(array.to_pylist(), dtype=object)
    wanted = _pandas_dtype(pandas, dtype)
    if array.null_count and wanted.kind in "iub" and isinstance(wanted, np.dtype):
        name = "boolean" if wanted.kind == "b" else wanted.name.replace("i", "I").replace("u", "U")
        wanted = pandas.api.types.pandas_dtype(name)
    if hasattr(wanted, "__from_arrow__"):
        return wanted.__from_arrow__(pa.chunked_array([array]))
    return array.to_pandas().astype(wanted)


def _pandas_dtype(pandas: ModuleType, name: str) -> Any:
    return pandas.api.types.pandas_dtype(name)


# -- polars -------------------------------------------------------------------------------------


def _from_polars(raw: Any, ignore: Collection[str]) -> Frame:
    polars = _library("polars")
    columns = {
        name: pa.nulls(len(raw))
        if name in ignore
        else _polars_column(polars, name, raw.get_column(name))
        for name in raw.columns
    }
    dtypes = tuple(str(dtype.base_type()) for dtype in raw.dtypes)
    return Frame(pa.table(columns), "polars", dtypes, (None,) * len(columns))


def _polars_column(polars: ModuleType, name: str, series: Any) -> Any:
    if series.dtype == polars.Categorical:  # its levels are those of the whole process
        series = series.cast(polars.String)
    if series.dtype == polars.Object:
        _expect_one_type(name, series.to_list())
        return _converted(name, partial(pa.array, series.to_list()))
    return _converted(name, lambda: series.to_frame().to_arrow().column(0))


def _to_polars(columns: dict[str, pa.Array], schemas: Sequence[ColumnSchema]) -> Any:
    polars = _library("polars")
    made = []
    for schema in schemas:
        series = polars.Series(schema.name, columns[schema.name])
        if schema.dtype == "Enum":
            series = series.cast(polars.Enum([str(level) for level in schema.declared]))
        elif schema.dtype == "Categorical":
            series = series.cast(polars.Categorical)
        made.append(series)
    return polars.DataFrame(made)


def _library(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingExtraError(f"data that came from {name}", name, "table") from error
