"""The chain: all columns at once are one by one, nothing looks ahead, draws are as scored."""

import itertools
import math

import numpy as np
import pytest
import torch
from columns import DOUBLE, NAN, SAMPLES, number
from scipy import stats

from variate.distributions import Categorical, Copy, Numeric, RowLayout, temper
from variate.distributions.column import Allowed, NumberLaw
from variate.table import chain as chains
from variate.table.chain import Chain
from variate.table.network import RowEncoder, chain_order
from variate.table.rows import RowDecoder, Rows
from variate.table.walk import Route

LATENT = 3
LINE = Numeric((-3.0, 0.0, 0.0, 9.0), (-2.0, -0.3, 0.4, 2.0), low=-3.0, high=9.0, gaps=True)
COUNT = Numeric((-0.5, 20.5), (-2.0, 2.0), 1.0, atoms=(0.0, 3.0), gaps=True, low=0.0, high=20.0)
MIXED = (
    LINE,
    Categorical(3, gaps=True),
    COUNT,
    Categorical(9),
    Numeric(
        (-9.0, 9.0),
        (-2.0, 2.0),
        low=-9,
        high=9,
        copies=(Copy((0,)), Copy((2,), (-1.0,))),
        gaps=True,
    ),
    Categorical(2),
)
ORDER = (3, 0, 5, 2, 4, 1)  # a copy after its sources, categories in between


@pytest.fixture(params=["full", "low rank"])
def mixing(request, monkeypatch):
    if request.param == "low rank":
        monkeypatch.setattr(chains, "MOST", 1)
        monkeypatch.setattr(chains, "RANK", 11)
    return request.param


def random_chain(columns=MIXED, order=None, size=0.3, **sizes):
    """Every weight is random, so that everything that may matter does."""
    layout = RowLayout(columns, components=3)
    chain = Chain(layout, LATENT, order or range(len(columns)), **{"width": 12} | sizes).eval()
    for weight in chain.parameters():
        torch.nn.init.normal_(weight, std=size)
    chain.number_bias.data += layout.normal().repeat(len(layout.numeric))
    return chain


def rows_of(chain, count=50):
    """Draws, with some values that no draw has: unobserved ones and numbers beyond the range."""
    x = Rows(chain, torch.randn(1, count, LATENT)).sample()[0]
    x[torch.rand(x.shape) < 0.15] = NAN
    for n in chain.layout.numeric:
        if chain.layout.columns[n].step is None:
            x[0, n] = 1e4
    return x


# -- all at once is one after the other -----------------------------------------------------------


@pytest.mark.parametrize("order", [ORDER, None])
def test_a_row_is_the_product_of_its_steps(mixing, order):
    chain = random_chain(order=order and list(order))
    assert (
        type(chain.mixing).__name__ == {"full": "_FullMixing", "low rank": "_LowRankMixing"}[mixing]
    )
    x, z = rows_of(chain), torch.randn(4, 50, LATENT)
    at_once = chain.log_prob(z, x)
    assert at_once.shape == (6, 4, 50)
    with torch.no_grad():
        for s in range(4):
            walk = Route(chain).walk(z[s])
            for place, column in enumerate(chain.order):
                step = scored(walk.law(place), x[:, column])
                torch.testing.assert_close(at_once[column, s], step, rtol=1e-5, atol=1e-5)
                walk.take(place, x[:, column])
            assert torch.equal(walk.x.nan_to_num(77.0), x.nan_to_num(77.0))
    rows = Rows(chain, z)
    torch.testing.assert_close(rows.log_prob(x), at_once.sum(0))
    assert rows.batch_shape == (4, 50)
    assert rows.event_shape == (6,)


def scored(law, x):
    """What a law gives one value for each of its rows, `[M]`, by its conditions."""
    got = torch.zeros(len(x))
    for value in x.unique().tolist():
        values, gap = ((), True) if value != value else ((value,), False)
        _, log_mass = wide(law).restricted(Allowed(values=values, gap=gap))
        same = x.isnan() if gap else x == value
        gapless = gap and not law.column.gaps
        got[same] = 0.0 if gapless else log_mass[same]
    return got


