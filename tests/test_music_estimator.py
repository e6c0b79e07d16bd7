"""MusicVAE: the verbs on music."""

import json

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from tunes import hymns, tunes

import variate as vt
from variate.errors import DataError, DataWarning, OptionError
from variate.music import Fidelity, MusicVAE, Piece, write
from variate.music.attributes import attributes
from variate.music.chain import Chain

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::variate.errors.CollapseWarning"),
]

TUNES = tunes(60, bars=4)
PRESET = Fidelity(nats=8.0)
SMALL = {"hidden": 48, "width": 16, "latent": 8, "seed": 0, "device": "cpu"}


@pytest.fixture(scope="module")
def model():
    return MusicVAE(**SMALL, epochs=30, batch_size=16, learning_rate=5e-3, preset=PRESET).fit(TUNES)


@pytest.fixture(scope="module")
def choir():
    return MusicVAE(**SMALL, epochs=2).fit(hymns(30))


def test_figures_are_held_out_and_the_report_is_kept(model):
    held = model.facts_["held_out"]
    assert held["elbo"] <= held["log_likelihood"] < 0
    assert model.facts_["extraction"]["windows"] == model.extraction_.kept
    assert json.dumps(model.facts_)


def test_the_verbs_give_pieces(model):
    drawn = model.sample(5, seed=0)
    assert all(isinstance(piece, Piece) and piece.quarters == 8 for piece in drawn)
    assert model.sample(5, seed=0) == drawn
    few = TUNES[:2]  # of four bars: two items each
    assert len(model.reconstruct(few)) == 4
    assert model.encode(few).mean.shape == (4, 8)
    assert len(model.vary(few, n=3, seed=0)) == 12
    assert len(model.interpolate(drawn[:1], drawn[1:2], 5)) == 5
    assert model.score_samples(few).shape == (4,)
    assert model.score_table(few)["music"].to_pylist() == [
        "tune 0:1-2", "tune 0:3-4", "tune 1:1-2", "tune 1:3-4"
    ]  # fmt: skip


def test_training_pays(model):
    odd = [
        Piece(
            (tuple(n._replace(pitch=60 + 13 * i % 20) for i, n in enumerate(TUNES[0].voices[0])),)
        )
    ]
    assert model.score(TUNES[:10]) > model.score(odd) + 5


def test_a_file_goes_in_and_out(model, tmp_path):
    pytest.importorskip("symusic")
    write(model.sample(3, seed=0), tmp_path / "drawn")
    again = model.encode(tmp_path / "drawn").mean
    assert np.allclose(again, model.encode(model.sample(3, seed=0)).mean, atol=1e-6)
    loaded = vt.load(model.save(tmp_path / "m.variate"))
    assert loaded.sample(3, seed=1) == model.sample(3, seed=1)
    assert loaded.sample(2, seed=1, given={"density": 5}) == model.sample(
        2, seed=1, given={"density": 5}
    )


def test_strange_music_is_told_with_the_bar(model):
    notes = list(TUNES[0].voices[0])
    odd = [note._replace(pitch=note.pitch + 7 * (i % 2)) if note.onset >= 4 else note
           for i, note in enumerate(notes)]  # fmt: skip
    model.recalibrate(TUNES[1:40])
    found = model.detect([Piece((tuple(odd),), bars=4)], fdr=0.5)
    assert found.anomaly.any()
    assert "is least expected" in " ".join(found.reasons)


def test_what_the_model_cannot_know_is_an_alarm_in_any_case(model):
    high = Piece((tuple(note._replace(pitch=120) for note in TUNES[0].voices[0]),))
    waltz = tunes(1, bars=2, meter=(3, 4))[0]
    model.recalibrate(TUNES[1:40])
    found = model.detect([TUNES[1], high, waltz], fdr=0.05)
    assert found.anomaly[-3:].all()
    assert "has the pitch 120" in found.reasons[2]
    assert "is in 3/4" in found.reasons[-1]


def test_one_bar_is_rewritten_and_the_others_stay(model):
    made = model.impute(TUNES[:2], bars=[2], draws=3, seed=0)
    before = model.codec_.decode(model.codec_.encode(TUNES[:2]))
    assert len(made.draws) == 3
    for piece, old in zip(made.filled, before, strict=True):
        assert [n[::2] for n in piece.notes if n.onset < 4] == [
            n[::2] for n in old.notes if n.onset < 4
        ]
    with pytest.raises(OptionError, match="say what is to be written"):
        model.impute(TUNES[:1])
    with pytest.raises(OptionError, match="bars must be some of 1 to 2"):
        model.impute(TUNES[:1], bars=[3])


