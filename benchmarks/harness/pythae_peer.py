"""pythae's `BaseTrainer` on the same network.

Timed from the start of its first epoch to the end of its last: batches, steps, validation, progress
bar and the copy of the best model, as it does them; not its set-up and not the saving at the end.

This module does not know variate.
"""

import contextlib
import logging
import tempfile
from typing import Any

import torch
from pythae.data.datasets import BaseDataset
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from torch import Tensor

from harness.loops import RATE, Job, outcome
from harness.network import LATENT, PIXELS, Net
from harness.timing import Stopwatch, Taken

__all__ = ["base_trainer"]


class _Encoder(BaseEncoder):
    def __init__(self, net: Net) -> None:
        super().__init__()
        self.layers = net.encoder

    def forward(self, x: Tensor) -> ModelOutput:
        mean, log_variance = self.layers(x).chunk(2, -1)
        return ModelOutput(embedding=mean, log_covariance=log_variance)


class _Decoder(BaseDecoder):
    def __init__(self, net: Net) -> None:
        super().__init__()
        self.layers = net.decoder

    def forward(self, z: Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=self.layers(z).sigmoid())


class _Watch(TrainingCallback):
    def __init__(self) -> None:
        self.watch: Stopwatch | None = None
        self.taken = Taken(0.0, 0.0)

    def on_epoch_begin(self, *_: Any, **__: Any) -> None:
        self.watch = self.watch or Stopwatch()

    def on_epoch_end(self, *_: Any, **__: Any) -> None:
        assert self.watch is not None
        self.taken = self.watch.taken()


def base_trainer(job: Job) -> dict[str, Any]:
    """Train with pythae."""
    logging.disable(logging.CRITICAL)
    torch.manual_seed(job.seed)
    net, watch = Net(job.network), _Watch()
    model = VAE(
        VAEConfig(input_dim=(PIXELS,), latent_dim=LATENT, reconstruction_loss="bce"),
        encoder=_Encoder(net),
        decoder=_Decoder(net),
    )
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        config = BaseTrainerConfig(
            output_dir=folder,
            num_epochs=job.epochs,
            learning_rate=RATE,
            per_device_train_batch_size=job.batch,
            per_device_eval_batch_size=job.batch,
            seed=job.seed,
            no_cuda=job.device == "cpu",
        )
        data, held_out = (BaseDataset(x, torch.zeros(len(x))) for x in (job.train, job.held_out))
        BaseTrainer(model, data, held_out, config, callbacks=[watch]).train()
    return outcome(net, job, job.epochs * len(job.train), watch.taken)
