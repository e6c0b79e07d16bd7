"""log p of symbols among many: the value and the gradient of a softmax that is never held."""

import pytest
import torch
from torch.autograd import gradcheck
from torch.nn.functional import cross_entropy

from variate.distributions import picked
from variate.distributions.picked import picked_log_probs

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
