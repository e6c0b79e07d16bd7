"""Hierarchies and grids of codes: every verb of pictures, and what does not go with them."""

import itertools
import signal
import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits

import variate as vt
from variate import settling, verbs
from variate.errors import CollapseWarning, OptionError
from variate.image.renewal import codes_of, codes_where_missing, vectors_of
from variate.models.noncentred import NonCentred
from variate.specification import describe, revive

pytestmark = pytest.mark.filterwarnings("ignore::variate.errors.CollapseWarning")

DIGITS = load_digits()
X = DIGITS.images.astype(np.uint8)
B = (X > 7).astype(np.uint8)
HIERARCHY = vt.networks.Hierarchy(groups=(0, 2, 1), channels=2)
NETWORKS = {
    "hierarchy": HIERARCHY,
    "fsq": vt.networks.FSQ((4, 3), halvings=2),
    "vq": vt.networks.VQ(8, 3, halvings=2),
}


def fitted(name, x=X[:400], **options):
    given = {"levels": 17, "width": 8, "epochs": 12, "learning_rate": 3e-3} | options
    return vt.ImageVAE(network=NETWORKS[name], **given).fit(x)


@pytest.fixture(scope="module", params=NETWORKS)
def model(request):
    return fitted(request.param)


@pytest.fixture(scope="module")
def hierarchy():
    return fitted("hierarchy")


@pytest.fixture(scope="module")
def coded():
    return fitted("fsq")


# ---- every verb ---------------------------------------------------------------------------------


def test_every_verb(model):
    assert model.sample(5, seed=0).shape == (5, 8, 8)
    assert np.array_equal(model.sample(5, seed=0), model.sample(5, seed=0))
    assert model.sample(5, temperature=0.5, seed=0).dtype == np.uint8
    encoding = model.encode(X[:3])
    assert encoding.mean.shape == encoding.scale.shape == (3, model.latent_)
    assert np.array_equal(model.reconstruct(X[:3]), model.decode(model.transform(X[:3])))
    way = model.interpolate(X[:1], X[1:2], steps=5)
    assert np.array_equal(way[[0, -1]], model.reconstruct(X[:2]))
    towards = model.direction(X[:300], DIGITS.target[:300] == 0)
    assert model.move(X[:2], towards, 0.5).shape == (2, 8, 8)
    mask = np.zeros((8, 8), bool)
    mask[4:] = True
    filled = model.impute(X[:2], mask, draws=2, seed=0)
    assert (filled.filled[:, :4] == X[:2, :4]).all()
    assert model.heat(X[:2]).shape == (2, 8, 8)
    assert model.detect(X[400:410], fdr=0.3).score.shape == (10,)
    scores = model.score_samples(X[400:404], draws=8)
    assert np.allclose(model.score_samples(X[402:404], draws=8), scores[2:], rtol=1e-5)
    noise = np.random.default_rng(0).integers(0, 17, (4, 8, 8)).astype(np.uint8)
    assert model.score_samples(noise, draws=8).max() < scores.min()


def test_figures_and_a_report(model):
    held = model.facts_["held_out"]
    assert held["elbo"] <= held["log_likelihood"] < 0
    assert held["bits_per_dimension"] < np.log2(17)
    found = model.evaluate(X[400:440], draws=3, train=X[:200])
    titles = [section.title for section in found.report.sections]
    if isinstance(model.network, vt.networks.Hierarchy):
        assert len(found["kl_per_group"]) == 3
        assert sum(found["kl_per_group"]) == pytest.approx(found["kl"])
        assert {"Groups of latents", "From the top down"} <= set(titles)
    else:
        assert 1 <= found["codebook_perplexity"] <= model.model_.prior.prior.size
        assert "Codes" in titles
        assert "Latent dimensions" not in titles


def test_a_model_file_holds_all_of_it(model, tmp_path):
    model.save(tmp_path / "m.variate")
    again = vt.load(tmp_path / "m.variate")
    assert repr(again.network) == repr(model.network)
    assert np.array_equal(again.sample(3, seed=1), model.sample(3, seed=1))
    assert np.array_equal(again.score_samples(X[:3]), model.score_samples(X[:3]))
    assert np.array_equal(again.vary(X[:2], 3, seed=1), model.vary(X[:2], 3, seed=1))
    assert describe(revive(describe(model.network))) == describe(model.network)
    assert clone(model).network is not None


