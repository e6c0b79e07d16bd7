"""Do drawn rows of a rare class help a model that learns from them?

The rare class of a real table is cut down to 100 rows beside 3,000 others. In each split a
synthesiser at its defaults is fitted to four fifths of them and draws as many rare rows as there
are others; boosted trees learn from the real rows alone, with drawn rows, with repeated rare rows
and with weights, and are tested on the table's own test rows (see `variate.augmentation_gain`).
"""

import os
import time
from pathlib import Path

import pandas as pd
from harness.arguments import parser
from harness.record import Record
from harness.table_sets import table_set

import variate as vt
from variate.table.augmentation import WAYS

SETS = {"adult": ">50K", "default": "1", "shoppers": "True"}  # table: its rare class
COMMON, RARE = 3_000, 100


def scarce(path: str, target: str, level: str) -> pd.DataFrame:
    """The table with its rare class made rarer."""
    frame = pd.read_csv(path)
    rare = frame[target].astype(str) == level
    parts = [frame[~rare].sample(COMMON, random_state=0), frame[rare].sample(RARE, random_state=0)]
    return pd.concat(parts).sample(frac=1, random_state=0)


def main() -> None:
    made = parser(__doc__.partition("\n\n")[0])
    made.add_argument("--data", type=Path, default=os.environ.get("VARIATE_DATA"),
                      help="a folder that has tables/ ($VARIATE_DATA)")  # fmt: skip
    made.add_argument("--splits", type=int, default=4, help="of each table")
    options = made.parse_args()
    if options.data is None:
        made.error("give --data (or set $VARIATE_DATA)")
    splits = 2 if options.quick else options.splits
    record = Record("augmentation", {"splits": splits, "common": COMMON, "rare": RARE})
    record.head()
    for name in list(SETS)[: 1 if options.quick else None]:
        about = table_set(options.data, name)
        start = time.process_time()
        gain = vt.augmentation_gain(
            vt.TableVAE(epochs=2 if options.quick else None),
            scarce(about.train, about.target, SETS[name]),
            about.target,
            test=pd.read_csv(about.test),
            splits=splits,
            held_out=0.2,
        )
        record.results[name] = gain.figures() | {
            "scores": gain.scores, "cpu_seconds": time.process_time() - start
        }  # fmt: skip
        rows = [[way, *(f"{gain.mean(way, m):.4f}" for m in ("auc", "precision"))] for way in WAYS]
        record.table(f"{name}, {gain.added:,.0f} rows drawn", ["", "AUC", "precision"], rows)
        print(gain, "\n", flush=True)
    record.write(options)


if __name__ == "__main__":
    main()
