"""The child's side of a comparison: fit a table in memory or from disk, and measure it.

    python -m harness.table_fit memory|streamed TRAIN.parquet TEST.parquet SEED EPOCHS BATCH

prints one line of JSON: the held-out ELBO in nats per row, wall and CPU seconds of the fit.
In memory a frame is given, from disk a path; a file that would fit into memory after all is
streamed because the limit is lowered here.

This module does not know what is compared.
"""

import json
import sys

import pyarrow.parquet as pq

from harness.timing import Stopwatch
from variate.evaluation import elbo
from variate.table import TableVAE, intake

__all__ = ["main"]


def main(way: str, train: str, test: str, seed: int, epochs: float, batch: int) -> None:
    """Fit and measure."""
    intake.LARGE = 0
    data = pq.read_table(train) if way == "memory" else train
    watch = Stopwatch()
    model = TableVAE(epochs=epochs, batch_size=batch, seed=seed).fit(data)
    taken = watch.taken()
    figure = float(elbo(model.model_, model.codec_.encode(pq.read_table(test)), draws=4).mean())
    print(json.dumps({"elbo": figure, "wall": taken.wall, "cpu": taken.cpu}))


if __name__ == "__main__":
    _way, _train, _test, _seed, _epochs, _batch = sys.argv[1:]
    main(_way, _train, _test, int(_seed), float(_epochs), int(_batch))
