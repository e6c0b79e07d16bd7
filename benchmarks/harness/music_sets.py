"""The music that benchmarks/music.py measures, read once and kept where `--prepared` says.

    melodies   nottingham/nottingham.tar.gz: its MIDI melodies as windows of two bars
    chorales   jsb/bach_chorales_music21_SATB.json.gz: windows of two bars of four voices
    rolls      pianoroll/{JSB_Chorales,Nottingham}.mat: the standard splits

What is kept is .npz without pickles, small enough to be carried to a machine that has neither the
data nor the libraries that read scores.
"""

import gzip
import json
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from harness.pianoroll import KEYS, rolls
from variate.music.extraction import Wanted
from variate.music.pieces import Note, Piece
from variate.music.reading import read
from variate.music.windows import Windows

ROLLS = ("JSB_Chorales", "Nottingham")


def melodies(data: Path | None, prepared: Path) -> Windows:
    """Windows of two bars of the tunes of Nottingham."""
    kept = prepared / "melodies.npz"
    if not kept.exists():
        archive = _folder(data) / "nottingham" / "nottingham.tar.gz"
        with tempfile.TemporaryDirectory() as folder, tarfile.open(archive) as tar:
            members = [m for m in tar.getmembers() if "/melody/" in m.name and m.isfile()]
            tar.extractall(folder, members=members, filter="data")
            windows, report = read(folder, Wanted(bars=2))
        print(f"{report}\n")
        windows.save(kept)
    return Windows.load(kept)


def chorales(data: Path | None, prepared: Path, bars: int = 2) -> Windows:
    """Windows of Bach's chorales, four voices, from one bar line to the next but `bars`."""
    kept = prepared / f"chorales{bars}.npz"
    if not kept.exists():
        pieces = _chorales(_folder(data) / "jsb" / "bach_chorales_music21_SATB.json.gz")
        windows, report = read(pieces, Wanted(bars=bars, voices=4))
        print(f"{report}\n")
        windows.save(kept)
    return Windows.load(kept)


def piano_rolls(data: Path | None, prepared: Path, name: str) -> dict[str, Tensor]:
    """The parts of a set of piano-rolls, as `pianoroll.rolls` gives them."""
    kept = prepared / f"{name}.npz"
    if not kept.exists():
        found = rolls(_folder(data) / "pianoroll" / f"{name}.mat")
        packed = {part: np.packbits((x == 1).numpy(), -1) for part, x in found.items()}
        lengths = {f"{part}_steps": (x[..., 0] != 2).sum(1).numpy() for part, x in found.items()}
        np.savez_compressed(kept, **packed, **lengths)
    with np.load(kept, allow_pickle=False) as parts:
        made = {}
        for part in ("train", "valid", "test"):
            x = torch.from_numpy(np.unpackbits(parts[part], axis=-1, count=KEYS))
            beyond = torch.arange(x.shape[1]) >= torch.from_numpy(parts[f"{part}_steps"])[:, None]
            made[part] = torch.where(beyond[..., None], 2, x).to(torch.uint8)
    return made


def _chorales(path: Path) -> list[Piece]:
    with gzip.open(path, "rt") as file:
        found = json.load(file)
    return [piece for number, entry in enumerate(found) if (piece := _piece(number, entry))]


def _piece(number: int, entry: dict) -> Piece | None:
    """A chorale in one metre, its upbeat at the end of a bar, its ties joined."""
    meters = {tuple(int(n) for n in meter.split("/")) for meter in entry["time_signatures"]}
    if len(meters) != 1 or len(entry["parts"]) != 4:
        return None
    meter = meters.pop()
    bar = meter[0] * 4 / meter[1]
    shift = (bar - entry["pickup_ql"]) % bar
    voices = [_voice(part, shift) for part in entry["parts"]]
    return Piece(tuple(voices), meter, name=f"chorale {number}")


def _voice(part: list, shift: float) -> tuple[Note, ...]:
    made: list[Note] = []
    for onset, length, pitch, continues in part:
        if pitch < 0 or length <= 0:  # silence, or a grace note
            continue
        if continues and made and made[-1].pitch == pitch and made[-1].end == onset + shift:
            made[-1] = made[-1]._replace(duration=made[-1].duration + length)
        else:
            made.append(Note(onset + shift, length, pitch))
    return tuple(made)


def _folder(data: Path | None) -> Path:
    if data is None:
        raise SystemExit("give --data (or VARIATE_DATA): a folder that has music/, or --prepared")
    return Path(data) / "music"
