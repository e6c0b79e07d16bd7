"""Do decisions on credit earn as much as those by a classifier, and are they as well calibrated?

Default of credit card clients (27,000 rows to learn from, 3,000 to be decided on): grant the limit
that is asked for, half of it, or refuse. A client who pays earns a share of the limit, one who
defaults costs a share of it; of half a limit comes 65 % of the earnings and half of the loss, so
that each of the three actions is best for some. The table's model is told the outcome by
`condition_on`, and decides by `decide`; logistic regression and gradient boosting decide by the
probability that they give and the same utilities. Profit is counted in the outcomes that came.

What it is worth to know one more column first, by a regression over the draws of one call, is held
against brute force: the column is drawn many times, and each time the decision is made anew with it
known; the value is the mean of the best expected utilities less the best of the means.
"""

import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
from harness.arguments import parser
from harness.record import Record
from harness.table_sets import table_set
from scipy.stats import spearmanr
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import variate as vt
from variate.evaluation import brier_score, calibration_error, calibration_floor, reliability

EARNED, LOST = 0.12, 0.5  # of the limit, from who pays and by who defaults
ACTIONS = {
    "grant": {"earned": EARNED, "lost": LOST},
    "half": {"earned": 0.65 * EARNED, "lost": 0.5 * LOST},
    "refuse": {"earned": 0.0, "lost": 0.0},
}
HIDDEN = ("PAY_0", "PAY_2", "EDUCATION", "AGE")  # that one could ask about
ASKED, TRIED = 12, 40  # rows, and draws of a column, of the brute force
BOOTSTRAP = 4_000


class Credit:
    """The table and its outcome."""

    def __init__(self, data: Path, *, quick: bool) -> None:
        about = table_set(data, "default")
        self.target = about.target
        self.train = pd.read_csv(about.train, nrows=3_000 if quick else None)
        self.test = pd.read_csv(about.test, nrows=300 if quick else None)
        self.categories = [name for name in about.categorical if name != about.target]
        self.columns = dict.fromkeys(about.categorical, "category")
        self.others = [name for name in self.train if name != about.target]
        self.defaulted = self.test[about.target].to_numpy() == 1
        self.utility = f"LIMIT_BAL * (-lost if `{about.target}` == 1 else earned)"

    def worth(self, action: str) -> tuple[np.ndarray, np.ndarray]:
        """The utility of an action, for each row, if the client pays and if he defaults."""
        limit = self.test["LIMIT_BAL"].to_numpy(float)
        return limit * ACTIONS[action]["earned"], -limit * ACTIONS[action]["lost"]

    def profit(self, actions: np.ndarray) -> np.ndarray:
        """What came of these actions, row by row."""
        came = {name: np.where(self.defaulted, *self.worth(name)[::-1]) for name in ACTIONS}
        return np.array([came[action][row] for row, action in enumerate(actions)])

    def best(self, chance: np.ndarray) -> np.ndarray:
        """The best action at these chances of a default."""
        expected = [
            (1 - chance) * self.worth(name)[0] + chance * self.worth(name)[1] for name in ACTIONS
        ]
        return np.array(list(ACTIONS))[np.argmax(expected, 0)]


def classifiers(credit: Credit, seed: int) -> dict:
    """The peers, at their defaults."""
    numbers = [name for name in credit.others if name not in credit.categories]
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), credit.categories), (StandardScaler(), numbers)
    )
    return {
        "logistic regression": make_pipeline(columns, LogisticRegression(max_iter=2_000)),
        "gradient boosting": HistGradientBoostingClassifier(random_state=seed),
        "boosting, early stop": HistGradientBoostingClassifier(
            random_state=seed, learning_rate=0.05, early_stopping=True
        ),
    }


def calibration(chance: np.ndarray, defaulted: np.ndarray, seed: int) -> dict[str, float]:
    """How good the chances are: scores, and the error of the reliability with its floor."""
    both = np.stack([1 - chance, chance], 1).clip(1e-6, 1 - 1e-6)
    code = defaulted.astype(int)
    found = reliability(both[:, 1], defaulted)
    return {
        "auc": float(roc_auc_score(defaulted, chance)),
        "brier": float(brier_score(both, code).mean() / 2),
        "log_score": float(np.log(both[np.arange(len(code)), code]).mean()),
        "calibration_error": calibration_error(found),
        "calibration_floor": calibration_floor(both, seed=seed),
    }


def decided(credit: Credit, model: vt.TableVAE, seed: int) -> tuple[np.ndarray, np.ndarray, float]:
    """The actions, the chances of a default behind them, and the CPU seconds."""
    start = time.process_time()
    made = model.decide(
        credit.test, ACTIONS, credit.utility, unknown=[credit.target], ask=(), draws=400, seed=seed
    )
    taken = time.process_time() - start
    pays, defaults = credit.worth("grant")
    chance = (pays - made["expected_utility_grant"].to_numpy()) / (pays - defaults)
    return made["best_action"].to_numpy(str), chance, taken


def beside(one: np.ndarray, other: np.ndarray, seed: int) -> list[float]:
    """Mean difference of profit, and its central 95 % over bootstrap samples of the rows."""
    difference = one - other
    rows = np.random.default_rng(seed).integers(0, len(one), (BOOTSTRAP, len(one)))
    means = difference[rows].mean(1)
    return [float(difference.mean()), *map(float, np.quantile(means, [0.025, 0.975]))]


