"""The child's side of a measurement: one process, one loop, one line of JSON per run.

    python -m harness.worker MODULE:FUNCTION DATA.npz

For every line of JSON on standard input (batch, epochs, rows, seed, network, threads) it trains
once and answers with a line on what was its standard output; whatever the loop itself prints goes
nowhere.
Between two runs it waits without using the processor, so several workers can take turns.

This module does not know variate; the loop that it is given may.
"""

import json
import os
import sys
from importlib import import_module

import numpy as np
import torch

from harness.loops import Job

__all__ = ["main"]


def main(loop: str, data: str) -> None:
    """Serve runs of `loop` on the images in `data` until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    module, function = loop.split(":")
    run = getattr(import_module(module), function)
    with np.load(data) as images:
        train, held_out = (torch.from_numpy(images[k]).float() for k in ("train", "held_out"))
    print(json.dumps({"torch": torch.__version__}), file=answers, flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        torch.set_num_threads(asked.pop("threads"))
        job = Job(
            train=train[: asked.pop("rows")],
            held_out=held_out,
            batch=asked.pop("batch"),
            epochs=asked.pop("epochs"),
            seed=asked.pop("seed"),
            network=asked.pop("network", "MLP"),
        )
        print(json.dumps(run(job, **asked)), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
