"""The model file: one zip with a fixed form, written whole, and read with suspicion.

    NAME.variate
    ├── model.json           format and variate version, kind, constructor arguments, codec, figures
    ├── weights.safetensors  tensors, as safetensors lays them out
    └── card.md              the same for people

All three members are stored, not compressed, and carry a fixed date: equal content gives equal
bytes, and a member cannot grow while it is read, so that a file of n bytes costs a small multiple
of n in memory. Nothing is ever unpickled, executed or extracted to the disk; what is not expected
is an error.

`model.json` says which format it has. An older format is carried to the present one by
`MIGRATIONS`: the i-th takes manifest and weights from format i + 1 to i + 2.

This module does not know what the entries of the manifest mean, apart from `format`, `variate`
and `kind`.
"""

import json
import math
import stat
import struct
import zipfile
from collections.abc import Callable, Mapping, Sequence
from io import SEEK_END, BufferedReader
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from variate._version import __version__
from variate.errors import ModelFileError, NewerFormatError, OutputError
from variate.output import expect_file, replacing

__all__ = ["FORMAT", "MIGRATIONS", "Migration", "expect_replaceable", "read", "write"]

Manifest = dict[str, Any]
Weights = dict[str, Tensor]
Migration = Callable[[Manifest, Weights], tuple[Manifest, Weights]]

MIGRATIONS: tuple[Migration, ...] = ()
FORMAT = len(MIGRATIONS) + 1

MODEL, WEIGHTS, CARD = "model.json", "weights.safetensors", "card.md"
MEMBERS = (MODEL, WEIGHTS, CARD)
ENDING = ".variate"
LARGEST_TEXT = 64 * 2**20  # bytes of model.json or card.md
LARGEST_DIRECTORY = 128 * 2**10  # bytes read to find the members; three need some two hundred
DEEPEST = 64  # nested lists and objects in model.json

ADVICE = "Copy the file again from where it came, or fit and save the model again."
UNREADABLE = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    EOFError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
    struct.error,
)


def expect_replaceable(path: str | Path) -> None:
    """Refuse to write a model over a file of another kind: the data that it was fitted on, say.

    Raises:
        OutputError: There is such a file, or a folder, a device or a pipe.
    """
    place = Path(path)
    expect_file(place)
    if place.is_dir():
        raise OutputError(
            f"cannot write {path}: it is a folder; name a file, as in "
            f"{place.with_name(place.name + ENDING)}."
        )
    if place.suffix == ENDING or not place.is_file() or not place.stat().st_size:
        return
    try:
        with zipfile.ZipFile(place) as archive:
            known = MODEL in archive.namelist()
    except UNREADABLE:
        known = False
    if not known:
        raise OutputError(
            f"cannot write {path}: it exists, and is no model file; name another file, such as "
            f"{place.with_suffix(ENDING)}, or delete it first."
        )


def write(path: str | Path, manifest: Manifest, weights: Mapping[str, Tensor], card: str) -> Path:
    """Write a model file. Equal arguments give equal bytes.

    Args:
        path: Where; what was there is replaced only when the new file is complete.
        manifest: JSON-able, finite numbers only, with a `kind`. `format` and `variate` (the
            version that wrote it) are added.
        weights: Tensors by name.
        card: Markdown for people.

    Returns:
        The path.

    Raises:
        OutputError: The file cannot be written, or is there and is no model file; what was at
            `path` is untouched.
        ValueError: The manifest holds something that JSON cannot (a NaN, an object).
    """
    expect_replaceable(path)
    document = {"format": FORMAT, "variate": __version__} | manifest
    contents = (
        json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1).encode(),
        save_tensors({name: _own(value) for name, value in weights.items()}),
        card.encode(),
    )
    with replacing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, content in zip(MEMBERS, contents, strict=True):
            archive.writestr(_member(name), content)
    return Path(path)


def read(
    path: str | Path, *, migrations: Sequence[Migration] = MIGRATIONS
) -> tuple[Manifest, Weights, str]:
    """Read a model file of any origin: the manifest, the weights and the card.

    Args:
        path: The model file.
        migrations: What brings older formats up to date; the present format is one more than
            there are.

    Raises:
        NewerFormatError: It was written by a newer variate.
        ModelFileError: It is not there, is not a model file, is damaged or is hostile.
    """
    try:
        with open(path, "rb", buffering=0) as file:
            archive = _archive(path, _Limited(file))
            manifest = _manifest(path, archive.read(MODEL), newest=len(migrations) + 1)
            _expect_exactly(path, archive.namelist())
            weights = _weights(path, archive.read(WEIGHTS))
            card = _text(path, CARD, archive.read(CARD))
    except ModelFileError:
        raise
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        raise ModelFileError(f"{path} cannot be opened: {error.strerror}.") from error
    except UNREADABLE as error:
        raise _damaged(path, str(error) or type(error).__name__) from error
    for migrate in migrations[manifest["format"] - 1 :]:
        manifest, weights = migrate(manifest, weights)
    return manifest, weights, card


