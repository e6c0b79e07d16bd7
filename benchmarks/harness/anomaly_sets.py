"""The anomaly sets of ADBench ("Classical"), split in the same way for every method.

A folder `anomaly` holds NAME.npz with X `[n, d]` and y (1 = anomaly). Sets of more than 10,000 rows
are cut down to that, stratified, the same rows in every run. 70 % train and 30 % test, stratified;
no row is doubled. Of the training part

    contaminated    all rows, without their labels
    clean           the normal rows

and both are measured on the same test part. Features are standard scores of the training part.

This module does not know the methods.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.model_selection import train_test_split

__all__ = ["SETS", "SETTINGS", "Split", "load"]

MOST = 10_000
SETTINGS = ("contaminated", "clean")
SETS = (
    "2_annthyroid", "4_breastw", "5_campaign", "6_cardio", "10_cover", "12_fault", "14_glass",
    "18_Ionosphere", "20_letter", "22_magic.gamma", "23_mammography", "24_mnist", "25_musk",
    "26_optdigits", "27_PageBlocks", "28_pendigits", "29_Pima", "30_satellite", "31_satimage-2",
    "32_shuttle", "35_SpamBase", "37_Stamps", "38_thyroid", "40_vowels", "41_Waveform",
)  # fmt: skip


class Split(NamedTuple):
    """Training rows, test rows, and which of these are anomalies (1)."""

    train: np.ndarray
    test: np.ndarray
    truth: np.ndarray


def load(data: Path, name: str, setting: str, seed: int) -> Split:
    """A set under a setting, split by a seed."""
    path = data / "anomaly" / f"{name}.npz"
    if not path.exists():
        raise SystemExit(f"there is no {path}: --data must name a folder that has anomaly/")
    with np.load(path) as file:
        x, y = np.asarray(file["X"], np.float64), np.asarray(file["y"]).ravel().astype(int)
    if len(x) > MOST:
        x, _, y, _ = train_test_split(x, y, train_size=MOST, stratify=y, random_state=1234)
    train, test, known, truth = train_test_split(x, y, test_size=0.3, stratify=y, random_state=seed)
    if setting == "clean":
        train = train[known == 0]
    mean, deviation = train.mean(0), train.std(0)
    deviation = np.where(deviation < 1e-12, 1.0, deviation)
    return Split((train - mean) / deviation, (test - mean) / deviation, truth)
