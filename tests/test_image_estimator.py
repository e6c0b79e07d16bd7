"""ImageVAE: from pictures to pictures, and every verb."""

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.datasets import load_digits

import variate as vt
from variate.errors import DataError, DataWarning, OptionError
from variate.image.inpainting import completions
from variate.image.pixelwise import log_prob_of_pixels, place_of, unexpected
from variate.image.realism import Pool, Space, realism
from variate.specification import describe

pytestmark = pytest.mark.filterwarnings("ignore::variate.errors.CollapseWarning")

DIGITS = load_digits()
X = DIGITS.images.astype(np.uint8)
ONES = (DIGITS.target == 1).astype(int)


@pytest.fixture(scope="module")
def model():
    return vt.ImageVAE(levels=17, width=8, latent=6, epochs=60, learning_rate=3e-3).fit(X[:1000])


@pytest.fixture(scope="module")
def binary():
    x = (X > 7).astype(np.uint8)
    return vt.ImageVAE(width=8, latent=6, epochs=60, learning_rate=3e-3).fit(x[:1000])


# ---- fit, and the verbs of all kinds ----------------------------------------------------------


def test_the_figures_are_in_nats_and_bits(model):
    held = model.facts_["held_out"]
    assert held["elbo"] <= held["log_likelihood"] < 0
    assert held["bits_per_dimension"] == pytest.approx(
        -held["log_likelihood"] / (64 * np.log(2)), rel=1e-9
    )
    uniform = np.log2(17)
    assert held["bits_per_dimension"] < 0.8 * uniform
    assert model.facts_["pictures"] == 1000
    assert model.facts_["picture"] == [1, 8, 8]


def test_drawn_pictures_are_like_those_that_came_in(model):
    drawn = model.sample(5, seed=0)
    assert drawn.shape == (5, 8, 8)
    assert drawn.dtype == np.uint8
    assert drawn.max() <= 16
    assert np.array_equal(drawn, model.sample(5, seed=0))
    assert model.sample(5, temperature=0.5, seed=0).shape == (5, 8, 8)


def test_reconstructions_are_nearer_than_the_mean_picture(model):
    x = X[1000:1200].astype(float)
    again = model.reconstruct(X[1000:1200]).astype(float)
    assert ((again - x) ** 2).mean() < 0.8 * ((X[:1000].mean(0) - x) ** 2).mean()


def test_a_score_does_not_depend_on_the_pictures_beside_it(model):
    scores = model.score_samples(X[1000:1010])
    assert np.allclose(model.score_samples(X[1003:1005]), scores[3:5], rtol=1e-6)
    noise = np.random.default_rng(0).integers(0, 17, (10, 8, 8)).astype(np.uint8)
    assert model.score_samples(noise).max() < scores.min()


def test_a_model_file_holds_all_of_it(model, tmp_path):
    model.save(tmp_path / "m.variate")
    again = vt.load(tmp_path / "m.variate")
    assert np.array_equal(again.sample(3, seed=1), model.sample(3, seed=1))
    assert np.array_equal(again.score_samples(X[:3]), model.score_samples(X[:3]))
    assert "8 x 8" in again.codec_.schema


def test_a_hostile_model_file_is_refused(model):
    for name, value in (
        ("depth", 10**9),
        ("width", 10**7),
        ("likelihood", vt.pixels.LogisticMixturePixels(1, 17, 3)),
    ):
        manifest, weights = model._described()
        parameters = {**manifest["parameters"]["dict"], name: describe(value)}
        if name == "likelihood":
            parameters[name]["arguments"]["components"] = 10**10
        with pytest.raises((ValueError, RuntimeError)):
            vt.ImageVAE._restored({**manifest, "parameters": {"dict": parameters}}, weights)


def test_vary_and_interpolate(model):
    assert model.vary(X[:2], n=3, seed=0).shape == (6, 8, 8)
    way = model.interpolate(X[:1], X[1:2], steps=5)
    assert np.array_equal(way[0], model.reconstruct(X[:1])[0])
    assert np.array_equal(way[-1], model.reconstruct(X[1:2])[0])