def wide(law):
    """Without the ends beyond which nothing is drawn, but which are scored."""
    if not isinstance(law, NumberLaw):
        return law
    column = law.column
    fields = {name: getattr(column, name) for name in column.__dataclass_fields__}
    unbounded = Numeric(**fields | {"low": -math.inf, "high": math.inf})
    return NumberLaw(unbounded, law.maps, law.log_w, law.mixture, law.copied, law.low, law.high)


def test_rows_that_are_kept_go_on_as_they_are(mixing):
    chain = random_chain(order=list(ORDER))
    x, z, kept = rows_of(chain), torch.randn(50, LATENT), torch.tensor([3, 3, 49, 0])
    walk, alone = Route(chain).walk(z), Route(chain).walk(z[kept])
    for place, column in enumerate(chain.order):
        if place == 3:
            walk.keep(kept)
        walk.take(place, x[kept if place >= 3 else slice(None), column])
        alone.take(place, x[kept, column])
        if 3 <= place < 5:
            torch.testing.assert_close(walk.law(place + 1).log_w, alone.law(place + 1).log_w)
    assert torch.equal(walk.x.nan_to_num(7.0), alone.x.nan_to_num(7.0))


# -- what may matter, and what may not ------------------------------------------------------------


def test_a_column_depends_on_those_before_it_and_on_the_code(mixing):
    chain = random_chain(order=list(ORDER))
    x, z = rows_of(chain, 20), torch.randn(2, 20, LATENT)
    x[:, 4] = torch.rand(20, dtype=DOUBLE)  # no copy
    before = chain.log_prob(z, x).detach()
    for place, column in enumerate(ORDER):
        changed = x.clone()
        known = x[:, column].nan_to_num(0.0)
        levels = getattr(MIXED[column], "levels", None)
        changed[:, column] = (known - 1).abs() if levels is None else (known + 1) % levels
        moved = (chain.log_prob(z, changed) - before).abs().amax((1, 2))
        for later, c in enumerate(ORDER):
            if later < place:
                assert moved[c] < 1e-6  # a running sum may round
            else:
                assert moved[c] > 1e-4
    moved = (chain.log_prob(z + 0.5, x) - before).abs().amax((1, 2))
    assert (moved > 1e-4).all()


def test_no_gradient_flows_back_from_later_columns(mixing):
    chain = random_chain()
    e = torch.randn(6, 5, 16, requires_grad=True)
    h = chain.mixing(e)
    for j in range(6):
        (gradient,) = torch.autograd.grad(h[j].sum(), e, retain_graph=True)
        assert (gradient[j:] == 0).all()
        assert all((gradient[i] != 0).any() for i in range(j))


def test_every_parameter_learns(mixing):
    chain = random_chain()
    loss = -chain.log_prob(torch.randn(2, 50, LATENT), rows_of(chain)).sum()
    loss.backward()
    for name, parameter in chain.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert (parameter.grad != 0).any(), name


def test_it_begins_at_the_marginals():
    chain = Chain(RowLayout(MIXED), LATENT, ORDER).eval()
    x = rows_of(random_chain(), 3_000)
    chain.begin(x)
    for level in range(9):
        of = (x[:, 3] == level).double().mean() / (~x[:, 3].isnan()).double().mean()
        rows = torch.zeros(1, 6, dtype=DOUBLE)
        rows[0, 3] = level
        p = chain.log_prob(torch.randn(1, 1, LATENT), rows)[3, 0, 0].detach().exp()
        assert float(p) == pytest.approx(float(of), abs=2e-3)


# -- draws are as scored --------------------------------------------------------------------------


def test_frequencies_of_a_small_table_are_its_probabilities(mixing):
    columns = (
        Categorical(3),
        Categorical(2, gaps=True),
        Numeric((-0.5, 2.5), (-1, 1), 1.0, atoms=(0.0, 1.0, 2.0), closed=True, low=0, high=2),
        Numeric((-0.5, 1.5), (-1, 1), 1.0, low=0, high=1, gaps=True, copies=(Copy((2,)),)),
    )
    chain = random_chain(columns, [1, 2, 0, 3], size=0.4)
    z, rows = torch.randn(1, 1, LATENT), 20_000
    support = [(0.0, 1.0, 2.0), (0.0, 1.0, NAN), (0.0, 1.0, 2.0), (0.0, 1.0, NAN)]
    every = torch.tensor(list(itertools.product(*support)), dtype=DOUBLE)
    drawn = Rows(chain, z.expand(1, rows, -1)).sample()[0]
    assert drawn.shape == (rows, 4)
    key = torch.tensor([64.0, 16.0, 4.0, 1.0], dtype=DOUBLE)
    keys, counts = (drawn.nan_to_num(3.0) @ key).unique(return_counts=True)
    known = dict(zip(keys.tolist(), counts.tolist(), strict=True))
    observed = np.array([known.pop(k, 0) for k in (every.nan_to_num(3.0) @ key).tolist()])
    assert not known
    expected = walked(chain, z[0], every) * rows
    few = expected < 5
    observed = np.append(observed[~few], observed[few].sum())
    expected = np.append(expected[~few], expected[few].sum() + 1e-9)
    assert expected.sum() == pytest.approx(rows, rel=1e-4)
    assert stats.chisquare(observed, expected * rows / expected.sum()).pvalue > 1e-3