def test_colour_and_sizes_that_are_not_even():
    x = np.random.default_rng(0).integers(0, 256, (40, 9, 11, 3)).astype(np.uint8)
    for name in NETWORKS:
        made = fitted(name, x, levels=256, epochs=1, width=4, batch_size=20)
        assert made.sample(2, seed=0).shape == (2, 9, 11, 3)
        assert np.isfinite(made.score_samples(x[:2], draws=2)).all()


def test_pictures_binarised_by_chance():
    for name in NETWORKS:
        made = fitted(name, binarize=True, epochs=2)
        assert set(np.unique(made.sample(3, seed=0))) <= {0, 16}
        if name != "hierarchy":
            assert made.facts_["second_stage"]["codes"] == made.facts_["training_rows"]


# ---- hierarchies --------------------------------------------------------------------------------


def test_a_hierarchy_is_a_model_of_one_flat_code(hierarchy):
    model = hierarchy.model_
    assert isinstance(model, NonCentred)
    assert model.shapes == ((2, 2, 2), (2, 4, 4), (2, 4, 4))
    assert hierarchy.latent_ == 8 + 2 * 32
    assert isinstance(hierarchy._objective(), vt.objectives.GroupFreeBits)
    assert hierarchy._habits(1000)["skip"] == 10.0


def test_kept_groups_stay_and_the_others_are_renewed(hierarchy):
    u = hierarchy.transform(X[:2])
    draw = hierarchy.network.varied
    for keep, kept in ((0, 0), (1, 8), (2, 40), (3, 72)):
        moved = draw(hierarchy.model_, torch.from_numpy(u), 500, strength=1.0, keep=keep, seed=0)
        both = moved.reshape(2, 500, 72).numpy()
        assert np.array_equal(both[:, :, :kept], np.broadcast_to(u[:, None, :kept], (2, 500, kept)))
        rest = both[:, :, kept:]
        if kept < 72:
            assert abs(rest.mean()) < 0.02
            assert abs(rest.std() - 1) < 0.02
    assert np.array_equal(
        hierarchy.vary(X[:2], 2, strength=0), hierarchy.reconstruct(X[[0, 0, 1, 1]])
    )
    assert np.array_equal(hierarchy.vary(X[:1], 1, keep=3), hierarchy.reconstruct(X[:1]))


def test_a_strength_below_one_keeps_the_law_of_codes(hierarchy):
    u = torch.randn(2000, 72).double()
    moved = hierarchy.network.varied(hierarchy.model_, u, 1, strength=0.6, keep=None, seed=0)
    assert moved.std().item() == pytest.approx(1.0, abs=0.01)
    assert (moved * u).mean().item() == pytest.approx(0.8, abs=0.01)


def test_dimensions_are_traversed_those_that_tell_most_first(hierarchy):
    order = hierarchy.dimensions_by_use()
    told = hierarchy.facts_["nats_per_dimension"]
    assert told[order[0]] == max(told)
    assert hierarchy.traverse(X[:1], dimensions=order[:2], steps=3).shape == (6, 8, 8)
    assert hierarchy.traverse(steps=2).shape == (128, 8, 8)  # 64 of 72


# ---- discrete codes -----------------------------------------------------------------------------


def test_codes_go_in_and_out(coded):
    codes = coded.codes(X[:5])
    assert codes.shape == (5, 2, 2)
    assert codes.dtype == np.int64
    assert 0 <= codes.min() <= codes.max() < 12
    assert np.array_equal(coded.decode(codes), coded.reconstruct(X[:5]))
    x = torch.from_numpy(X[:5])[:, None]
    z = vectors_of(coded.model_, codes_of(coded.model_, x))
    assert np.allclose(z.numpy(), coded.transform(X[:5]))


def test_the_second_stage_shortens_the_codes(coded):
    told = coded.facts_["second_stage"]
    assert told["nats_before"] == pytest.approx(4 * np.log(12))
    assert told["nats_after"] < told["nats_before"] - 0.5
    assert bool(coded.model_.prior.fitted)
    assert coded.facts_["held_out"]["kl"] < told["nats_before"]
    assert "the prior was fitted to 360 codes" in coded.card()


