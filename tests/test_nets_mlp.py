"""The multilayer perceptron."""

import torch
from torch import nn

from variate.nets import MLP


def test_shapes_with_and_without_output():
    x = torch.randn(3, 4, 7)
    assert MLP(7, (16, 8))(x).shape == (3, 4, 8)
    assert MLP(7, (16, 8), outputs=5)(x).shape == (3, 4, 5)
    assert MLP(7, ())(x).shape == (3, 4, 7)
    assert MLP(7, (), outputs=2)(x).shape == (3, 4, 2)


def test_inputs_are_taken_from_the_first_batch():
    lazy = MLP(hidden=(16, 16), outputs=3)
    assert isinstance(lazy.layers[0], nn.LazyLinear)
    assert lazy(torch.randn(2, 9)).shape == (2, 3)
    assert lazy.layers[0].weight.shape == (16, 9)
    assert MLP(None, (), outputs=3)(torch.randn(2, 9)).shape == (2, 3)


def test_equally_wide_layers_are_residual_and_others_are_not():
    net = MLP(4, (4, 6))
    x = torch.randn(5, 4)
    h = x + nn.functional.silu(net.layers[0](x))
    torch.testing.assert_close(net(x), nn.functional.silu(net.layers[1](h)))


def test_a_residual_layer_never_broadcasts():
    assert MLP(1, (8,))(torch.randn(5, 1)).shape == (5, 8)


def test_dropout_acts_in_training_only():
    net = MLP(4, (64,), dropout=0.5)
    x = torch.randn(5, 4)
    assert (net(x) == 0).float().mean() > 0.3
    net.eval()
    assert torch.equal(net(x), net(x))


def test_learns_a_product():
    x = torch.rand(512, 2) * 2 - 1
    target = x.prod(-1, keepdim=True)
    net = MLP(2, (32, 32), outputs=1)
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(200):
        optimiser.zero_grad()
        loss = (net(x) - target).square().mean()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.02 * target.var().item()