def brute_force(credit: Credit, model: vt.TableVAE, seed: int) -> dict:
    """What knowing each hidden column is worth: by one call, and by deciding anew."""
    rows = credit.test.drop(columns=[credit.target, *HIDDEN]).iloc[:ASKED]
    ask = {"actions": ACTIONS, "utility": credit.utility, "unknown": [credit.target]}
    start = time.process_time()
    made = model.decide(rows, **ask, ask=HIDDEN, draws=1_000, seed=seed)
    once = time.process_time() - start
    found, wanted = [], []
    for name in HIDDEN:
        many = rows.loc[rows.index.repeat(TRIED)].reset_index(drop=True)
        drawn = model.complete(many, seed=seed + 1)[name]
        known = model.decide(many.assign(**{name: drawn}), **ask, ask=(), draws=200, seed=seed + 2)
        each = known[[f"expected_utility_{action}" for action in ACTIONS]].to_numpy()
        each = each.reshape(ASKED, TRIED, -1)
        wanted.append(each.max(2).mean(1) - each.mean(1).max(1))
        found.append(made[f"value_of_{name}"].to_numpy())
    found, wanted = np.array(found), np.array(wanted)
    return {
        "columns": list(HIDDEN),
        "regression": found.mean(1).tolist(),
        "brute_force": wanted.mean(1).tolist(),
        "brute_force_error": (wanted.std(1, ddof=1) / ASKED**0.5).tolist(),
        "rank_correlation": float(spearmanr(found.mean(1), wanted.mean(1)).statistic),
        "correlation_of_cells": float(np.corrcoef(found.ravel(), wanted.ravel())[0, 1]),
        "cpu_seconds": [once, time.process_time() - start - once],
    }


def one_seed(credit: Credit, seed: int, *, quick: bool) -> dict:
    start = time.process_time()
    model = vt.TableVAE(
        columns=credit.columns, condition_on=credit.others, seed=seed, epochs=2 if quick else None
    ).fit(credit.train)
    fitted = time.process_time() - start
    actions, chance, taken = decided(credit, model, seed)
    profit = {"variate": credit.profit(actions)}
    found = {"variate": calibration(chance, credit.defaulted, seed)}
    found["variate"] |= {"fit_cpu_seconds": fitted, "decide_cpu_seconds": taken}
    for name, peer in classifiers(credit, seed).items():
        peer.fit(credit.train[credit.others], credit.train[credit.target])
        chance = peer.predict_proba(credit.test[credit.others])[:, 1]
        profit[name] = credit.profit(credit.best(chance))
        found[name] = calibration(chance, credit.defaulted, seed)
    for action in ACTIONS:
        profit[f"always {action}"] = credit.profit(np.full(len(credit.test), action))
    profit["hindsight"] = credit.profit(credit.best(credit.defaulted.astype(float)))
    for name, each in profit.items():
        found.setdefault(name, {})["profit"] = float(each.mean())
        found[name]["variate_less_this"] = beside(profit["variate"], each, seed)
    found["value_of_knowing"] = brute_force(credit, model, seed)
    return found


def tell(record: Record, seed: int, found: dict) -> None:
    """Print what one seed found."""
    rows = [
        [name, f"{each['profit']:,.0f}",
         "{:,.0f} ({:,.0f}..{:,.0f})".format(*each["variate_less_this"]),
         *(f"{each[key]:.4f}" if key in each else "" for key in
           ("auc", "brier", "log_score", "calibration_error", "calibration_floor"))]
        for name, each in found.items() if "profit" in each
    ]  # fmt: skip
    heads = ["", "profit", "variate less this", "AUC", "Brier", "log score", "ECE", "floor"]
    record.table(f"seed {seed}, NT$ per applicant", heads, rows)
    known = found["value_of_knowing"]
    record.table(
        "What knowing a column first is worth, NT$ per applicant",
        ["", "regression", "brute force", "error"],
        [
            [
                name,
                *(
                    f"{known[key][i]:,.0f}"
                    for key in ("regression", "brute_force", "brute_force_error")
                ),
            ]
            for i, name in enumerate(known["columns"])
        ],
    )


def main() -> None:
    made = parser(__doc__.partition("\n\n")[0])
    made.add_argument("--data", type=Path, default=os.environ.get("VARIATE_DATA"),
                      help="a folder that has tables/ ($VARIATE_DATA)")  # fmt: skip
    made.add_argument("--seeds", type=int, default=2, help="of training and draws")
    options = made.parse_args()
    if options.data is None:
        made.error("give --data (or set $VARIATE_DATA)")
    seeds = 1 if options.quick else options.seeds
    record = Record("decisions", {"seeds": seeds, "earned": EARNED, "lost": LOST})
    record.head()
    credit = Credit(options.data, quick=options.quick)
    for seed in range(seeds):
        record.results[f"seed_{seed}"] = one_seed(credit, seed, quick=options.quick)
        tell(record, seed, record.results[f"seed_{seed}"])
    found = list(record.results.values())
    boosted = [each["gradient boosting"] for each in found]
    upper = float(np.mean([each["variate_less_this"][2] for each in boosted]))
    record.target("upper end of the interval of the profit beside gradient boosting", upper, 0.0,
                  least=True)  # fmt: skip
    for name in ("calibration_error", "brier"):
        mine = float(np.mean([each["variate"][name] for each in found]))
        theirs = float(np.mean([each[name] for each in boosted]))
        record.target(f"{name} beside gradient boosting's", mine, theirs, least=False)
    ranks = float(np.mean([each["value_of_knowing"]["rank_correlation"] for each in found]))
    record.target(
        "rank correlation of the value of knowing with brute force", ranks, 0.75, least=True
    )
    record.write(options)


if __name__ == "__main__":
    main()