def test_a_share_of_the_codes_is_drawn_anew(coded):
    first = coded.codes(X[:1]).reshape(1, 4)
    z = torch.from_numpy(coded.transform(X[:1]))
    for strength, changed in ((0.0, 0), (0.25, 1), (0.5, 2), (1.0, 4)):
        made = coded.network.varied(coded.model_, z, 300, strength=strength, keep=None, seed=0)
        book = coded.model_.prior().codebook
        codes = book.nearest(made.float().unflatten(-1, (4, 2))).numpy()
        assert (codes != first).sum(1).max() == changed
    assert np.array_equal(coded.vary(X[:2], 1, strength=0), coded.reconstruct(X[:2]))
    fresh = verbs.sample(coded.model_, 2000, temperature=1.0, seed=0).float().mean()
    renewed = coded.vary(X[:1], 2000, strength=1.0, seed=1).mean()
    assert renewed == pytest.approx(float(fresh), rel=0.05)


def test_missing_pixels_are_filled_by_codes_that_the_prior_draws(coded):
    """Places without missing pixels keep their codes; log q is that of the codes drawn."""
    model, x = coded.model_, torch.from_numpy(X[:200])[:, None]
    own = codes_of(model, x)
    missing = torch.zeros(200, 8, 8, dtype=torch.bool)
    z, log_q = codes_where_missing(model, x, missing)
    assert torch.equal(z[0], vectors_of(model, own))
    assert (log_q == 0).all()
    missing[:, 5, 6] = True  # in the last of the four places
    z, log_q = codes_where_missing(model, x, missing)
    codes = model.prior().codebook.nearest(z[0].unflatten(-1, (4, 2)))
    assert torch.equal(codes[:, :3], own[:, :3])
    assert (codes[:, 3] != own[:, 3]).any()
    every = [own.clone() for _ in range(12)]
    for code, grid in enumerate(every):
        grid[:, 3] = code
    with torch.no_grad():
        drawn = model.prior().log_prob(vectors_of(model, codes))
        any_last = torch.stack([model.prior().log_prob(vectors_of(model, c)) for c in every])
    torch.testing.assert_close(log_q[0], drawn - any_last.logsumexp(0), rtol=1e-4, atol=1e-4)
    missing[:] = True
    z, log_q = codes_where_missing(model, x, missing)
    with torch.no_grad():
        torch.testing.assert_close(log_q, model.prior().log_prob(z), rtol=1e-4, atol=1e-4)


def test_the_score_is_a_bound_by_the_one_grid_of_codes_that_a_picture_has():
    """log p(x) = log Σ_c p(c) p(x|c) over all 81 grids; the score is the term of c(x)."""
    network = vt.networks.FSQ((3,), halvings=2)
    made = vt.ImageVAE(network=network, width=8, epochs=12, learning_rate=3e-3).fit(B[:300])
    model, x = made.model_, torch.from_numpy(B[300:320])[:, None]
    grids = torch.tensor(list(itertools.product(range(3), repeat=4)))
    with torch.no_grad():
        z = vectors_of(model, grids)
        log_p = model.prior().log_prob(z)
        assert log_p.exp().sum().item() == pytest.approx(1.0, abs=1e-5)
        joint = log_p[:, None] + model.decoder(z[:, None].expand(81, 20, 4)).log_prob(x)
    scores = torch.from_numpy(made.score_samples(B[300:320])).float()
    own = codes_of(model, x) @ torch.tensor([27, 9, 3, 1])
    torch.testing.assert_close(scores, joint[own, torch.arange(20)], rtol=1e-4, atol=1e-3)
    assert (scores <= joint.logsumexp(0) + 1e-3).all()


def test_other_priors(tmp_path):
    for prior in (
        vt.priors.UniformCodes(4, 12, 2),
        vt.priors.AutoregressiveCodes(4, 12, 2, hidden=8, layers=1, heads=2),
        vt.priors.SecondStage(vt.priors.AutoregressiveCodes(4, 12, 2, hidden=8, layers=1), 0.4),
    ):
        made = fitted("fsq", prior=prior, epochs=1)
        assert ("second_stage" in made.facts_) == isinstance(prior, vt.priors.SecondStage)
        made.save(tmp_path / "m.variate")
        again = vt.load(tmp_path / "m.variate")
        assert np.array_equal(again.sample(2, seed=0), made.sample(2, seed=0))


