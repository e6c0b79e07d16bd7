"""Scores in ABC and MusicXML: notes, bar lines, pitches and tempo are as they are meant."""

import warnings
import zipfile

import pytest
from tunes import tunes

from variate.errors import DataError, DataWarning
from variate.music.extraction import Wanted
from variate.music.notation import read_notation
from variate.music.reading import read

pytest.importorskip("music21")

ABC = """X:1
T:made up
M:3/4
L:1/4
K:G
D|GAB|c2A|BAG|A2D|GAB|c2A|BAF|G2|]
"""


def test_abc_with_an_upbeat(tmp_path):
    (tmp_path / "tune.abc").write_text(ABC)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        windows, report = read(tmp_path / "tune.abc", Wanted(clean=False, stride=2))
    assert report.meters["3/4"] == len(windows)
    first = windows.symbols[0, :24, 0]
    assert first[0] == 1  # the upbeat lies at the end of a bar of its own
    assert first[8] == 2 + 62
    assert first[12] == 2 + 67


def test_musicxml(tmp_path):
    from variate.music.engraving import musicxml

    piece = tunes(1, bars=2)[0]
    (tmp_path / "tune.musicxml").write_text(musicxml([piece]))
    (tmp_path / "bad.musicxml").write_text("<score>")
    with pytest.warns(DataWarning, match="not a score that can be read"):
        windows, _ = read(tmp_path, Wanted(clean=False, stride=2))
    expected, _ = read([piece], Wanted(clean=False, stride=2))
    assert (windows.symbols == expected.symbols).all()


HEAD = "X:1\nT:made up\nM:{}\nL:1/8\nK:D\n"


def said(tmp_path, text, name="a.abc"):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return [tracks for _, tracks in read_notation(tmp_path / name)]


def test_broken_rhythms_chords_and_cut_time(tmp_path):
    [found] = said(tmp_path, HEAD.format("C|") + 'A>B c<d "G"[FA]2 (3efg|d8|]\n')
    assert found.meters == ((0.0, (2, 2)),)
    assert [(n.onset, n.duration) for n in found.voices[0]][:6] == [
        (0.0, 0.75), (0.75, 0.25), (1.0, 0.25), (1.25, 0.75), (2.0, 1.0), (2.0, 1.0)
    ]  # fmt: skip


def test_bars_begin_anew_behind_a_first_ending(tmp_path):
    """All that came after was read an upbeat beside its bar lines."""
    text = "|:D2|D2E2 F2G2|A2B2 c2d2|1 d6:|2 d6||\n|:A2|A2B2 c2d2|D2E2 F2G2|d6:|\n"
    [found] = said(tmp_path, HEAD.format("4/4") + text)
    assert found.meters == ((0.0, (4, 4)), (15.0, (4, 4)))
    with pytest.warns(DataWarning, match="1 bar.s. at the end"):  # the first ending's
        windows, _ = read(tmp_path / "a.abc", Wanted(1, clean=False))
    assert [int(s) for s in windows.symbols[-2:, 0, 0]] == [2 + 62, 2 + 74]


@pytest.mark.parametrize("change", ["\nM:{}\n", "\nM:{}\nL:1/8\n", "[M:{}]"])
def test_changes_of_metre(tmp_path, change):
    """They were not seen where no unit of length followed, and what is said twice was lost."""
    text = f"d|d6|e6|f6|{change.format('9/8')}d9|{change.format('6/8')}d6|{change.format('3/4')}d6|"
    [found] = said(tmp_path, HEAD.format("6/8") + text + "e6|]\n")
    assert found.meters == ((0.0, (6, 8)), (12.0, (9, 8)), (16.5, (6, 8)), (19.5, (3, 4)))


def test_an_upbeat_within_is_no_new_beginning(tmp_path):
    [found] = said(tmp_path, HEAD.format("4/4") + "D8|D6|D2|D8|D8|]\n")
    assert found.meters == ((0.0, (4, 4)),)


def test_one_tune_of_a_book_that_cannot_be_read(tmp_path):
    """The whole book was refused; and the report counted more files refused than there were."""
    bad = "X:2\nT:bad\nM:4/4\nL:1/8\nK:D\n[[((((D4 @@@ A4|]\n\n"
    book = HEAD.format("4/4") + "D4 A4|D4 E4|]\n\n" + bad + HEAD.format("4/4") + "D8|E8|]\n"
    assert isinstance(said(tmp_path, book)[1], DataError)
    with pytest.warns(DataWarning, match=r"1 of 3 files are left out: a\.abc#2: not a score"):
        windows, report = read(tmp_path / "a.abc", Wanted(clean=False, stride=2))
    assert windows.labels() == ["a.abc#1:1-2", "a.abc#3:1-2"]
    assert "2 of 3 files are read" in str(report)


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_lines_end_as_they_do_elsewhere(tmp_path, ending):
    book = (HEAD.format("4/4") + "D8|E8|]\n\n") * 2
    (tmp_path / "a.abc").write_bytes(book.replace("\n", ending).encode("latin-1"))
    assert len(read_notation(tmp_path / "a.abc")) == 2


