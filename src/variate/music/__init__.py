"""The music kind: melodies and music of several voices, from MIDI, MusicXML, ABC or notes."""

from variate.music.estimator import MusicVAE
from variate.music.pieces import Note, Piece
from variate.music.presets import Fidelity, Sampling
from variate.music.writing import write

__all__ = ["Fidelity", "MusicVAE", "Note", "Piece", "Sampling", "write"]