def test_a_piece_goes_on(model):
    longer = model.continued(TUNES[0], 5, seed=0)
    assert longer.quarters == 16 + 20
    assert [n for n in longer.notes if n.end <= 16] == [n for n in TUNES[0].notes if n.end <= 16]
    assert any(note.onset >= 28 for note in longer.notes)
    with pytest.raises(DataError, match="the piece has 4 voices"):
        model.continued(hymns(1)[0], 1)


def test_voices_are_written_to_a_tune(choir):
    tune = Piece((hymns(1)[0].voices[0],))
    made = choir.accompany([tune], seed=0)
    assert made.filled[0].voices[0] == tune.voices[0]
    assert len(made.filled[0].voices) == 4
    assert (
        choir.impute(hymns(1), voices=[2, 4], seed=0).filled[0].voices[2] == hymns(1)[0].voices[2]
    )


def test_a_melody_has_nothing_to_accompany(model):
    with pytest.raises(OptionError, match="one voice accompanies nothing"):
        model.accompany(TUNES[:1])


def test_targets_are_met(model):
    few, many = (
        attributes(model.sample(24, given={"density": d}, seed=0))["density"] for d in (4, 8)
    )
    assert few.mean() + 1 < many.mean()
    low, high = (
        attributes(model.sample(24, given={"mean_pitch": p}, seed=0))["mean_pitch"]
        for p in (62, 70)
    )
    assert low.mean() + 3 < high.mean()
    for wrong in ({"joy": 1}, {"density": "many"}, {}, {"meter": "5/4"}, 3):
        with pytest.raises(OptionError):
            model.sample(1, given=wrong)


def test_a_direction_moves_what_it_says(model):
    up = model.move(TUNES[:10], model.direction("mean_pitch"), 2.0)
    down = model.move(TUNES[:10], model.direction("mean_pitch"), -2.0)
    assert attributes(up)["mean_pitch"].mean() > attributes(down)["mean_pitch"].mean() + 1
    codes = model.codec_.decode(model.codec_.encode(TUNES[:20]))
    labels = attributes(codes)["mean_pitch"] > 68
    assert model.direction(codes, labels).shape == (8,)


def test_a_few_pieces_are_enough_to_adapt_to(model, tmp_path):
    high = [
        p
        for p in model.codec_.decode(model.codec_.encode(TUNES))
        if attributes([p])["mean_pitch"][0] > 70
    ]
    other = model.adapt(high[:8], spread=0.3)
    mine, theirs = (attributes(m.sample(40, seed=0))["mean_pitch"].mean() for m in (other, model))
    assert mine > theirs + 1
    assert vt.load(other.save(tmp_path / "a.variate")).sample(2, seed=0) == other.sample(2, seed=0)
    assert "held_out" in model.facts_
    assert "held_out" not in other.facts_
    assert "measured on" not in other.card()
    with pytest.raises(OptionError, match=r"no calibration scores.*adapted"):
        other.detect(TUNES[:2])
    with pytest.raises(DataError, match="one window"):
        model.adapt(high[:1])
    with pytest.raises(OptionError, match="spread"):
        model.adapt(high, spread=2)


def test_it_is_measured(model, tmp_path):
    pytest.importorskip("matplotlib")
    written = []
    hook = model.model_.decoder.register_forward_pre_hook(
        lambda _, given: written.append(given[0].shape[:2].numel())
    )
    found = model.evaluate(TUNES[:12], draws=70, train=TUNES)
    hook.remove()
    assert max(written) <= 16 * 64  # items are looked at in blocks, draws sixteen at a time
    figures = found.figures
    assert figures["accuracy_teacher_forced"] > figures["accuracy_all_hold"]
    assert figures["data_copied"] == 1.0
    assert 0 <= figures["interpolation_monotone"] <= 1
    assert found.to_html(tmp_path / "r.html").stat().st_size > 10_000


def test_options_are_checked():
    for wrong in (
        {"bars": 0}, {"bars": 65}, {"voices": 1.5}, {"preset": "sampling"}, {"transpose": (1, 2)},
        {"width": -1},
    ):  # fmt: skip
        with pytest.raises(OptionError):
            MusicVAE(**wrong).fit(TUNES)
    with pytest.raises(OptionError):
        Fidelity(nats=-1)
    assert clone(MusicVAE(bars=4, preset=Fidelity())).get_params()["bars"] == 4


def test_nothing_is_written_by_a_model_that_is_not_fitted():
    with pytest.raises(NotFittedError):
        MusicVAE().impute(TUNES[:1], bars=[1])


def test_too_little_music():
    with pytest.raises(DataError, match="one window"):
        MusicVAE().fit(tunes(1, bars=2))


