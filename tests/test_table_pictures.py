"""The pictures of a table: they show the numbers that they should, whatever the columns are."""

import numpy as np
import pytest

from variate.report import Report, Section
from variate.report.style import MODEL, OTHERS, REAL, SERIES, THEME
from variate.table.curves import closeness
from variate.table.maps import association_maps, latent_map, trend_map
from variate.table.measures import Trends
from variate.table.pictures import Column, marginals, percent, reconstruction
from variate.table.schema import ColumnSchema

mpl = pytest.importorskip("matplotlib")

NAN = float("nan")
N = 400


def rng():
    return np.random.default_rng(0)


def long_category():
    return tuple(f"customer number {i:05d} of the northern region" for i in range(3_000))


def awkward():
    """Columns that break plots, with values of both tables."""
    r = rng()
    gap = np.full(N, NAN)
    codes = r.integers(0, 4, N)
    hostile = ("<b>", "&amp;", "_hidden", r"$\frac{1}{2}$")
    return {
        "long name": (Column("how satisfied are you? " * 9), r.normal(5e4, 9e3, N), codes * 1.5),
        "hostile": (Column("<script> & $x_1$\n\x00", levels=hostile), codes, codes[::-1]),
        "unicode": (Column("价格 😀 Größe"), r.normal(size=N), r.normal(size=N)),
        "no name": (Column("", levels=("", "x")), codes % 2, codes % 2),
        "spike": (Column("c"), np.where(r.random(N) < 0.6, 0, r.lognormal(3, 1, N)), codes * 9.0),
        "wide": (Column("c"), r.lognormal(3, 3, N), r.lognormal(3, 3, N)),
        "tails": (Column("c"), r.standard_cauchy(N), r.standard_cauchy(N)),
        "levels": (Column("c", levels=long_category()), r.zipf(2.0, N) % 3_000, codes),
        "missing": (Column("c"), gap, gap),
        "missing synthetic": (Column("c"), r.normal(size=N), gap),
        "missing codes": (Column("c", levels=("a", "b")), gap, codes % 2),
        "constant": (Column("c"), np.full(N, 7.25), np.full(N, 7.25)),
        "large constant": (Column("c"), np.full(N, 1e15), np.full(N, 1e15)),
        "identifiers": (Column("c", origin=1e12), r.integers(0, 10**6, N), r.integers(0, 10**6, N)),
        "tiny": (Column("c"), r.normal(0, 1e-9, N), r.normal(0, 1e-9, N)),
        "huge": (Column("c"), r.normal(0, 1e300, N), r.normal(0, 1e300, N)),
        "dates": (Column("c", tick=lambda x: f"day {x:.0f}"), codes * 90.0, codes * 80.0),
    }  # fmt: skip


@pytest.mark.parametrize("name", awkward())
def test_every_picture_can_be_drawn_of_every_column(name, tmp_path):
    column, real, synthetic = awkward()[name]
    real, synthetic = real[:, None].astype(float), synthetic[:, None].astype(float)
    pictures = (
        *marginals(real, synthetic, [column]),
        *reconstruction(real, synthetic, [column]),
        latent_map(rng().normal(size=(N, 3)), real[:, 0], column),
    )
    text = Report("t", "s", (Section("s", pictures=pictures),)).to_html(tmp_path / "r.html")
    page = text.read_text(encoding="utf-8")
    assert page.count("<svg") == 3
    assert "<script" not in page
    assert "mathdefault" not in page
    assert all(picture.caption for picture in pictures)


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_few_rows(rows):
    columns = [Column("a"), Column("b", levels=("x", "y"))]
    x = np.ones((rows, 2))
    pictures = [*marginals(x, x, columns), *reconstruction(x, x, columns)]
    pictures += [
        latent_map(np.ones((rows, 4)), x[:, 1], columns[1]),
        *association_maps(x, x, columns),
    ]
    for picture in pictures:
        assert picture.draw().axes


# -- marginals ------------------------------------------------------------------------------------


def axes(picture):
    return picture.draw().axes[0]


def stairs(ax):
    real, synthetic = (patch.get_data() for patch in ax.patches)
    assert real.edges.tolist() == synthetic.edges.tolist()  # one set of bins for both
    return real.values, synthetic.values, real.edges


