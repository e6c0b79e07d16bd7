"""Files that are written whole or not at all.

A file is written beside its destination under another name, brought to the disk, and then renamed
over the destination, which POSIX does in one step. A full disk, a crash or Ctrl-C therefore leaves
what was there before, and never half a file.

This module does not know what is written.
"""

import errno
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from variate.errors import OutputError

__all__ = ["ADVICE", "expect_file", "replacing", "scratch_folder"]

ADVICE = {
    errno.ENOSPC: "the disk is full; free some space or write elsewhere",
    errno.EDQUOT: "the disk quota is used up; free some space or write elsewhere",
    errno.ENOENT: "the folder does not exist; make it first",
    errno.ENOTDIR: "its parent is not a folder",
    errno.EISDIR: "it is a folder; name a file",
    errno.EACCES: "the folder may not be written to; choose another",
    errno.EPERM: "the folder may not be written to; choose another",
    errno.EROFS: "the file system is read-only; write elsewhere",
    errno.EEXIST: "something else is there; name a new folder",
    errno.ENAMETOOLONG: "its name is too long",
}
SHORT = re.compile(r"\d+ requested and \d+ written")  # how NumPy says that a disk is full


def expect_file(path: str | Path) -> None:
    """Refuse what is there and is neither a file nor a folder: a file would take its place.

    Raises:
        OutputError: It is a device, a pipe or a socket.
    """
    place = Path(path)
    if place.exists() and not place.is_file() and not place.is_dir():
        raise OutputError(f"cannot write {path}: it is no file, but a device or a pipe; name one.")


@contextmanager
def replacing(path: str | Path) -> Iterator[BinaryIO]:
    """A binary file that takes the place of `path` when the block ends without an exception.

    A symbolic link is followed, so that the file it points at is replaced and the link stays.

    Raises:
        OutputError: The file cannot be written; what was at `path` is untouched.
    """
    target = Path(os.path.realpath(path))
    draft = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        expect_file(path)
        with open(draft, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, target)
        _sync_folder(target.parent)
    except OutputError:
        raise
    except OSError as error:
        number = error.errno or (errno.ENOSPC if SHORT.fullmatch(str(error)) else 0)
        reason = ADVICE.get(number, error.strerror or str(error))
        raise OutputError(f"cannot write {path}: {reason}.") from error
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


@contextmanager
def scratch_folder(beside: Path | None) -> Iterator[Path]:
    """An empty folder that is there while the block runs.

    Args:
        beside: The folder to make it in, whose disk has the room; None for the system's choice.

    Raises:
        OutputError: It cannot be made.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix=".variate-", dir=beside)
    except OSError as error:
        where = beside or tempfile.gettempdir()
        reason = ADVICE.get(error.errno or 0, error.strerror or str(error))
        raise OutputError(f"cannot make a folder in {where}: {reason}.") from error
    with folder as name:
        yield Path(name)


def _sync_folder(folder: Path) -> None:
    """Bring the new name to the disk, where the system can (Windows cannot)."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
