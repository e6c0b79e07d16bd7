"""Which texture: what is asked for, or what most of the files have.

    voices=V         V voices of single notes
    tracks=K         K tracks of any number of notes at once, or those of some names
    neither          as many voices as most files have, if these have as many; tracks=1 if most
                     files have chords and no voice; else the first voice of each

This module does not know how a texture is modelled.
"""

from collections.abc import Sequence
from numbers import Integral
from typing import Any

from variate import codec as base
from variate.errors import OptionError
from variate.music.codec import MusicCodec
from variate.music.extraction import mostly_chords
from variate.music.polyphony.codec import TracksCodec
from variate.music.polyphony.extraction import MOST_TRACKS, Asked
from variate.music.polyphony.texture import Polyphony
from variate.music.polyphony.windows import TrackWindows
from variate.music.reading import gathered, kept_windows
from variate.music.texture import Texture
from variate.music.voices import Voices
from variate.music.windows import Windows

__all__ = ["AnyMusic", "Codec", "expect_tracks", "started", "texture_of"]

Codec = MusicCodec | TracksCodec


class AnyMusic(base.Codec):
    """The codecs of both textures, as a model file names them."""

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Any:
        """The codec that `state` describes.

        Raises:
            ValueError: It describes none.
        """
        return (TracksCodec if "tracks" in state else MusicCodec).from_state(state)


def texture_of(codec: Any) -> Texture:
    """The texture of a fitted codec."""
    return Polyphony(codec) if isinstance(codec, TracksCodec) else Voices(codec)


def started(
    bars: int,
    voices: int | None,
    tracks: Asked | None,
    transpose: tuple[int, int],
    data: Any,
    *,
    show: bool,
) -> tuple[Codec, Windows | TrackWindows]:
    """A codec of the texture that is asked for, or of what the data have; and its windows.

    Raises:
        DataError: There is no music.
    """
    data = kept_windows(data)
    if not isinstance(data, Windows | TrackWindows):
        data = gathered(data, show=show)
        if voices is None and tracks is None and mostly_chords(data.pieces):
            tracks = 1
    elif isinstance(data, TrackWindows) and voices is None and tracks is None:
        tracks = data.tracks
    if tracks is not None:
        made = TracksCodec(bars, tracks, transpose)
        return made, made.extracted(data, show=show)
    codec = MusicCodec(bars, voices, transpose)
    return codec, codec.extracted(data, show=show)


def expect_tracks(tracks: Any, voices: Any) -> Asked | None:
    """The option `tracks`: None, a number, or names.

    Raises:
        OptionError: It is something else, or voices are asked for too.
    """
    if tracks is None:
        return None
    if voices is not None:
        raise OptionError(
            f"music is of voices (one note at a time in each) or of tracks (any number), got "
            f"voices={voices!r} and tracks={tracks!r}; give one of them."
        )
    if isinstance(tracks, Integral) and not isinstance(tracks, bool):
        if 1 <= int(tracks) <= MOST_TRACKS:
            return int(tracks)
    elif isinstance(tracks, Sequence) and not isinstance(tracks, str):
        names = tuple(tracks)
        fits = 1 <= len({n.casefold() for n in names if isinstance(n, str)}) == len(names)
        if fits and len(names) <= MOST_TRACKS and all(names):
            return names
    raise OptionError(
        f"tracks must be how many, 1 to {MOST_TRACKS}, or the names of tracks in the files, such "
        f"as ['PIANO'], got {tracks!r:.60}."
    )