def test_a_histogram_shows_shares_of_both_tables_in_the_same_bins():
    real, synthetic = np.repeat([0.0, 1, 2, 3], 25), np.repeat([1.0, 3], [10, 30])
    (picture,) = marginals(real[:, None], synthetic[:, None], [Column("visits")])
    shares, other, edges = stairs(axes(picture))
    assert edges.tolist() == [-0.5, 0.5, 1.5, 2.5, 3.5]  # whole numbers in the middle of their bins
    assert shares.tolist() == [25, 25, 25, 25]
    assert other.tolist() == [0, 25, 0, 75]
    assert picture.caption == f"Shape error {percent(0.5)}."


def test_bins_hold_as_many_whole_numbers_each():
    values = np.arange(100.0)[:, None]
    (picture,) = marginals(values, values, [Column("c", origin=1000.0)])
    _, _, edges = stairs(axes(picture))
    assert set(np.diff(edges)) == {4.0}
    assert edges[0] == 999.5  # in the caller's numbers


def test_tails_are_cut_and_said_to_be():
    r = rng()
    real, synthetic = r.standard_cauchy(4_000), r.standard_cauchy(4_000) * 5
    (picture,) = marginals(real[:, None], synthetic[:, None], [Column("c")])
    shares, _, edges = stairs(axes(picture))
    low, high = np.quantile(real, [0.005, 0.995])
    assert edges[[0, -1]] == pytest.approx([low, high])
    assert shares.sum() == pytest.approx(99, abs=0.1)
    assert "Off the axis: 1.0" in picture.caption


def test_a_range_of_many_magnitudes_is_logarithmic():
    values = np.exp(rng().normal(0, 3, size=(2_000, 1)))
    assert axes(marginals(values, values, [Column("c")])[0]).get_xscale() == "log"
    assert axes(marginals(values - 1, values - 1, [Column("c")])[0]).get_xscale() == "linear"


def test_a_spike_does_not_flatten_the_rest():
    r = rng()
    real = np.where(r.random(5_000) < 0.6, 0.0, r.uniform(0, 30, 5_000))[:, None]
    ax = axes(marginals(real, real, [Column("c")])[0])
    shares, _, _ = stairs(ax)
    assert shares[0] > 55
    assert ax.get_ylim()[1] < 5
    assert f"↑ {shares[0]:.0f} % real, {shares[0]:.0f} % synthetic" in ax.texts[0].get_text()
    even = r.uniform(0, 30, (5_000, 1))
    assert not axes(marginals(even, even, [Column("c")])[0]).texts


def test_levels_are_shares_of_all_cells_with_the_missing_ones_last():
    real = np.array([0, 0, 1, NAN])[:, None]
    synthetic = np.array([1.0, 1, 1, 0])[:, None]
    (picture,) = marginals(real, synthetic, [Column("c", levels=("no", "yes"))])
    ax = axes(picture)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["no", "yes", "missing"]
    widths = [[bar.get_width() for bar in container] for container in ax.containers]
    assert widths == [[50, 25, 25], [25, 75, 0]]
    colours = [mpl.colors.to_hex(container[0].get_facecolor()) for container in ax.containers]
    assert colours == [REAL, MODEL]
    assert f"Missing: {percent(0.25)} real, {percent(0)} synthetic." in picture.caption


def test_of_many_levels_the_most_common_are_shown_and_the_rest_is_counted():
    real = np.repeat(np.arange(20.0), np.arange(1, 21))
    column = Column("c", levels=tuple(f"level {i}" for i in range(20)))
    ax = axes(marginals(real[:, None], real[:, None], [column])[0])
    labels = [text.get_text() for text in ax.get_yticklabels()]
    assert labels == [f"level {i}" for i in range(19, 11, -1)] + ["12 others"]
    widths = [bar.get_width() for bar in ax.containers[0]]
    assert widths[-1] == pytest.approx(100 * sum(range(1, 13)) / 210)
    assert sum(widths) == pytest.approx(100)


def test_of_many_columns_the_worst_are_shown_in_order():
    r = rng()
    real = r.normal(size=(300, 60))
    synthetic = real.copy()
    synthetic[:, [50, 3]] += 5
    columns = [Column(f"c{i}") for i in range(60)]
    assert len(marginals(real, synthetic, columns)) == 48
    titles = [p.draw().get_suptitle() for p in marginals(real, synthetic, columns, most=2)]
    assert titles == ["c3", "c50"]


# -- associations ---------------------------------------------------------------------------------