# ---- the second stage ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Mixture", "FlowMatching"])
def test_any_prior_can_wait_for_a_second_stage(name, tmp_path):
    prior = {
        "Mixture": lambda: vt.priors.Mixture(4, 8),
        "FlowMatching": lambda: vt.flows.FlowMatching(4, hidden=(16,), steps=4),
    }[name]()
    made = vt.ImageVAE(
        levels=17, width=8, epochs=4, prior=vt.priors.SecondStage(prior), latent=4
    ).fit(X[:300])
    assert made.facts_["second_stage"]["codes"] == 270
    assert made.sample(3, seed=0).shape == (3, 8, 8)
    made.save(tmp_path / "m.variate")
    again = vt.load(tmp_path / "m.variate")
    assert np.array_equal(again.score_samples(X[:2], draws=2), made.score_samples(X[:2], draws=2))


def test_a_budget_of_minutes_is_shared():
    made = fitted("fsq", epochs=None, minutes=0.06)
    seconds = made.facts_["seconds"], made.facts_["second_stage"]["seconds"]
    assert seconds[0] == pytest.approx(1.8, abs=1.0)
    assert seconds[1] == pytest.approx(1.8, abs=1.0)


def test_an_interrupted_second_stage_goes_on_where_it_was(tmp_path, monkeypatch):
    """Killed in its middle and resumed, it ends with the weights of the run that was not."""
    whole = fitted("fsq", epochs=6)
    path = tmp_path / "run"
    train = settling.train

    def breaking(*arguments, **options):
        for count, event in enumerate(train(*arguments, **options | {"checkpoint_seconds": 1e-9})):
            yield event
            if count == 12:
                signal.raise_signal(signal.SIGINT)

    half = vt.ImageVAE(network=NETWORKS["fsq"], levels=17, width=8, epochs=6, learning_rate=3e-3)
    monkeypatch.setattr(settling, "train", breaking)
    with pytest.raises(KeyboardInterrupt):
        half.fit(X[:400], checkpoint=path)
    assert half.facts_["second_stage"]["stopped"] == "interrupted"
    assert half.sample(2, seed=0).shape == (2, 8, 8)  # the best so far can be used
    assert settling.checkpoint_of_prior(path).exists()
    monkeypatch.setattr(settling, "train", train)
    half.fit(X[:400], checkpoint=path, resume=True)
    for name, tensor in whole.model_.state_dict().items():
        torch.testing.assert_close(half.model_.state_dict()[name], tensor, rtol=0, atol=0)


def test_a_second_stage_of_other_codes_is_begun_anew(tmp_path):
    path = tmp_path / "run"
    other = vt.ImageVAE(network=NETWORKS["fsq"], levels=17, width=8, epochs=2, seed=1)
    settling.checkpoint_of_prior(path).write_bytes(b"of another run")
    other.fit(X[:300], checkpoint=path, resume=True)
    assert other.facts_["second_stage"]["steps"] > 0


def test_a_prior_that_was_not_fitted_is_told(tmp_path, monkeypatch):
    from variate import fitting

    course = fitting.train

    def breaking(*arguments, **options):
        for count, event in enumerate(course(*arguments, **options)):
            yield event
            if count == 4:
                signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(fitting, "train", breaking)
    made = vt.ImageVAE(network=NETWORKS["fsq"], levels=17, width=8, epochs=2)
    with (
        pytest.warns(CollapseWarning, match="the prior is not fitted"),
        pytest.raises(KeyboardInterrupt),
    ):
        made.fit(X[:300])


# ---- what does not go ---------------------------------------------------------------------------


