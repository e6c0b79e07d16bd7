"""What every kind's report begins with."""

import numpy as np
import pytest

from variate.report import headline

pytest.importorskip("matplotlib")

FIGURES = {
    "rows": 2000,
    "elbo": -8.612,
    "log_likelihood": -1234.5678,
    "log_likelihood_error": 0.0412,
    "draws": 64,
    "kl": 3.21,
    "kl_per_dimension": [0.01, 2.0, 0.0, 1.2],
    "active_units": 2,
}
HISTORY = [
    {"step": s, "figure": f, "kl": k} for s, f, k in ((10, -99, 0.5), (20, -9, 1), (30, -10, 2))
]


def rows(figures):
    section = headline(figures, [])[0]
    return {row["figure"]: row for row in section.table}


def test_the_figures_have_units_and_meanings():
    table = rows(FIGURES)
    values = {name: (row["value"], row["unit"]) for name, row in table.items()}
    assert values == {
        "Log-likelihood": ("−1,234.568 ± 0.041", "nats per item"),
        "ELBO": ("−8.612", "nats per item"),
        "KL": ("3.210", "nats per item"),
        "Active units": ("2 of 4", "dimensions"),
    }
    assert "64 draws" in table["Log-likelihood"]["meaning"]
    assert all(row["meaning"].endswith(".") for row in table.values())


def test_what_is_not_known_is_none_and_has_no_picture():
    nothing = dict.fromkeys(["elbo", "log_likelihood", "kl", "active_units"])
    assert {row["value"] for row in rows(nothing).values()} == {None}
    assert len(headline(nothing, [])) == 1
    assert len(headline({}, HISTORY[:1])) == 1


def test_a_single_item_has_no_standard_error():
    table = rows(FIGURES | {"log_likelihood_error": None})
    assert table["Log-likelihood"]["value"] == "−1,234.568"


def test_the_active_units_are_marked_among_the_bars():
    section = headline(FIGURES, [])[1]
    assert section.title == "Latent dimensions"
    assert "2 of 4" in section.pictures[0].caption
    (ax,) = section.pictures[0].draw().axes
    assert [bar.get_height() for bar in ax.patches] == [2.0, 1.2, 0.01, 0.0]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["1", "3", "0", "2"]
    colours = [bar.get_facecolor() for bar in ax.patches]
    assert colours[0] == colours[1] != colours[2] == colours[3]
    assert "nats" in ax.get_ylabel()


@pytest.mark.parametrize("count", [1, 40, 300])
def test_any_number_of_dimensions(count):
    figures = FIGURES | {"kl_per_dimension": np.zeros(count).tolist(), "active_units": 0}
    (ax,) = headline(figures, [])[1].pictures[0].draw().axes
    assert len(ax.patches) == count
    assert len(ax.get_xticklabels()) == (count if count <= 40 else 0)


def test_the_course_of_training_and_its_best_step():
    section = headline({}, HISTORY)[1]
    course, kl = (picture.draw().axes[0] for picture in section.pictures)
    line = course.lines[0]
    assert line.get_xdata().tolist() == [10, 20, 30]
    assert line.get_ydata().tolist() == [-99, -9, -10]
    assert course.texts[0].get_text() == "−9.000 at step 20"
    assert course.get_ylim()[0] > -20  # the first steep rise is left out
    assert kl.lines[0].get_ydata().tolist() == [0.5, 1, 2]


def test_a_course_without_kl_and_with_figures_that_are_not_finite():
    history = [{"step": 1, "figure": float("nan")}, {"step": 2, "figure": -3.0}]
    section = headline({}, history)[1]
    assert len(section.pictures) == 1
    (ax,) = section.pictures[0].draw().axes
    assert ax.texts[0].get_text() == "−3.000 at step 2"
    hopeless = [{"step": s, "figure": float("-inf")} for s in (1, 2)]
    assert headline({}, hopeless)[1].pictures[0].draw().axes[0].texts[:] == []
