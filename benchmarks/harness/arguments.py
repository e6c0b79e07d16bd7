"""The options that all benchmarks share, and the check that asked-for files are there.

This module does not know what is measured.
"""

import argparse
import os
from pathlib import Path

__all__ = ["integers", "parser"]


def parser(description: str, *, images: bool = False) -> argparse.ArgumentParser:
    """A parser with `--quick` and `--out`, and with `--data` for those that train on images."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    made.add_argument("--quick", action="store_true", help="a short run, to see that it works")
    made.add_argument("--out", type=Path, help="the JSON file (results/NAME-DATE.json)")
    if images:
        made.add_argument(
            "--data",
            type=Path,
            default=os.environ.get("VARIATE_DATA"),
            help="a folder that has images/mnist_train_x.npy.xz ($VARIATE_DATA); without it "
            "scikit-learn's digits stand in, enlarged and repeated",
        )
    return made


def integers(text: str) -> tuple[int, ...]:
    """A comma-separated list of positive integers, such as `100,512`."""
    values = tuple(int(part) for part in text.split(","))
    if min(values) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be numbers of at least 1")
    return values