def test_the_rules_of_scikit_learn():
    options = vt.ImageVAE(size=16, width=8, likelihood=vt.pixels.LogisticMixturePixels(1, 256, 3))
    copy = clone(options)
    assert copy.size == 16
    assert copy.get_params()["width"] == 8


@pytest.mark.parametrize(
    ("shape", "levels"), [((60, 9, 11, 3), 256), ((60, 4, 10, 8), 256), ((60, 12, 12), 4096)]
)
def test_colour_transparency_and_deep_pixels(shape, levels):
    rng = np.random.default_rng(0)
    x = rng.integers(0, levels, shape).astype(np.uint16 if levels > 256 else np.uint8)
    x.flat[0] = levels - 1
    model = vt.ImageVAE(width=4, latent=2, epochs=1).fit(x)
    assert model.codec_.levels == levels
    assert model.sample(2, seed=0).shape == (2, *shape[1:])
    assert np.isfinite(model.score_samples(x[:3])).all()
    assert model.heat(x[:2]).shape == (2, *model.codec_.size)


# ---- the likelihood follows the data ----------------------------------------------------------


def test_binary_pixels_have_a_bernoulli_and_grey_ones_never(binary):
    assert isinstance(binary.model_.decoder.head, vt.pixels.BernoulliPixels)
    with pytest.raises(OptionError, match=r"binary pixels.*17 levels.*binarize=True"):
        vt.ImageVAE(levels=17, likelihood=vt.pixels.BernoulliPixels(1)).fit(X[:100])
    with pytest.raises(OptionError, match=r"256.*does not fit: the pictures have 17 levels"):
        vt.ImageVAE(levels=17, likelihood=vt.pixels.CategoricalPixels(1, 256)).fit(X[:100])


@pytest.mark.parametrize("name", ["Categorical", "ContinuousBernoulli", "Gaussian"])
def test_other_likelihoods_can_be_asked_for(name, tmp_path):
    likelihood = getattr(vt.pixels, f"{name}Pixels")(1, 17)
    model = vt.ImageVAE(levels=17, likelihood=likelihood, width=4, latent=2, epochs=1).fit(X[:200])
    assert model.sample(2, seed=0).max() <= 16
    assert np.isfinite(model.score_samples(X[:2])).all()
    model.save(tmp_path / "m.variate")
    assert np.array_equal(
        vt.load(tmp_path / "m.variate").reconstruct(X[:2]), model.reconstruct(X[:2])
    )
    assert model.impute(X[:2], np.eye(8, dtype=bool), seed=0).filled.shape == (2, 8, 8)


def test_grey_can_be_made_binary_by_chance():
    model = vt.ImageVAE(levels=17, binarize=True, width=8, latent=4, epochs=3).fit(X[:500])
    assert model.codec_.levels == 2
    assert set(np.unique(model.sample(5, seed=0))) <= {0, 16}
    assert np.array_equal(model.score_samples(X[:4])[2:], model.score_samples(X[2:4]))
    assert model.facts_["training_rows"] == 450


def test_pictures_that_are_large_stay_on_the_disk(tmp_path, monkeypatch):
    for i in range(40):
        Image.fromarray(X[i] * 15).save(tmp_path / f"{i:02d}.png")
    options = {"width": 4, "latent": 2, "epochs": 2}
    resident = vt.ImageVAE(**options).fit(tmp_path)
    monkeypatch.setattr("variate.image.files.LARGE", 100)
    monkeypatch.setattr("variate.image.preparing.LARGE", 100)
    streamed = vt.ImageVAE(**options).fit(tmp_path)
    assert np.array_equal(streamed.score_samples(X[:3] * 15), resident.score_samples(X[:3] * 15))


# ---- bad input --------------------------------------------------------------------------------


