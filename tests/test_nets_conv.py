"""Convolutional networks: shapes for any size, scaling, and items that do not see each other."""

import time

import pytest
import torch
from torch import nn

import variate as vt
from variate.errors import OptionError
from variate.inference import Moment
from variate.nets import ConvDecoder, ConvEncoder, ResidualBlock
from variate.nets.conv import scaled, sizes

SIZES = [(8, 8), (9, 13), (28, 28), (28, 20), (32, 32), (64, 64), (8, 40), (33, 31)]


@pytest.mark.parametrize("size", SIZES)
def test_any_size_of_eight_and_more(size):
    encoder, decoder = ConvEncoder(3, size, width=8), ConvDecoder(5, size, width=8)
    x = torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8)
    features = encoder(x)
    assert features.ndim == 2
    assert len(features) == 2
    maps = decoder(torch.randn(4, 2, 5))
    assert maps.shape == (4, 2, 4, *size)
    (features.sum() + maps.sum()).backward()
    for net in (encoder, decoder):
        for name, parameter in net.named_parameters():
            assert parameter.grad.abs().max() > 0, name


def test_sizes_are_halved_and_rounded_up():
    assert sizes((28, 28)) == [(28, 28), (14, 14), (7, 7)]
    assert sizes((64, 64)) == [(64, 64), (32, 32), (16, 16), (8, 8)]
    assert sizes((9, 13)) == [(9, 13), (5, 7)]
    for size in ((7, 28), (28, 4)):
        with pytest.raises(OptionError, match="at least 8x8 pixels"):
            sizes(size)
        with pytest.raises(OptionError, match="at least 8x8 pixels"):
            ConvDecoder(3, size)


def test_raw_levels_are_scaled_in_the_first_line():
    like = torch.zeros(1)
    for levels in (2, 256, 2**16):
        x = torch.tensor([0, levels - 1], dtype=torch.int32)
        torch.testing.assert_close(scaled(x, levels, like), torch.tensor([-1.0, 1.0]))
    encoder = ConvEncoder(1, (8, 8), levels=4, width=4)
    x = torch.randint(0, 4, (3, 1, 8, 8), dtype=torch.uint8)
    assert torch.equal(encoder(x), encoder(x.float()))


def test_an_item_does_not_see_the_items_beside_it():
    encoder, decoder = ConvEncoder(1, (16, 16), width=8), ConvDecoder(3, (16, 16), width=8)
    x, z = torch.randint(0, 256, (6, 1, 16, 16)), torch.randn(2, 6, 3)
    torch.testing.assert_close(encoder(x)[2:4], encoder(x[2:4]))
    torch.testing.assert_close(decoder(z)[1:, 2:4], decoder(z[1:, 2:4]))


def test_the_sum_of_many_blocks_keeps_the_size_of_what_comes_in():
    h = torch.randn(4, 16, 8, 8)
    for depth in (1, 64):
        blocks = nn.Sequential(*(ResidualBlock(16, scale=depth**-0.5) for _ in range(depth)))
        assert 0.9 < float(blocks(h).detach().std()) < 1.5


def test_memory_in_either_layout_gives_the_same():
    encoder, decoder = ConvEncoder(3, (20, 12), width=8), ConvDecoder(3, (20, 12), width=8)
    x, z = torch.randint(0, 256, (2, 3, 20, 12)), torch.randn(2, 2, 3)
    before = encoder(x), decoder(z)
    encoder.to(memory_format=torch.channels_last)
    decoder.to(memory_format=torch.channels_last)
    torch.testing.assert_close((encoder(x), decoder(z)), before, rtol=1e-4, atol=1e-5)


def test_nothing_waits_for_the_device():
    encoder, decoder = ConvEncoder(3, (20, 12), width=8), ConvDecoder(3, (20, 12), width=8)
    encoder.to("meta")(torch.zeros(2, 3, 20, 12, device="meta", dtype=torch.uint8)).sum().backward()
    decoder.to("meta")(torch.zeros(2, 2, 3, device="meta")).sum().backward()


def convolutional(size=(28, 28), width=32):
    return vt.VAE(
        nn.Sequential(ConvEncoder(1, size, 2, width), vt.posteriors.DiagonalGaussian(16)),
        nn.Sequential(ConvDecoder(16, size, width), vt.pixels.BernoulliPixels(1)),
        vt.priors.StandardNormal(16),
    )


def test_it_learns_through_the_loop():
    torch.manual_seed(0)
    x = torch.zeros(512, 1, 16, 16, dtype=torch.uint8)
    x[torch.arange(512), 0, torch.randint(0, 16, (512,))] = 1  # one bright line
    model = convolutional((16, 16), 8)
    for _ in vt.train(model, vt.objectives.ELBO(), x, epochs=20, batch_size=32):
        pass
    evidence = vt.evaluation.elbo(model, x[:64], draws=4)
    assert float(evidence.mean()) > -60  # log 16 = 2.8 nats at best, 160 untrained
    assert model.generate(3).sample().shape == (1, 3, 1, 16, 16)


@pytest.mark.slow
def test_a_small_network_trains_on_a_thousand_images_a_second():
    """A bound far below what an idle processor does, for machines with other work."""
    model, x = convolutional(), torch.randint(0, 2, (128, 1, 28, 28), dtype=torch.uint8)
    objective, moment = vt.objectives.ELBO(), Moment()
    seconds = []
    for _ in range(6):
        start = time.process_time()
        objective(model, x, moment).total.backward()
        seconds.append(time.process_time() - start)
    assert 128 / min(seconds) > 500
