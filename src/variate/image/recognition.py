"""Whether data are pictures: a look at the outside, for whoever does not say what they are.

This module does not read any pixel.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from variate.image.files import SUFFIXES

__all__ = ["are_pictures"]


def are_pictures(data: Any) -> bool:
    """Whether data are pictures, as far as can be told from outside.

    Args:
        data: A path, an array, or anything else. Pictures are folders of files that end as
            pictures do and no Parquet, such files, arrays (in memory, .npy, .npz) of three or four
            axes, Parquet with a column of records that have a field `bytes`, and lists of Pillow's
            pictures.
    """
    if isinstance(data, str | Path):
        return _is_path_of_pictures(Path(data))
    if isinstance(data, list | tuple):
        return bool(data) and type(data[0]).__module__.startswith("PIL.")
    return getattr(data, "ndim", 0) in (3, 4)


def _is_path_of_pictures(path: Path) -> bool:
    if path.is_dir():
        endings = {entry.suffix.lower() for entry in path.rglob("*")}
        return ".parquet" not in endings and not endings.isdisjoint(SUFFIXES)
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _has_encoded(path)
    if suffix in (".npy", ".npz"):
        return any(axes in (3, 4) for axes in _axes(path))
    return suffix in SUFFIXES


def _has_encoded(path: Path) -> bool:
    try:
        schema = pq.read_schema(path)
    except (OSError, pa.ArrowInvalid):
        return False
    return any(
        pa.types.is_struct(column.type) and column.type.get_field_index("bytes") >= 0
        for column in schema
    )


def _axes(path: Path) -> list[int]:
    """How many axes the arrays of a file have, from their headers."""
    try:
        if path.suffix.lower() == ".npy":
            with open(path, "rb") as file:
                return [_axes_of_header(file)]
        with zipfile.ZipFile(path) as archive:
            found = []
            for name in archive.namelist():
                with archive.open(name) as member:
                    found.append(_axes_of_header(member))
            return found
    except (OSError, ValueError, zipfile.BadZipFile):
        return []


def _axes_of_header(file: Any) -> int:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0
    if version != (1, 0):
        read = np.lib.format.read_array_header_2_0
    return len(read(file)[0])
