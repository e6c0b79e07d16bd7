"""Values that few rows have, and columns that are keys or text: what is said of them."""

import numpy as np
import pandas as pd
import pytest

from variate import TableVAE, constraints
from variate.errors import DataWarning
from variate.table.codec import TableCodec
from variate.table.rarity import rare_counts, rare_share, rare_values

ROWS = 400


def fitted(frame, **options):
    return TableVAE(latent=2, hidden=(16,), width=8, epochs=2, seed=0, **options).fit(frame)


def frame(**columns):
    rng = np.random.default_rng(0)
    kind = np.array(["a"] * 250 + ["b"] * 147 + ["lone", "two", "two"])
    base = {"kind": kind, "visits": np.r_[rng.integers(0, 4, ROWS - 1), 57],
            "size": rng.normal(size=ROWS).round(6)}  # fmt: skip
    return pd.DataFrame(base | columns)


def test_rare_values_are_those_that_fewer_than_five_rows_have():
    codec = TableCodec().fit(frame())
    x = codec.encode(frame()).numpy()
    kind, visits, size = rare_values(x, codec.modelled)
    assert [codec.modelled[0].levels[int(code)] for code in kind] == ["lone", "two"]
    assert visits.tolist() == [57.0]
    assert len(size) == 0  # of many values: none of its own
    assert rare_counts(x, codec.modelled) == {"kind": 2, "visits": 1}
    assert rare_share(x, [kind, visits, size]) == 3 / ROWS
    assert rare_share(x[:200], [kind, visits, size]) == 0.0
    assert rare_share(x[:0], [kind, visits, size]) == 0.0


def test_a_fit_remembers_them_and_the_card_and_the_report_say_so():
    model = fitted(frame())
    assert model.facts_["rare_values"] == {"kind": 2, "visits": 1}
    assert "fewer than five rows have, and drawn rows may repeat: kind (2), visits (1)" in (
        model.card()
    )
    evaluation = model.evaluate(frame(), train=frame(), draws=2)
    assert evaluation["rare_columns"] == {"kind": 2, "visits": 1}
    assert evaluation["noise_floor"]["rare_values"] == 3 / ROWS
    privacy = next(s for s in evaluation.report.sections if s.title == "Privacy")
    assert "fewer than five training rows have: kind (2), visits (1)." in privacy.text


def test_what_is_not_modelled_is_in_the_report():
    rows = frame(country="CH", name=[f"n{i} of {i * 7}" for i in range(ROWS)])
    with pytest.warns(DataWarning, match="'name' is left out.*Unique\\('name'\\).*keeps it"):
        model = fitted(rows)
    evaluation = model.evaluate(rows, draws=2)
    (section,) = [s for s in evaluation.report.sections if s.title == "What is not modelled"]
    why = {row["column"]: (row["what"], row["why"]) for row in section.table}
    assert why["country"] == ("constant", "always CH")
    assert why["name"][0] == "left out"
    assert "400 distinct values in 400 rows" in why["name"][1]
    drawn = model.sample(20, seed=0)
    assert set(drawn["country"]) == {"CH"}
    assert "name" not in drawn


def test_whole_numbers_that_are_keys_are_pointed_at():
    keys = np.random.default_rng(0).permutation(ROWS) + 1000
    with pytest.warns(DataWarning, match="'id': no whole number comes twice in 400.*Unique"):
        TableCodec().fit(frame(id=keys))
    TableCodec({"id": "integer"}).fit(frame(id=keys))  # whoever says so knows
    spread = keys * 10_000
    TableCodec().fit(frame(id=spread))  # so wide a range has no repetitions by chance
    model = fitted(frame(id=keys), constraints=[constraints.Unique("id")])
    drawn = model.sample(50, seed=0)
    assert drawn["id"].is_unique
    assert not set(drawn["id"]) & set(keys)
