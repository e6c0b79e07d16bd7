"""Music of any number of notes at once, on one or several tracks: `MusicVAE(tracks=...)`."""

__all__ = ()
