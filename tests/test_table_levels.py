"""The most probable level of a missing category: against enumeration."""

import pytest
import torch
from torch import nn

from variate.distributions import Categorical, RowLayout
from variate.models import VAE, priors
from variate.table.candidates import drawn_cells
from variate.table.chain import Chain
from variate.table.levels import DOUBT, given_others, shrunk_shares
from variate.table.rows import RowDecoder

LEVELS = (3, 2, 4)


def random_chain(seed=0):
    torch.manual_seed(seed)
    layout = RowLayout([Categorical(n) for n in LEVELS], components=2)
    chain = Chain(layout, 2, range(3), width=8).eval()
    for weight in chain.parameters():
        nn.init.normal_(weight, std=0.5)
    return chain


@torch.no_grad()
def joint(chain, z):
    """All rows, and log p(row|z) of each, `[rows]` and `[rows]`, for one code."""
    rows = torch.cartesian_prod(*(torch.arange(n).double() for n in LEVELS))
    return rows, chain.log_prob(z.view(1, 1, 2).expand(1, len(rows), 2), rows).sum(0)[0]


@pytest.mark.parametrize("column", [0, 1, 2])
def test_the_law_of_a_cell_given_the_others_is_as_enumeration_has_it(column):
    chain = random_chain()
    z, x = torch.randn(5, 3, 2), torch.stack([torch.randint(n, (5, 3)) for n in LEVELS], -1)
    even = torch.full((5, LEVELS[column]), 1 / LEVELS[column])
    with torch.no_grad():
        found = 2 * given_others(chain, column, even, x.double(), z) - even
    for cell in range(5):
        laws = []
        for state, code in zip(x[cell].double(), z[cell], strict=True):
            rows, log_p = joint(chain, code)
            others = [c for c in range(3) if c != column]
            laws.append(log_p[(rows[:, others] == state[others]).all(1)].softmax(0))
        torch.testing.assert_close(found[cell], torch.stack(laws).mean(0), rtol=1e-4, atol=1e-5)


def test_its_mean_over_draws_of_the_other_cells_is_the_cells_own_probability():
    """The target is the same as that of the draws: only their noise is taken out."""
    chain = random_chain()
    z = torch.randn(2)
    rows, log_p = joint(chain, z)
    known = rows[:, 2] == 1  # the first and the second column are missing
    law = log_p[known].softmax(0)
    exact = torch.stack([law[rows[known][:, 0] == level].sum() for level in range(3)])
    draws = rows[known][torch.multinomial(law, 40_000, replacement=True)].unsqueeze(0)
    even = torch.full((1, 3), 1 / 3)
    with torch.no_grad():
        found = 2 * given_others(chain, 0, even, draws, z.expand(1, len(draws[0]), 2)) - even
    torch.testing.assert_close(found[0], exact, rtol=0, atol=4e-3)


def test_a_level_without_rival_is_not_tried():
    chain = random_chain()
    sure = torch.tensor([[1.0, 0.9 * DOUBT, 0.0]]) / (1 + 0.9 * DOUBT)
    x, z = torch.zeros(1, 4, 3, dtype=torch.float64), torch.randn(1, 4, 2)
    assert torch.equal(given_others(chain, 0, sure, x, z), sure)


def test_levels_that_are_not_tried_keep_their_probability():
    chain = random_chain()
    chance = torch.full((1, 4), 0.25)
    with torch.no_grad():
        found = given_others(chain, 2, chance, torch.zeros(1, 4, 3).double(), torch.randn(1, 4, 2))
    assert float(found.sum()) == pytest.approx(1, abs=1e-6)
    assert (found > 0.1).all()  # half of it is what was thought before


def test_shares_that_are_no_more_than_noise_are_left_to_the_law():
    law = torch.tensor([0.6, 0.4]).expand(1, 100, 2)
    share = torch.full((1, 100), 0.01)
    codes = (torch.arange(100) >= 57).double().unsqueeze(0)  # 57 and 43, of 60 and 40
    found = shrunk_shares(codes, share, law, torch.tensor([100.0]))
    torch.testing.assert_close(found, law[:, 0])
    far = shrunk_shares(torch.ones(1, 100), share, law, torch.tensor([100.0]))
    assert far[0, 1] > 0.95


def test_the_level_that_is_filled_in_is_the_most_probable_one():
    """Of the law with all codes: where one level is clearly the best, it is found."""
    chain = random_chain(1)
    model = VAE(nn.Identity(), RowDecoder(chain), priors.StandardNormal(2))
    z = torch.randn(2_000, 2)
    log_p = torch.stack([joint(chain, code)[1] for code in z[:500]]).logsumexp(0)
    rows, _ = joint(chain, z[0])
    x = torch.cartesian_prod(*(torch.arange(n).double() for n in LEVELS[1:]))
    x = torch.cat([torch.zeros(len(x), 1, dtype=torch.float64), x], 1)
    known = torch.ones(x.shape, dtype=torch.bool)
    known[:, 0] = False
    found = drawn_cells(model, x, known, 4, candidates=128, seed=0).point
    for row, level in zip(x, found, strict=True):
        law = log_p[(rows[:, 1:] == row[1:]).all(1)].softmax(0)
        if law.max() > 1.3 * law.topk(2).values[1]:
            assert int(level) == int(law.argmax())
