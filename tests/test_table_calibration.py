"""Marginals: settled to the data's, from whatever the biases were; nothing else changes."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import ks_2samp
from torch import nn

from variate import TableVAE
from variate.distributions import Categorical, Numeric, RowLayout
from variate.models import VAE, priors
from variate.table.calibration import settle_marginals
from variate.table.chain import Chain
from variate.table.rows import RowDecoder, Rows

NAN = math.nan
CLOSED = Numeric((-0.5, 2.5), (-1, 1), 1.0, atoms=(0.0, 1.0, 2.0), closed=True, low=0, high=2)
SPIKED = Numeric((-9.0, 0.0, 0.0, 9.0), (-2.0, -0.5, 0.5, 2.0), atoms=(0.0,), low=-9, high=9)
COLUMNS = (Categorical(3), Categorical(2, gaps=True), CLOSED, Categorical(40))


def random_model(example, columns=COLUMNS, latent=4):
    layout = RowLayout(columns, components=3)
    chain = Chain(layout, latent, range(len(columns)), width=12).eval()
    for weight in chain.parameters():
        nn.init.normal_(weight, std=0.15)
    chain.begin(example)
    for bias in chain.outcome_bias:  # off by what a bias can mend
        bias.data += 0.4 * torch.randn_like(bias)
    return VAE(nn.Identity(), RowDecoder(chain), priors.StandardNormal(latent)).eval()


def data(rows=4_000, seed=1):
    rng = np.random.default_rng(seed)
    x = np.stack(
        [
            rng.choice(3, rows, p=[0.7, 0.2, 0.1]),
            rng.choice([0.0, 1.0, NAN], rows, p=[0.5, 0.4, 0.1]),
            rng.choice(3, rows, p=[0.05, 0.05, 0.9]),
            rng.integers(0, 40, rows),
        ],
        1,
    )
    return torch.from_numpy(x.astype(float))


def shares(x, column):
    return pd.Series(x[:, column].numpy()).value_counts(normalize=True, dropna=False).sort_index()


def drawn(model, rows=60_000, seed=2):
    torch.manual_seed(seed)
    return Rows(model.decoder.chain, model.prior().sample((1, rows))).sample()[0]


def test_drawn_shares_are_those_of_the_data():
    torch.manual_seed(0)
    x = data()
    model = random_model(x)
    before = max(
        shares(drawn(model), c).sub(shares(x, c), fill_value=0).abs().max() for c in range(3)
    )
    settle_marginals(model, x, seed=0)
    after = drawn(model)
    assert before > 0.02
    for column in range(4):  # the number's mixture overlaps with its atoms
        off = shares(after, column).sub(shares(x, column), fill_value=0).abs().max()
        assert off < 0.012, column


def test_dependences_stay():
    """The odds ratio of two columns is that of the weights, whatever the marginals."""
    torch.manual_seed(0)
    x = torch.from_numpy(np.random.default_rng(0).integers(0, 2, (3_000, 2)).astype(float))
    model = random_model(x, (Categorical(2), Categorical(2)))

    def odds(rows):
        n = pd.crosstab(rows[:, 0].numpy(), rows[:, 1].numpy()).to_numpy() + 1
        return math.log(n[0, 0] * n[1, 1] / n[0, 1] / n[1, 0])

    before = odds(drawn(model))
    settle_marginals(model, x, seed=0)
    assert odds(drawn(model)) == pytest.approx(before, abs=0.1)


def test_only_biases_change_and_the_global_seed_does_not():
    torch.manual_seed(0)
    model = random_model(data())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.random.get_rng_state()
    settle_marginals(model, data(), seed=0)
    changed = {n for n, v in model.state_dict().items() if not torch.equal(v, before[n])}
    assert changed
    assert all("outcome_bias" in name or "number_bias" in name for name in changed)
    assert torch.equal(state, torch.random.get_rng_state())


def test_an_outcome_that_the_data_never_has_does_not_keep_the_others_from_theirs():
    """A closed number is never elsewhere: the shift of that, without bound, cut the others off."""
    torch.manual_seed(0)
    x = torch.from_numpy(np.random.default_rng(0).choice(3, (4_000, 1), p=[0.96, 0.03, 0.01]))
    model = random_model(x.double(), (CLOSED,))
    chain = model.decoder.chain
    chain.begin(x.double())
    chain.outcome_bias[0].data += torch.tensor([0.3, -0.3, 0.0, -12.0])  # as training leaves them
    settle_marginals(model, x.double(), seed=0)
    assert shares(drawn(model), 0)[0.0] == pytest.approx(0.96, abs=0.004)


def test_what_the_data_hardly_has_stays_rare():
    torch.manual_seed(0)
    x = torch.tensor([[0.0, 0.0], [1.0, 2.0]] * 500 + [[2.0, 1.0]] * 2, dtype=torch.float64)
    model = random_model(x, (Categorical(3), SPIKED))
    settle_marginals(model, x, seed=0)
    assert all(bias.isfinite().all() for bias in model.decoder.chain.outcome_bias)
    assert (shares(drawn(model), 0)[2.0]) < 0.2


def spread(knots=41):
    """A number without atoms whose T is that of a standard normal."""
    scores = np.linspace(-4.0, 4.0, knots)
    return Numeric(tuple(scores), tuple(scores), low=-4.0, high=4.0)


def test_a_mixture_that_is_a_little_off_draws_the_quantiles_of_the_data():
    torch.manual_seed(0)
    x = torch.randn(20_000, 2, dtype=torch.float64).clamp(-4, 4)
    model = random_model(x, (spread(), spread()))
    number = model.decoder.chain.number_bias.data.view(2, 3, 3)
    number[:, 1] += torch.tensor([0.0, 0.1, 0.1])  # locations
    before = drawn(model)
    settle_marginals(model, x, seed=0)
    after = drawn(model)
    for column in range(2):
        off = [ks_2samp(x[:, column], rows[:, column]).statistic for rows in (before, after)]
        assert off[1] < 0.6 * off[0], off
    assert ks_2samp(x[:, 1], after[:, 1]).statistic < 0.012


def test_a_law_is_changed_by_no_more_than_its_price():
    """However much is off, each step may cost so many nats and no more."""
    torch.manual_seed(0)
    x = 2.0 + 0.01 * torch.randn(20_000, 1, dtype=torch.float64)
    model = random_model(x, (spread(),))
    before = Rows(model.decoder.chain, torch.zeros(1, 1, 4)).log_prob(torch.zeros(1, 1))
    settle_marginals(model, x, seed=0)
    after = Rows(model.decoder.chain, torch.zeros(1, 1, 4)).log_prob(torch.zeros(1, 1))
    assert 0 < (after - before).abs() < 0.5


def test_a_fitted_model_draws_the_marginals_of_its_table():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "group": rng.choice(list("abcd"), 3_000, p=[0.6, 0.3, 0.08, 0.02]),
            "n": rng.poisson(2, 3_000),
        }
    )
    model = TableVAE(latent=2, hidden=(16,), epochs=3).fit(frame)
    rows = model.sample(20_000, seed=0)
    for name in frame:
        real, made = (f[name].value_counts(normalize=True) for f in (frame, rows))
        assert real.sub(made, fill_value=0).abs().max() < 0.02, name


def test_a_cell_that_training_never_missed_is_shown_as_the_average_cell():
    torch.manual_seed(0)
    x = data()
    embedding = random_model(x).decoder.chain.embedding
    before = embedding.outcome.weight.clone()
    embedding.settle_unobserved(x)
    gap = torch.full((1, 4), NAN, dtype=torch.float64)
    mean = embedding(embedding.layout.read(x)).mean(1)
    shown = embedding(embedding.layout.read(gap))[:, 0]
    assert torch.allclose(shown[[0, 2, 3]], mean[[0, 2, 3]], atol=1e-5)
    assert not torch.allclose(shown[1], mean[1], atol=1e-2)  # a gap of its own, which was seen
    changed = (embedding.outcome.weight != before).any(1)
    assert changed.nonzero().flatten().tolist() == sorted(embedding.unobserved.flatten().tolist())