def test_association_maps_show_the_measure_and_the_difference():
    r = rng()
    a = r.normal(size=1_000)
    real, synthetic = np.stack([a, a], axis=1), r.normal(size=(1_000, 2))
    pictures = association_maps(real, synthetic, [Column("a"), Column("b")])
    images = [axes(picture).images[0] for picture in pictures]
    maps = [image.get_array() for image in images]
    assert maps[0][0, 1] == pytest.approx(1.0)
    assert maps[1][0, 1] < 0.1
    np.testing.assert_allclose(maps[2], maps[1] - maps[0])
    assert [image.get_clim() for image in images] == [(0, 1), (0, 1), (-0.5, 0.5)]
    # no association leaves no ink, a strong one is opaque
    assert images[0].cmap(0.0)[3] == 0.0
    assert images[0].cmap(1.0)[3] == 1.0
    assert images[2].cmap(0.5)[3] < 0.02


def test_of_many_columns_the_first_forty_are_mapped():
    x = rng().normal(size=(50, 45))
    pictures = association_maps(x, x, [Column(f"c{i}") for i in range(45)])
    assert axes(pictures[0]).images[0].get_array().shape == (40, 40)
    assert "first 40 of 45" in pictures[0].caption


def test_the_trend_map_has_pairs_beside_the_diagonal_of_columns():
    pairs = np.array([[0, 1], [0, 2]])  # the third pair was not measured
    columns = [Column(name) for name in "abc"]
    picture = trend_map(np.array([0.1, NAN, 0.3]), Trends(pairs, np.array([0.055, 0.2])), columns)
    image = axes(picture).images[0]
    shown = np.ma.filled(image.get_array().astype(float), NAN)
    np.testing.assert_allclose(shown, [[10, 5.5, 20], [5.5, NAN, NAN], [20, NAN, 30]])
    assert image.get_clim() == (0, 30)


def test_of_many_columns_the_worst_forty_are_mapped():
    shape = np.zeros(50)
    shape[[49, 3]] = 0.5
    columns = [Column(f"c{i}") for i in range(50)]
    picture = trend_map(shape, Trends(np.zeros((0, 2), dtype=int), np.zeros(0)), columns)
    assert axes(picture).images[0].get_array().shape == (40, 40)
    labels = [label.get_text() for label in axes(picture).get_yticklabels()]
    assert labels[-1] == "c49"
    assert "worst 40 of 50" in picture.caption


# -- how close ------------------------------------------------------------------------------------


def test_a_curve_rises_by_one_share_at_each_distance():
    real, synthetic = axes(closeness(np.array([0.3, 0.1]), np.full(4, 0.2))).lines
    assert synthetic.get_xdata().tolist() == [0, 0.1, 0.3]
    assert synthetic.get_ydata().tolist() == [0, 50, 100]
    assert real.get_ydata().tolist() == [0, 25, 50, 75, 100]
    assert axes(closeness(np.zeros(3), np.zeros(3))).get_xlim()[1] > 0


# -- the latent map -------------------------------------------------------------------------------


def points(ax):
    return np.concatenate([np.asarray(collection.get_offsets()) for collection in ax.collections])


def test_codes_are_seen_along_their_principal_components():
    r = rng()
    rotation, _ = np.linalg.qr(r.normal(size=(5, 5)))
    codes = (r.normal(size=(2_000, 5)) * [3, 2, 0.1, 0.1, 0.1]) @ rotation
    picture = latent_map(codes, codes[:, 0], Column("c"))
    ax = axes(picture)
    assert "all 5 dimensions" in picture.caption
    assert np.std(points(ax), axis=0) == pytest.approx([3, 2], rel=0.05)
    share = 9 / (9 + 4 + 0.03)
    shown = float(ax.get_xlabel().split("(")[1].split("\N{NO-BREAK SPACE}")[0])
    assert shown == pytest.approx(100 * share, abs=3)
    spans = np.diff([ax.get_xlim(), ax.get_ylim()], axis=1)
    assert spans[0] == pytest.approx(spans[1])  # distances are the same in both directions


def test_two_dimensions_are_shown_as_they_are_and_one_is_spread():
    codes = rng().normal(size=(50, 2))
    ax = axes(latent_map(codes, codes[:, 0], Column("c")))
    assert sorted(points(ax).tolist()) == sorted(codes.tolist())
    ax = axes(latent_map(codes[:, :1], codes[:, 0], Column("c")))
    assert sorted(points(ax)[:, 0]) == sorted(codes[:, 0])