def test_what_cannot_be_fitted(tmp_path):
    small = vt.ImageVAE(width=4, latent=2, epochs=1)
    with pytest.raises(DataError, match="there is one picture"):
        small.fit(X[:1])
    with pytest.raises(DataError, match="no pictures"):
        small.fit(tmp_path)
    Image.fromarray(X[0]).save(tmp_path / "one.png")
    with pytest.raises(DataError, match="there is one picture"):
        small.fit(tmp_path)
    with pytest.raises(DataError, match="nan"):
        small.fit(np.full((9, 8, 8), np.nan))
    with pytest.raises(DataError, match="pictures are"):
        small.fit(X.reshape(len(X), -1))
    for wrong in ({"channels": 2}, {"levels": 1}, {"size": 0}, {"size": (8, 8, 8)}, {"width": 0}):
        with pytest.raises(OptionError):
            vt.ImageVAE(**wrong).fit(X[:50])


def test_a_folder_with_a_broken_picture(tmp_path):
    for i in range(30):
        Image.fromarray(X[i] * 15).save(tmp_path / f"{i:02d}.png")
    (tmp_path / "broken.png").write_text("text")
    model = vt.ImageVAE(width=4, latent=2, epochs=1)
    with pytest.warns(DataWarning, match=r"1 of 31 pictures are left out\. broken\.png"):
        model.fit(tmp_path)
    assert model.facts_["skipped"] == 1
    assert model.facts_["skipped_first"] == ["broken.png"]
    with pytest.warns(DataWarning, match="left out"):
        table = model.score_table(tmp_path)
    assert table.column_names == ["picture", "log_likelihood"]
    assert table.column("picture").to_pylist()[:2] == ["00.png", "01.png"]
    assert model.encode(tmp_path / "03.png").mean.shape == (1, 2)


def test_the_kind_is_guessed(tmp_path):
    assert isinstance(vt.fit(X[:50], epochs=1, width=4, latent=2), vt.ImageVAE)
    np.save(tmp_path / "x.npy", X[:50])
    assert vt.fit(str(tmp_path / "x.npy"), epochs=1, width=4, latent=2).kind == "image"
    np.save(tmp_path / "flat.npy", X[:50].reshape(50, -1))
    with pytest.raises(DataError, match="three or four axes"):
        vt.fit(str(tmp_path / "flat.npy"))
    with pytest.raises(DataError, match="neither pictures nor"):
        vt.fit(str(tmp_path))
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="there is nothing in the folder"):
        vt.fit(str(tmp_path / "none"))


# ---- the verbs of pictures --------------------------------------------------------------------


def test_traverse_and_move(model):
    assert model.traverse(steps=5).shape == (6 * 5, 8, 8)
    assert model.traverse(X[:1], dimensions=[2, 0], steps=3).shape == (6, 8, 8)
    with pytest.raises(OptionError, match="no latent dimension 9"):
        model.traverse(dimensions=[9])
    with pytest.raises(OptionError, match="one item"):
        model.traverse(X[:2])
    towards = model.direction(X[:1000], ONES[:1000])
    others = X[1000:1100][ONES[1000:1100] == 0]
    before = model.encode(others).mean @ towards
    after = model.encode(model.move(others, towards, 1.5)).mean @ towards
    assert after.mean() > before.mean()
    assert np.array_equal(model.move(others, towards, 0.0), model.reconstruct(others))
    with pytest.raises(DataError, match="all labels are the same"):
        model.direction(X[:9], np.zeros(9))
    with pytest.raises(DataError, match="truth values"):
        model.direction(X[:9], np.arange(9))
    with pytest.raises(DataError, match="one for each"):
        model.direction(X[:9], [True])
    with pytest.raises(OptionError, match="6 finite numbers"):
        model.move(X[:2], np.zeros(3))
    with pytest.raises(OptionError, match="strength must be a finite number, got nan"):
        model.move(X[:2], towards, np.nan)


