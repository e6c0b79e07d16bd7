"""Do alarms of a small table keep to the false discovery rate, and are there any?

A table of 500 rows holds 25 out, by which no p-value is below 1/26. With `cross_calibrate` all rows
calibrate. Of several tables, 500 rows are learned from; of the rows that are left, some are made
strange by an error of units (three of the numeric columns times ten), and new tables of 200 rows, a
tenth of them strange, are looked through at 5 %. False alarms are counted among all alarms, and how
often a normal row has a p-value of at most 1, 5 and 10 %, where that should be no more often.
"""

import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from harness.arguments import integers, parser
from harness.record import Record
from harness.table_sets import table_set

import variate as vt
from variate.alarms import judge
from variate.evaluation import conformal

LEVELS = (0.01, 0.05, 0.1)
FDR, LOOKED_AT, STRANGE, TIMES = 0.05, 200, 20, 200
WRONG, FACTOR = 3, 10  # columns of a row, and what they are multiplied by


def spoiled(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """The rows with an error of units in each."""
    numbers = list(rows.select_dtypes("number"))
    made = rows.astype(dict.fromkeys(numbers, float)).reset_index(drop=True)
    for i in range(len(made)):
        for name in rng.choice(numbers, min(WRONG, len(numbers)), replace=False):
            made.loc[i, name] *= FACTOR
    return made


def scores(model: vt.TableVAE, rows: pd.DataFrame) -> np.ndarray:
    """The scores of rows, without those that are alarms in any case."""
    found = judge(model._items(rows.reset_index(drop=True)), fdr=FDR)
    judged = ~np.isnan(found.score)
    judged[list(found.certain)] = False
    return found.score[judged]


def measured(p_values, normal: np.ndarray, strange: np.ndarray, rng: np.random.Generator) -> dict:
    """Figures of one calibration."""
    p = p_values(normal)
    found = {f"p at most {level:g}": float(np.mean(p <= level)) for level in LEVELS}
    false, power = [], []
    for _ in range(TIMES):
        some = rng.choice(strange, STRANGE), rng.choice(normal, LOOKED_AT - STRANGE, replace=False)
        alarms = conformal.benjamini_hochberg(p_values(np.concatenate(some)), FDR)
        false.append(alarms[STRANGE:].sum() / max(1, alarms.sum()))
        power.append(alarms[:STRANGE].mean())
    return found | {"false": float(np.mean(false)), "found": float(np.mean(power))}


def one(frame: pd.DataFrame, columns: dict, rows: int, seed: int, *, quick: bool) -> dict:
    """Figures of one table, by the rows that `fit` holds out and by all."""
    rng = np.random.default_rng(seed)
    frame = frame.sample(rows + 3_000, random_state=seed).reset_index(drop=True)
    known, other = frame[:rows], frame[rows:]
    model = vt.TableVAE(columns=columns, seed=seed, epochs=2 if quick else None).fit(known)
    held_out = model.calibration_
    normal, strange = scores(model, other[:2_500]), scores(model, spoiled(other[2_500:], rng))
    vt.cross_calibrate(model, known)
    return {
        "held out": measured(held_out.p_values, normal, strange, rng),
        "all rows": measured(model.calibration_.p_values, normal, strange, rng)
        | {"drift": model.calibration_.drift(normal[:LOOKED_AT])},
    }


def main() -> None:
    made = parser(__doc__.partition("\n\n")[0])
    made.add_argument("--data", type=Path, default=os.environ.get("VARIATE_DATA"),
                      help="a folder that has tables/ ($VARIATE_DATA)")  # fmt: skip
    made.add_argument("--rows", type=int, default=500, help="that are learned from")
    made.add_argument("--seeds", type=integers, default=(1, 2), help="of rows and training")
    made.add_argument("--sets", default="adult,magic,shoppers", help="names of tables")
    asked = made.parse_args()
    if asked.data is None:
        made.error("give --data (or set $VARIATE_DATA)")
    record = Record("small_tables", {"rows": asked.rows, "seeds": asked.seeds, "sets": asked.sets})
    record.head()
    warnings.simplefilter("ignore")
    for name in asked.sets.split(","):
        about = table_set(asked.data, name)
        frame, columns = pd.read_csv(about.train), dict.fromkeys(about.categorical, "category")
        for seed in asked.seeds[:1] if asked.quick else asked.seeds:
            found = one(frame, columns, asked.rows, seed, quick=asked.quick)
            record.results[f"{name} {seed}"] = found
            heads = ["", *found["held out"]]
            lines = [
                [by, *(f"{figures[key]:.3f}" for key in heads[1:])] for by, figures in found.items()
            ]
            record.table(f"{name}, seed {seed}", heads, lines)
    worst = np.mean([found["all rows"]["false"] for found in record.results.values()])
    record.target("false among alarms, mean of all", float(worst), FDR, least=False)
    record.write(asked)


if __name__ == "__main__":
    main()
