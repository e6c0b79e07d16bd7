"""Files of music: what is kept, what is left out, and what is said of it."""

import time
import warnings

import numpy as np
import pytest
from tunes import hymns, tunes

from variate import kinds
from variate.errors import DataError, DataWarning
from variate.music import Note, Piece, write
from variate.music.extraction import MOST_BARS, Wanted
from variate.music.reading import read
from variate.music.recognition import is_music
from variate.music.splitting import split_by_piece
from variate.music.stretches import Line, Stretch
from variate.music.windows import Windows

symusic = pytest.importorskip("symusic")


def midi(path, notes, *, meters=((0, 4, 4),), tempos=(120,), drums=False, tracks=1):
    """A file of notes (onset, length, pitch) in quarters."""
    score = symusic.Score(480)
    for at, a, b in meters:
        score.time_signatures.append(symusic.TimeSignature(int(at * 480), a, b))
    for i, tempo in enumerate(tempos):
        score.tempos.append(symusic.Tempo(i * 1920, tempo))
    for _ in range(tracks):
        track = symusic.Track("", 0, drums)
        for onset, length, pitch in notes:
            track.notes.append(symusic.Note(int(onset * 480), int(length * 480), pitch, 80))
        score.tracks.append(track)
    path.write_bytes(score.dumps_midi())
    return path


EIGHT = [(i, 1, 60 + i) for i in range(8)]


def test_a_folder_of_tunes(tmp_path):
    write(tunes(5), tmp_path / "tunes")
    windows, report = read(tmp_path / "tunes", Wanted(bars=2))
    assert windows.symbols.shape == (len(windows), 32, 1)
    assert report.files == 5
    assert report.kept == len(windows) <= 15
    assert report.off == 0
    assert "5 of 5 files are read" in str(report)
    assert windows.labels()[0] == "00000.mid:1-2"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "does not begin with MThd"),
        (b"MThd" + bytes(20), "it has no notes|damaged|no ticks"),
        (b"\x00\xff" * 400, "does not begin with MThd"),
    ],
)
def test_a_corrupted_file_is_an_error_that_says_so(tmp_path, content, why):
    path = tmp_path / "bad.mid"
    path.write_bytes(content)
    with pytest.raises(DataError, match=why) as raised:
        read(path, Wanted())
    assert "bad.mid" in str(raised.value)


def test_a_file_that_is_cut_short(tmp_path):
    whole = midi(tmp_path / "whole.mid", EIGHT).read_bytes()
    (tmp_path / "cut.mid").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"cut\.mid"):
        read(tmp_path / "cut.mid", Wanted())


def test_drums_only_and_nothing_at_all(tmp_path):
    with pytest.raises(DataError, match="drums only"):
        read(midi(tmp_path / "drums.mid", EIGHT, drums=True), Wanted())
    with pytest.raises(DataError, match="no notes"):
        read(midi(tmp_path / "empty.mid", []), Wanted())


def test_one_good_file_among_a_hundred_bad_ones(tmp_path):
    for i in range(99):
        (tmp_path / f"bad{i:02d}.mid").write_bytes(b"no music")
    midi(tmp_path / "good.mid", EIGHT)
    with pytest.warns(DataWarning, match=r"99 of 100 files are left out: bad00\.mid"):
        windows, report = read(tmp_path, Wanted())
    assert len(windows) == 1
    assert report.facts()["files_refused"] == 99
    assert "refused: 99 files, not a MIDI file" in str(report)
    assert "and 94 more" in str(report)


def test_changes_of_tempo_are_left_out_and_told(tmp_path):
    windows, report = read(midi(tmp_path / "a.mid", EIGHT, tempos=(120, 90, 200)), Wanted())
    assert len(windows) == 1
    assert "2 changes of tempo" in str(report)


