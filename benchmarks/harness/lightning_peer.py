"""Lightning, used as PyTorch-VAE uses it: every term logged with `.item()` in every step.

Timed from `on_train_start` to `on_train_end`: batches, steps and validation. Logger, progress bar
and checkpoints are switched off, which flatters it: PyTorch-VAE has all three.

This module does not know variate.
"""

import logging
import tempfile
import warnings
from typing import Any

import lightning.pytorch as pl
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from harness.loops import RATE, Job, outcome
from harness.network import Net
from harness.timing import Stopwatch, Taken

__all__ = ["trainer"]


class _Experiment(pl.LightningModule):
    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net = net
        self.watch: Stopwatch | None = None
        self.taken = Taken(0.0, 0.0)

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        logits, mean, log_variance = self.net(x)
        distortion = F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)
        rate = torch.mean(
            -0.5 * torch.sum(1 + log_variance - mean**2 - log_variance.exp(), dim=1), dim=0
        )
        return {
            "loss": distortion + rate,
            "Reconstruction_Loss": distortion.detach(),
            "KLD": -rate.detach(),
        }

    def training_step(self, batch: list[Tensor], *_: Any) -> Tensor:
        terms = self.terms(batch[0])
        self.log_dict({key: value.item() for key, value in terms.items()}, sync_dist=True)
        return terms["loss"]

    def validation_step(self, batch: list[Tensor], *_: Any) -> None:
        terms = self.terms(batch[0])
        self.log_dict({f"val_{key}": value.item() for key, value in terms.items()}, sync_dist=True)

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.net.parameters(), lr=RATE)
        return [optimizer], [torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.95)]

    def on_train_start(self) -> None:
        self.watch = Stopwatch()

    def on_train_end(self) -> None:
        assert self.watch is not None
        self.taken = self.watch.taken()


def trainer(job: Job) -> dict[str, Any]:
    """Train with Lightning."""
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.manual_seed(job.seed)
    net = Net(job.network)
    experiment = _Experiment(net)
    with tempfile.TemporaryDirectory() as folder:
        pl.Trainer(
            max_epochs=job.epochs,
            accelerator="cpu",
            devices=1,
            default_root_dir=folder,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        ).fit(
            experiment,
            DataLoader(TensorDataset(job.train), batch_size=job.batch, shuffle=True),
            DataLoader(TensorDataset(job.held_out), batch_size=job.batch),
        )
    return outcome(net, job, job.epochs * len(job.train), experiment.taken)
