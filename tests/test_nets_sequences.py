"""Networks for sequences: what they see, what they do not, and where they start."""

import math

import pytest
import torch

from variate.nets import RecurrentDecoder, RecurrentEncoder, TransformerDecoder
from variate.nets.recurrent import Inputs

END = 9
DECODERS = {
    "recurrent": lambda **o: RecurrentDecoder(10, 4, 8, 16, **o),
    "transformer": lambda **o: TransformerDecoder(10, 4, 7, 8, 16, **o),
}


@pytest.mark.parametrize("name", DECODERS)
def test_a_place_sees_what_is_before_it_and_the_code(name):
    net = DECODERS[name]()
    x = torch.randint(0, 10, (2, 7))
    z = torch.randn(3, 2, 4, requires_grad=True)
    known = net.read(z, x)
    assert known.shape == (3, 2, 7, 8)
    other = x.clone()
    other[:, 4] = (x[:, 4] + 1) % 10
    changed = (net.read(z, other) - known).abs().amax((0, 1, 3))
    assert (changed[:5] == 0).all()
    assert (changed[5:] > 0).all()
    for place in range(7):
        (slope,) = torch.autograd.grad(known[:, :, place].sum(), z, retain_graph=True)
        assert (slope.abs() > 0).all()


@pytest.mark.parametrize("name", DECODERS)
def test_all_parameters_are_used(name):
    net = DECODERS[name](word_dropout=0.5)
    net.logits(
        net.read(torch.randn(1, 64, 4), torch.randint(0, 10, (64, 7)))
    ).square().mean().backward()
    for parameter_name, parameter in net.named_parameters():
        assert parameter.grad.abs().max() > 0, parameter_name


@pytest.mark.parametrize("name", DECODERS)
def test_a_tied_head_starts_near_even(name):
    """At torch's own spread of 1 the logits start in the tens, which costs a run."""
    torch.manual_seed(0)
    net = (
        RecurrentDecoder(2_000, 16, 128, 256)
        if name == "recurrent"
        else TransformerDecoder(2_000, 16, 20, 128, 256)
    )
    x = torch.randint(0, 2_000, (8, 20))
    logits = net.logits(net.read(torch.randn(1, 8, 16), x))
    lost = torch.nn.functional.cross_entropy(logits.flatten(0, -2), x.flatten())
    assert lost < math.log(2_000) + 0.3
    assert 0.07 < net.inputs.symbols.weight.std() < 0.09


def test_words_are_hidden_in_training_only():
    inputs = Inputs(10, 4, word_dropout=0.5)
    x = torch.randint(0, 10, (200, 6))
    hidden = inputs.symbols.weight[-1]
    assert 0.4 < (inputs(x)[:, 1:] == hidden).all(-1).float().mean() < 0.6
    assert not (inputs(x)[:, :1] == hidden).all(-1).any()  # the start is no word
    inputs.eval()
    assert not (inputs(x) == hidden).all(-1).any()


def test_the_encoder_reads_to_the_end_and_no_further():
    torch.manual_seed(0)
    net = RecurrentEncoder(10, 8, 16, end=END)
    short = torch.tensor([[1, 2, END], [3, END, END]])
    long = torch.nn.functional.pad(short, (0, 5), value=END)
    features = net(long)
    assert features.shape == (2, 32)
    torch.testing.assert_close(features, net(short))
    with torch.no_grad():
        torch.testing.assert_close(net(long), features.detach())
    alone = net(torch.tensor([[3, END]]))
    torch.testing.assert_close(features[1:], alone)


def test_the_encoder_reads_both_ways():
    """The first symbol reaches the last place of one direction, the last the first of the other."""
    net = RecurrentEncoder(10, 8, 16)
    x = torch.tensor([[1, 2, 3, 4]])
    assert not torch.allclose(net(x), net(x.flip(1)))
    for place in range(4):
        other = x.clone()
        other[0, place] = 7
        assert ((net(other) - net(x))[0].view(2, 16).abs().amax(1) > 0).all()