def _own(tensor: Tensor) -> Tensor:
    """A copy that shares its memory with no other tensor, as safetensors asks."""
    return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)


def _member(name: str) -> zipfile.ZipInfo:
    """The entry of a member, with nothing in it that depends on when, where or by whom."""
    entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    entry.create_system = 3
    entry.external_attr = (stat.S_IFREG | 0o644) << 16
    return entry


class _Limited(BufferedReader):
    """A file that gives no more than `limit` bytes at once.

    `zipfile` reads a directory into memory whatever its size; this stops it.
    """

    limit: int | None = LARGEST_DIRECTORY

    def read(self, size: int | None = -1, /) -> bytes:
        """As of any file, but a request for more than the limit is an error."""
        if self.limit is not None and (size is None or not 0 <= size <= self.limit):
            here, end = self.tell(), self.seek(0, SEEK_END)
            self.seek(here)
            if end - here > self.limit:
                raise zipfile.BadZipFile("its directory is too large")
        return super().read(size)


def _archive(path: str | Path, file: _Limited) -> zipfile.ZipFile:
    """The zip, once every member is known to be plain and all to be no larger than the file."""
    size = file.seek(0, SEEK_END)
    if size == 0:
        raise _damaged(path, "it is empty")
    archive = zipfile.ZipFile(file)
    file.limit = None
    entries = archive.infolist()
    if MODEL not in archive.NameToInfo:
        raise _damaged(path, f"it holds no {MODEL}")
    for entry in entries:
        _expect_plain(path, entry)
    if len(archive.NameToInfo) < len(entries):
        raise _damaged(path, "it holds a member twice")
    if sum(entry.file_size for entry in entries) > size:
        raise _damaged(path, "its members claim to be larger than the file")
    return archive


def _expect_plain(path: str | Path, entry: zipfile.ZipInfo) -> None:
    """A member is a stored, unencrypted, regular file of the size that it declares."""
    name, mode = entry.filename, entry.external_attr >> 16
    if stat.S_ISLNK(mode):
        raise _damaged(path, f"the member {name!r} is a link")
    if entry.flag_bits & 0x1:
        raise _damaged(path, f"the member {name!r} is encrypted")
    if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
        raise _damaged(path, f"the member {name!r} is compressed, which a model file never is")
    if name != WEIGHTS and entry.file_size > LARGEST_TEXT:
        raise _damaged(path, f"the member {name!r} has {entry.file_size:,} bytes")


def _expect_exactly(path: str | Path, members: Sequence[str]) -> None:
    """The three members, and nothing else: no path out of the file, no pickle."""
    unexpected = [name for name in members if name not in MEMBERS]
    if unexpected:
        shown = ", ".join(repr(name) for name in unexpected[:5])
        raise ModelFileError(
            f"{path} holds {shown}, which no model file does (it holds {', '.join(MEMBERS)}); "
            f"nothing of it was used. {ADVICE}"
        )
    for name in MEMBERS:
        if name not in members:
            raise _damaged(path, f"the member {name!r} is missing")


def _manifest(path: str | Path, content: bytes, newest: int) -> Manifest:
    try:
        manifest = json.loads(
            _text(path, MODEL, content),
            object_pairs_hook=_unique,
            parse_constant=_refuse,
            parse_float=_finite,
        )
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"{MODEL} is not the JSON that variate writes ({error})") from error
    if not isinstance(manifest, dict):
        raise _damaged(path, f"{MODEL} is not an object")
    _expect_shallow(path, manifest)
    found, kind = manifest.get("format"), manifest.get("kind")
    if type(found) is not int or found < 1:
        raise _damaged(path, f"{MODEL} names no format, but {found!r:.80}")
    if found > newest:
        raise NewerFormatError(
            f"{path} has the format {found}, written by variate {manifest.get('variate')!s:.40}; "
            f"this variate {__version__} reads formats up to {newest}. "
            "Update it: pip install --upgrade variate"
        )
    if not isinstance(kind, str):
        raise _damaged(path, f"{MODEL} names no kind of data, but {kind!r:.80}")
    return manifest


def _expect_shallow(path: str | Path, manifest: Manifest) -> None:
    """Whoever walks the manifest recursively after this cannot be sent too deep."""
    level: list[Any] = [manifest]
    for _ in range(DEEPEST):
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, dict | list)
        ]
        if not level:
            return
    raise _damaged(path, f"{MODEL} is nested more than {DEEPEST} deep")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is given twice")
    return found


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not a number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text:.40} is too large")
    return value


def _weights(path: str | Path, content: bytes) -> Weights:
    try:
        return load_tensors(content)
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise _damaged(path, f"{WEIGHTS} cannot be read ({error!s:.200})") from error


def _text(path: str | Path, name: str, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise _damaged(path, f"{name} is not UTF-8 ({error.reason})") from error


def _damaged(path: str | Path, what: str) -> ModelFileError:
    return ModelFileError(f"{path} is not a model file, or is damaged: {what}. {ADVICE}")
