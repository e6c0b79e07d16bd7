"""The law of piano-rolls that benchmarks/music.py states its figures under."""

import itertools
import sys
from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
KEYS = 4


@pytest.fixture
def pianoroll(monkeypatch):
    """The module, of a small keyboard."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from harness import pianoroll

    monkeypatch.setattr(pianoroll, "KEYS", KEYS)
    yield pianoroll
    for name in [name for name in sys.modules if name.partition(".")[0] == "harness"]:
        del sys.modules[name]


@pytest.fixture
def decoder(pianoroll):
    torch.manual_seed(0)
    net = pianoroll.ChordDecoder(2, 8, 6, 3, 0.5).eval()
    for parameter in net.parameters():
        parameter.data += 0.5 * torch.randn_like(parameter)
    return net


def test_the_law_of_rolls_sums_to_one(decoder):
    chords = torch.tensor(list(itertools.product([0, 1], repeat=KEYS)))
    x = torch.stack([torch.stack(pair) for pair in itertools.product(chords, repeat=2)])
    with torch.no_grad():
        z = torch.randn(3, 1, 2).expand(3, len(x), 2)
        total = decoder(z).log_prob(x.to(torch.uint8)).logsumexp(1)
    torch.testing.assert_close(total, torch.zeros(3), atol=1e-5, rtol=0.0)


def test_what_lies_behind_the_end_of_a_roll_adds_nothing(decoder, pianoroll):
    x = torch.randint(0, 2, (2, 5, KEYS), dtype=torch.uint8)
    longer = torch.nn.functional.pad(x, (0, 0, 0, 3), value=pianoroll.BEYOND)
    with torch.no_grad():
        z = torch.randn(3, 2, 2)
        torch.testing.assert_close(decoder(z).log_prob(longer), decoder(z).log_prob(x))


def test_a_step_is_not_told_of_itself_or_later(decoder):
    x = torch.randint(0, 2, (1, 6, KEYS), dtype=torch.uint8)
    other = x.clone()
    other[:, 3:] = 1 - other[:, 3:]
    with torch.no_grad():
        z = torch.randn(1, 1, 2)
        kept, changed = decoder.log_probs(z, x), decoder.log_probs(z, other)
    torch.testing.assert_close(kept[..., :3], changed[..., :3])
