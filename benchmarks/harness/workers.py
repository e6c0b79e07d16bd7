"""The parent's side of a measurement: worker processes that take turns.

This module does not know what a loop does.
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

__all__ = ["Worker", "images_file"]

HERE = Path(__file__).resolve().parents[1]


def images_file(folder: str, train: np.ndarray, held_out: np.ndarray) -> Path:
    """The images in a file that workers read."""
    path = Path(folder) / "images.npz"
    np.savez(path, train=train, held_out=held_out)
    return path


class Worker:
    """A process that runs one loop whenever it is asked to.

    Args:
        python: Its interpreter.
        loop: `module:function`, a function of a `Job`.
        data: The file that `images_file` wrote.
        environment: Variables that it has beside this process's own.
    """

    def __init__(
        self,
        python: str | Path,
        loop: str,
        data: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.loop = loop
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by __exit__
        self._process = subprocess.Popen(
            [str(python), "-m", "harness.worker", loop, str(data)],
            cwd=HERE,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self.torch: str = self._answer()["torch"]

    def run(self, **asked: Any) -> dict[str, Any]:
        """One run: batch, epochs, rows, seed, threads, network -> what the loop reports."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._log.seek(0)
            raise SystemExit(f"{self.loop} failed:\n{self._log.read()[-3000:]}")
        return json.loads(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.communicate()
        self._log.close()
