"""Music of tracks: the events and their rules, the codec, files, networks, what is given."""

import itertools
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from chords import chords

from variate.errors import DataError, DataWarning, OptionError, SchemaError
from variate.models import SequenceDecoder
from variate.music import Note, Piece, write
from variate.music.extraction import Wanted
from variate.music.layout import Layout
from variate.music.midi import Tracks
from variate.music.pieces import Instrument
from variate.music.polyphony.codec import TracksCodec
from variate.music.polyphony.events import END, Events
from variate.music.polyphony.extraction import extract_tracks
from variate.music.polyphony.network import EventDecoder
from variate.music.polyphony.rewriting import with_room
from variate.music.polyphony.texture import Polyphony
from variate.music.polyphony.windows import TrackWindows
from variate.music.reading import read_tracks
from variate.music.records import Extraction
from variate.music.rewriting import last_of, missing_of
from variate.music.stretches import Line, Stretch
from variate.music.textures import started


def every_item(events: Events) -> torch.Tensor:
    """All items that the rules allow, `[N, L]`."""
    found = []

    def walk(item, state):
        for symbol in events.allowed(state)[0].nonzero()[:, 0].tolist():
            longer = [*item, symbol]
            if symbol == END:
                found.append(longer + [END] * (events.length - len(longer)))
            else:
                walk(longer, events.after(state, torch.tensor([symbol])))

    walk([], events.begin(1, torch.device("cpu")))
    return torch.tensor(found)


def test_the_rules_leave_each_set_of_notes_one_sequence():
    events = Events(1, [3], 2, 9)
    x = every_item(events)
    sets = [set() for _ in x]
    for item, *note in zip(*(part.tolist() for part in events.struck(x)), strict=True):
        sets[item].add(tuple(note))
    assert len({frozenset(s) for s in sets}) == len(x)
    notes = [(n, b, d) for n in range(2) for b in range(3) for d in range(1, 4 - b)]
    possible = [
        some
        for count in range(len(notes) + 1)
        for some in itertools.combinations(notes, count)
        if 2 + len({b for _, b, _ in some}) + 2 * count <= 9
        and all(
            a[0] != b[0] or a[1] >= b[1] + b[2] or b[1] >= a[1] + a[2]
            for a, b in itertools.combinations(some, 2)
        )
    ]
    assert {frozenset(some) for some in possible} == {frozenset(s) for s in sets}


@pytest.mark.parametrize("events", [Events(1, [3], 2, 9), Events(2, [2], 1, 14)])
def test_the_law_sums_to_one_and_one_step_is_as_all(events):
    x = every_item(events)
    state, states = events.begin(len(x), x.device), events.states(x)
    for place, symbols in enumerate(x.T):
        assert (states[:, place] == state).all()
        state = events.after(state, symbols)
    bar = int(events.of_bar[0])
    layout = Layout(
        events.size, events.first_meter, ((bar, 16),), events.bars, bar * events.bars, 1
    )
    net = EventDecoder(layout, events, latent=2, width=4, hidden=6).double().eval()
    law = SequenceDecoder(net, events.length, END, events)(torch.randn(1, 1, 2).double())
    told = law.expand((1, len(x))).log_probs(x)[0]
    assert told.sum(1).exp().sum().item() == pytest.approx(1.0, abs=1e-5)
    memory, before = net.begin(torch.zeros(len(x), 2).double() + law.z[0]), None
    state = events.begin(len(x), x.device)
    for place, symbols in enumerate(x.T):
        logits, memory = net.step(memory, before)
        one = events.masked(logits, state).log_softmax(-1).gather(1, symbols[:, None])[:, 0]
        assert torch.allclose(one.float(), told[:, place].float(), atol=1e-5)
        state, before = events.after(state, symbols), symbols
    drawn = law.expand((1, 200)).sample()[0]
    known = {tuple(item) for item in x.tolist()}
    assert all(tuple(item) in known for item in drawn.tolist())


