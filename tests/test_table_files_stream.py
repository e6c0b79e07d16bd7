"""Tables bigger than memory: the same schema and the same rows as in memory, in bounded memory."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor

from variate.errors import DataError, OutputError
from variate.reading import delimited, jsonlines
from variate.table import files, stream
from variate.table.codec import TableCodec
from variate.table.stream import TableStream, fit_codec, is_large

# the rows are numbered, to be told apart
pytestmark = pytest.mark.filterwarnings("ignore:.*no whole number comes twice")

ROWS = 5_000


def make(rows: int = ROWS) -> pa.Table:
    """Rows that are numbered, with gaps and every kind of column."""
    rng = np.random.default_rng(0)
    gap = rng.random(rows) < 0.1
    return pa.table(
        {
            "row": np.arange(rows),
            "real": pa.array(rng.normal(size=rows), mask=gap),
            "cents": rng.lognormal(3, 1, rows).round(2),
            "word": pa.array(rng.choice(["a", "b", "c"], rows), mask=rng.random(rows) < 0.1),
            "kind": pa.array(rng.choice(["x", "y"], rows)).dictionary_encode(),
            "a.day": pa.array(rng.integers(0, 90, rows), pa.int32()).cast(pa.date32()),
            "one": ["same"] * rows,
        }
    )


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return make()


def parquet(folder: Path, table: pa.Table, group: int = 700) -> Path:
    path = folder / "rows.parquet"
    pq.write_table(table, path, row_group_size=group)
    return path


def sorted_by_row(x: Tensor) -> Tensor:
    return x[x[:, 0].argsort()].nan_to_num(-1.0)


# -- the codec ------------------------------------------------------------------------------------


def test_the_schema_is_that_of_the_rows_in_memory(tmp_path: Path, table: pa.Table) -> None:
    expected = TableCodec().fit(table).schema
    assert fit_codec(parquet(tmp_path, table)).schema == expected
    plain = table.set_column(4, "kind", table["kind"].cast(pa.string()))
    for suffix in (".csv", ".jsonl", ".arrow"):
        path = files.write(plain, tmp_path / f"rows{suffix}")
        assert fit_codec(path).schema == TableCodec().fit(files.read(path)).schema


def test_overrides_reach_the_codec(tmp_path: Path, table: pa.Table) -> None:
    found = TableStream(parquet(tmp_path, table), columns={"word": "ignore"}).codec
    assert "word" not in [column.name for column in found.modelled]


def test_bad_rows_are_found_in_the_pass(tmp_path: Path, table: pa.Table) -> None:
    values = np.zeros(ROWS)
    values[4321] = np.inf
    path = parquet(tmp_path, table.append_column("bad", [values]))
    with pytest.raises(DataError, match=r"'bad' holds inf.*row 4321"):
        fit_codec(path)


# -- the blocks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("group", [64, 700, 10_000])
def test_every_row_is_in_one_place(
    tmp_path: Path, table: pa.Table, group: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "BLOCK_BYTES", 500 * 6 * 8)  # so that groups are cut, too
    found = TableStream(parquet(tmp_path, table, group))
    blocks, sizes = found.blocks()
    parts = [block() for block in blocks]
    held_out = found.held_out()
    assert [len(part) for part in parts] == sizes
    assert max(sizes) <= min(group, 500)
    assert found.rows == ROWS
    whole = TableCodec().fit(table).encode(table).nan_to_num(-1.0)
    assert torch.equal(sorted_by_row(torch.cat([*parts, held_out])), whole)


def test_the_share_that_is_held_out(tmp_path: Path, table: pa.Table) -> None:
    path = parquet(tmp_path, table, group=50)
    for share, most in ((0.2, 20_000), (0.02, 20_000), (0.2, 300)):
        expected = min(share * ROWS, most)
        found = len(TableStream(path, share=share, most=most).held_out())
        assert abs(found - expected) < 5 * expected**0.5


def test_held_out_rows_come_from_everywhere_in_no_order(tmp_path: Path, table: pa.Table) -> None:
    rows = TableStream(parquet(tmp_path, table, group=50)).held_out()[:, 0]
    assert rows.min() < ROWS / 20
    assert rows.max() > ROWS * 19 / 20
    half = len(rows) // 2
    assert abs(rows[:half].mean() - rows[half:].mean()) < ROWS / 10
    assert not torch.equal(rows, rows.sort().values)


def test_the_seed_decides_what_is_held_out(tmp_path: Path, table: pa.Table) -> None:
    path = parquet(tmp_path, table)
    one, two, other = (TableStream(path, seed=seed).held_out() for seed in (1, 1, 2))
    assert torch.equal(one.nan_to_num(-1), two.nan_to_num(-1))
    assert not torch.equal(one[:100].nan_to_num(-1), other[:100].nan_to_num(-1))


def test_the_example_is_never_held_out(tmp_path: Path, table: pa.Table) -> None:
    found = TableStream(parquet(tmp_path, table))
    example = found.example(1000)
    assert 500 < len(example) <= 1000
    assert not set(example[:, 0].tolist()) & set(found.held_out()[:, 0].tolist())


def test_a_block_can_be_sent_to_another_process(tmp_path: Path, table: pa.Table) -> None:
    block = TableStream(parquet(tmp_path, table)).blocks()[0][1]
    assert torch.equal(pickle.loads(pickle.dumps(block))().nan_to_num(-1), block().nan_to_num(-1))


def test_training_sees_every_row_once_per_epoch(tmp_path: Path, table: pa.Table) -> None:
    found = TableStream(parquet(tmp_path, table))
    source = found.source(window=3)
    batches = source.batches(0, 100, seed=0)
    seen = torch.cat([next(batches)[:, 0] for _ in range(source.items // 100)])
    batches.close()
    assert len(seen.unique()) == len(seen)
    assert not set(seen.tolist()) & set(found.held_out()[:, 0].tolist())


def test_a_folder_of_files_with_other_types(tmp_path: Path, table: pa.Table) -> None:
    for i, part in enumerate((table.slice(0, 2000), table.slice(2000))):
        kind = pa.int16() if i else pa.int32()
        part = part.set_column(0, "row", part["row"].cast(kind))
        pq.write_table(part if i else part.drop_columns("one"), tmp_path / f"{i}.parquet")
    found = TableStream(tmp_path, columns={"one": "ignore"})
    rows = torch.cat([*(block() for block in found.blocks()[0]), found.held_out()])[:, 0]
    assert torch.equal(rows.sort().values, torch.arange(ROWS, dtype=torch.float64))


# -- spooling -------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".jsonl", ".arrow"])
def test_other_formats_are_spooled_once(
    tmp_path: Path, suffix: str, table: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delimited, "BLOCK", 30_000)
    monkeypatch.setattr(jsonlines, "BLOCK", 30_000)
    path = files.write(table, tmp_path / f"rows{suffix}")
    scratch = tmp_path / "scratch"
    found = TableStream(path, scratch=scratch)
    (spooled,) = scratch.iterdir()
    before = spooled.stat().st_mtime_ns
    x = torch.cat([*(block() for block in found.blocks()[0]), found.held_out()])
    raw = files.read(path)
    expected = TableCodec().fit(raw).encode(raw).nan_to_num(-1.0)
    assert torch.equal(sorted_by_row(x), expected)
    assert torch.equal(
        TableStream(path, scratch=scratch).held_out().nan_to_num(-1),
        found.held_out().nan_to_num(-1),
    )
    assert [(p, p.stat().st_mtime_ns) for p in scratch.iterdir()] == [(spooled, before)]
    files.write(table.slice(0, 4000), path)
    assert TableStream(path, scratch=scratch).rows == 4000


def test_a_temporary_spool_goes_with_the_stream(
    tmp_path: Path, table: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    path = files.write(table, tmp_path / "rows.csv")
    found = TableStream(path)
    assert len(list(tmp_path.glob("variate-*/*.parquet"))) == 1
    found._scratch._temporary.cleanup()
    assert list(tmp_path.iterdir()) == [path]


def test_very_large_row_groups_are_spooled(
    tmp_path: Path, table: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "BLOCK_BYTES", 100 * 6 * 8)
    scratch = tmp_path / "scratch"
    found = TableStream(parquet(tmp_path, table, group=ROWS), scratch=scratch)
    (spooled,) = scratch.iterdir()
    metadata = pq.read_metadata(spooled)
    assert max(metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)) == 100
    assert len(torch.cat([*(b() for b in found.blocks()[0]), found.held_out()])) == ROWS


def test_a_spool_that_was_cut_short_is_made_again(tmp_path: Path, table: pa.Table) -> None:
    path = files.write(table, tmp_path / "rows.csv")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (scratch / ".rows-0.parquet.1.part").write_bytes(b"half")
    assert TableStream(path, scratch=scratch).rows == ROWS


def test_a_scratch_folder_that_cannot_be_made(tmp_path: Path, table: pa.Table) -> None:
    path = files.write(table, tmp_path / "rows.csv")
    with pytest.raises(OutputError, match=r"cannot make a folder in .*rows\.csv"):
        TableStream(path, scratch=path / "scratch")


# -- when to stream -------------------------------------------------------------------------------


def test_what_is_large(tmp_path: Path, table: pa.Table) -> None:
    encoded = ROWS * 7 * 8
    for suffix in files.SUFFIXES:
        path = files.write(table, tmp_path / f"rows{suffix}")
        assert is_large(path, encoded // 3), suffix
        assert not is_large(path, encoded * 3), suffix
    assert is_large(tmp_path, 1)
    for name in ("none.csv", "none.parquet", "rows.xlsx"):
        assert not is_large(tmp_path / name, 1)
    (tmp_path / "broken.parquet").write_bytes(b"")
    assert not is_large(tmp_path / "broken.parquet", 1)


MEASURE = """
import re, sys
from pathlib import Path
from variate.table.stream import TableStream
def peak():
    status = Path("/proc/self/status").read_text()
    return int(re.search("VmHWM:\\s+(\\d+)", status)[1]) / 1024
start = peak()
stream = TableStream(sys.argv[1])
batches = stream.source().batches(0, 4096, 0)
stream.held_out()
for _ in range(stream.source().items // 4096):
    next(batches)
batches.close()
print(peak() - start)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's peak of memory")
def test_memory_is_bounded(tmp_path: Path) -> None:
    """A table of 670 MB as x, in row groups of a million rows, is streamed in far less."""
    path = tmp_path / "rows.parquet"
    rng = np.random.default_rng(0)
    names = [f"n{i}" for i in range(8)]
    with pq.ParquetWriter(path, pa.schema([(name, pa.float64()) for name in names])) as writer:
        for _ in range(10):
            part = {name: rng.random(2**20) for name in names}
            writer.write_table(pa.table(part), row_group_size=2**20)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 300  # MB
