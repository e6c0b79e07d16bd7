"""Checkpoints: one file from which a run goes on as if it had never stopped.

The file is in the safetensors format: all tensors of the run (weights, average, best weights,
moments of the optimiser, the objective's own state) and, in the header, one JSON text with the rest
(step, elapsed time, best figure, what the run was started with). There is no pickle in it.

It is written to a second file in the same folder, flushed to the disk, and moved over the first, so
that at every moment, also of a crash, the file is whole: the old one or the new one. A checksum
tells damage that the format would not.

With a write that takes d seconds, writing at most every 50·d seconds costs under 2 % of the run.

This module does not know what the tensors mean.
"""

import json
import os
import time
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from variate.errors import CheckpointError, OutputError

__all__ = ["Checkpoint", "CheckpointWriter", "read_checkpoint", "remove_checkpoint"]

FORMAT = 1
_KEY = "variate"
_SHARE = 50
_BYTES_PER_SECOND = 200e6  # a guess at the disk, until the first write is measured


class Checkpoint(NamedTuple):
    """What a file holds: the tensors by name, and the facts as JSON values."""

    tensors: dict[str, Tensor]
    facts: dict[str, Any]


class CheckpointWriter:
    """Writes the checkpoints of one run.

    Args:
        path: The file.
        every: The fewest seconds between two writes.
        fingerprint: What the run was started with, by name; a resume compares it.

    Raises:
        OutputError: The folder cannot be written to.
    """

    def __init__(self, path: Path, every: float, fingerprint: dict[str, Any]) -> None:
        self.path = path
        self._every = every
        self._fingerprint = fingerprint
        self._last = 0.0
        self._cost = 0.0
        self._part = path.with_name(f".{path.name}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._part.touch()
            self._part.unlink()
        except OSError as error:
            raise _unwritable(path, error) from error

    def begin(self, seconds: float, tensors: dict[str, Tensor]) -> None:
        """The run begins, or goes on, at `seconds`, with tensors of this size."""
        self._last = seconds
        self._cost = sum(t.numel() * t.element_size() for t in tensors.values()) / _BYTES_PER_SECOND

    def due(self, seconds: float) -> bool:
        """Whether it is time for a checkpoint."""
        return seconds - self._last >= max(self._every, _SHARE * self._cost)

    def write(self, tensors: dict[str, Tensor], facts: dict[str, Any], seconds: float) -> float:
        """Write a checkpoint at `seconds` of the run; gives back what it took.

        Raises:
            OutputError: The disk is full, or the file cannot be written.
        """
        begin = time.perf_counter()
        flat = _separate(tensors)
        header = {
            "format": FORMAT,
            "fingerprint": self._fingerprint,
            "facts": facts,
            "checksum": _checksum(flat),
        }
        try:
            save_file(flat, self._part, metadata={_KEY: json.dumps(header)})
            _flush(self._part)
            self._part.replace(self.path)
            if os.name == "posix":
                _flush(self.path.parent)
        except (OSError, SafetensorError) as error:
            raise _unwritable(self.path, error) from error
        finally:
            self._part.unlink(missing_ok=True)
        self._cost = time.perf_counter() - begin
        self._last = seconds + self._cost
        return self._cost


def read_checkpoint(path: Path, fingerprint: dict[str, Any]) -> Checkpoint:
    """Read a checkpoint of a run that was started with `fingerprint`.

    Raises:
        CheckpointError: The file is damaged, of another format, or of another run.
    """
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            header = json.loads((file.metadata() or {})[_KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        written, known = header["format"], header["fingerprint"]
        whole = header["checksum"] == _checksum(tensors)
        facts = header["facts"]
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from error
    if written != FORMAT:
        raise CheckpointError(
            f"{path}: the checkpoint has format {written}, this version of variate reads format "
            f"{FORMAT}; finish the run with the version that began it, or start afresh "
            "without resume"
        )
    if not whole:
        raise _damaged(path, "its checksum is wrong")
    _compare(path, known, fingerprint)
    return Checkpoint(tensors, facts)


def remove_checkpoint(path: str | Path) -> None:
    """Remove the checkpoint of a run that is over and whose result is saved elsewhere."""
    Path(path).unlink(missing_ok=True)


def _compare(path: Path, known: dict[str, Any], fingerprint: dict[str, Any]) -> None:
    ours = json.loads(json.dumps(fingerprint))
    differing = [name for name in {**known, **ours} if known.get(name) != ours.get(name)]
    if differing:
        listed = "; ".join(
            f"{name} was {known.get(name)!r}, now {ours.get(name)!r}" for name in differing
        )
        raise CheckpointError(
            f"{path}: the checkpoint belongs to another run: {listed}. Resume with what the run "
            "was started with, or start afresh without resume"
        )


def _damaged(path: Path, why: str) -> CheckpointError:
    return CheckpointError(
        f"{path}: the checkpoint is damaged ({why}); it cannot be resumed: "
        "remove the file, or start afresh without resume"
    )


def _unwritable(path: Path, error: Exception) -> OutputError:
    return OutputError(
        f"{path}: the checkpoint cannot be written ({error}); free some space, or choose another "
        "place for it"
    )


def _separate(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors on the CPU, contiguous, no two sharing memory, as the format wants them."""
    seen: set[int] = set()
    flat: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        here = tensor.detach().cpu().contiguous()
        storage = here.untyped_storage()
        partial = storage.nbytes() != here.nbytes
        flat[name] = here.clone() if partial or storage.data_ptr() in seen else here
        seen.add(storage.data_ptr())
    return flat


def _checksum(tensors: dict[str, Tensor]) -> int:
    total = 0
    for name in sorted(tensors):
        total = zlib.crc32(name.encode(), total)
        data = tensors[name].reshape(-1)
        if data.numel():
            total = zlib.crc32(data.view(torch.uint8).numpy().data, total)
    return total


def _flush(path: Path) -> None:
    """Have the operating system put a file or a folder on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