def walked(chain, z, every):
    """The probabilities of rows when nothing is drawn but what was observed."""
    walk = Route(chain).walk(z.expand(len(every), -1))
    log_p = torch.zeros(len(every))
    with torch.no_grad():
        for place, column in enumerate(chain.order):
            log_p += scored_within(walk.observed(place), every[:, column])
            walk.take(place, every[:, column])
    return log_p.double().exp().numpy()


def scored_within(law, x):
    got = torch.zeros(len(x))
    for value in x.unique().tolist():
        gap = value != value
        _, log_mass = law.restricted(Allowed(values=() if gap else (value,), gap=gap))
        same = x.isnan() if gap else x == value
        got[same] = log_mass[same]
    return got


def test_draws_keep_to_what_was_observed(mixing):
    columns = [number(name, gaps=i % 2 == 0) for i, name in enumerate(SAMPLES)]
    chain = random_chain([*columns, Categorical(4, gaps=True)], size=1.0)
    x = Rows(chain, torch.randn(2, 150, LATENT)).sample((2,))
    assert x.shape == (2, 2, 150, len(columns) + 1)
    flat = x.flatten(0, 2)
    assert chain.layout.check(flat) is None
    for c, column in enumerate(columns):
        values = flat[:, c]
        assert column.gaps or not values.isnan().any()
        values = values[~values.isnan()]
        assert ((values >= column.low) & (values <= column.high)).all()
        assert not column.closed or set(values.tolist()) <= set(column.atoms)


def test_copies_of_copies_are_drawn():
    first = Numeric((-9.0, 9.0), (-2.0, 2.0), low=-9.0, high=9.0)
    again = [
        Numeric(first.values, first.scores, low=-9.0, high=9.0, copies=(Copy((i,)),))
        for i in (0, 1)
    ]
    chain = random_chain([first, *again])
    chain.outcome_bias[0].data[:] = torch.tensor([-20.0, 20.0] * 2)
    x = Rows(chain, torch.randn(1, 300, LATENT)).sample()[0]
    assert torch.equal(x[:, 1], x[:, 0])
    assert torch.equal(x[:, 2], x[:, 0])
    assert (
        float(Rows(chain, torch.randn(1, 300, LATENT)).log_prob_columns(x)[1:].detach().min())
        > -0.01
    )


def test_central_rows_are_medians_given_those_before(mixing):
    chain = random_chain(order=list(ORDER))
    z = torch.randn(2, 7, LATENT)
    rows = Rows(chain, z)
    middle = rows.central()
    assert middle.shape == (2, 7, 6)
    walk = Route(chain).walk(z.flatten(0, 1))
    for place, column in enumerate(ORDER):
        with torch.no_grad():
            expected = walk.observed(place).middle()
        torch.testing.assert_close(middle.flatten(0, 1)[:, column], expected, equal_nan=True)
        walk.take(place, expected)
    assert torch.equal(rows.central().nan_to_num(7.0), middle.nan_to_num(7.0))


# -- as a distribution ----------------------------------------------------------------------------


def test_rows_expand_and_repeat_and_know_their_support():
    chain = random_chain()
    rows = Rows(chain, torch.randn(5, LATENT))
    wider = rows.expand((3, 5))
    assert wider.batch_shape == (3, 5)
    x = rows_of(chain, 5)
    torch.testing.assert_close(wider.log_prob(x)[1], wider.log_prob(x)[0])
    torch.manual_seed(5)
    first = wider.sample()
    torch.manual_seed(5)
    assert torch.equal(first.nan_to_num(7.0), wider.sample().nan_to_num(7.0))
    assert rows.support.check(first).all()
    first[0, 0, 3] = 9.0
    assert not rows.support.check(first)[0, 0]