def test_names_and_tempo(tmp_path):
    text = "X:1\nT:Ünï\nM:6/8\nL:1/8\nQ:3/8=100\nK:G\nGAB c3|d6|]\n"
    assert said(tmp_path, text, "Übung 笛.abc")[0].tempo == 150.0


XML = """<?xml version="1.0"?><score-partwise version="3.1"><part-list><score-part id="P1">
<part-name>Clarinet</part-name><midi-instrument id="I1"><midi-program>72</midi-program>
</midi-instrument></score-part></part-list><part id="P1"><measure number="1"><attributes>
<divisions>1</divisions><time><beats>4</beats><beat-type>4</beat-type></time><transpose>
<diatonic>-1</diatonic><chromatic>-2</chromatic></transpose></attributes><direction>
<direction-type><metronome><beat-unit>quarter</beat-unit><per-minute>90</per-minute></metronome>
</direction-type><sound tempo="90"/></direction><note><pitch><step>C</step><octave>4</octave>
</pitch><duration>4</duration></note></measure></part></score-partwise>"""


@pytest.mark.parametrize("packed", [False, True])
def test_an_instrument_that_transposes_is_read_as_it_sounds(tmp_path, packed):
    """The notes were read as they are written; tempo and program were not read."""
    path = tmp_path / ("a.mxl" if packed else "a.musicxml")
    if packed:
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("META-INF/container.xml", '<?xml version="1.0"?><container><rootfiles>'
                          '<rootfile full-path="a.xml"/></rootfiles></container>')  # fmt: skip
            file.writestr("a.xml", XML)
    else:
        path.write_text(XML)
    [(_, found)] = read_notation(path)
    assert [note.pitch for note in found.voices[0]] == [58]
    assert found.tempo == 90.0
    assert found.instruments == (("Clarinet", 71),)


def test_ties_join_what_is_tied_and_no_more(tmp_path):
    """A chord was tied as a whole, and ties of the lower of two voices were two notes."""
    score = """<score-partwise version="4.0"><part-list><score-part id="P"><part-name/></score-part>
    </part-list><part id="P"><measure number="1"><attributes><divisions>1</divisions><time>
    <beats>4</beats><beat-type>4</beat-type></time></attributes>{}</measure>
    <measure number="2">{}</measure></part></score-partwise>"""

    def note(pitch, length, more="", *, voice=1, ties=()):
        tied = "".join(f'<tie type="{end}"/>' for end in ties)
        return (
            f"<note>{more}<pitch><step>{pitch[0]}</step><octave>{pitch[1]}</octave></pitch>"
            f"<duration>{length}</duration>{tied}<voice>{voice}</voice></note>"
        )

    back = "<backup><duration>4</duration></backup>"
    one = note("C5", 4, ties=["start"]) + note("E5", 4, "<chord/>")
    one += back + note("C4", 2, voice=2) + note("D4", 2, voice=2, ties=["start"])
    two = note("C5", 2, ties=["stop"]) + note("E5", 2, "<chord/>") + note("G5", 2)
    two += back + note("D4", 2, voice=2, ties=["stop"]) + note("D4", 2, voice=2)
    [found] = said(tmp_path, score.format(one, two), "a.musicxml")
    assert sorted(found.voices[0]) == [
        (0, 2, 60), (0, 4, 76), (0, 6, 72), (2, 4, 62), (4, 2, 76), (6, 2, 62), (6, 2, 79)
    ]  # fmt: skip


def test_what_is_no_music_says_no_metre(tmp_path):
    """A metre in brackets was taken out of titles and comments too, and the rest was notes."""
    text = "A2B2 c2d2| % was [M:3/4] be\nw:la [M:3/4] la\ne2f2 g2a2|]\n"
    head = HEAD.format("4/4").replace("made up", "a waltz [M:3/4] edge")
    [found] = said(tmp_path, head + text)
    assert found.meters == ((0.0, (4, 4)),)
    assert [n.pitch for n in found.voices[0]] == [69, 71, 73, 74, 76, 78, 79, 81]


@pytest.mark.parametrize("named", ["V:{}\n", "[V:{}]"])
def test_voices_that_come_back(tmp_path, named):
    """Each time they were another one; those named within lines were one voice in all."""
    lines = ("A2B2 c2d2|", "A,2B,2 C2D2|", "e2f2 g2a2|]", "E2F2 G2A2|]")
    text = "".join(f"{named.format(1 + i % 2)}{line}\n" for i, line in enumerate(lines))
    [found] = said(tmp_path, HEAD.format("4/4") + "V:1 name=upper\nV:2\n" + text)
    [upper, lower] = found.voices
    assert [n.onset for n in upper] == [n.onset for n in lower] == list(range(8))
    assert [n.pitch for n in lower] == [57, 59, 61, 62, 64, 66, 67, 69]