def test_levels_are_named_the_common_ones_first_and_gaps_are_rings():
    values = np.repeat([0.0, 1, 2, NAN], [5, 20, 1, 4])
    column = Column("c", levels=("_b", "a", "z", "never seen"))
    figure = latent_map(rng().normal(size=(30, 2)), values, column).draw()
    assert [text.get_text().strip() for text in figure.legends[0].texts] == ["_b", "a", "z"]
    rings, dots = figure.axes[0].collections
    assert len(rings.get_offsets()) == 4
    assert len(dots.get_offsets()) == 26
    assert len(rings.get_facecolor()) == 0
    many = Column("c", levels=tuple("abcdefghij"))
    figure = latent_map(np.zeros((10, 2)), np.arange(10.0), many).draw()
    assert figure.legends[0].texts[-1].get_text().strip() == "3 others"


def test_the_key_has_the_colours_of_the_points_on_a_light_and_a_dark_page():
    assert not {*SERIES, OTHERS} & set(THEME)  # a page changes these, but not the points' pixels


def test_points_are_capped():
    codes = rng().normal(size=(9_000, 2))
    assert len(points(axes(latent_map(codes, codes[:, 0], Column("c"))))) == 4_000
    (picture,) = reconstruction(codes[:, :1], codes[:, :1], [Column("c")])
    assert len(points(axes(picture))) == 3_000


# -- reconstruction -------------------------------------------------------------------------------


def test_a_reconstruction_is_measured_on_the_cells_that_are_observed():
    real = np.array([1.0, 2, 3, 4, NAN])
    back = np.array([1.0, 2, 3, 6, 100])
    (picture,) = reconstruction(real[:, None], back[:, None], [Column("c")])
    assert "R²\N{NO-BREAK SPACE}0.20." in picture.caption  # 1 - (4/4) / 1.25
    assert "Median absolute error 0." in picture.caption
    assert len(points(axes(picture))) == 4


def test_categories_are_compared_with_guessing():
    real = np.array([[0, 0, 0, 1, NAN], [1, 1, 0, 0, 1]]).T
    back = np.array([[0, 0, 0, 0, 1], [1, 0, 0, 0, 1]], dtype=float).T
    columns = [Column("a", levels=("x", "y")), Column("b", levels=("x", "y"))]
    (picture,) = reconstruction(real, back, columns)
    common, right = ([b.get_width() for b in c] for c in axes(picture).containers)
    assert common == pytest.approx([75, 60])
    assert right == pytest.approx([75, 80])


def test_numbers_come_first_then_one_chart_for_all_categories():
    x = np.zeros((3, 4))
    columns = [Column("a", levels=("x",)), Column("b"), Column("c", levels=("x",)), Column("d")]
    titles = [picture.draw().get_suptitle() for picture in reconstruction(x, x, columns)]
    assert titles == ["b", "d", ""]


# -- columns --------------------------------------------------------------------------------------


def number_schema(**rest):
    return ColumnSchema(
        "c", dtype="x", knots=(0.0, 1.0), scores=(-1.0, 1.0), low=0.0, high=1.0, **rest
    )


def test_what_a_picture_needs_of_a_schema():
    category = ColumnSchema("c", "category", dtype="x", storage="string", levels=("a", 2, True))
    assert Column.of(category) == Column("c", levels=("a", "2", "True"))
    assert Column.of(category).kind == "category"
    integer = number_schema(kind="integer", storage="int64", step=1.0, origin=100)
    assert Column.of(integer) == Column("c", origin=100.0)
    assert Column.of(integer).kind == "numeric"


@pytest.mark.parametrize(
    ("storage", "unit", "origin", "text", "x", "shown"),
    [
        ("timestamp[us]", "day", 0, None, 31.0, "1970-02-01"),
        ("timestamp[ns, tz=UTC]", "minute", 60 * 10**9, None, 60.0, "1970-01-01 01:01"),
        ("date32[day]", "day", 365, None, 0.4, "1971-01-01"),
        ("string", "second", 0, "%Y-%m-%d %H:%M", 86_400.0, "1970-01-02 00:00"),
        ("duration[s]", "hour", 7_200, None, 1.0, "3 hour"),
    ],
)
def test_dates_are_written_as_dates(storage, unit, origin, text, x, shown):
    schema = number_schema(
        kind="datetime", storage=storage, unit=unit, origin=origin, text=text, step=1.0
    )
    assert Column.of(schema).tick(x) == shown
