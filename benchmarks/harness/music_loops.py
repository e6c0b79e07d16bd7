"""A model of music trained, and drawn from, by the package's loops and by those written by hand.

All give symbols a second. This module does not know which is faster.
"""

import argparse
import time

import torch
from torch import Tensor, nn

import variate as vt
from variate.inference import Moment
from variate.music import MusicVAE
from variate.music.transposing import transposing
from variate.music.windows import Windows
from variate.training import AugmentedSource, MemorySource


def through_the_loop(model: MusicVAE, windows: Windows, options: argparse.Namespace) -> float:
    x = model.codec_.symbols(windows)
    source = AugmentedSource(MemorySource(x), transposing(model.codec_))
    started = time.perf_counter()
    *_, done = vt.train(
        model.model_, model._objective(), source, epochs=2, batch_size=options.batch,
        device=options.device, validation=x[:64],
    )  # fmt: skip
    return done.step * options.batch * x.shape[1] / (time.perf_counter() - started)


def by_hand(model: MusicVAE, windows: Windows, options: argparse.Namespace) -> float:
    """The loop that one would write: the same network, loss and transposition, Adam, clipping."""
    x = model.codec_.symbols(windows).to(options.device)
    change, objective = transposing(model.codec_), model._objective()
    net = model.model_.to(options.device).train()
    optimiser = torch.optim.AdamW(net.parameters(), 2e-3)
    generator = torch.Generator(x.device).manual_seed(0)
    started = time.perf_counter()
    steps = 2 * len(x) // options.batch
    for step in range(steps):
        batch = change(x[torch.randint(len(x), (options.batch,), device=x.device)], generator)
        loss = objective(net, batch, Moment(step / steps, len(x))).total
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 10.0)
        optimiser.step()
    if options.device != "cpu":
        torch.cuda.synchronize()
    net.eval()
    return steps * options.batch * x.shape[1] / (time.perf_counter() - started)


@torch.no_grad()
def drawn_by_the_law(model: MusicVAE, z: Tensor) -> float:
    """Of music drawn from codes `[N, D]`."""
    started = time.perf_counter()
    x = model.model_.decoder(z[None]).sample()[0].cpu()
    return x.numel() / (time.perf_counter() - started)


@torch.no_grad()
def drawn_by_hand(model: MusicVAE, z: Tensor) -> float:
    """The loop that one would write: the same network, the same rules, one symbol after another."""
    net, rules = model.model_.decoder.net, model.codec_.grammar().to(z.device)
    started = time.perf_counter()
    memory, before, symbols = net.begin(z), None, []
    state = rules.begin(len(z), z.device)
    for _ in range(model.codec_.length):
        logits, memory = net.step(memory, before)
        before = torch.multinomial(rules.masked(logits, state).softmax(-1), 1)[:, 0]
        state = rules.after(state, before)
        symbols.append(before)
    x = torch.stack(symbols, -1).cpu()
    return x.numel() / (time.perf_counter() - started)
