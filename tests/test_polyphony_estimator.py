"""MusicVAE of tracks: the verbs, files, what is given, the shell."""

import json

import pytest
from chords import chords

import variate as vt
from variate.errors import DataError, OptionError
from variate.music import Fidelity, MusicVAE, Note, Piece, write
from variate.music.attributes import attributes

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::variate.errors.CollapseWarning"),
    pytest.mark.filterwarnings("ignore::variate.errors.DataWarning"),
]

PIECES = [chords(seed, tracks=2) for seed in range(30)]
SMALL = {"hidden": 24, "width": 12, "latent": 6, "batch_size": 10, "device": "cpu"}


@pytest.fixture(scope="module")
def model():
    return MusicVAE(tracks=2, **SMALL, epochs=3, preset=Fidelity(nats=8.0)).fit(PIECES)


def of(piece, keep):
    return sorted((t, n) for t, v in enumerate(piece.voices) for n in v if keep(t, n))


def test_the_verbs_give_pieces(model, tmp_path):
    drawn = model.sample(3, seed=0)
    assert model.sample(3, seed=0) == drawn
    assert all(len(piece.voices) == 2 and piece.quarters == 8 for piece in drawn)
    assert len(model.reconstruct(PIECES[:2])) == 2
    assert len(model.vary(PIECES[:1], n=2, seed=0)) == 2
    assert len(model.interpolate(PIECES[0], PIECES[1], 3)) == 3
    assert model.score_table(PIECES[:2])["music"].to_pylist() == ["chords 0:1-2", "chords 1:1-2"]
    assert model.direction("density").shape == (6,)
    dense, sparse = (
        attributes(model.sample(6, given={"density": d}, seed=0))["density"].mean() for d in (20, 5)
    )
    assert dense > sparse
    loaded = vt.load(model.save(tmp_path / "m.variate"))
    assert loaded.sample(2, seed=1) == model.sample(2, seed=1)
    assert json.dumps(model.facts_)


def test_what_is_written_is_read_again(model, tmp_path):
    pytest.importorskip("symusic")
    drawn = [*PIECES[:2], Piece((PIECES[0].voices[0], ()), bars=2)]  # the last lacks a track
    named = model.codec_.decode(model.codec_.encode(drawn))
    write(named, tmp_path / "drawn")
    again = model.codec_.encode(tmp_path / "drawn")
    assert (again == model.codec_.encode(drawn)).all()


