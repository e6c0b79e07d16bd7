"""The loops written by hand in plain torch: the minimal one, and that of pytorch/examples.

Every loop of this folder is a function of a `Job`, trains `job.epochs` epochs and returns a dict:
`items` trained on, `wall` and `cpu` seconds of the loop without its set-up, `parameters` of the
network, and `elbo`, the held-out ELBO afterwards in nats.

This module does not know variate.
"""

import os
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from harness.network import Net, elbo, loss
from harness.timing import Stopwatch, Taken

__all__ = ["Job", "examples", "minimal", "minimal_default_adam", "outcome"]

RATE = 1e-3


class Job(NamedTuple):
    """What a loop is asked to do.

    Attributes:
        train: x `[N, 784]` float32, to train on.
        held_out: x `[M, 784]` float32, for the loops that validate.
        batch: Items per step.
        epochs: Passes over `train`; None for variate's loop under a budget of minutes.
        seed: Of weights, order and noise.
        device: Where the network is trained.
        network: Which of `network.LAYERS`.
    """

    train: Tensor
    held_out: Tensor
    batch: int
    epochs: int | None
    seed: int
    device: str = "cpu"
    network: str = "MLP"


def outcome(net: Net, job: Job, items: int, taken: Taken) -> dict[str, Any]:
    """What a loop reports."""
    return {
        "items": items,
        "wall": taken.wall,
        "cpu": taken.cpu,
        "parameters": sum(p.numel() for p in net.parameters()),
        "elbo": elbo(net.cpu(), job.held_out.cpu()),
    }


def minimal(job: Job) -> dict[str, Any]:
    """The least that trains: batches by index from memory, the loss, a fused Adam; no more."""
    return _minimal(job, fused=True)


def minimal_default_adam(job: Job) -> dict[str, Any]:
    """The same with Adam as it comes."""
    return _minimal(job, fused=None)


def _minimal(job: Job, *, fused: bool | None) -> dict[str, Any]:
    torch.manual_seed(job.seed)
    net = Net(job.network).to(job.device)
    optimizer = torch.optim.Adam(net.parameters(), lr=RATE, fused=fused)
    steps = len(job.train) // job.batch
    watch = Stopwatch()
    for _ in range(job.epochs):
        order = torch.randperm(len(job.train), device=job.train.device)
        for step in range(steps):
            x = job.train[order[step * job.batch : (step + 1) * job.batch]]
            optimizer.zero_grad()
            loss(net, x).backward()
            optimizer.step()
    if job.device != "cpu":
        torch.cuda.synchronize()
    return outcome(net, job, job.epochs * steps * job.batch, watch.taken())


def examples(job: Job) -> dict[str, Any]:
    """The loop of pytorch/examples/vae: DataLoader, summed loss, `.item()`, a test per epoch.

    Its pictures of samples are left out, and its printing goes nowhere.
    """
    torch.manual_seed(job.seed)
    net = Net(job.network)
    optimizer = torch.optim.Adam(net.parameters(), lr=RATE)
    loader = DataLoader(_labelled(job.train), batch_size=job.batch, shuffle=True)
    tests = DataLoader(_labelled(job.held_out), batch_size=job.batch, shuffle=False)
    watch = Stopwatch()
    with open(os.devnull, "w") as nowhere:
        for epoch in range(1, job.epochs + 1):
            _train(net, loader, optimizer, epoch, nowhere)
            _test(net, tests, nowhere)
    return outcome(net, job, job.epochs * len(job.train), watch.taken())


def _labelled(x: Tensor) -> TensorDataset:
    return TensorDataset(x, torch.zeros(len(x), dtype=torch.long))


def _loss_function(reconstruction: Tensor, x: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    distortion = F.binary_cross_entropy(reconstruction, x, reduction="sum")
    rate = -0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp())
    return distortion + rate


def _train(net: Net, loader: DataLoader, optimizer: Any, epoch: int, log: Any) -> None:
    net.train()
    total = 0.0
    for index, (x, _) in enumerate(loader):
        optimizer.zero_grad()
        logits, mean, log_variance = net(x)
        batch_loss = _loss_function(logits.sigmoid(), x, mean, log_variance)
        batch_loss.backward()
        total += batch_loss.item()
        optimizer.step()
        if index % 10 == 0:
            print(f"{epoch} {index * len(x)} {batch_loss.item() / len(x):.6f}", file=log)
    print(f"{epoch} {total / len(loader.dataset):.4f}", file=log)


@torch.no_grad()
def _test(net: Net, loader: DataLoader, log: Any) -> None:
    net.eval()
    total = 0.0
    for x, _ in loader:
        logits, mean, log_variance = net(x)
        total += _loss_function(logits.sigmoid(), x, mean, log_variance).item()
    print(f"{total / len(loader.dataset):.4f}", file=log)
