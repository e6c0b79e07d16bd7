"""Walks: what is remembered is what was passed, whoever draws it and on however many threads."""

import pytest
import torch
from columns import DOUBLE, NAN, number

from variate.distributions import Categorical, Copy, Numeric, RowLayout
from variate.table import blocks, memory
from variate.table import chain as chains
from variate.table.blocks import in_blocks
from variate.table.chain import Chain
from variate.table.rows import Rows
from variate.table.walk import Route

LATENT = 3
COLUMNS = (
    Numeric((-3.0, 0.0, 0.0, 9.0), (-2.0, -0.3, 0.4, 2.0), low=-3.0, high=9.0),
    Categorical(3, gaps=True),
    Numeric(
        (-0.25, 20.25),
        (-2.0, 2.0),
        0.5,
        density=True,  # in nats per unit: atoms, too, are divided by the step
        atoms=(0.0, 3.0),
        gaps=True,
        low=0.0,
        high=20.0,
    ),
    Numeric((-0.5, 3.5), (-2, 2), 1.0, atoms=(0.0, 1.0, 3.0), closed=True, low=0.0, high=3.0),
    Numeric(
        (-9.0, 9.0),
        (-2.0, 2.0),
        low=-9,
        high=9,
        copies=(Copy((0,)), Copy((2,), (-1.0,))),
        gaps=True,
    ),
    number("heaped payments"),
    Categorical(9),
)
ORDER = [6, 2, 0, 3, 1, 4, 5]


@pytest.fixture(params=["full", "low rank", "full, wide", "low rank, wide"])
def chain(request, monkeypatch):
    """Every way to remember, with tables and without."""
    if request.param.startswith("low rank"):
        monkeypatch.setattr(chains, "MOST", 1)
        monkeypatch.setattr(chains, "RANK", 11)
    if request.param.endswith("wide"):
        few = 60 if request.param.startswith("low rank") else 450
        monkeypatch.setattr(memory, "LARGEST", few)  # some columns have tables, some have none
    return random_chain()


def random_chain():
    torch.manual_seed(0)
    layout = RowLayout(COLUMNS, components=3)
    made = Chain(layout, LATENT, ORDER, width=12).eval()
    for weight in made.parameters():
        torch.nn.init.normal_(weight, std=0.4)
    made.number_bias.data += layout.normal().repeat(len(layout.numeric))
    return made


@torch.no_grad()
def test_what_is_drawn_is_remembered_as_if_it_were_given(chain):
    z = torch.randn(300, LATENT)
    drawing, taking = Route(chain).walk(z), Route(chain).walk(z)
    for place, column in enumerate(ORDER):
        one, other = drawing.law(place), taking.law(place)
        torch.testing.assert_close(one.log_w, other.log_w, rtol=1e-4, atol=1e-4)
        drawing.draw(place)
        taking.take(place, drawing.x[:, column])
    assert torch.equal(drawing.x.nan_to_num(77.0), taking.x.nan_to_num(77.0))


@torch.no_grad()
def test_to_move_some_rows_is_to_keep_all_in_another_order(chain):
    z = torch.randn(60, LATENT)
    keeping, moving = Route(chain).walk(z), Route(chain).walk(z)
    to, of = torch.tensor([3, 7, 50]), torch.tensor([7, 1, 3])
    kept = torch.arange(60).index_copy(0, to, of)
    for place, column in enumerate(ORDER):
        law = keeping.law(place)  # what a column is told may have been worked out before
        assert torch.equal(law.log_w, moving.law(place).log_w)
        keeping.keep(kept)
        moving.move(to, of)
        assert torch.equal(keeping.law(place).log_w, moving.law(place).log_w)
        keeping.draw(place)
        moving.take(place, keeping.x[:, column])
    assert torch.equal(keeping.x.nan_to_num(77.0), moving.x.nan_to_num(77.0))


@torch.no_grad()
def test_what_is_remembered_is_what_all_columns_at_once_are_told(chain):
    x = Rows(chain, torch.randn(1, 200, LATENT)).sample()[0]
    x[torch.rand(x.shape) < 0.1] = NAN
    x[:20, 3] = 2.0  # of a closed column, but no atom
    x[:, 0] = torch.where(torch.rand(200) < 0.2, 1e3, x[:, 0])
    z = torch.randn(1, 200, LATENT)
    walk, at_once = Route(chain).walk(z[0]), chain.log_prob(z, x)
    for place, column in enumerate(ORDER):
        step = walk.law(place).log_prob(x[:, column])
        torch.testing.assert_close(step, at_once[column, 0], rtol=1e-4, atol=1e-4)
        walk.take(place, x[:, column])


@torch.no_grad()
def test_another_code_is_as_if_it_had_been_there_from_the_start(chain):
    x = Rows(chain, torch.randn(1, 50, LATENT)).sample()[0]
    first, second = torch.randn(2, 50, LATENT)
    changed, alone = Route(chain).walk(first), Route(chain).walk(second)
    for place in range(5):
        for walk in (changed, alone):
            walk.take(place, x[:, ORDER[place]])
    changed.adopt(second)
    torch.testing.assert_close(changed.law(5).log_w, alone.law(5).log_w)


def test_a_route_is_of_the_weights_that_it_was_made_from():
    made = random_chain()
    before = [parameter.detach().clone() for parameter in made.parameters()]
    Rows(made, torch.randn(1, 500, LATENT)).sample()
    assert all(torch.equal(a, b) for a, b in zip(before, made.parameters(), strict=True))
    assert not Route(made).walk(torch.randn(2, LATENT)).x.requires_grad


# -- blocks ---------------------------------------------------------------------------------------


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
def test_draws_do_not_depend_on_the_number_of_threads(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", 64)
    rows, drawn = Rows(random_chain(), torch.randn(1, 1_000, LATENT)), []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        torch.manual_seed(7)
        drawn.append(rows.sample().nan_to_num(77.0))
        assert torch.get_num_threads() == count
    assert torch.equal(drawn[0], drawn[1])
    assert torch.equal(drawn[0], drawn[2])
    first, second = drawn[0][0, :64], drawn[0][0, 64:128]
    assert not torch.equal(first, second)
    assert not torch.equal(drawn[0], rows.sample().nan_to_num(77.0))


@pytest.mark.usefixtures("threads")
def test_blocks_come_back_in_order_and_their_errors_come_through(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", 10)
    torch.set_num_threads(2)
    assert in_blocks(lambda block, _: (len(block), int(block[0])), torch.arange(35)) == [
        (10, 0), (10, 10), (10, 20), (5, 30),
    ]  # fmt: skip

    def fail(block, generator):
        assert torch.get_num_threads() == 1
        assert not torch.is_grad_enabled()
        raise ArithmeticError(f"block {int(block[0])}")

    with pytest.raises(ArithmeticError, match="block 0"):
        in_blocks(fail, torch.arange(35))
    assert torch.get_num_threads() == 2


def test_rows_of_many_blocks_are_those_of_the_distribution(monkeypatch):
    """Equal codes in blocks of their own have equal laws."""
    monkeypatch.setattr(blocks, "BLOCK", 2_000)
    rows = Rows(random_chain(), torch.randn(1, 1, LATENT).expand(1, 8_000, -1))
    x = rows.sample()[0].unflatten(0, (4, 2_000))
    for column in (1, 3, 6):
        shares = torch.stack([torch.bincount(part[:, column].nan_to_num(4.0).long(), minlength=9)
                              for part in x]).to(DOUBLE) / 2_000  # fmt: skip
        assert float((shares - shares.mean(0)).abs().max()) < 5 * (0.25 / 2_000) ** 0.5
