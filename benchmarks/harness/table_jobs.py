"""The parent's side of the comparison of tables: jobs in processes of their own, kept on disk.

A job is a method, a table and a seed. What it made lies in a folder as

    TABLE-METHOD-SEED.csv.gz         the synthetic rows
    TABLE-METHOD-SEED.json           what they cost: CPU and wall seconds, the peak of memory
    TABLE-METHOD-SEED.figures.json   how they were judged

and a file that is there is not made again, so that a run of many hours can be broken off.

This module does not know what the figures mean.
"""

import datetime
import json
import os
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.machine import load
from harness.table_process import tree_bytes
from harness.table_sets import TableSet

__all__ = ["Failed", "Jobs", "judged"]

HERE = Path(__file__).resolve().parents[1]
LOOK = 0.25  # seconds between two looks at a job's memory
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LOKY_MAX_CPU_COUNT")


class Failed(Exception):  # noqa: N818 - it is a fact about a job, not about this program
    """A job's process ended badly; the message is the end of what it said."""


@dataclass(frozen=True)
class Jobs:
    """Where jobs are kept and how they are run.

    Attributes:
        folder: Where what they make is kept.
        data: The folder that has tables/.
        pythons: The interpreter of every method.
        metrics: The interpreter that judges.
        threads: The number of threads of a job.
        epochs: The number of epochs; None for each method's own default.
        rows: How many rows to learn from; None for all.
    """

    folder: Path
    data: Path
    pythons: dict[str, Path]
    metrics: Path
    threads: int
    epochs: int | None
    rows: int | None

    def made(self, method: str, table: TableSet, seed: int) -> dict[str, Any]:
        """What a job cost; runs it where it has not been run."""
        kept = self._kept(method, table, seed)
        if kept.exists():
            return json.loads(kept.read_text(encoding="utf-8"))
        about = {
            "categorical": table.categorical if table.knows_categories else (),
            "seed": seed,
            "threads": self.threads,
            "epochs": self.epochs,
            "rows": self.rows,
        }
        asked = kept.with_suffix(".asked")
        asked.write_text(json.dumps(about), encoding="utf-8")
        begun = {
            "date": datetime.datetime.now(datetime.UTC).isoformat("T", "minutes"),
            "load": load(),
        }
        peak = self._run(method, table.train, self._rows(kept), asked)
        told = json.loads(asked.read_text(encoding="utf-8")) | begun | {"peak_bytes": peak}
        told["threads"] = self.threads
        asked.write_text(json.dumps(told, indent=1), encoding="utf-8")
        asked.rename(kept)  # at once, and only when it is whole
        return told

    def figures(self, method: str, table: TableSet, seed: int) -> dict[str, Any]:
        """How a job's rows are judged; judges them where they have not been."""
        kept = self._kept(method, table, seed)
        return self._judged(table, str(self._rows(kept)), seed, kept.with_suffix(".figures.json"))

    def floor(self, table: TableSet) -> dict[str, Any]:
        """The noise floor: the real test split judged as if it were synthetic."""
        return self._judged(table, "test", 0, self.folder / f"{table.name}-real.figures.json")

    def forget(self, what: str) -> None:
        """Take away what a method made (its name) or all judgements ("figures")."""
        pattern = "*.figures.json" if what == "figures" else f"*-{what}-[0-9]*"
        for kept in self.folder.glob(pattern):
            kept.unlink()

    def _kept(self, method: str, table: TableSet, seed: int) -> Path:
        return self.folder / f"{table.name}-{method}-{seed}.json"

    @staticmethod
    def _rows(kept: Path) -> Path:
        return kept.with_suffix(".csv.gz")

    def _judged(self, table: TableSet, rows: str, seed: int, kept: Path) -> dict[str, Any]:
        if not kept.exists():
            told = judged(
                self.metrics, self.data, table.name, rows, seed=seed, threads=self.threads
            )
            kept.write_text(json.dumps(told, indent=1), encoding="utf-8")
        return json.loads(kept.read_text(encoding="utf-8"))

    def _run(self, method: str, train: Path, rows: Path, asked: Path) -> int:
        """Run a job's process to its end; gives back the most memory that it was seen to have."""
        command = [str(self.pythons[method].absolute()), "-m", "harness.table_method", method,
                   str(train), str(rows), str(asked)]  # fmt: skip
        with tempfile.TemporaryFile("w+") as log:
            process = subprocess.Popen(
                command, cwd=HERE, env=environment(self.threads), stdout=log, stderr=log
            )
            peak = 0
            try:
                while process.poll() is None:
                    peak = max(peak, tree_bytes(process.pid))
                    time.sleep(LOOK)
            finally:
                process.kill()
                process.wait()
            if process.returncode:
                log.seek(0)
                raise Failed(log.read()[-2000:])
        return peak


def judged(
    python: Path,
    data: Path,
    name: str,
    rows: str,
    *,
    seed: int,
    threads: int,
    details: bool = False,
) -> dict[str, Any]:
    """The figures of a file of synthetic rows ("test": of the real test split)."""
    command = [
        *(str(python.absolute()), "-m", "harness.table_judge", str(data), name, rows),
        *("--seed", str(seed), "--threads", str(threads)),
        *["--details"] * details,
    ]
    done = subprocess.run(
        command, cwd=HERE, env=environment(threads), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Failed(done.stderr[-2000:])
    return json.loads(done.stdout)


def environment(threads: int) -> dict[str, str]:
    """This process's environment, with so many threads for whoever starts some."""
    return {**os.environ, **dict.fromkeys(THREADS, str(threads))}
