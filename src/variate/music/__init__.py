"""The music kind: melodies, voices and chords, from MIDI, MusicXML, ABC or notes."""

from variate.music.estimator import MusicVAE
from variate.music.pieces import Instrument, Note, Piece
from variate.music.presets import Fidelity, Sampling
from variate.music.writing import write

__all__ = ["Fidelity", "Instrument", "MusicVAE", "Note", "Piece", "Sampling", "write"]