@pytest.mark.parametrize(("tracks", "meter"), [(1, (4, 4)), (3, (3, 4)), (2, (6, 8))])
def test_pieces_come_back(tracks, meter):
    pieces = [chords(seed, tracks=tracks, meter=meter) for seed in range(6)]
    codec = TracksCodec(2, tracks).fit(pieces)
    x = codec.encode(pieces)
    assert codec.events().allowed(codec.events().states(x)).gather(-1, x[..., None]).all()
    again = codec.decode(x)
    assert [piece.voices for piece in again] == [piece.voices for piece in pieces]
    assert {piece.meter for piece in again} == {meter}
    kept = TracksCodec.from_state(codec.state())
    assert kept.state() == codec.state()
    assert (kept.encode(again) == x).all()


def test_long_notes_and_silence_come_back():
    held = (Note(0, 8, 60), Note(0, 7.75, 59), Note(7.75, 0.25, 59))
    pieces = [chords(1), Piece((held,), bars=2), chords(2)]
    codec = TracksCodec(2, 1).fit(pieces)
    silent = Piece(((),), bars=2)
    again = codec.decode(codec.encode([pieces[1], silent]))
    assert again[0].voices == (tuple(sorted(pieces[1].voices[0])),)
    assert again[1].voices == ((),)
    assert (codec.encode([silent]) == codec.blank()).all()


def test_transposition_moves_all_tracks_alike():
    pieces = [chords(seed, tracks=2) for seed in range(4)]
    codec = TracksCodec(2, 2).fit(pieces)
    x, texture, seen = codec.encode(pieces), Polyphony(codec), set()
    for seed in range(20):
        moved = codec.decode(texture.transposed(x, torch.Generator().manual_seed(seed)))
        for a, b in zip(pieces, moved, strict=True):
            pairs = [
                (n.pitch - m.pitch, n[:2] == m[:2])
                for v, w in zip(a.voices, b.voices, strict=True)
                for n, m in zip(v, w, strict=True)
            ]
            assert len(set(pairs)) == 1
            assert pairs[0][1]
            seen.add(-pairs[0][0])
    assert seen == set(range(-5, 7))


def test_what_the_model_does_not_know_is_an_error():
    codec = TracksCodec(2, 1).fit([chords(seed) for seed in range(4)])
    with pytest.raises(SchemaError, match="is in 3/4, and the model knows 4/4"):
        codec.encode([chords(0, meter=(3, 4))])
    with pytest.raises(SchemaError, match="has the pitch 127 in track 1"):
        codec.encode([Piece(((Note(0, 1, 127),),), bars=2)])
    wall = tuple(Note(t / 4, 0.25, p) for t in range(32) for p in range(55, 70))
    with pytest.raises(SchemaError, match="has 480 notes, 995 symbols, and the model knows"):
        codec.encode([Piece((wall,))])
    for broken in ({"lowest": [1, 2]}, {"length": 1}, {"tracks": [["a", 200]]}):
        with pytest.raises(ValueError, match="no music is like this"):
            TracksCodec.from_state(codec.state() | broken)


def test_what_becomes_of_notes_is_told():
    notes = (Note(0, 2, 60), Note(1, 2, 60), Note(3, 6, 64), Note(7.75, 0.5, 67), Note(0, 2, 60),
             Note(8, 4, 65), Note(12, 4, 72))  # fmt: skip
    windows, report = read_tracks([Piece((notes,))], 1, Wanted(2, stride=2, clean=False))
    assert report.notes["notes that are there twice, taken as one"] == 1
    assert report.notes["notes cut where their key is struck again"] == 1
    assert report.notes["notes that go on beyond a window, cut at its end"] == 2
    assert report.notes["notes held from before a window, struck anew at its beginning"] == 1
    ends = "ends of notes of less than a quarter at a window's beginning, left out"
    assert report.notes[ends] == 1
    assert windows.notes[windows.notes[:, 0] == 1, 1:].tolist() == [
        [0, 0, 16, 65], [0, 0, 4, 64], [0, 16, 16, 72]
    ]  # fmt: skip


