"""Figures and sliders of music: what they say of models and items that are known."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tunes import tunes

from variate.errors import DataError, OptionError, OutputError
from variate.music import MusicVAE, Note, Piece, measures
from variate.music.attributes import attributes, weights
from variate.music.codec import MusicCodec
from variate.music.extraction import Wanted
from variate.music.grid import REST
from variate.music.measures import copied, likeness
from variate.music.reading import read
from variate.music.recognition import is_music
from variate.music.sliders import Sliders
from variate.music.sound import write_audio


def gaussian(items, dimensions, seed=0):
    return np.random.default_rng(seed).standard_normal((items, dimensions))


def test_codes_that_tell_nothing_are_not_said_to_tell():
    """As many dimensions as items told everything by the residuals of the fit."""
    codes = gaussian(120, 100)
    noise = np.random.default_rng(1).standard_normal(120)
    made = Sliders.fit(codes, {"joy": noise})
    assert made.told[0] < 0.1
    assert np.abs(made.moved(codes, {"joy": 2.0}, np.zeros((120, 1))) - codes).max() < 0.5


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_codes_are_said_to_tell_what_they_do(share):
    codes = gaussian(2_000, 8)
    noise = np.random.default_rng(1).standard_normal(2_000)
    joy = np.sqrt(share) * codes[:, 2] + np.sqrt(1 - share) * noise
    made = Sliders.fit(codes, {"joy": joy})
    assert made.told[0] == pytest.approx(share, abs=0.04)
    step = made.direction("joy")
    assert step.argmax() == 2
    assert step[2] == pytest.approx(1 / np.sqrt(share), rel=0.1)


def test_a_target_is_met_on_the_mean():
    codes = gaussian(4_000, 6)
    made = Sliders.fit(codes, {"joy": codes @ [1, 2, 0, 0, 0, 0.0]})
    moved = made.moved(gaussian(4_000, 6, seed=2), {"joy": np.sqrt(5)}, gaussian(4_000, 1, seed=3))
    assert (moved @ [1, 2, 0, 0, 0, 0.0]).mean() == pytest.approx(np.sqrt(5), abs=0.13)


def test_a_value_is_put_where_its_rank_is():
    """The quantiles' places were half a place off, towards the middle."""
    made = Sliders.fit(gaussian(5_000, 2), {"joy": gaussian(5_000, 1)[:, 0]})
    for value in (-1.5, -1.0, 0.0, 0.5, 1.0, 1.5):
        assert made.normal("joy", value) == pytest.approx(value, abs=0.06)


def test_an_attribute_that_is_mostly_one_value_does_not_decide_alone():
    """Its quartiles were the same, and a distance from it counted for a million."""
    fit, density = np.ones(100), np.linspace(4, 12, 100)
    fit[:20] = 0.9
    made = Sliders.fit(gaussian(100, 4), {"key_fit": fit, "density": density})
    items = {"key_fit": np.array([1.0, 0.98]), "density": np.array([12.0, 8.0])}
    assert made.distance(items, {"key_fit": 1.0, "density": 8.0}).argmin() == 1


def test_sliders_come_back():
    made = Sliders.fit(gaussian(50, 3), {"joy": np.arange(50) / 3})
    again = Sliders.from_state(made.state())
    assert (again.quantiles == made.quantiles).all()
    assert (again.direction("joy") == made.direction("joy")).all()
    assert again.normal("joy", 49 / 6) == pytest.approx(0.0, abs=1e-9)


def test_the_same_notes_in_another_metre_are_no_copy():
    walk = tuple(Note(i / 2, 0.5, 60 + i % 5) for i in range(12))
    windows, _ = read([Piece((walk,), (3, 4)), Piece((walk,), (6, 8))], Wanted(clean=False))
    codec = MusicCodec().learn(windows)
    x = codec.symbols(windows)
    assert copied(codec, x[:1], x[1:]) == 0.0
    assert copied(codec, x[:1], x[:1]) == 1.0


