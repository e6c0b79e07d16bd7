"""The model file: what is written comes back, and nothing else ever comes in."""

import errno
import json
import pickle
import random
import stat
import struct
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from variate import bundle
from variate.errors import ModelFileError, NewerFormatError, OutputError
from variate.output import replacing

MANIFEST = {"kind": "table", "facts": {"rows": 3, "loss": 1.5, "name": "é"}, "list": [1, [2, None]]}
CARD = "# A model\n\nof nothing\n"


def weights() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "encoder.0.weight": torch.randn(4, 3, generator=generator),
        "steps": torch.tensor(7),
        "codes": torch.arange(6, dtype=torch.int64).reshape(2, 3),
        "flags": torch.tensor([True, False]),
    }


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return bundle.write(tmp_path / "model.variate", MANIFEST, weights(), CARD)


def pack(path: Path, members: list[tuple[str | zipfile.ZipInfo, bytes]], **options: int) -> Path:
    """A zip of our own making."""
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def members(**replaced: bytes) -> list[tuple[str, bytes]]:
    """The members of a good file, some of them replaced."""
    good = {
        "model.json": json.dumps({"format": 1, "kind": "table"}).encode(),
        "weights.safetensors": save(weights()),
        "card.md": CARD.encode(),
    }
    names = {"model": "model.json", "weights": "weights.safetensors", "card": "card.md"}
    return list((good | {names[key]: value for key, value in replaced.items()}).items())


def expect_refusal(path: Path, *words: str, **options: object) -> None:
    """Reading fails with a ModelFileError that names the file and says the words."""
    with pytest.raises(ModelFileError) as caught:
        bundle.read(path, **options)  # type: ignore[arg-type]
    for word in (str(path), *words):
        assert word in str(caught.value)


# -- round trip ---------------------------------------------------------------------------------


def test_what_was_written_is_read(path: Path) -> None:
    manifest, tensors, card = bundle.read(path)
    assert {key: manifest[key] for key in MANIFEST} == MANIFEST
    assert manifest["format"] == bundle.FORMAT
    assert isinstance(manifest["variate"], str)
    assert card == CARD
    assert tensors.keys() == weights().keys()
    for name, tensor in weights().items():
        assert tensors[name].dtype == tensor.dtype
        assert torch.equal(tensors[name], tensor)


def test_equal_content_gives_equal_bytes(path: Path, tmp_path: Path) -> None:
    again = bundle.write(tmp_path / "again.variate", MANIFEST, weights(), CARD)
    assert path.read_bytes() == again.read_bytes()


def test_the_zip_holds_exactly_three_stored_members(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["model.json", "weights.safetensors", "card.md"]
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}


def test_tensors_that_share_memory_are_kept(tmp_path: Path) -> None:
    whole = torch.arange(6.0).reshape(2, 3)
    path = bundle.write(tmp_path / "m", MANIFEST, {"a": whole, "b": whole[0], "c": whole.T}, CARD)
    _, tensors, _ = bundle.read(path)
    assert torch.equal(tensors["c"], whole.T)


