"""Pieces -> sound: by fluidsynth and a soundfont where both are installed, else by sines.

    fluidsynth   a program of its own, with the first soundfont of Debian's places
    sines        each note the first partials of its pitch, with an attack and a decay

and written as .wav (always), or .ogg or .flac (by soundfile). This module does not know models.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import wave
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variate.errors import MissingExtraError, OutputError
from variate.music.midi import write_midi
from variate.music.pieces import Piece
from variate.output import replacing

__all__ = ["RATE", "rendered", "soundfont", "synthesised", "write_audio"]

RATE = 44_100
PLACES = ("/usr/share/sounds/sf3", "/usr/share/sounds/sf2", "/usr/share/soundfonts")
PARTIALS = (1.0, 0.5, 0.33, 0.2, 0.12, 0.06)  # how loud each partial is
ATTACK, RELEASE = 0.012, 0.08  # seconds
TAIL = 0.4
LOUD = 0.8
LONGEST = 3600  # seconds of a file

Floats = NDArray[np.float32]


def write_audio(piece: Piece, path: str | Path) -> Path:
    """A piece as sound.

    Args:
        piece: The piece.
        path: Where to: .wav, .ogg or .flac.

    Raises:
        OutputError: The ending is another, the piece lasts longer than an hour, or the file cannot
            be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in (".wav", ".ogg", ".flac"):
        raise OutputError(f"cannot write {path}: sound ends in .wav, .ogg or .flac.")
    seconds = piece.quarters * 60.0 / piece.tempo
    if seconds > LONGEST:
        raise OutputError(
            f"cannot write {path}: the piece lasts {seconds / 60:,.0f} minutes, and sound is of "
            f"{LONGEST // 60} at most; write parts of it."
        )
    sound = rendered(piece)
    if suffix == ".wav":
        with replacing(path) as file, wave.open(file, "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(2)
            out.setframerate(RATE)
            out.writeframes((sound * 32_767).astype("<i2").tobytes())
        return path
    soundfile = _soundfile()
    with replacing(path) as file:
        soundfile.write(file, sound, RATE, format=suffix[1:].upper())
    return path


def rendered(piece: Piece) -> Floats:
    """A piece as samples in [-1, 1] of one channel, RATE a second."""
    font = soundfont()
    if font is None or shutil.which("fluidsynth") is None:
        return synthesised(piece)
    with tempfile.TemporaryDirectory(prefix="variate-") as folder:
        score, out = Path(folder) / "piece.mid", Path(folder) / "piece.wav"
        write_midi(piece, score)
        done = subprocess.run(
            ["fluidsynth", "-ni", "-q", "-r", str(RATE), "-F", str(out), str(font), str(score)],
            check=False, capture_output=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if done.returncode != 0 or not out.exists():
            return synthesised(piece)
        with wave.open(str(out)) as made:
            channels = made.getnchannels()
            samples = np.frombuffer(made.readframes(made.getnframes()), "<i2")
    return _levelled(samples.reshape(-1, channels).mean(1).astype(np.float32))


def soundfont() -> Path | None:
    """The first soundfont that is installed, or None."""
    found = (sorted(Path(p).glob("*.sf[23]")) for p in PLACES if Path(p).is_dir())
    return next((fonts[0] for fonts in found if fonts), None)


def synthesised(piece: Piece) -> Floats:
    """A piece by sines; a simple organ."""
    second = 60.0 / piece.tempo  # of a quarter
    length = piece.quarters * second + TAIL
    sound = np.zeros(int(length * RATE) + 1)
    for note in piece.notes:
        start = int(note.onset * second * RATE)
        tone = _tone(440.0 * 2 ** ((note.pitch - 69) / 12), note.duration * second)
        room = sound[start : start + len(tone)]
        room += tone[: len(room)]
    return _levelled(sound.astype(np.float32))


def _tone(frequency: float, seconds: float) -> NDArray[np.float64]:
    time = np.arange(int((seconds + RELEASE) * RATE)) / RATE
    partials = [(k, loud) for k, loud in enumerate(PARTIALS, start=1) if k * frequency < RATE / 2.2]
    tone = np.zeros(len(time))
    for k, loud in partials:
        tone += loud * np.exp(-0.8 * k * time) * np.sin(2 * np.pi * k * frequency * time)
    swell = np.minimum(1.0, time / ATTACK)
    fade = np.clip((seconds + RELEASE - time) / RELEASE, 0.0, 1.0)
    return tone * swell * fade


def _levelled(sound: Floats) -> Floats:
    highest = float(np.abs(sound).max(initial=0.0))
    return sound * np.float32(LOUD / highest) if highest > 0 else sound


def _soundfile() -> Any:
    try:
        import soundfile
    except ImportError:
        raise MissingExtraError("sound as OGG or FLAC", "soundfile", "music") from None
    return soundfile