def test_a_rest_in_silence_is_a_hold():
    """A copy that was written with two rests, which say what one does, was none."""
    windows, _ = read([Piece(((Note(0, 1, 60), Note(3, 1, 62)),), bars=2)], Wanted(clean=False))
    codec = MusicCodec().learn(windows)
    x = codec.symbols(windows)
    said = x.clone()
    said[0, 1 + 6] = REST
    assert x[0, 1 + 4] == REST
    assert codec.decode(said) == codec.decode(x)
    assert copied(codec, said, x) == 1.0


def test_likeness_of_the_same_and_of_others():
    same = likeness(tunes(20, bars=2), tunes(20, bars=2))
    assert same["overlap_onsets"] == same["overlap_pitch_classes"] == pytest.approx(1.0)
    assert same["off_beat"] == 0.0
    short = [Piece((tuple(Note(i / 4, 0.25, 60) for i in range(16)),))]
    other = likeness(short, tunes(20, bars=2))
    assert other["off_beat"] == 0.5
    assert other["overlap_onsets"] == 0.0


@pytest.mark.parametrize(
    ("meter", "expected"),
    [
        ((2, 2), weights((4, 4)).tolist()),
        ((5, 4), [0, -3, -2, -3] + [-1, -3, -2, -3] * 4),
        ((9, 8), [0, -3, -2, -3, -2, -3] + [-1, -3, -2, -3, -2, -3] * 2),
        ((3, 16), [0, -1, -1]),
    ],
)
def test_weights_of_other_metres(meter, expected):
    """A piece in 5/4 had no attributes, but a KeyError."""
    assert weights(meter).tolist() == expected
    assert np.isfinite(attributes([Piece(((Note(0, 1, 60),),), meter)])["syncopation"]).all()


def test_bars_that_are_not_of_sixteenths_have_no_weights():
    with pytest.raises(DataError, match="1/32 are no whole number of sixteenths"):
        weights((1, 32))


@pytest.mark.parametrize(
    "wrong",
    [{"transpose": 3}, {"transpose": (-1.5, 2)}, {"transpose": (-5, 6, 7)}, {"voices": 17}],
)
def test_options_that_were_tracebacks_or_could_not_be_loaded(wrong):
    with pytest.raises(OptionError, match=next(iter(wrong))):
        MusicVAE(**wrong).fit(tunes(3))


def test_sound_of_hours_is_refused(tmp_path):
    """It was cut after an hour, and nothing said."""
    long = Piece(((Note(10_000, 1, 60),),), tempo=100.0)
    with pytest.raises(OutputError, match="lasts 100 minutes"):
        write_audio(long, tmp_path / "a.wav")


def test_windows_of_tracks_and_lists_of_files_are_music(tmp_path):
    from variate.music.polyphony.extraction import extract_tracks
    from variate.music.reading import gathered
    from variate.music.records import Extraction

    scores = gathered(tunes(3))
    windows = extract_tracks(scores.pieces, 1, Wanted(), Extraction(0, 2))
    assert is_music(windows)
    assert is_music(windows.save(tmp_path / "w.npz"))
    assert is_music(["a.mid", tmp_path / "b.abc"])
    assert not is_music(["a.mid", "b.csv"])
    assert not is_music([])
    assert not is_music(torch.zeros(3).tolist())


class Swept:
    """Verbs whose decoder says the end nearest by, or the same whatever the code."""

    def __init__(self, *, collapsed):
        self.collapsed = collapsed

    def encode(self, _, x):
        return x.double(), None

    def way(self, start, end, steps, *, spherical):
        del spherical
        return torch.stack([start + (end - start) * k / (steps - 1) for k in range(steps)])

    def decode(self, _, codes, __):
        return codes * 0 if self.collapsed else codes


class Distance:
    def apart(self, way, item):
        return (way - item).abs().mean(1).numpy()


@pytest.mark.parametrize(("collapsed", "forward"), [(False, 1.0), (True, 0.0)])
def test_a_way_that_never_changes_does_not_go_forward(monkeypatch, collapsed, forward):
    """A model whose codes say nothing scored 1."""
    monkeypatch.setattr(measures, "verbs", Swept(collapsed=collapsed))
    model = SimpleNamespace(prior=None)
    x = torch.arange(12.0)[:, None].expand(12, 3)
    assert measures.between(model, Distance(), x)[0] == forward