REFUSED = {
    "no network": ({"network": "ladder"}, r"network must be one of vt\.networks"),
    "latent of a hierarchy": ({"network": HIERARCHY, "latent": 4}, r"latent is for.*channels"),
    "posterior": (
        {"network": HIERARCHY, "posterior": vt.posteriors.DiagonalGaussian(4)},
        "posterior is for models with one latent vector",
    ),
    "prior": ({"network": HIERARCHY, "prior": vt.priors.Vamp(4, 2)}, "each other's prior"),
    "depth": ({"network": HIERARCHY, "depth": 2}, r"Hierarchy\(groups=…\)"),
    "sizes": (
        {"network": vt.networks.Hierarchy((0, 1, 1, 1, 1, 1))},
        r"6 sizes, but pictures of 8 x 8 pixels.*give 4 numbers or fewer",
    ),
    "likelihood": (
        {"network": HIERARCHY, "likelihood": vt.pixels.BernoulliPixels(1)},
        "binary pixels.*17 levels",
    ),
    "latent of codes": ({"network": NETWORKS["fsq"], "latent": 4}, r"FSQ\(halvings=…\)"),
    "prior of codes": (
        {"network": NETWORKS["vq"], "prior": vt.priors.StandardNormal(4)},
        "the prior StandardNormal does not fit: the latents of VQ are codes",
    ),
    "other codes": (
        {"network": NETWORKS["vq"], "prior": vt.priors.UniformCodes(4, 9, 3)},
        "positions, size, width = 4, 9, 3, but the codes .* have 4, 8, 3",
    ),
    "objective": (
        {"network": HIERARCHY, "objective": vt.objectives.TotalCorrelation(2.0)},
        "TotalCorrelation.* does not go with this network",
    ),
    "objective of codes": (
        {"network": NETWORKS["fsq"], "objective": vt.objectives.StickTheLanding()},
        "StickTheLanding.* does not go with this network",
    ),
    "halvings": (
        {"network": vt.networks.VQ(8, halvings=4)},
        "grid of 1 x 1.*at most 2 leave a grid of 2 x 2",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_options_that_do_not_fit(name):
    options, words = REFUSED[name]
    with pytest.raises(OptionError, match=words):
        vt.ImageVAE(levels=17, width=4, epochs=1, **options).fit(X[:60])


def test_networks_that_are_none():
    for groups in ((), (0,), (3, 0), (-1, 2), (1.5,), (0, 300)):
        with pytest.raises(OptionError, match="groups must be how many"):
            vt.networks.Hierarchy(groups)
    with pytest.raises(OptionError, match="levels must be whole numbers"):
        vt.networks.FSQ((4, 1))
    with pytest.raises(OptionError, match="halvings"):
        vt.networks.FSQ(halvings=0)
    with pytest.raises(OptionError, match="size must be at least 2"):
        vt.networks.VQ(1)
    with pytest.raises(OptionError, match="commitment"):
        vt.networks.VQ(8, commitment=-1)
    with pytest.raises(OptionError, match="share must be between 0 and 1"):
        vt.priors.SecondStage(vt.priors.Mixture(4, 2), 1.0)
    for prior in (vt.priors.StandardNormal(4), vt.priors.Aggregate(4), vt.priors.Vamp(4, 2)):
        with pytest.raises(OptionError, match="nothing that a second stage could fit"):
            vt.priors.SecondStage(prior)


def test_verbs_that_do_not_go(hierarchy, coded):
    with pytest.raises(OptionError, match="strength is from 0"):
        hierarchy.vary(X[:1], strength=1.5)
    with pytest.raises(OptionError, match="keep must be 0 to 3 of the 3 groups"):
        hierarchy.vary(X[:1], keep=4)
    with pytest.raises(OptionError, match="keep is for a Hierarchy"):
        coded.vary(X[:1], keep=1)
    with pytest.raises(OptionError, match="FSQ has codes and no latent dimensions"):
        coded.traverse(X[:1])
    with pytest.raises(OptionError, match="only a network of discrete codes"):
        hierarchy.codes(X[:1])
    with pytest.raises(OptionError, match=r"0 to 11 of the shape \[N, 2, 2\]"):
        coded.decode(np.full((1, 2, 2), 12))
    with pytest.raises(OptionError, match=r"0 to 11 of the shape \[N, 2, 2\]"):
        coded.decode(np.zeros((1, 4), int))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CollapseWarning)
        plain = vt.ImageVAE(levels=17, width=4, latent=2, epochs=1).fit(X[:60])
    with pytest.raises(OptionError, match=r"keep is for network"):
        plain.vary(X[:1], keep=1)


def test_a_hostile_model_file_is_refused(hierarchy, coded):
    for made, name, value in (
        (hierarchy, "groups", {"tuple": [0, 10**9]}),
        (hierarchy, "channels", 10**9),
        (coded, "levels", {"tuple": [10**6, 10**6]}),
        (coded, "halvings", 10**9),
    ):
        manifest, weights = made._described()
        parameters = describe(made.get_params(deep=False))["dict"]
        parameters["network"]["arguments"][name] = value
        with pytest.raises((ValueError, OSError)):
            vt.ImageVAE._restored({**manifest, "parameters": {"dict": parameters}}, weights)
