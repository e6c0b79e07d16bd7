"""Tables bigger than memory: blocks of rows that are read from Parquet when they are needed.

    CSV, JSON Lines, Arrow  -- spooled once -->  Parquet   }
    Parquet of large groups -- spooled once -->  Parquet   }  blocks of rows -> x [n, C]
    Parquet, a folder of it                                }

A block is a row group, or a slice of one, of at most some 16 MB of x. Only the modelled columns are
read, each block by itself; a slice is found by decoding what lies before it in its row group, so
files whose row groups are much larger than a block are spooled into smaller ones.

Held-out rows are chosen by position: in up to 64 blocks, spread evenly over the table, each row by
a draw that depends on the seed and the block alone. What is held out is never in a block.

This module does not know how the blocks are shuffled, nor what is learned from them.
"""

import hashlib
import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch import Tensor

from variate.errors import DataError, OutputError
from variate.output import replacing
from variate.table import files
from variate.table.constrained import ConstrainedCodec
from variate.training import StreamSource

__all__ = ["Block", "TableStream", "fit_codec", "is_large"]

BLOCK_BYTES = 16 * 2**20  # of x in a block
LARGE_GROUP = 20  # blocks in a row group, above which it is spooled
HELD_OUT_BLOCKS = 64


def is_large(path: str | Path, limit: int) -> bool:
    """Whether the rows of a file or folder, as x, would take more than `limit` bytes.

    Of Parquet that is known from its metadata; of text it is estimated from its first megabyte. A
    path that is not there, or no table, is not large.
    """
    path, suffix = Path(path), files.suffix_of(path)
    try:
        if path.is_dir() or suffix == ".parquet":
            found = files.parquet_files(path).values()
            return sum(part.num_rows * part.num_columns for part in found) * 8 > limit
        if suffix is None:
            return False
        binary = suffix in (".arrow", ".feather")
        return (path.stat().st_size if binary else _size_of_text(path)) > limit
    except (DataError, OSError, EOFError):
        return False


def _size_of_text(path: Path) -> float:
    """About how many bytes the cells of a text file take as x."""
    start, share = files.beginning(path, 2**20)
    head = start.split(b"\n", 1)[0]
    cells = max(head.count(mark) for mark in (b",", b";", b"\t", b'":')) + 1
    return start.count(b"\n") * cells * 8 / max(share, 1e-12)


def fit_codec(
    path: str | Path, columns: Mapping[str, str] | None = None, *, encoding: str | None = None
) -> ConstrainedCodec:
    """The codec of a file or folder, from a pass or two over it in bounded memory.

    Raises:
        DataError: The table cannot be used; the message names the column and row.
        OptionError: An override cannot be used.
    """
    schema, batches = files.columns(path, encoding=encoding)
    return ConstrainedCodec(columns).fit_stream(schema, batches)


@dataclass(frozen=True)
class Block:
    """A function that reads some rows of a Parquet file as x `[n, C]`, without the held-out ones.

    Attributes:
        path: The file.
        metadata: Its metadata, so that it is not read for every block.
        schema: The columns to read.
        group: The row group.
        slice: Which slice of it.
        step: How many rows a slice has, but for the last.
        kept: Which of its rows are not held out.
        codec: What makes x of them.
    """

    path: Path
    metadata: pq.FileMetaData
    schema: pa.Schema
    group: int
    slice: int
    step: int
    kept: NDArray[np.bool_]
    codec: ConstrainedCodec

    def __call__(self) -> Tensor:
        """The rows that are not held out."""
        return self._x()[torch.from_numpy(self.kept)]

    def held_out(self) -> Tensor:
        """The rows that are."""
        return self._x()[torch.from_numpy(~self.kept)]

    def _x(self) -> Tensor:
        slices = files.parquet_batches(
            self.path, self.metadata, self.schema, self.step, [self.group]
        )
        with closing(slices):
            return self.codec.encode(next(islice(slices, self.slice, None)))


