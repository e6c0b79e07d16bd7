"""A sequence VAE from its parts: trained, not collapsed, in any precision, with any objective."""

import pytest
import torch
from torch import nn

import variate as vt
from variate.distributions import Sequences
from variate.errors import OptionError
from variate.evaluation import active_units, log_evidence
from variate.inference import Moment
from variate.models import SequenceDecoder
from variate.models.sequences import language_model
from variate.nets import RecurrentDecoder, RecurrentEncoder, TransformerDecoder
from variate.objectives import ELBO, GroupFreeBits, LanguageModel, Opening, WarmUp
from variate.training import LengthSource

END, SIZE, LENGTH = 7, 8, 8


def phrases(n, seed=0):
    """Sequences whose symbols are all from one of two sets, of any length."""
    generator = torch.Generator().manual_seed(seed)
    side = torch.randint(0, 2, (n, 1), generator=generator) * 3
    x = torch.randint(0, 3, (n, LENGTH), generator=generator) + side
    lengths = torch.randint(2, LENGTH, (n, 1), generator=generator)
    return torch.where(torch.arange(LENGTH) < lengths, x, END)


def model_of(net=RecurrentDecoder, latent=4, **options):
    torch.manual_seed(0)
    encoder = nn.Sequential(
        RecurrentEncoder(SIZE, 8, 24, end=END), vt.posteriors.DiagonalGaussian(latent)
    )
    sizes = {"positions": LENGTH} if net is TransformerDecoder else {}
    decoder = net(SIZE, latent, embedding=8, hidden=24, **sizes, **options)
    prior = vt.priors.StandardNormal(latent)
    return vt.VAE(encoder, SequenceDecoder(decoder, LENGTH, end=END), prior)


def spend(model, objective, x, **options):
    for event in vt.train(model, objective, x, **options):
        last = event
    return last


@pytest.mark.parametrize("net", [RecurrentDecoder, TransformerDecoder])
@pytest.mark.parametrize("draws", [1, 3])
def test_shapes_are_those_of_the_house(net, draws):
    model, x = model_of(net), phrases(5)
    inference = model(x, draws)
    assert isinstance(inference.likelihood, Sequences)
    assert inference.log_likelihood(x).shape == (draws, 5)
    assert model.generate(6).sample().shape == (1, 6, LENGTH)
    loss = vt.objectives.IWAE(draws)(model, x, Moment())
    loss.total.backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("net", [RecurrentDecoder, TransformerDecoder])
def test_the_defaults_do_not_collapse(net):
    model, x = model_of(net, word_dropout=0.3), phrases(2_000)
    objective = Opening(GroupFreeBits(2.0, beta=WarmUp(1.0, 0.4)), share=0.2)
    data = LengthSource(x[:1800], (x[:1800] != END).sum(1) + 1)
    last = spend(
        model,
        objective,
        data,
        validation=x[1800:],
        epochs=25,
        batch_size=64,
        ema=0.98,
        learning_rate=4e-3,
    )
    assert last.terms["kl"] > 1.5
    assert active_units(model, x[1800:]) >= 2
    drawn = model(x[1800:]).likelihood.sample()[0]
    side = x[1800:, 0] // 3
    assert (drawn[:, 0] // 3 == side).float().mean() > 0.95  # z tells of which set they are


def test_a_model_that_is_told_nothing_learns_the_language():
    model, x = model_of(), phrases(2_000)
    last = spend(
        model,
        LanguageModel(),
        x[200:],
        validation=x[:200],
        epochs=20,
        batch_size=64,
        learning_rate=5e-3,
        ema=0.98,
    )
    # log 2 for the set, log 3 for each symbol, log 6 for the length
    lengths = (x[:200] != END).sum(1).float()
    entropy = torch.log(torch.tensor(12.0)) + lengths.mean() * torch.log(torch.tensor(3.0))
    assert -last.terms["elbo"] < entropy + 0.5
    law = language_model(model, x[:200])
    torch.testing.assert_close(
        law.log_prob(x[:200]).mean().item(), last.terms["elbo"], rtol=1e-4, atol=1e-4
    )


def test_opening_is_a_language_model_first_and_the_objective_after():
    model, x = model_of(), phrases(16)
    objective = Opening(ELBO(beta=WarmUp(1.0, 0.5)), share=0.2)
    torch.manual_seed(1)
    first = objective(model, x, Moment(0.1, 16))
    assert first.terms["beta"] == 0
    torch.testing.assert_close(first.total, LanguageModel()(model, x, Moment()).total)
    first.total.backward()
    assert all(p.grad is None for p in model.encoder.parameters())
    assert objective(model, x, Moment(0.4, 16)).terms["beta"] == pytest.approx(0.5)
    assert objective(model, x, Moment(1.0, 16)).terms["beta"] == 1
    with pytest.raises(OptionError, match="share must be at least 0 and below 1"):
        Opening(ELBO(), share=1.0)


def test_half_precision_reaches_the_reading():
    """The likelihood is asked after the forward pass is over, and must remember its precision."""
    model, x = model_of(), phrases(64)
    seen = []
    model.decoder.net.out.register_forward_hook(lambda m, a, out: seen.append(out.dtype))
    last = spend(model, ELBO(), x, epochs=2, batch_size=32, precision="bfloat16")
    assert torch.bfloat16 in seen
    assert torch.isfinite(torch.tensor(last.terms["elbo"]))


def test_the_evidence_does_not_depend_on_neighbours_nor_filling():
    model, x = model_of().eval(), phrases(40)
    model(x)  # gives lazy layers their shapes
    whole = log_evidence(model, x, draws=8, common=True)
    alone = log_evidence(model, x[3:4], draws=8, common=True)
    torch.testing.assert_close(whole[3:4], alone)