@pytest.mark.parametrize(("bars", "tracks"), [([2], None), (None, [2]), ([1], [1]), ([1, 2], None)])
def test_what_is_given_stays(model, bars, tracks):
    made = model.impute(PIECES[:2], bars=bars, tracks=tracks, draws=2, seed=0)

    def given(track, note):
        bar = int(note.onset // 4) + 1
        return not ((bars is None or bar in bars) and (tracks is None or track + 1 in tracks))

    for pieces in (made.filled, *made.draws):
        for piece, old in zip(pieces, PIECES, strict=False):
            assert of(piece, given) == of(old, given)


def test_a_piece_goes_on_and_is_accompanied(model):
    longer = model.continued(PIECES[0], 1, seed=0)
    assert longer.quarters == 12
    assert [n for v in longer.voices for n in v if n.end <= 8] == list(
        PIECES[0].voices[0] + PIECES[0].voices[1]
    )
    tune = Piece((PIECES[0].voices[0],), bars=2)
    assert model.accompany([tune], seed=0).filled[0].voices[0] == tune.voices[0]


def test_what_cannot_be_asked(model):
    with pytest.raises(OptionError, match="the model is of tracks, and has no voices"):
        model.impute(PIECES[:1], voices=[1])
    with pytest.raises(OptionError, match="tracks must be some of 1 to 2"):
        model.impute(PIECES[:1], tracks=[3])
    with pytest.raises(OptionError, match="say what is to be written anew"):
        model.impute(PIECES[:1])
    with pytest.raises(DataError, match="the piece has 1 tracks"):
        model.continued(Piece((PIECES[0].voices[0],), bars=2), 1)
    for wrong in ({"tracks": 0}, {"tracks": "PIANO"}, {"tracks": ["a", "A"]},
                  {"tracks": 1, "voices": 2}, {"tracks": 1.5}):  # fmt: skip
        with pytest.raises(OptionError, match="tracks"):
            MusicVAE(**wrong).fit(PIECES)


def test_it_is_measured_and_alarms_name_the_track(model, tmp_path):
    pytest.importorskip("matplotlib")
    found = model.evaluate(PIECES[:6], draws=2, train=PIECES)
    assert found.figures["data_copied"] == 1.0
    assert 0 <= found.figures["note_f1"] <= 1
    assert found.to_html(tmp_path / "r.html").stat().st_size > 10_000
    model.recalibrate(PIECES[:20])
    high = Piece(((Note(0, 1, 127),), PIECES[0].voices[1]), bars=2)
    odd = Piece(
        (PIECES[0].voices[0], tuple(n._replace(duration=0.25) for n in PIECES[3].voices[1]))
    )
    alarms = model.detect([odd, high], fdr=0.9)
    assert alarms.anomaly[1]
    assert "has the pitch 127 in track 1" in alarms.reasons[1]


def test_the_shell(run, tmp_path):
    pytest.importorskip("symusic")
    write([chords(seed) for seed in range(8)], tmp_path / "music")
    out = tmp_path / "m.variate"
    status, _, said = run("fit", tmp_path / "music", "--tracks", "1", "--latent", 4, "--epochs", 1,
                          "--quiet", "--out", out)  # fmt: skip
    assert status == 0
    assert "8 windows of 2 bars and one track" in said
    status, said, _ = run("info", out)
    assert "one track of any number of notes at once" in said
    path = tmp_path / "music" / "00000.mid"
    assert run("impute", out, path, "--bars", "2", "--seed", 0, "--out", tmp_path / "new")[0] == 0
    assert run("impute", out, path, "--voices", "1", "--out", tmp_path / "no")[0] == 2
    assert (
        run("fit", tmp_path / "music", "--tracks", "A,B", "--out", tmp_path / "x.variate")[0] != 0
    )


def test_chords_are_engraved(tmp_path):
    pytest.importorskip("verovio")
    from variate.music.engraving import musicxml, svg_of

    held = tuple(Note(t / 2, 4 - t / 2, 60 + t) for t in range(8))  # eight layers
    for piece in (
        chords(0, tracks=2),
        Piece((held,)),
        Piece((tuple(Note(0, 4, p) for p in (40, 72)),)),
    ):
        assert musicxml([piece]).count("<chord/>") > 0 or len(piece.voices[0]) == 2
        assert svg_of([piece]).startswith("<svg")


def test_a_metre_can_be_asked_for():
    """Its codes are found by the rules' own first state, which is no number as that of voices."""
    waltzes = [chords(100 + i, meter=(3, 4)) for i in range(10)]
    model = MusicVAE(
        tracks=1, hidden=12, width=8, latent=4, epochs=2, batch_size=8, device="cpu"
    ).fit([*(chords(i) for i in range(10)), *waltzes])
    for given in ({"meter": "3/4"}, {"meter": "3/4", "density": 6.0}):
        assert {piece.meter for piece in model.sample(5, given=given, seed=0)} == {(3, 4)}


def test_of_several_tracks_the_first_is_accompanied():
    """They were read as one, and the second refused as too low for the first."""
    pairs = [chords(i, tracks=2) for i in range(10)]
    model = MusicVAE(
        tracks=2, hidden=12, width=8, latent=4, epochs=1, batch_size=8, device="cpu"
    ).fit(pairs)
    (made,) = model.accompany(pairs[:1], seed=0).filled
    assert [n[::2] for n in made.voices[0]] == [n[::2] for n in pairs[0].voices[0]]
