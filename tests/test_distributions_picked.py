"""log p of symbols among many: the value and the gradient of a softmax that is never held."""

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck
from torch.func import functional_call, grad, vmap
from torch.nn.functional import cross_entropy

from variate.distributions import Grammar, Sequences, picked
from variate.distributions.picked import picked_log_probs
from variate.nets import RecurrentDecoder, TransformerDecoder

ROWS, WIDTH, SYMBOLS = 11, 5, 7


@pytest.fixture(autouse=True)
def few_rows_at_once(monkeypatch):
    monkeypatch.setitem(picked._HELD, "cpu", 4 * SYMBOLS)


@pytest.fixture
def given():
    torch.manual_seed(0)
    made = (torch.randn(ROWS, WIDTH), torch.randn(SYMBOLS, WIDTH), torch.randn(SYMBOLS))
    return [v.double().requires_grad_() for v in made], torch.randint(0, SYMBOLS, (ROWS,))


def odd_rows_have_no_last(logits, rows):
    odd = torch.arange(ROWS)[rows] % 2 == 1
    last = torch.arange(SYMBOLS) == SYMBOLS - 1
    return logits.masked_fill(odd[:, None] & last, -torch.inf)


@pytest.mark.parametrize("ruled", [None, odd_rows_have_no_last])
def test_it_is_the_log_softmax(given, ruled):
    parts, symbols = given
    symbols = symbols % (SYMBOLS - 1)
    logits = parts[0] @ parts[1].T + parts[2]
    if ruled is not None:
        logits = ruled(logits, slice(None))
    slope = torch.randn(ROWS).double()
    expected = -cross_entropy(logits, symbols, reduction="none")
    found = picked_log_probs(*parts, symbols, ruled=ruled)
    torch.testing.assert_close(found, expected)
    for ours, theirs in zip(
        torch.autograd.grad(found, parts, slope),
        torch.autograd.grad(expected, parts, slope),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


def test_its_gradient_is_that_of_finite_differences(given):
    parts, symbols = given
    assert gradcheck(lambda *parts: picked_log_probs(*parts, symbols), parts)


def test_half_precision_is_of_products_only(given):
    parts, symbols = given
    parts = [v.detach().float().requires_grad_() for v in parts]
    found = picked_log_probs(*parts, symbols, half=True)
    exact = picked_log_probs(*parts, symbols)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, exact, atol=0.05, rtol=0.0)
    for ours, theirs in zip(
        torch.autograd.grad(found.sum(), parts),
        torch.autograd.grad(exact.sum(), parts),
        strict=True,
    ):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours, theirs, atol=0.05, rtol=0.05)


def test_what_is_ruled_out_has_no_probability(given):
    parts, _ = given
    symbols = torch.full((ROWS,), SYMBOLS - 1)
    found = picked_log_probs(*parts, symbols, ruled=odd_rows_have_no_last)
    assert (found.isneginf() == (torch.arange(ROWS) % 2 == 1)).all()


def sequences(size):
    net = RecurrentDecoder(SYMBOLS, 2, 4, 8).eval()
    x = torch.randint(0, SYMBOLS, (size, 6))
    return net, Sequences(net, torch.randn(3, size, 2), 6, end=0), x


@pytest.mark.parametrize(
    "grammar", [None, Grammar([[0, 1, 0, 0, 0, 0, 0], [0, -1, 0, 0, 0, 0, 0]])]
)
def test_sequences_are_scored_as_from_all_logits(monkeypatch, grammar):
    torch.manual_seed(0)
    net, law, x = sequences(4)
    x[:, 1:][(x[:, 1:] == 1) & (x[:, :-1] == 1)] = 2
    law = Sequences(net, law.z, 6, end=0, grammar=grammar)
    found, gradient = law.log_probs(x), torch.autograd.grad(law.log_prob(x).sum(), net.bias)
    monkeypatch.setitem(picked._HELD, "cpu", 2**20)
    torch.testing.assert_close(found, law.log_probs(x))
    torch.testing.assert_close(gradient, torch.autograd.grad(law.log_prob(x).sum(), net.bias))


@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_gradients_of_each_item_are_there():
    """As training with privacy wants them; torch.func knows no gradients of our own."""
    torch.manual_seed(0)
    net = TransformerDecoder(SYMBOLS, 2, 6, embedding=4, hidden=8, layers=1, heads=2).eval()
    x, z = torch.randint(0, SYMBOLS, (5, 6)), torch.randn(5, 2)

    def lost(parameters, x, z):
        def of(net, x, z):
            return -Sequences(net, z[None, None], 6).log_prob(x[None]).sum()

        return functional_call(
            Told(net, of), {f"net.{k}": v for k, v in parameters.items()}, (x, z)
        )

    parameters = {name: v.detach() for name, v in net.named_parameters()}
    each = vmap(grad(lost), (None, 0, 0))(parameters, x, z)
    whole = torch.autograd.grad(-Sequences(net, z[None], 6).log_prob(x).sum(), net.bias)[0]
    torch.testing.assert_close(each["bias"].sum(0), whole)


class Told(nn.Module):
    """What a function makes of a network."""

    def __init__(self, net, of):
        super().__init__()
        self.net, self.of = net, of

    def forward(self, *given):
        return self.of(self.net, *given)