def test_cold_rows_vary_less():
    chain = random_chain(size=0.5)
    rows = Rows(chain, torch.randn(1, 1, LATENT))
    assert temper(rows, 1.0) is rows
    cold = temper(temper(rows, 0.1), 1e-3)
    assert cold.temperature == pytest.approx(1e-4)
    one, many = cold.sample((20,)).flatten(0, 2), rows.sample((20,)).flatten(0, 2)
    for c in (1, 3, 5):
        assert len(one[:, c].nan_to_num(-1.0).unique()) == 1
    assert len(many.nan_to_num(-1.0).unique(dim=0)) > 10


@pytest.mark.parametrize("columns", [(Categorical(3), Categorical(2)), (LINE,), (Categorical(1),)])
def test_tables_of_one_kind(columns, mixing):
    chain = random_chain(columns)
    rows = RowDecoder(chain)(torch.randn(2, 9, LATENT))
    x = rows.sample()[0]
    assert rows.log_prob(x).shape == (2, 9)
    assert rows.log_prob(x).isfinite().all()
    assert rows.central().shape == (2, 9, len(columns))


def test_shapes_are_known_without_values(mixing):
    """A model file is first tried on the device "meta"."""
    layout = RowLayout(MIXED)
    with torch.device("meta"):
        chain = Chain(layout, LATENT, ORDER)
        encoder = RowEncoder(layout, (8,), torch.nn.Identity())
    assert {p.device.type for p in chain.parameters()} == {"meta"}
    assert {p.device.type for p in encoder.embedding.parameters()} == {"meta"}
    here = Chain(layout, LATENT, ORDER)
    assert {n: p.shape for n, p in chain.state_dict().items()} == {
        n: p.shape for n, p in here.state_dict().items()
    }
    assert "mixing.mask" not in here.state_dict()


def test_it_computes_on_another_device():
    chain = random_chain().to("meta")
    z = torch.randn(2, 4, LATENT, device="meta")
    x = torch.zeros(4, 6, dtype=DOUBLE, device="meta")
    assert chain.log_prob(z, x).device.type == "meta"


def test_all_columns_at_once_compile_into_one_graph():
    chain = random_chain()
    z, x = torch.randn(2, 6, LATENT), rows_of(chain, 6)
    compiled = torch.compile(chain.log_prob, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(z, x), chain.log_prob(z, x))


def test_bfloat16_weights_leave_the_tables_as_they_are():
    chain = random_chain().bfloat16()
    assert chain.layout.maps.segments.dtype == DOUBLE
    assert chain.embedding.layout.atoms.dtype == DOUBLE


def test_categories_come_first_those_of_few_levels_before_those_of_many():
    assert chain_order(RowLayout(MIXED)) == [5, 1, 3, 0, 2, 4]


def test_a_copy_that_comes_before_its_source_is_refused():
    with pytest.raises(ValueError, match="before"):
        Chain(RowLayout(MIXED), LATENT, [4, 0, 1, 2, 3, 5])


def test_the_encoder_sees_every_column_and_every_gap():
    layout = RowLayout(MIXED)
    encoder = RowEncoder(layout, (16,), torch.nn.Identity()).eval()
    x = torch.tensor([[0.5, 1.0, 3.0, 4.0, 1.5, 0.0]], dtype=DOUBLE)
    first = encoder(x)
    for c in range(6):
        for value in (NAN, 1.0 if c != 1 else 0.0):
            other = x.clone()
            other[0, c] = value
            assert not torch.equal(encoder(other), first)


def test_under_autocast_the_networks_are_half_precise_and_the_density_is_not():
    chain = random_chain()
    z, x = torch.randn(1, 50, LATENT), rows_of(chain)
    with torch.autocast("cpu", torch.bfloat16):
        likelihood = RowDecoder(chain)(z)
    half, whole = likelihood.log_prob(x), Rows(chain, z).log_prob(x)
    assert half.dtype == whole.dtype == torch.float32
    assert not torch.equal(half, whole)
    assert torch.allclose(half, whole, rtol=0.05, atol=0.5)