def test_bad_files(tmp_path):
    symusic = pytest.importorskip("symusic")
    good = [chords(seed) for seed in range(3)]
    write(good, tmp_path / "music")
    score = symusic.Score(480)
    drums = symusic.Track("drums", 0, True)
    drums.notes.append(symusic.Note(0, 100, 36, 80))
    score.tracks.append(drums)
    (tmp_path / "music" / "drums.mid").write_bytes(score.dumps_midi())
    score = symusic.Score(480)
    track = symusic.Track("flat", 0, False)
    for step in range(32):
        track.notes.append(symusic.Note(240 * step, 0, 60 + step % 5, 80))
    score.tracks.append(track)
    (tmp_path / "music" / "flat.mid").write_bytes(score.dumps_midi())
    with pytest.warns(DataWarning, match=r"drums.mid: it has drums only"):
        windows, report = read_tracks(tmp_path / "music", 1, Wanted(2))
    assert report.notes["notes without length, made a sixteenth"] > 0
    assert "3 windows" not in str(report)
    saved = windows.save(tmp_path / "w.npz")
    assert (TrackWindows.load(saved).notes == windows.notes).all()
    (tmp_path / "bad.npz").write_bytes(b"no")
    with pytest.raises(DataError, match="holds no windows of music"):
        TrackWindows.load(tmp_path / "bad.npz")


