r"""Files whose notes all lie beside the grid by the same amount, moved onto it.

A recording that was laid under a metronome's bars begins wherever it began, and all of its notes
are off by what is left of a sixteenth. With onsets t_j in sixteenths that amount is the mean angle

    φ = arg(Σ_j exp(2πi t_j)) / 2π

(circular statistics; Mardia & Jupp 2000), and the file is moved by it if it is off the grid as it
stands, and on the grid once moved. Where the bars begin is left as the file says.

This module does not know files or windows.
"""

from dataclasses import replace

import numpy as np

from variate.music.grid import OFF
from variate.music.midi import Tracks
from variate.music.pieces import STEPS_PER_QUARTER

__all__ = ["on_the_grid"]

MOST_OFF = 0.25  # of the onsets of a file that is on the grid


def on_the_grid(tracks: Tracks) -> Tracks:
    """The same notes, moved onto the grid if they all lie beside it; else as they are."""
    onsets = np.array([note.onset for voice in tracks.voices for note in voice])
    steps = onsets * STEPS_PER_QUARTER
    if not len(steps) or _off(steps) <= MOST_OFF:
        return tracks
    phase = float(np.angle(np.exp(2j * np.pi * steps).sum()) / (2 * np.pi))
    if _off(steps - phase) > MOST_OFF:
        return tracks
    moved = tuple(
        tuple(note._replace(onset=note.onset - phase / STEPS_PER_QUARTER) for note in voice)
        for voice in tracks.voices
    )
    return replace(tracks, voices=moved)


def _off(steps: np.ndarray) -> float:
    """The share of onsets that lie off the grid."""
    return float((np.abs(steps - np.rint(steps)) > OFF).mean())