def test_filled_pixels_are_better_than_the_mean_picture(binary):
    x = (X > 7).astype(np.uint8)
    mask = np.zeros((8, 8), bool)
    mask[4:] = True
    test = x[1000:1100]
    spoiled = np.where(mask, 1 - test, test)
    made = binary.impute(spoiled, mask, draws=2, seed=0)
    assert np.array_equal(made.filled[:, :4], test[:, :4])
    assert np.array_equal(made.draws[1][:, :4], test[:, :4])
    wrong = (made.filled != test)[:, 4:].mean()
    usual = ((x[:1000].mean(0) > 0.5) != test)[:, 4:].mean()
    assert wrong < usual
    assert np.array_equal(made.filled, binary.impute(test, mask, draws=2, seed=0).filled)
    with pytest.raises(OptionError, match="the mask must be truth values"):
        binary.impute(test, np.zeros((4, 4), bool))
    with pytest.raises(OptionError, match="the mask must be truth values"):
        binary.impute(test, np.zeros((8, 8)))


def test_nothing_missing_changes_nothing(model):
    x = model.codec_.encode(X[:3])
    made = completions(model.model_, x, torch.zeros(3, 8, 8, dtype=torch.bool), 17, draws=1, seed=0)
    assert torch.equal(made.mean, x.float())
    assert torch.equal(made.draws[0], x)


def test_the_pixels_add_up_to_the_likelihood(model, binary):
    for fitted, x in ((model, X[:5]), (binary, (X[:5] > 7).astype(np.uint8))):
        levels = fitted.codec_.encode(x)
        with torch.no_grad():
            p = fitted.model_(levels, 3).likelihood
            assert torch.allclose(
                log_prob_of_pixels(p, levels).sum((-2, -1)), p.log_prob(levels), rtol=1e-5
            )


def test_what_the_model_draws_is_as_it_expects(model):
    drawn = model.codec_.encode(model.sample(400, seed=3))
    maps = unexpected(model.model_, drawn, seed=0)
    spoiled = drawn.clone()
    spoiled[:, :, 2:4, 5:7] = 16 - spoiled[:, :, 2:4, 5:7]
    excess = unexpected(model.model_, spoiled, seed=0) - maps
    assert abs(maps.mean()) < 0.5
    assert excess[:, 2:4, 5:7].mean() > 5 * abs(np.delete(excess.mean(0), [2, 3], 0)).mean()


def test_places_in_words():
    heat = np.zeros((8, 8))
    heat[6:, :2] = 3.0
    assert place_of(heat) == "rows 6-7, columns 0-1 (lower left): 100% of what is unexpected"


def test_strange_pictures_are_found_and_explained(model):
    test = X[1000:1100].copy()
    test[[5, 50]] = np.random.default_rng(0).integers(0, 17, (2, 8, 8))
    model = model.recalibrate(X[1100:1797])
    alarms = model.detect(test, fdr=0.1)
    assert alarms.anomaly[[5, 50]].all()
    assert alarms.anomaly.sum() <= 8
    assert "rows" in alarms.reasons[5]


@pytest.mark.slow
def test_an_evaluation_measures_and_shows(model, binary, tmp_path):
    found = model.evaluate(X[1000:1200], train=X[:1000])
    assert 5 < found["psnr"] < 60
    assert 0 < found["ssim"] < 1
    assert 0 < found["drawn_to_training"] < 1
    page = found.to_html(tmp_path / "report.html").read_text()
    for title in (
        "Bits per dimension",
        "Drawn pictures",
        "Reconstructions",
        "Latent dimensions",
        "A map",
        "strangest",
    ):
        assert title in page
    binary.evaluate((X[1000:1003] > 7).astype(np.uint8)).to_html(tmp_path / "report.html")