def test_a_manifest_that_json_cannot_hold_leaves_the_old_file(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(ValueError, match="not JSON compliant"):
        bundle.write(path, {"kind": "table", "loss": float("nan")}, weights(), CARD)
    assert path.read_bytes() == before


# -- writing whole or not at all ------------------------------------------------------------------


class FullDisk(BytesIO):
    """A file on a disk that is full after some bytes."""

    def write(self, content: bytes) -> int:
        if self.tell() + len(content) > 100:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(content)


def test_a_full_disk_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()
    monkeypatch.setattr("variate.output.open", lambda *_: FullDisk(), raising=False)
    with pytest.raises(OutputError, match="disk is full"):
        bundle.write(path, MANIFEST | {"kind": "image"}, weights(), CARD)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert [other.name for other in path.parent.iterdir()] == [path.name]


def test_a_failure_to_reach_the_disk_is_an_error(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    before = path.read_bytes()
    monkeypatch.setattr("variate.output.os.fsync", fail)
    with pytest.raises(OutputError, match="quota"):
        bundle.write(path, MANIFEST | {"kind": "image"}, weights(), CARD)
    assert path.read_bytes() == before
    assert [other.name for other in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("missing/model.variate", "does not exist"),
        ("file/model.variate", "not a folder"),
        ("folder", "it is a folder"),
    ],
)
def test_a_place_that_cannot_be_written(tmp_path: Path, place: str, words: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match=words):
        bundle.write(tmp_path / place, MANIFEST, weights(), CARD)


def test_an_unwritable_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("variate.output.open", refuse, raising=False)  # the tests may run as root
    with pytest.raises(OutputError, match="may not be written to"):
        bundle.write(tmp_path / "model.variate", MANIFEST, weights(), CARD)


def test_an_interrupt_leaves_the_old_file(path: Path) -> None:
    before = path.read_bytes()

    def write_half() -> None:
        with replacing(path) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert path.read_bytes() == before
    assert [other.name for other in path.parent.iterdir()] == [path.name]


def test_a_link_stays_a_link(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.variate"
    link.symlink_to(path)
    bundle.write(link, MANIFEST | {"kind": "image"}, weights(), CARD)
    assert link.is_symlink()
    assert bundle.read(path)[0]["kind"] == "image"


# -- reading with suspicion -----------------------------------------------------------------------


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    expect_refusal(tmp_path / "none.variate", "No such file")
    expect_refusal(tmp_path, "directory")


@pytest.mark.parametrize("content", [b"", b"PK", b"not a zip at all" * 100, b"\x80\x04N."])
def test_a_file_that_is_no_zip(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.variate"
    path.write_bytes(content)
    expect_refusal(path, "not a model file, or is damaged", "fit and save the model again")


def test_a_truncated_file(path: Path) -> None:
    content = path.read_bytes()
    for length in range(0, len(content), 37):
        path.write_bytes(content[:length])
        expect_refusal(path)


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_missing_member(tmp_path: Path, missing: int) -> None:
    kept = [member for i, member in enumerate(members()) if i != missing]
    expect_refusal(pack(tmp_path / "m", kept), members()[missing][0])


@pytest.mark.parametrize(
    "name",
    ["../../evil.py", "/etc/passwd", "model.json/../x", "C:\\evil", "data.pkl", "MODEL.JSON", "a/"],
)
def test_an_unexpected_member_is_not_used(tmp_path: Path, name: str) -> None:
    path = pack(tmp_path / "m", [*members(), (name, b"x")])
    expect_refusal(path, "nothing of it was used")
    assert [other.name for other in tmp_path.iterdir()] == ["m"]


class Bomb:
    """Leaves a trace if it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return (exec, ("raise SystemExit('unpickled')",))


@pytest.mark.parametrize("where", ["model", "weights", "card", "extra"])
def test_a_pickle_is_never_loaded(tmp_path: Path, where: str) -> None:
    bomb = pickle.dumps(Bomb())
    torch.save({"a": torch.zeros(1)}, archive := BytesIO())
    for content in (bomb, archive.getvalue()):
        content = b"\xff" + content if where == "card" else content  # any text is a card
        held = (
            [*members(), ("data.pkl", content)] if where == "extra" else members(**{where: content})
        )
        expect_refusal(pack(tmp_path / "m", held))


def test_a_member_that_comes_twice(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = pack(tmp_path / "m", [*members(), members()[0]])
    expect_refusal(path, "twice")


def test_a_compressed_member_is_a_bomb(tmp_path: Path) -> None:
    bomb = members(card=b" " * 2**20)
    expect_refusal(pack(tmp_path / "m", bomb, compression=zipfile.ZIP_DEFLATED), "compressed")


def test_a_link_as_a_member(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("card.md")
    link.create_system = 3
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    expect_refusal(pack(tmp_path / "m", [*members()[:2], (link, b"/etc/passwd")]), "a link")


def test_a_member_that_claims_to_be_larger_than_the_file(tmp_path: Path) -> None:
    path = pack(tmp_path / "m", members())
    content = path.read_bytes()
    directory = content.index(b"PK\x01\x02")
    huge = struct.pack("<II", 2**31, 2**31)
    path.write_bytes(content[: directory + 20] + huge + content[directory + 28 :])
    expect_refusal(path)


def test_a_directory_that_claims_to_be_huge(tmp_path: Path) -> None:
    path = tmp_path / "m"
    directory = (b"PK\x01\x02" + bytes(42)) * 20_000
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 20_000, 20_000, len(directory), 0, 0)
    path.write_bytes(directory + end)
    expect_refusal(path, "too large")


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (b"[1, 2]", "not an object"),
        (b"{", "not the JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b'{"format": 1, "kind": "table", "x": NaN}', "NaN"),
        (b'{"format": 1, "kind": "table", "x": -Infinity}', "Infinity"),
        (b'{"format": 1, "kind": "table", "x": 1e999}', "too large"),
        (b'{"format": 1, "kind": "table", "x": ' + b"9" * 5000 + b"}", "not the JSON"),
        (b'{"format": 1, "kind": "table", "kind": "image"}', "given twice"),
        (b'{"format": 1, "kind": "table", "x": ' + b"[" * 100 + b"]" * 100 + b"}", "nested"),
        (b"[" * 100_000, "not the JSON"),
        (b'{"kind": "table"}', "names no format"),
        (b'{"format": true, "kind": "table"}', "names no format"),
        (b'{"format": "1", "kind": "table"}', "names no format"),
        (b'{"format": 0, "kind": "table"}', "names no format"),
        (b'{"format": 1}', "names no kind"),
        (b'{"format": 1, "kind": ["table"]}', "names no kind"),
    ],
)
def test_a_manifest_that_is_not_ours(tmp_path: Path, document: bytes, words: str) -> None:
    expect_refusal(pack(tmp_path / "m", members(model=document)), words)


def tensor_file(header: bytes, content: bytes = b"\0" * 16) -> bytes:
    return struct.pack("<Q", len(header)) + header + content


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 8,
        struct.pack("<Q", 2**62) + b"{}",
        tensor_file(b"not json"),
        tensor_file(b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,16]}}'),
        tensor_file(b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,99]}}'),
        tensor_file(b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[16,0]}}'),
        tensor_file(b'{"a":{"dtype":"F99","shape":[4],"data_offsets":[0,16]}}'),
        tensor_file(b'{"a":{"dtype":"F32","shape":[-4],"data_offsets":[0,16]}}'),
        tensor_file(b'{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,16]}}'),
    ],
)
def test_a_tensor_header_that_lies(tmp_path: Path, content: bytes) -> None:
    expect_refusal(pack(tmp_path / "m", members(weights=content)), "weights.safetensors")


def test_any_corruption_is_an_error_or_harmless(path: Path) -> None:
    """Bytes changed, cut out or put in anywhere: a ModelFileError, or the same content."""
    content = path.read_bytes()
    expected = bundle.read(path)
    draw = random.Random(0)
    for _ in range(700):
        damaged = bytearray(content)
        for _ in range(draw.choice([1, 1, 1, 2, 8])):
            at = draw.randrange(len(damaged))
            match draw.randrange(4):
                case 0:
                    damaged[at] ^= 1 << draw.randrange(8)
                case 1:
                    damaged[at] = draw.choice([0, 255, draw.randrange(256)])
                case 2:
                    del damaged[at : at + draw.randrange(1, 40)]
                case 3:
                    damaged[at:at] = draw.randbytes(draw.randrange(1, 40))
        path.write_bytes(damaged)
        try:
            manifest, tensors, card = bundle.read(path)
        except ModelFileError:
            continue
        assert (manifest, card) == (expected[0], expected[2])
        assert all(torch.equal(tensors[name], tensor) for name, tensor in expected[1].items())


# -- formats of other times -----------------------------------------------------------------------


def test_a_newer_format_names_both_versions(tmp_path: Path) -> None:
    document = b'{"format": 7, "kind": "table", "variate": "9.9"}'
    path = pack(tmp_path / "m", [*members(model=document), ("future.bin", b"")])
    with pytest.raises(NewerFormatError, match=r"format 7, written by variate 9\.9.*up to 1"):
        bundle.read(path)


def test_an_older_format_is_brought_up_to_date(path: Path) -> None:
    def second(manifest: dict, tensors: dict) -> tuple[dict, dict]:
        return manifest | {"title": manifest["kind"].upper()}, tensors

    def third(manifest: dict, tensors: dict) -> tuple[dict, dict]:
        return manifest, {f"model.{name}": tensor for name, tensor in tensors.items()}

    manifest, tensors, _ = bundle.read(path, migrations=(second, third))
    assert manifest["title"] == "TABLE"
    assert "model.steps" in tensors


def test_a_model_is_not_written_over_what_is_no_model(path: Path, tmp_path: Path) -> None:
    """`fit people.csv --out people.csv` replaced the data by the model."""
    data, sheet = tmp_path / "people.csv", tmp_path / "people.npz"
    data.write_text("a,b\n1,2\n")
    with zipfile.ZipFile(sheet, "w") as archive:
        archive.writestr("x.npy", b"1")
    for place in (data, sheet):
        before = place.read_bytes()
        with pytest.raises(OutputError, match=r"is no model file.*people\.variate, or delete"):
            bundle.write(place, MANIFEST, weights(), CARD)
        assert place.read_bytes() == before
    other = path.rename(tmp_path / "model.zip")
    bundle.write(other, MANIFEST, weights(), CARD)  # one model in place of another
    (tmp_path / "empty").touch()
    bundle.write(tmp_path / "empty", MANIFEST, weights(), CARD)