class TableStream:
    """A table on disk, in blocks of rows.

    Args:
        path: A file of any format that `files` reads, or a folder of Parquet files.
        codec: A fitted codec; None fits one, in a pass over the table.
        columns: Overrides for the codec that is fitted.
        encoding: How the text of a CSV is written.
        seed: What the held-out rows depend on.
        share: The share of the rows that is held out.
        most: How many rows are held out at most, about.
        scratch: A folder for spooled Parquet, used again by the next stream over the same data;
            None is a temporary folder that goes when the stream goes.

    Attributes:
        codec: The fitted codec.
        rows: How many rows the table has.

    Raises:
        DataError: The table cannot be used.
        OutputError: The scratch folder cannot be written.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        codec: ConstrainedCodec | None = None,
        columns: Mapping[str, str] | None = None,
        encoding: str | None = None,
        seed: int = 0,
        share: float = 0.2,
        most: int = 20_000,
        scratch: str | Path | None = None,
    ) -> None:
        path = Path(path)
        self.codec = codec or fit_codec(path, columns, encoding=encoding)
        self.seed = seed
        step = min(files.GROUP, max(1, BLOCK_BYTES // (8 * len(self.codec.modelled))))
        if not _is_parquet(path) or _largest_group(path) > LARGE_GROUP * step:
            self._scratch = _Scratch(scratch)
            path = self._scratch.spool(path, encoding, step)
        parts = files.parquet_files(path)
        self.rows = sum(metadata.num_rows for metadata in parts.values())
        whole = files.columns(path)[0]
        self._schema = pa.schema([whole.field(name) for name in self.codec.read])
        self._blocks = self._cut(parts, step, min(share, most / self.rows))

    def blocks(self) -> tuple[list[Block], list[int]]:
        """The blocks without the held-out rows, and how many rows each one has."""
        return self._blocks, [int(block.kept.sum()) for block in self._blocks]

    def source(self, window: int = 8) -> StreamSource:
        """The rows that are not held out, for training."""
        return StreamSource(*self.blocks(), window=window)

    def held_out(self) -> Tensor:
        """The held-out rows `[n, C]`, in an order that has nothing to do with the table's."""
        x = torch.cat([block.held_out() for block in self._blocks if not block.kept.all()])
        return x[torch.randperm(len(x), generator=torch.Generator().manual_seed(self.seed))]

    def example(self, rows: int = 4096) -> Tensor:
        """At most so many of the rows that are not held out, from a few places `[n, C]`."""
        some = _spread(len(self._blocks), 4)
        return torch.cat([self._blocks[i]()[: -(-rows // len(some))] for i in some])[:rows]

    def _cut(self, parts: Mapping[Path, pq.FileMetaData], step: int, share: float) -> list[Block]:
        """The table in blocks, with the held-out rows drawn in some of them."""
        cuts = [
            (path, metadata, group, index, min(step, size - index * step))
            for path, metadata in parts.items()
            for group in range(metadata.num_row_groups)
            for size in [metadata.row_group(group).num_rows]
            for index in range(-(-size // step))
        ]
        chosen = set(_spread(len(cuts), HELD_OUT_BLOCKS))
        within = share * self.rows / sum(cuts[i][-1] for i in chosen)
        blocks = []
        for i, (path, metadata, group, index, rows) in enumerate(cuts):
            draws = np.random.default_rng((self.seed, i)).random(rows if i in chosen else 0)
            kept = draws >= within if i in chosen else np.ones(rows, dtype=bool)
            where = (path, metadata, self._schema, group, index, step)
            blocks.append(Block(*where, kept, self.codec))
        return blocks


class _Scratch:
    """A folder for spooled Parquet: the caller's, or a temporary one."""

    def __init__(self, folder: str | Path | None) -> None:
        try:
            if folder is None:
                self._temporary = tempfile.TemporaryDirectory(prefix="variate-")
                folder = self._temporary.name
            self.folder = Path(folder)
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            where = folder or tempfile.gettempdir()
            raise OutputError(f"cannot make a folder in {where}: {error.strerror}.") from error

    def spool(self, path: Path, encoding: str | None, step: int) -> Path:
        """The table as Parquet in row groups of at most `step` rows; made if it is not there."""
        target = self.folder / f"{path.stem}-{_fingerprint(path, encoding, step)}.parquet"
        if target.exists():  # it is renamed into place, so it is complete
            return target
        schema, batches = files.columns(path, encoding=encoding)
        with replacing(target) as file, pq.ParquetWriter(file, schema) as writer:
            for batch in batches():
                writer.write_batch(batch, row_group_size=step)
        return target


def _is_parquet(path: Path) -> bool:
    return path.is_dir() or files.suffix_of(path) == ".parquet"


def _fingerprint(path: Path, encoding: str | None, step: int) -> str:
    """Changes when the data does."""
    parts = files.parquet_files(path) if _is_parquet(path) else [path]
    facts = [(str(p.resolve()), p.stat().st_size, p.stat().st_mtime_ns) for p in parts]
    return hashlib.sha256(repr((facts, encoding, step)).encode()).hexdigest()[:16]


def _largest_group(path: Path) -> int:
    """The rows of the largest row group of a Parquet file or of those in a folder."""
    return max(
        (
            metadata.row_group(group).num_rows
            for metadata in files.parquet_files(path).values()
            for group in range(metadata.num_row_groups)
        ),
        default=0,
    )


def _spread(count: int, most: int) -> list[int]:
    """At most `most` of the numbers 0 to count - 1, evenly spread."""
    chosen: list[int] = np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist()
    return chosen