# ---- drawn pictures beside real ones ------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::variate.errors.DataWarning")  # few pictures
def test_drawn_pictures_are_compared_by_the_features_of_a_classifier(model, tmp_path):
    found = model.evaluate(
        X[1000:1797], train=X[:1000], labels=DIGITS.target[:1000], draws=2, seed=0
    )
    samples = found["samples"]
    assert samples["features"] == "classifier"
    assert samples["classifier_accuracy"] > 0.8
    assert samples["comparable_with_published"] is False
    assert samples["pictures"] == 398
    drawn, means, real = (found[f"samples_{n}"] for n in ("drawn", "means", "real"))
    assert real["frechet_distance"] < drawn["frechet_distance"]
    others = [
        model.evaluate(X[1000:1797], train=X[:1000], labels=DIGITS.target[:1000], draws=2, seed=n)
        for n in (1, 2)
    ]  # unbiased but noisy, with 398 pictures on a side: so of three ways to part them
    near, far = (
        np.mean([one[f"samples_{n}"]["kernel_distance"] for one in (found, *others)])
        for n in ("real", "drawn")
    )
    assert abs(near) < far
    assert means["precision"] > drawn["precision"]  # smooth, and in the middle
    assert means["recall"] < drawn["recall"]
    assert real["copy_rate"] < 0.05
    page = found.to_html(tmp_path / "report.html").read_text()
    assert "not comparable with a published FID" in page
    assert "3 nearest of the training pictures" in page


@pytest.mark.filterwarnings("ignore::variate.errors.DataWarning")
def test_drawn_pictures_are_compared_by_features_that_are_given(model, tmp_path):
    seen = []

    def rows(pictures):
        seen.append((pictures.shape[1:], pictures.dtype))
        return torch.from_numpy(pictures.astype(np.float32)).mean(2)

    found = model.evaluate(X[1000:1200], features=rows, draws=2)
    assert set(seen) == {((8, 8), np.dtype(np.uint8))}
    assert found["samples"]["features"] == "given"
    assert "copy_rate" not in found["samples_drawn"]  # of what, nobody said
    page = found.to_html(tmp_path / "report.html").read_text()
    assert "does not show what is copied" in page


@pytest.mark.filterwarnings("ignore::variate.errors.DataWarning")
def test_what_is_copied_is_counted():
    x = (X[:400] > 7).astype(np.uint8)
    pool = Pool(*(torch.from_numpy(part[:, None]) for part in (x[:100], x[100:200], x[200:])))
    space = Space(lambda p: p.reshape(len(p), -1), "pixels", {})
    model = vt.ImageVAE(width=4, latent=2, epochs=1).fit(x[200:])
    copied, _ = realism(model, space, pool, pool.train[:100], seed=0)
    assert copied["samples_means"]["copy_rate"] == 1.0
    assert copied["samples_real"]["copy_rate"] < 0.1


def test_a_classifier_that_only_guesses_is_warned_of(model):
    labels = np.random.default_rng(0).integers(0, 2, 1000)
    with pytest.warns(DataWarning, match="guessing the commonest label would 5"):
        model.evaluate(X[1000:1160], train=X[:1000], labels=labels, draws=1)


def test_labels_that_do_not_fit_and_pictures_that_are_too_few(model):
    with pytest.raises(DataError, match=r"one for each of the training pictures, 1000"):
        model.evaluate(X[1000:1200], train=X[:1000], labels=DIGITS.target[:999], draws=1)
    with pytest.raises(DataError, match=r"one for each of the pictures, 200"):
        model.evaluate(X[1000:1200], labels=DIGITS.target[:999], draws=1)
    with pytest.raises(DataError, match="59 pictures are too few to be compared by features"):
        model.evaluate(X[1000:1059], labels=DIGITS.target[1000:1059], draws=1)
    with pytest.raises(OptionError, match="features and labels are both given"):
        model.evaluate(X[1000:1200], labels=DIGITS.target[:200], features=len, draws=1)
    with pytest.raises(DataError, match=r"features of 100 pictures must be \[100, D\]"):
        model.evaluate(X[1000:1200], features=lambda p: p.sum((1, 2)), draws=1)
