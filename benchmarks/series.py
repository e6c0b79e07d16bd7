"""Are anomalies of real series found, beside simple methods?

Series of the Numenta Anomaly Benchmark, each fitted and scored whole, without labels. VUS-PR takes
the scores (its largest buffer is the window that all methods have, at most 100 steps); range F1
takes alarms: ours are those of `detect` at fdr 0.05, the others' the steps above the mean and three
deviations of their scores. A step's score is the mean over a window, for ours as for the others
that look at windows. Some of the labels are wrong, and the labelled stretches are a tenth of a
series (Wu & Keogh 2021): what counts is the mean over many, and never point-adjusted F1.
"""

import os
import time
import warnings
from pathlib import Path

import numpy as np
from harness.arguments import parser
from harness.record import Record
from harness.series_baselines import BASELINES

import variate as vt
from variate.errors import VariateWarning
from variate.evaluation.ranges import range_scores, vus_pr

BUFFER = 100
FDR = 0.05
OURS = "SeriesVAE"


def series_of(path: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Values and labels of every series that has an anomaly, by name."""
    data = np.load(path)
    names = [key.removesuffix("__x") for key in data.files if key.endswith("__x")]
    found = {name: (data[f"{name}__x"].astype(float), data[f"{name}__y"]) for name in names}
    return {name: pair for name, pair in found.items() if pair[1].any()}


def ours(x: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, int]:
    """The scores of steps, which are alarms, and the length of a window."""
    model = vt.SeriesVAE(seed=seed).fit(x)
    alarms = np.zeros(len(x), dtype=bool)
    for row in model.detect(x, fdr=FDR).to_pylist():
        alarms[row["start"] : row["end"] + 1] = True
    window = model.codec_.length
    return model.score_steps(x, around=window), alarms, window


def measured(x: np.ndarray, y: np.ndarray, seed: int) -> dict[str, dict[str, float]]:
    """VUS-PR, range F1 and CPU seconds of each method."""
    start = time.process_time()
    scores, alarms, window = ours(x, seed)
    found = {OURS: (scores, alarms, time.process_time() - start)}
    for name, score in BASELINES.items():
        start = time.process_time()
        scores = score(x, min(window, BUFFER), seed)
        alarms = scores > scores.mean() + 3 * scores.std()
        found[name] = (scores, alarms, time.process_time() - start)
    buffer = min(window, BUFFER)
    return {
        name: {
            "vus_pr": vus_pr(y, scores, buffer),
            "range_f1": range_scores(y, alarms).f1,
            "cpu_seconds": seconds,
        }
        for name, (scores, alarms, seconds) in found.items()
    }


def main() -> None:
    made = parser(__doc__.partition("\n\n")[0])
    made.add_argument("--data", type=Path, default=os.environ.get("VARIATE_DATA"),
                      help="holds anomaly/nab/nab_subset.npz ($VARIATE_DATA)")  # fmt: skip
    made.add_argument("--only", default="", help="series whose names hold one of these, by commas")
    made.add_argument("--longest", type=int, default=10_000, help="leave out longer series")
    made.add_argument("--seeds", type=int, default=1)
    options = made.parse_args()
    if options.data is None:
        made.error("give --data (or set $VARIATE_DATA)")
    warnings.simplefilter("ignore", VariateWarning)
    every = series_of(options.data / "anomaly" / "nab" / "nab_subset.npz")
    chosen = [
        name
        for name, (x, _) in every.items()
        if len(x) <= options.longest and any(part in name for part in options.only.split(","))
    ]
    chosen = chosen[:1] if options.quick else chosen
    record = Record("series", {"series": chosen, "seeds": options.seeds, "fdr": FDR})
    record.head()
    for name in chosen:
        runs = [measured(*every[name], seed) for seed in range(options.seeds)]
        record.results[name] = {
            method: {figure: [run[method][figure] for run in runs] for figure in runs[0][method]}
            for method in runs[0]
        }
        told = (f"{m} {np.mean(f['vus_pr']):.3f}" for m, f in record.results[name].items())
        print(f"{name.rpartition('__')[2]:44s}", "   ".join(told), flush=True)
    rows = [
        [method, *(f"{mean(record, method, f):.3f}" for f in ("vus_pr", "range_f1", "cpu_seconds"))]
        for method in (OURS, *BASELINES)
    ]
    heads = ["mean", "VUS-PR", "range F1", "CPU s"]
    record.table(f"\n{len(chosen)} series, {options.seeds} seed(s)", heads, rows)
    record.write(options)


def mean(record: Record, method: str, figure: str) -> float:
    """The mean of a figure over series and seeds."""
    return float(np.mean([found[method][figure] for found in record.results.values()]))


if __name__ == "__main__":
    main()