def test_ten_hours_and_hundreds_of_notes_at_a_step():
    long = Piece(((Note(0, 1, 60), Note(0, 1, 64), Note(4_000 * 4 + 40, 72_000 - 16_100, 67)),))
    wall = Piece(tuple(tuple(Note(0, 8, pitch) for pitch in range(128)) for _ in range(3)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        windows, report = read_tracks([long, wall, chords(0)], 1, Wanted(2, stride=2, clean=False))
    assert report.notes["pieces cut after 4,000 bars"] == 1
    assert (windows.notes[:, 0] == 2_000).sum() == 128
    assert report.notes["notes that are there twice, taken as one"] == 256
    codec = TracksCodec(2, 1, (0, 0)).learn(windows)
    x = codec.symbols(windows.part([0, 2_000, 2_001]))
    assert codec.decode(x)[1].voices[0] == tuple(Note(0, 8, pitch) for pitch in range(128))


def test_which_tracks_are_read():
    three = Piece(
        chords(0, tracks=3).voices,
        instruments=(Instrument("Lead"), Instrument("Piano"), Instrument("Bass", 32)),
    )
    windows, report = read_tracks([three], 1, Wanted(2))
    assert report.notes["files of several tracks, read as one"] == 1
    windows, _ = read_tracks([three], ("bass", "PIANO"), Wanted(2))
    assert [i.name for i in windows.instruments] == ["Bass", "Piano"]
    assert windows.instruments[0].program == 32
    with pytest.raises(DataError, match=r"it has no track named 'Flute'; its tracks are 'Lead'"):
        read_tracks([three], ("Flute",), Wanted(2))
    with pytest.raises(DataError, match="it has 3 tracks, not 2"):
        read_tracks([three], 2, Wanted(2))


def test_the_files_decide():
    several = [chords(seed) for seed in range(4)]
    codec, _ = started(2, None, None, (0, 0), several, show=False)
    assert isinstance(codec, TracksCodec)
    codec, windows = started(2, 1, None, (0, 0), several, show=False)
    assert "tracks=1 reads all" in str(codec.extraction)
    assert windows.voices == 1


def test_a_file_beside_the_grid_is_moved_onto_it(tmp_path):
    pytest.importorskip("symusic")
    beside = [
        Piece(tuple(tuple(n._replace(onset=n.onset + 0.1) for n in v) for v in chords(seed).voices))
        for seed in range(3)
    ]
    write(beside, tmp_path / "m")
    windows, report = read_tracks(tmp_path / "m", 1, Wanted(2))
    assert report.notes["files beside the grid by one amount, moved onto it"] == 3
    assert report.off == 0
    again = (
        TracksCodec(2, 1).learn(windows).decode(TracksCodec(2, 1).learn(windows).symbols(windows))
    )
    onsets = {(n.onset, n.pitch) for n in chords(0).voices[0]}
    assert {(n.onset, n.pitch) for n in again[0].voices[0]} == onsets
    assert np.isclose(report.off_share, 0)


def test_nats_go_to_the_track_that_they_tell_of():
    """A place went to the track of the note before it."""
    high, low = (Note(0, 1, 72), Note(6, 1, 74)), (Note(2, 1, 40), Note(4, 8 - 4, 41))
    pieces = [Piece((high, low), bars=2)]
    codec = TracksCodec(2, 2, (0, 0)).fit(pieces * 2 + [chords(0, tracks=2)])
    x = codec.encode(pieces)
    used = 1 + int((x != END).sum())
    told = torch.ones(x.shape).double() * (torch.arange(x.shape[1]) < used)
    found = Polyphony(codec).lost(told, x)[0]
    # 72, 40 and the metre and the bar line; 41, 74 and the end; each note has three symbols
    assert found.tolist() == [[3 + 2, 3], [3 + 1, 3]]


@pytest.mark.parametrize("given", [2, "2", [1.0], [True], [], [0], [3], ["1"]])
def test_bars_that_are_none(given):
    codec = TracksCodec(2, 1).fit([chords(seed) for seed in range(4)])
    with pytest.raises(OptionError, match="bars must be some of 1 to 2, such as"):
        missing_of(codec, codec.blank(), given, None, (1, "track"))
    some = missing_of(codec, codec.blank(), np.array([2]), None, (1, "track"))
    assert some[0, :, 0].tolist() == [False] * 16 + [True] * 16


def test_what_sounds_where_the_metre_changes():
    """Ends of notes of any length were struck anew there, and not counted."""
    notes = (Note(0, 8.2, 60), Note(4, 6, 64), Note(4, 4.1, 59), Note(7.9, 2, 67), Note(9, 2, 62))
    said = Tracks((notes,), ((0.0, (4, 4)), (8.0, (3, 4))))
    report = Extraction(0, 1)
    windows = extract_tracks([("a", said)], 1, Wanted(1, stride=1, clean=False), report)
    assert windows.notes[windows.notes[:, 0] == 2, 1:].tolist() == [
        [0, 0, 8, 67], [0, 0, 8, 64], [0, 4, 8, 62]
    ]  # fmt: skip
    ends = "ends of notes of less than a quarter at a window's beginning, left out"
    assert report.notes[ends] == 1
    voice = Stretch(8.0, 1, 0, 1).within(Line(notes[1:3]))
    assert [(note.onset, note.pitch) for note in voice] == [(0, 64)]


def test_windows_that_were_kept_are_of_their_tracks(tmp_path):
    """Asked for in another order, they were taken for each other."""
    named = (Instrument("Lead"), Instrument("Bass"))
    pieces = [Piece(chords(s, tracks=2).voices, instruments=named) for s in range(4)]
    windows, _ = read_tracks(pieces, ("lead", "bass"), Wanted(2))
    kept = windows.save(tmp_path / "w.npz")
    assert read_tracks(kept, ("LEAD", "bass"), Wanted(2))[0].tracks == 2
    with pytest.raises(DataError, match=r"the windows are of the tracks \['Lead', 'Bass'\]"):
        read_tracks(kept, ("bass", "lead"), Wanted(2))


def test_windows_without_names():
    windows, _ = read_tracks([chords(0), chords(1)], 1, Wanted(2))
    assert replace(windows, names=[]).labels() == ["piece 0:1-2", "piece 1:1-2"]


def test_an_alla_breve_goes_on_as_four_quarters():
    codec = TracksCodec(2, 1).fit([chords(seed) for seed in range(4)])
    piece = Piece(chords(0).voices, (2, 2), bars=2)
    x = with_room(codec, piece, 1)
    assert codec.decode(x)[0].voices[0] == tuple(sorted(last_of(piece, 1).voices[0]))
    with pytest.raises(DataError, match="the piece has 1 tracks in 5/4; the model knows"):
        with_room(codec, Piece(piece.voices, (5, 4), bars=2), 1)
