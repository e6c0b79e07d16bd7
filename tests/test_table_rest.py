"""One column given all the others: against brute force, and where columns repeat each other."""

import math

import pytest
import torch
from torch import nn

from variate.distributions import Categorical, Numeric, RowLayout
from variate.distributions.scores import Copy
from variate.models import VAE, posteriors, priors
from variate.table.chain import Chain
from variate.table.guide import Guide
from variate.table.network import RowEncoder
from variate.table.rest import Rest, given_rest
from variate.table.rows import RowDecoder

NAN = math.nan
KNOTS = (-4.0, 4.0), (-4.0, 4.0)
CODES = (Categorical(3), Categorical(2, gaps=True), Categorical(4))


def random_model(columns, latent=2, scale=0.25):
    torch.manual_seed(0)
    layout = RowLayout(columns, components=3)
    chain = Chain(layout, latent, range(len(columns)), width=8)
    encoder = RowEncoder(layout, (8,), posteriors.DiagonalGaussian(latent))
    model = VAE(encoder, RowDecoder(chain), priors.StandardNormal(latent))
    model(torch.zeros(1, len(columns), dtype=torch.float64))
    for weight in model.decoder.parameters():
        nn.init.normal_(weight, std=scale)
    for weight in model.encoder.posterior.parameters():  # codes from the prior suit all rows
        nn.init.zeros_(weight)
    return model.eval()


def log_evidence(model, x, points=61):
    """Log p(x) `[N]` by the trapezoidal rule over a two-dimensional z."""
    axis = torch.linspace(-6.0, 6.0, points)
    z = torch.cartesian_prod(axis, axis).unsqueeze(1).expand(-1, len(x), -1)
    with torch.no_grad():
        log_p = model.prior().log_prob(z) + model.decoder(z).log_prob(x)
    return log_p.double().logsumexp(0) + 2 * math.log(float(axis[1] - axis[0]))


@pytest.mark.parametrize("column", [0, 1, 2])
def test_categories_are_as_brute_force_has_them(column):
    model = random_model(CODES)
    x = torch.tensor([[0, 1, 2], [2, 0, 0], [1, NAN, 3]], dtype=torch.float64)
    outcomes = [*range(CODES[column].levels)] + [NAN] * CODES[column].gaps
    joint = []
    for value in outcomes:
        other = x.clone()
        other[:, column] = value
        joint.append(log_evidence(model, other))
    exact = torch.stack(joint).log_softmax(0)
    rest = given_rest(model, x, column, draws=20_000, seed=0)
    for i, row in enumerate(x):
        found = [
            o
            for o, v in enumerate(outcomes)
            if v == row[column] or (v != v and row[column] != row[column])
        ]
        assert float(rest.log_prob[i]) == pytest.approx(float(exact[found[0], i]), abs=0.05)
        for o, value in enumerate(outcomes):
            same = rest.values[i].isnan() if math.isnan(value) else rest.values[i] == value
            share = float(rest.log_w[i].exp()[same].sum())
            assert share == pytest.approx(float(exact[o, i].exp()), abs=0.03)


def test_a_number_integrates_to_one_and_has_its_quantiles():
    model = random_model((Numeric(*KNOTS, low=-4, high=4), Categorical(3)), scale=0.3)
    grid = torch.linspace(-4.0, 4.0, 161, dtype=torch.float64)
    rows = torch.stack([grid, torch.full_like(grid, 1.0)], -1)
    exact = log_evidence(model, rows).exp()
    exact = exact / torch.trapezoid(exact, grid)
    rest = given_rest(model, rows[:1].expand(40, -1), 0, draws=500, seed=0)
    density = given_rest(model, rows, 0, draws=2_000, seed=0).log_prob.exp()
    assert float(torch.trapezoid(density, grid)) == pytest.approx(1.0, abs=0.06)
    median = grid[(exact.cumsum(0) * 0.05 >= 0.5).int().argmax()]
    assert float(rest.quantiles(torch.tensor([0.5])).mean()) == pytest.approx(
        float(median), abs=0.15
    )


def test_what_a_later_column_repeats_is_known():
    number = Numeric(*KNOTS, low=-4, high=4)
    copying = Numeric(*KNOTS, low=-4, high=4, copies=(Copy((0,), (-1.0,), 0.5, 1e-9),))
    model = random_model((number, copying), scale=0.2)
    model.decoder.chain.outcome_bias[0].data[:] = torch.tensor([0.0, 1.0])  # elsewhere, copy
    x = torch.tensor([[0.7, -0.2], [0.1, 1.5]], dtype=torch.float64)
    rest = given_rest(model, x, 0, draws=200, seed=0)
    value, weight = rest.likeliest()
    assert value.tolist() == pytest.approx([0.7, -1.0])  # 0.5 - the other column
    assert (weight > 0.4).all()
    assert rest.log_w.exp().sum(-1).tolist() == pytest.approx([1.0, 1.0])


def test_the_same_seed_gives_the_same_and_leaves_the_callers_generator():
    model = random_model(CODES)
    x = torch.zeros(5, 3, dtype=torch.float64)
    state = torch.random.get_rng_state()
    first, second = (given_rest(model, x, 1, draws=20, seed=3) for _ in range(2))
    assert torch.equal(first.log_w, second.log_w)
    assert torch.equal(state, torch.random.get_rng_state())


def test_quantiles_and_the_likeliest_by_hand():
    rest = Rest(
        torch.tensor([[3.0, 1.0, 2.0, 1.0], [NAN, NAN, 5.0, NAN], [NAN] * 4], dtype=torch.float64),
        torch.tensor(
            [[0.4, 0.25, 0.1, 0.25], [0.2, 0.5, 0.2, 0.1], [0.25] * 4], dtype=torch.float64
        ).log(),
        torch.zeros(3),
    )
    quantiles = rest.quantiles(torch.tensor([0.05, 0.5, 0.55, 0.95]))
    assert quantiles[0].tolist() == [1.0, 1.0, 2.0, 3.0]
    assert quantiles[1].tolist() == [5.0] * 4
    assert quantiles[2].isnan().all()
    value, weight = rest.likeliest()
    assert float(value[0]) == 1.0
    assert float(weight[0]) == pytest.approx(0.5)
    assert value[1:].isnan().all()
    assert rest.effective.tolist() == pytest.approx([1 / 0.295, 1 / 0.34, 4.0])


def test_a_guess_of_a_column_that_is_never_there():
    layout = RowLayout((Numeric(*KNOTS, low=-4, high=4, gaps=True), Categorical(3)))
    x = torch.tensor([[NAN, 1.0], [NAN, 2.0]], dtype=torch.float64)
    law = Guide(layout, 0, x).law(x)
    assert law.sample().isfinite().all()
    assert law.log_prob(torch.zeros(2, dtype=torch.float64)).isfinite().all()
