"""What an evaluation of synthetic rows says: figures, their noise floor, and the sections."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from variate.errors import OptionError
from variate.report import Report
from variate.table.appraisal import appraise
from variate.table.codeless import Codeless
from variate.table.fidelity import fidelity, floor
from variate.table.glossary import FIDELITY, GLOSSARY, PRIVACY
from variate.table.schema import ColumnSchema

NAN = float("nan")
PAGE = Path(__file__).resolve().parents[1] / "docs" / "evaluation.md"


def number(name):
    return ColumnSchema(
        name,
        "continuous",
        dtype="x",
        storage="double",
        knots=(0.0, 1.0),
        scores=(-1.0, 1.0),
        low=0.0,
        high=1.0,
    )


SCHEMA = (
    number("size"),
    ColumnSchema("kind", "category", dtype="x", storage="string", levels=("a", "b", "c")),
    number("price"),
)
KINDS = ["numeric", "category", "numeric"]


def rows(count, seed):
    """Size, a kind that depends on it, and a price that depends on both."""
    rng = np.random.default_rng(seed)
    size = rng.normal(size=count)
    kind = np.digitize(size + 0.5 * rng.normal(size=count), [-0.5, 0.5])
    return np.column_stack([size, kind, size + kind + 0.3 * rng.normal(size=count)])


def torn(count, seed):
    """The same columns, independent of each other."""
    return np.column_stack([rows(count, seed + c)[:, c] for c in range(3)])


CODELESS = Codeless(
    torn(300, 9), np.array([-8.0, -6.0, -7.5, -6.5]), 0.5 + 0.01 * np.array([1.0, -1.0, 1.0, -1.0])
)


def appraised(x, synthetic, **rest):
    return appraise(SCHEMA, x, synthetic, x, np.nan_to_num(x[:, [0, 2]]), seed=0, **rest)


def test_rows_of_the_same_law_are_at_the_noise_floor():
    figures, _ = appraised(rows(600, 0), rows(600, 1), train=rows(900, 2), target="kind")
    noise = figures["noise_floor"]
    assert figures["shape_error"] < 2 * noise["shape_error"]
    assert figures["trend_error"] < 2 * noise["trend_error"]
    assert abs(figures["two_sample_auc"] - 0.5) < 4 * figures["two_sample_auc_error"]
    assert figures["efficacy_measure"] == "AUC"
    assert figures["efficacy"] == pytest.approx(noise["efficacy"], abs=0.03)
    assert noise["efficacy"] == figures["efficacy_real"]
    assert figures["dcr_share"] == pytest.approx(0.5, abs=0.09)
    assert figures["dcr"] == pytest.approx(figures["dcr_real"], rel=0.2)
    low, high = figures["membership_advantage_interval"]
    assert low < figures["membership_advantage"] < high


def test_independent_columns_have_the_shape_alone():
    figures, _ = appraised(rows(600, 0), torn(600, 1), train=rows(600, 5), target="price")
    noise = figures["noise_floor"]
    assert figures["shape_error"] < 2 * noise["shape_error"]
    assert figures["trend_error"] > 3 * noise["trend_error"]
    assert figures["two_sample_auc"] > 0.8
    assert figures["linear_auc"] < 0.6
    assert figures["efficacy_measure"] == "R²"
    assert figures["efficacy"] < 0.2 < 0.8 < figures["efficacy_real"]


def test_copies_of_the_training_rows_are_found_out():
    train = rows(600, 5)
    figures, _ = appraised(rows(600, 0), train, train=train)
    assert figures["exact_copies"] == 1.0
    assert figures["exact_copies_real"] == figures["noise_floor"]["exact_copies"] == 0.0
    assert figures["dcr"] == 0.0
    assert figures["dcr_share"] > 0.95
    assert figures["membership_advantage"] > 0.9
    assert abs(figures["noise_floor"]["membership_advantage"]) < 0.2


def test_without_training_rows_there_is_no_privacy_and_no_target_no_efficacy():
    figures, sections = appraised(rows(200, 0), rows(200, 1))
    assert not {entry.name for entry in PRIVACY} & set(figures)
    assert "efficacy" not in figures
    assert "Not measured" in next(s for s in sections if s.title == "Privacy").text
    assert set(figures["noise_floor"]) == {entry.name for entry in FIDELITY}


def test_half_of_the_rows_teach_where_there_are_no_training_rows():
    figures, _ = appraised(rows(600, 0), rows(600, 1), target="kind")
    assert figures["efficacy"] == pytest.approx(figures["efficacy_real"], abs=0.05)


def test_a_target_that_is_not_there_is_an_error():
    with pytest.raises(OptionError, match=r"'weight' is not a column.*'size', 'kind', 'price'"):
        appraised(rows(30, 0), rows(30, 1), target="weight")


def test_the_floor_of_halves_is_about_that_of_a_second_sample():
    x = rows(4_000, 0)
    real = [fidelity(rows(4_000, s), rows(4_000, s + 50), KINDS, seed=0) for s in (1, 2, 3)]
    halved = floor(x, KINDS, rows=4_000, seed=0).figures()
    for name in ("shape_error", "trend_error"):
        expected = np.mean([each.figures()[name] for each in real])
        assert halved[name] == pytest.approx(expected, rel=0.5)


def test_gaps_are_the_models_own_if_it_makes_any_and_else_the_real_ones():
    x, synthetic = rows(400, 0), rows(400, 1)
    x[::4, 0] = NAN
    figures, sections = appraised(x, synthetic)
    assert figures["missing_error"] == pytest.approx(25 / 3)
    assert abs(figures["two_sample_auc"] - 0.5) < 0.1
    assert "given the gaps" in sections[0].text
    table = {row["column"]: row for row in sections[1].table}
    assert table["size"]["missing, real"].startswith("25.0")
    assert table["size"]["missing, synthetic"].startswith("0")
    synthetic[0, 2] = NAN
    figures, sections = appraised(x, synthetic)
    assert figures["two_sample_auc"] > 0.6
    assert "given the gaps" not in sections[0].text


def test_the_figures_are_plain_and_those_of_the_glossary():
    figures, _ = appraised(
        rows(300, 0), rows(300, 1), train=rows(300, 2), target="kind", codeless=CODELESS
    )
    assert json.loads(json.dumps(figures)) == figures
    assert set(GLOSSARY) <= set(figures)
    assert set(figures["noise_floor"]) == set(GLOSSARY)
    assert list(figures["column_errors"]) == ["size", "kind", "price"]
    assert set(figures["without_z"]) == {
        "rows", "log_likelihood", "log_likelihood_error", "efficacy",
        *(entry.name for entry in FIDELITY),
    }  # fmt: skip


def test_what_the_code_gains_is_told_with_its_error():
    figures, sections = appraised(rows(300, 0), rows(300, 1), codeless=CODELESS)
    assert figures["code_gain"] == pytest.approx(0.5)
    assert figures["code_gain_error"] == pytest.approx(0.01 * (4 / 3) ** 0.5 / 2)
    assert figures["without_z"]["log_likelihood"] == pytest.approx(-7.0)
    assert figures["without_z"]["trend_error"] > 3 * figures["trend_error"]  # its rows are torn
    table = {row["figure"]: row for row in sections[4].table}
    assert (table["Log-likelihood"]["model"], table["Log-likelihood"]["without z"]) == (
        "−6.500", "−7.000",
    )  # fmt: skip
    assert table["Gain by the code"]["model"].startswith("0.500 ± ")
    assert "not shown" not in sections[4].text


def test_without_a_second_training_the_report_says_so():
    figures, sections = appraised(rows(100, 0), rows(100, 1))
    assert "without_z" not in figures
    assert sections[4].table is None
    assert "not shown: that takes a second training" in sections[4].text


def test_a_model_without_a_density_gains_nothing_to_speak_of():
    figures, sections = appraised(
        rows(100, 0), rows(100, 1), codeless=Codeless(rows(100, 2), np.array([-7.0]), None)
    )
    assert "code_gain" not in figures
    assert sections[4].table[0]["model"] is None


def test_the_same_seed_gives_the_same_figures():
    x, synthetic, train = (rows(200, seed) for seed in range(3))
    once, again = (appraised(x, synthetic, train=train, target="kind")[0] for _ in range(2))
    assert once == again


def test_a_report_shows_each_figure_with_its_floor_and_meaning(tmp_path):
    pytest.importorskip("matplotlib")
    _, sections = appraised(
        rows(300, 0), rows(300, 1), train=rows(300, 2), target="kind", codeless=CODELESS
    )
    page = Report("t", "s", tuple(sections)).to_html(tmp_path / "r.html").read_text("utf-8")
    for entry in GLOSSARY.values():
        assert entry.label in page
        assert entry.meaning[:40] in page.replace("&#39;", "'")
    assert "without z" in page
    assert "−7.000" in page
    assert page.count("noise floor") > 3
    privacy = next(section for section in sections if section.title == "Privacy")
    assert "without z" not in privacy.table[0]  # of which there is nothing to show


def test_many_pairs_are_sampled_and_said_to_be(monkeypatch):
    monkeypatch.setattr(
        "variate.table.measures.pair_trend_error.__kwdefaults__", {"most": 2, "seed": 0}
    )
    _, sections = appraised(rows(100, 0), rows(100, 1))
    assert "Of 3 pairs, 2 were drawn" in sections[2].text


@pytest.mark.parametrize("count", [1, 19])
def test_few_rows_are_no_obstacle(count, tmp_path):
    pytest.importorskip("matplotlib")
    x = rows(count, 0)
    figures, sections = appraised(x, rows(count, 1), train=rows(count, 2), target="price")
    assert figures["two_sample_auc"] is None
    assert "dcr" not in figures
    assert Report("t", "s", tuple(sections)).to_html(tmp_path / "r.html").exists()


def test_one_column_has_no_pairs(tmp_path):
    pytest.importorskip("matplotlib")
    x, synthetic = rows(50, 0)[:, :1], rows(50, 1)[:, :1]
    figures, sections = appraise(SCHEMA[:1], x, synthetic, x, x, seed=0, target="size", train=x)
    assert figures["trend_error"] is None
    assert figures["efficacy"] is None
    assert Report("t", "s", tuple(sections)).to_html(tmp_path / "r.html").exists()


def test_the_page_of_the_docs_lists_every_figure():
    named = set(re.findall(r"^\| `(\w+)`", PAGE.read_text("utf-8"), re.MULTILINE))
    assert set(GLOSSARY) <= named