def test_windows_do_not_reach_over_a_change_of_metre(tmp_path):
    notes = [(i, 1, 60 + i % 5 + i // 7) for i in range(8 + 9)]
    path = midi(tmp_path / "a.mid", notes, meters=((0, 4, 4), (8, 3, 4)))
    windows, report = read(path, Wanted())
    assert report.meters == {"4/4": 1, "3/4": 2}
    assert windows.starts.tolist() == [0, 2, 3]
    assert (windows.symbols[1, 24:] == 0).all()
    assert "changes of metre" in str(report)


def test_a_metre_that_is_not_known_is_told(tmp_path):
    with pytest.raises(DataError, match="their metre is 5/4"):
        read(
            midi(tmp_path / "a.mid", [(i, 1, 60 + i) for i in range(20)], meters=((0, 5, 4),)),
            Wanted(),
        )


def test_a_piece_of_ten_hours_is_cut(tmp_path):
    long = [(4.0 * i, 2.0, 40 + i * 7 % 41) for i in range(18_000)]
    path = midi(tmp_path / "long.mid", long)
    with pytest.warns(DataWarning, match="1 pieces cut after 4,000 bars"):
        windows, report = read(path, Wanted(clean=False, stride=2))
    assert len(windows) == MOST_BARS // 2
    assert "cut after" in str(report)


def test_a_note_far_out_does_not_ask_for_memory(tmp_path):
    path = midi(tmp_path / "far.mid", [*EIGHT, (400_000, 1, 60)])
    windows, report = read(path, Wanted())
    assert len(windows) == 1
    assert report.rejected["nearly silent"] > 0


def test_notes_without_length_are_made_a_sixteenth(tmp_path):
    windows, report = read(midi(tmp_path / "a.mid", [(i, 0, 60 + i) for i in range(8)]), Wanted())
    assert "8 notes without length" in str(report)
    assert (windows.symbols[0, :4, 0] == [62, 1, 0, 0]).all()


def test_chords_give_their_highest_notes(tmp_path):
    notes = [(i, 1, p + i % 3) for i in range(8) for p in (48, 52, 67)]
    windows, report = read(midi(tmp_path / "a.mid", notes), Wanted())
    assert "highest notes of chords" in str(report)
    assert windows.symbols.max() == 2 + 69


def test_what_is_there_already_is_left_out_at_any_pitch():
    first = tunes(1, bars=2)[0]
    higher = Piece((tuple(n._replace(pitch=n.pitch + 3) for n in first.voices[0]),), name="higher")
    assert len(read([first, higher], Wanted())[0]) == 1
    assert len(read([first, higher], Wanted(transposed=False))[0]) == 2
    assert len(read([first, first], Wanted(clean=False))[0]) == 2


def test_voices_are_chosen_by_the_files():
    assert read(hymns(4), Wanted(), choose=True)[0].voices == 4
    assert read(tunes(4), Wanted(), choose=True)[0].voices == 1
    with pytest.raises(DataError, match="it has 1 tracks, not 4 voices"):
        read(tunes(2), Wanted(voices=4))


def test_tracks_of_a_file_are_put_in_order(tmp_path):
    high, low = tunes(2, bars=2)
    low = tuple(note._replace(pitch=note.pitch - 24) for note in low.voices[0])
    piece = Piece((low, high.voices[0]))
    write([piece], tmp_path / "a.mid")
    windows, _ = read(tmp_path / "a.mid", Wanted(voices=2))
    pitched = np.where(windows.symbols >= 2, windows.symbols, 0)
    assert pitched[..., 0].max() > pitched[..., 1].max()


def test_nothing_that_is_a_score(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        read(tmp_path / "no", Wanted())
    with pytest.raises(DataError, match="it is empty"):
        read(tmp_path, Wanted())
    (tmp_path / "a.txt").write_text("la la la")
    with pytest.raises(DataError, match=r"files that end in \.txt"):
        read(tmp_path, Wanted())
    with pytest.raises(DataError, match="got a int"):
        read([3], Wanted())
    for nothing in (3, None):
        with pytest.raises(DataError, match=f"got {type(nothing).__name__}"):
            read(nothing, Wanted())
    with pytest.raises(DataError, match="durations above 0"):
        read([Piece(((Note(0, -1, 60),),))], Wanted())


def test_bars_that_fill_no_item_are_told():
    """They were left out of scores and alarms without a word."""
    three = Piece((tuple(Note(i, 1, 60 + i) for i in range(12)),))
    wanted = Wanted(2, 1, stride=2, clean=False)
    with pytest.warns(DataWarning, match="items are of 2 bars, and 1 bar.s. at the end of a piece"):
        windows, _ = read([three], wanted)
    assert windows.labels() == ["piece 0:1-2"]
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataWarning)
        read([Piece(three.voices, bars=4)], wanted)
        windows, _ = read([three], Wanted(2, 1, stride=1, clean=False))
    assert len(windows) == 2


def test_windows_are_kept_and_come_back(tmp_path):
    windows, _ = read(tunes(3), Wanted())
    again = Windows.load(windows.save(tmp_path / "w.npz"))
    assert (again.symbols == windows.symbols).all()
    assert again.labels() == windows.labels()
    (tmp_path / "bad.npz").write_bytes(b"PK no")
    with pytest.raises(DataError, match="holds no windows"):
        Windows.load(tmp_path / "bad.npz")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(DataError, match="holds no windows"):
        Windows.load(tmp_path / "other.npz")


def test_the_kind_is_found_out(tmp_path):
    write(tunes(2), tmp_path / "tunes")
    assert is_music(tmp_path / "tunes")
    assert kinds.kind_of(tmp_path / "tunes") == "music"
    assert kinds.kind_of(tunes(1)) == "music"
    windows, _ = read(tunes(1), Wanted())
    assert is_music(windows.save(tmp_path / "w.npz"))
    np.savez(tmp_path / "x.npz", x=np.zeros((3, 8, 8), np.uint8))
    assert not is_music(tmp_path / "x.npz")


def test_no_piece_is_on_two_sides_of_the_split():
    pieces = np.repeat(np.arange(40), 7)
    parts = split_by_piece(pieces, 33, seed=0)
    sides = [set(pieces[part.numpy()].tolist()) for part in parts]
    assert all(sides)
    assert sum(map(len, sides)) == len(set().union(*sides))
    assert split_by_piece(np.zeros(9, int), 33, seed=0)[1] is None
    assert min(map(len, split_by_piece(np.arange(12), 33, seed=0))) == 2


def test_a_key_held_over_a_change_of_metre_by_a_little_is_not_struck_again(tmp_path):
    """Legato over the change took a place beside the note that begins there: called crowded."""
    notes = [(i, 1.1, 60 + i % 5 + i // 7) for i in range(8 + 9)]
    path = midi(tmp_path / "a.mid", notes, meters=((0, 4, 4), (8, 3, 4)))
    windows, report = read(path, Wanted())
    assert report.meters == {"4/4": 1, "3/4": 2}
    assert windows.symbols[1, 0, 0] == 2 + notes[8][2]


def test_a_last_note_that_is_let_go_of_late_adds_no_bar(tmp_path):
    notes = [(i, 1.05, 60 + i) for i in range(8)]
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataWarning)
        windows, _ = read(midi(tmp_path / "a.mid", notes), Wanted(2, clean=False, stride=2))
    assert len(windows) == 1


def test_bars_begin_anew_where_a_metre_is_said_off_a_bar_line(tmp_path):
    """What came after was read a beat beside its bar lines."""
    notes = [(i, 1, 60 + i * 3 % 7) for i in range(9 + 8)]
    path = midi(tmp_path / "a.mid", notes, meters=((0, 4, 4), (8, 4, 4), (9, 4, 4)))
    with pytest.warns(DataWarning, match="1 bar.s. at the end"):  # the beat from 8 to 9
        windows, report = read(path, Wanted(2, clean=False, stride=2))
    assert windows.labels() == ["a.mid:1-2", "a.mid:3-4"]
    assert windows.symbols[1, 0, 0] == 2 + notes[9][2]
    assert "1 bars that begin anew off a bar line" in str(report)
    assert "changes of metre" not in str(report)


def test_chords_that_are_not_struck_at_once_give_their_highest_notes(tmp_path):
    """A lower note a moment before kept its place, and the window was called crowded."""
    notes = [(i + j / 50, 0.9 - j / 50, p + i % 3) for i in range(8)
             for j, p in enumerate((48, 52, 67))]  # fmt: skip
    windows, _ = read(midi(tmp_path / "a.mid", notes), Wanted())
    assert [s for s in windows.symbols[0, :, 0] if s >= 2] == [2 + 67 + i % 3 for i in range(8)]


def test_what_is_missing_from_scores_is_told(tmp_path):
    """Bars of a metre that no model knows, and stretches shorter than an item, were not."""
    notes = [(i, 1, 60 + i % 7) for i in range(8 + 10 + 4 + 6)]
    meters = ((0, 4, 4), (8, 5, 4), (18, 4, 4), (22, 3, 4))
    path = midi(tmp_path / "a.mid", notes, meters=meters)
    with pytest.warns(DataWarning) as told:
        windows, _ = read(path, Wanted(2, clean=False, stride=2))
    assert windows.labels() == ["a.mid:1-2", "a.mid:6-7"]
    said = " ".join(str(warning.message) for warning in told)
    assert "1 item(s), as their metre is 5/4" in said
    assert "1 bar(s) at the end of a piece or a metre" in said


def test_what_was_left_out_is_not_told_where_it_is_nothing(tmp_path):
    notes = [(i, 1, 60 + i % 7) for i in range(8 + 5)]
    path = midi(tmp_path / "a.mid", notes, meters=((0, 4, 4), (8, 5, 4)))
    assert "their metre" not in str(read(path, Wanted())[1])


def test_hours_of_notes_beside_the_grid_do_not_take_hours(tmp_path):
    """Each window looked through all notes of the piece that were off."""
    long = [(0.25 * i + i % 3 / 12, 0.1, 40 + i * 7 % 41) for i in range(60_000)]
    start = time.perf_counter()
    read(midi(tmp_path / "long.mid", long), Wanted(clean=False, stride=1))
    assert time.perf_counter() - start < 20


def test_many_changes_of_metre_do_not_take_minutes(tmp_path):
    """Each stretch looked through all notes of the piece."""
    notes = [(0.5 * i, 0.5, 40 + i * 7 % 41) for i in range(28_000)]
    meters = [(7 * i, *((4, 4) if i % 2 else (3, 4))) for i in range(1_900)]
    start = time.perf_counter()
    with pytest.warns(DataWarning, match="items are of one bar, and 1,899 bar.s. at the end"):
        read(midi(tmp_path / "long.mid", notes, meters=meters), Wanted(1, clean=False, stride=1))
    assert time.perf_counter() - start < 20


def test_a_note_that_sounds_on_into_the_next_stretch_is_struck_there():
    line = Line([Note(0, 10, 60), Note(1, 1, 62), Note(8, 1, 64), Note(12, 1, 65)])
    stretch = Stretch(start=8.0, bars=1, first=2, meter=0)
    assert stretch.within(line)[:2] == [Note(0, 2, 60), Note(0, 1, 64)]


@pytest.mark.parametrize("beats", [(4, 8), (4, 127), (0, 2)])
def test_a_metre_that_is_none_costs_one_file(tmp_path, beats):
    """A beat of 2^-8 came out as 4/0, and dividing by it ended the reading of all files."""
    write(tunes(3), tmp_path / "tunes")
    path = midi(tmp_path / "tunes" / "b.mid", EIGHT)
    content, said = path.read_bytes(), bytes([0xFF, 0x58, 4])
    at = content.index(said) + len(said)
    path.write_bytes(content[:at] + bytes(beats) + content[at + 2 :])
    with pytest.warns(DataWarning, match="b.mid: it says the metre .*, which is none"):
        _, report = read(tmp_path / "tunes", Wanted())
    assert report.files == 4
    assert list(report.refused) == ["b.mid"]


def test_files_of_one_name_are_told_apart(tmp_path):
    """Of two that were refused one was counted, and the numbers did not add up."""
    paths = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        paths.append(tmp_path / folder / "x.mid")
        paths[-1].write_bytes(b"no music")
    same = [Piece(((Note(0, 1, 60),),), name="tune 0") for _ in range(2)]
    with pytest.warns(DataWarning, match="4 of 5 files are left out"):
        windows, report = read([*paths, *same, tunes(1)[0]], Wanted())
    assert list(report.refused) == [*map(str, paths), "tune 0", "tune 0 (2)"]
    assert windows.labels()[0] == "tune 0 (3):1-2"
    assert "1 of 5 files are read" in str(report)


def test_files_and_pieces_stay_in_their_order(tmp_path):
    """Pieces came before files: scores were given to others than they were of."""
    first, second = tunes(2)
    write(first, tmp_path / "first.mid")
    windows, _ = read([tmp_path / "first.mid", second], Wanted(2, stride=2, clean=False))
    assert windows.labels() == [
        "first.mid:1-2", "first.mid:3-4", "tune 1:1-2", "tune 1:3-4"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("meters", "bars", "last"),
    [
        (((0, 4, 4), (8, 5, 4), (13, 4, 4)), 1, "4-5"),  # one bar of a metre that is not known
        (((0, 5, 4), (15, 4, 4)), 1, "4-5"),  # three: one item, and a bar
        (((0, 4, 4), (10, 4, 4)), 1, "3-4"),  # half a bar, and bars begin anew
        (((0, 4, 4), (14, 4, 4)), 2, "4-5"),  # a bar, and half of one
    ],
)
def test_each_bar_that_is_missing_from_scores_is_told(tmp_path, meters, bars, last):
    """Bars that fill no item of a metre that is not known, and parts of bars, were not."""
    end = meters[-1][0] + 8
    path = midi(tmp_path / "a.mid", [(i, 1, 60 + i % 7) for i in range(end)], meters=meters)
    with pytest.warns(DataWarning) as told:
        windows, _ = read(path, Wanted(2, clean=False, stride=2))
    assert windows.labels()[-1] == f"a.mid:{last}"
    assert f"and {bars} bar(s) at the end" in " ".join(str(warning.message) for warning in told)


def test_a_metre_that_begins_a_moment_early_costs_no_bar(tmp_path):
    """The bar before it was no whole one, by a tick."""
    notes = [(i, 1, 60 + i % 7) for i in range(8 + 6)]
    meters = ((0, 4, 4), (8 - 1 / 480, 3, 4))
    windows, _ = read(midi(tmp_path / "a.mid", notes, meters=meters), Wanted(2))
    assert windows.labels() == ["a.mid:1-2", "a.mid:3-4"]
    assert [int(s) for s in windows.symbols[1, :24:4, 0]] == [2 + 60 + i % 7 for i in range(8, 14)]


def test_a_piece_of_no_notes_is_told_as_that():
    """It was said to have no bars of one metre."""
    with pytest.raises(DataError, match="it has no notes: piece 0"):
        read([Piece(((),))], Wanted())