def test_longer_items_have_a_code_for_each_part(tmp_path):
    long = MusicVAE(**SMALL | {"latent": 12}, bars=6, epochs=2).fit(tunes(24, bars=8))
    assert long.encode(tunes(1, bars=6)).mean.shape == (1, 12)
    assert long.sample(2, seed=0)[0].quarters == 24
    assert long.sample(2, seed=0, given={"density": 5})[0].quarters == 24
    made = long.impute(tunes(1, bars=6), bars=[3], seed=0).filled[0]
    old = tunes(1, bars=6)[0]
    assert [n[::2] for n in made.notes if not 8 <= n.onset < 12 and n.onset != 12] == [
        n[::2] for n in old.notes if not 8 <= n.onset < 12 and n.onset != 12
    ]
    assert vt.load(long.save(tmp_path / "m.variate")).sample(2, seed=1) == long.sample(2, seed=1)
    with pytest.raises(OptionError, match="multiple of 3"):
        MusicVAE(bars=6, latent=8).fit(tunes(24, bars=8))
    styled = long.adapt(tunes(3, bars=12), spread=0.0)
    assert styled.sample(2, seed=0)[0].quarters == 24
    again = vt.load(styled.save(tmp_path / "s.variate"))
    assert again.sample(2, seed=1) == styled.sample(2, seed=1)
    np.testing.assert_allclose(
        again.score_samples(tunes(1, bars=6)), styled.score_samples(tunes(1, bars=6)), rtol=1e-5
    )
    assert isinstance(long.model_.prior, Chain)
    assert long.prior is None
    again.adapt(tunes(4, bars=12)).sample(1, seed=0)  # a style of a style


@pytest.mark.parametrize("strength", [np.nan, np.inf, None, "far", np.arange(3.0)])
def test_a_strength_is_a_number(model, strength):
    """Codes that were no numbers were written down as music."""
    with pytest.raises(OptionError, match="strength must be a"):
        model.move(TUNES[:1], model.direction("density"), strength)
    with pytest.raises(OptionError, match=r"the direction must be 8 finite numbers.*got 'density'"):
        model.move(TUNES[:1], "density")


@pytest.mark.parametrize(
    "wrong",
    [{"temperature": "hot"}, {"temperature": None}, {"temperature": 0}, {"seed": "a"},
     {"seed": 1.5}],
)  # fmt: skip
def test_how_a_piece_goes_on_is_checked(model, wrong):
    (name,) = wrong
    with pytest.raises(OptionError, match=f"{name} must be .*got {wrong[name]!r}"):
        model.continued(TUNES[0], 1, **wrong)


def test_whole_numbers_of_numpy_are_as_good(tmp_path):
    """A model of np.int64(2) bars was trained and could not be saved; other options ended it."""
    sizes = {"bars": 2, "hidden": 16, "width": 8, "latent": 4, "batch_size": 16, "seed": 3}
    options = {name: np.int64(value) for name, value in sizes.items()}
    made = MusicVAE(**options, voices=np.int64(1), epochs=1, device="cpu").fit(TUNES[:8])
    again = vt.load(made.save(tmp_path / "m.variate"))
    plain = MusicVAE(**sizes, voices=1, epochs=1, device="cpu").fit(TUNES[:8])
    assert again.sample(2, seed=0) == plain.sample(2, seed=0)


@pytest.mark.parametrize("dropout", [1.0, -0.1, np.nan, "some"])
def test_a_dropout_is_a_share(dropout):
    with pytest.raises(OptionError, match="dropout must be"):
        MusicVAE(dropout=dropout).fit("there is no such folder")


@pytest.mark.parametrize("preset", [Fidelity, vt.text.Sampling, vt.text.Fidelity])
@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"nats": "many"}, "nats must be a number, got 'many'"),
        ({"nats": np.nan}, "nats must be at least 0, got nan"),
        ({"latent": 2.5}, "latent must be a whole number, got 2.5"),
        ({"word_dropout": None}, "word_dropout must be a number, got None"),
        ({"word_dropout": 1}, "word_dropout must be at least 0 and below 1, got 1"),
    ],
)
def test_a_preset_is_of_numbers(preset, wrong, told):
    with pytest.raises(OptionError, match=told):
        preset(**wrong)


def test_pieces_are_those_that_windows_are_of():
    """Those too short for a window were counted too."""
    short = [Piece((tunes(1, bars=1)[0].voices[0],), name=f"short {n}") for n in range(3)]
    with pytest.warns(DataWarning, match="3 of 11 files are left out"):
        made = MusicVAE(**SMALL, epochs=1).fit([*short, *TUNES[:8]])
    assert made.facts_["pieces"] == 8
