"""Small tables of every column kind, made from a seed."""

import numpy as np
import pandas as pd


def people(rows: int = 400, seed: int = 0) -> pd.DataFrame:
    """A mixed table with gaps, in which age, income, city and member depend on one another."""
    rng = np.random.default_rng(seed)
    age = rng.normal(45, 15, rows).clip(18, 90).round().astype("int64")
    income = np.exp(rng.normal(9.5 + age / 60, 0.4)).round(2)
    city = np.where(rng.random(rows) < (age - 10) / 90, "Basel", "Zug")
    frame = pd.DataFrame(
        {
            "age": age,
            "income": income,
            "city": pd.Categorical(city, categories=["Basel", "Zug", "Bern"]),
            "member": rng.random(rows) < age / 100,
            "joined": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, rows), "D"),
            "note": rng.choice(["a", "b", "c"], rows),
        }
    )
    frame.loc[rng.random(rows) < 0.1, "income"] = np.nan
    frame["note"] = frame["note"].mask(rng.random(rows) < 0.1)
    return frame
