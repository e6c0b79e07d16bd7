"""How well anomalies are found in 25 tables of numbers, after clean and after dirty training rows.

    variate     AnomalyDetector(seed=s): one and the same, not told which of the two it is
    iforest     scikit-learn's IsolationForest
    lof         scikit-learn's LocalOutlierFactor, 20 neighbours, novelty
    knn         the distance to the fifth neighbour
    dte_np      the mean distance to five neighbours (Livernoche et al. 2024)
    pyod_ae     PyOD's AutoEncoder, pyod_vae its VAE; with --pyod, where it is installed

All at their defaults, in one process, taking turns. Figures are the area under the ROC curve and
the average precision on the test part, means over sets and seeds; CPU seconds to fit, rows scored
per CPU second; and of variate the share of normal test rows that `predict` takes for outliers.
"""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from harness.anomaly_sets import SETS, SETTINGS, Split, load
from harness.arguments import parser
from harness.record import Record
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors

from variate import AnomalyDetector

TARGETS = {  # setting: AUROC, AP
    "clean": (0.920, 0.66),
    "contaminated": (0.815, 0.45),
}
Score = Callable[[np.ndarray], np.ndarray]


def main() -> None:
    options = arguments()
    sets = ("14_glass", "40_vowels") if options.quick else options.sets
    record = Record("anomaly", {"sets": sets, "seeds": options.seeds, "threads": options.threads})
    record.head()
    torch.set_num_threads(options.threads)
    runs = []
    for seed in range(1 if options.quick else options.seeds):
        for name in sets:
            runs += [
                one for setting in SETTINGS for one in judged(options.data, name, setting, seed)
            ]
            print(f"{name}, seed {seed}: done", flush=True)
    record.results["runs"] = runs
    for setting in SETTINGS:
        told(record, setting, [run for run in runs if run["setting"] == setting])
    record.write(options)


def arguments() -> argparse.Namespace:
    made = parser((__doc__ or "").partition("\n\n")[0])
    words = lambda text: tuple(text.split(","))  # noqa: E731
    made.add_argument("--sets", type=words, default=SETS, help="the sets")
    made.add_argument("--seeds", type=int, default=2, help="how many splits and seeds")
    made.add_argument("--threads", type=int, default=1, help="threads of each method")
    made.add_argument("--pyod", action="store_true", help="PyOD's autoencoders too: long")
    made.add_argument("--data", type=Path, default=os.environ.get("VARIATE_DATA"),
                      help="a folder that has anomaly/ ($VARIATE_DATA)")  # fmt: skip
    options = made.parse_args()
    if options.data is None:
        made.error("give --data (or set $VARIATE_DATA)")
    options.data = Path(options.data)
    if options.pyod:
        METHODS.update(pyod_ae=pyod_ae, pyod_vae=pyod_vae)
    return options


def judged(data: Path, name: str, setting: str, seed: int) -> list[dict[str, Any]]:
    """Every method on one set."""
    split = load(data, name, setting, seed)
    found: list[dict[str, Any]] = []
    for method, fit in METHODS.items():
        begun = time.process_time()
        score = fit(split, seed)
        fitted = time.process_time()
        scores = score(split.test)
        scored = time.process_time()
        found.append(
            {
                "set": name, "setting": setting, "seed": seed, "method": method,
                "auroc": roc_auc_score(split.truth, scores),
                "ap": average_precision_score(split.truth, scores),
                "fit_cpu": fitted - begun,
                "rows_per_cpu_second": len(scores) / max(scored - fitted, 1e-9),
            }
        )  # fmt: skip
        if method == "variate":
            found[-1]["normal_rows_flagged"] = float((scores[split.truth == 0] > 0).mean())
    return found


def variate(split: Split, seed: int) -> Score:
    detector = AnomalyDetector(seed=seed).fit(split.train)
    return lambda x: -detector.decision_function(x)  # above 0: an outlier


def iforest(split: Split, seed: int) -> Score:
    forest = IsolationForest(random_state=seed).fit(split.train)
    return lambda x: -forest.score_samples(x)


def lof(split: Split, seed: int) -> Score:  # noqa: ARG001
    factor = LocalOutlierFactor(min(20, len(split.train) - 1), novelty=True).fit(split.train)
    return lambda x: -factor.score_samples(x)


def knn(split: Split, seed: int) -> Score:  # noqa: ARG001
    neighbours = NearestNeighbors(n_neighbors=5).fit(split.train)
    return lambda x: neighbours.kneighbors(x)[0][:, -1]


def dte_np(split: Split, seed: int) -> Score:  # noqa: ARG001
    neighbours = NearestNeighbors(n_neighbors=5).fit(split.train)
    return lambda x: neighbours.kneighbors(x)[0].mean(1)


def pyod_ae(split: Split, seed: int) -> Score:
    from pyod.models.auto_encoder import AutoEncoder

    return AutoEncoder(random_state=seed, verbose=0).fit(split.train).decision_function


def pyod_vae(split: Split, seed: int) -> Score:
    from pyod.models.vae import VAE

    return VAE(random_state=seed, verbose=0).fit(split.train).decision_function


METHODS: dict[str, Callable[[Split, int], Score]] = {
    "variate": variate,
    "iforest": iforest,
    "lof": lof,
    "knn": knn,
    "dte_np": dte_np,
}


def told(record: Record, setting: str, runs: list[dict[str, Any]]) -> None:
    """The table of a setting, and what was promised."""
    rows, figures = [], ("auroc", "ap", "fit_cpu", "rows_per_cpu_second")
    for method in METHODS:
        means = {f: mean(r[f] for r in runs if r["method"] == method) for f in figures}
        record.results[f"{setting}, {method}"] = means
        rows.append([method, f"{means['auroc']:.4f}", f"{means['ap']:.4f}",
                     f"{means['fit_cpu']:.2f}",
                     f"{means['rows_per_cpu_second']:,.0f}"])  # fmt: skip
    record.table(f"{setting} training rows", ["method", "AUROC", "AP", "fit CPU s", "rows/s"], rows)
    ours = record.results[f"{setting}, variate"]
    for figure, bound in zip(("auroc", "ap"), TARGETS[setting], strict=True):
        record.target(f"{setting}, {figure}", ours[figure], bound, least=True)
    flagged = mean(r["normal_rows_flagged"] for r in runs if r["method"] == "variate")
    record.results[f"{setting}, normal rows flagged at 5 %"] = flagged
    print(f"normal rows taken for outliers at 5 %: {100 * flagged:.1f} %")


if __name__ == "__main__":
    main()
