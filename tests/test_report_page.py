"""The page: self-contained, inert whatever the text, readable in both themes, written whole."""

import html
import re
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

from variate.errors import MissingExtraError, OutputError
from variate.report import Picture, Report, Section

mpl = pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

from variate.report.style import INK, MODEL, canvas, number, shorten, shorten_all, styled  # noqa: E402

HOSTILE = "<script>alert(1)</script> \"&' $x^2$ {{ 7 * 7 }} <img src=x onerror=alert(2)>"
VOID = {"meta", "br", "img", "hr", "link", "input"}


class Page(HTMLParser):
    """The elements of a page, in order; fails where they are not nested properly."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.text = [], [], ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def tags(self, *names):
        return [attrs for tag, attrs in self.elements if tag in names]


@styled()
def drawing(width=3.0, label="label"):
    figure, ax = canvas(width, 2.0)
    ax.plot([0, 1], [0, 1], color=MODEL)
    ax.scatter([0, 1], [1, 0], c=INK, rasterized=True)
    ax.set_title(label)
    ax.set_yticks([0.0], [label])
    return figure


def render(tmp_path, *sections, title="title", subtitle="subtitle"):
    path = Report(title, subtitle, sections).to_html(tmp_path / "report.html")
    return path.read_text(encoding="utf-8")


def test_whatever_the_text_says_the_page_is_inert(tmp_path):
    section = Section(
        HOSTILE,
        f"{HOSTILE}\n\nsecond",
        table=[{HOSTILE: HOSTILE, "n": 1}],
        pictures=(Picture(lambda: drawing(label=HOSTILE), HOSTILE),),
    )
    page = Page(render(tmp_path, section, title=HOSTILE, subtitle=HOSTILE))
    assert page.tags("script", "iframe", "object", "embed", "link", "img", "base", "form") == []
    names = [name for _, attrs in page.elements for name in attrs]
    assert not [name for name in names if name.startswith("on")]
    assert page.text.count("<script>alert(1)</script>") >= 8  # shown as text in every place
    assert "49" not in page.text


def test_the_page_asks_nothing_of_the_network(tmp_path):
    text = render(tmp_path, Section("s", pictures=(Picture(drawing, "c"),)))
    namespaces = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert set(re.findall(r"(?:https?:)?//[^\s\"')]+", text)) <= namespaces
    page = Page(text)
    policy = next(a for a in page.tags("meta") if "http-equiv" in a)["content"]
    assert policy.startswith("default-src 'none'")
    links = [attrs.get("href", attrs.get("xlink:href", "#")) for _, attrs in page.elements]
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in links)


def test_one_picture_serves_both_themes(tmp_path):
    text = render(tmp_path, Section("s", pictures=(Picture(drawing, "c"),)))
    svg = text[text.index("<svg") : text.index("</svg>")]
    assert "var(--model)" in svg
    assert "var(--muted)" in svg
    assert MODEL not in svg
    dark = text[text.index("prefers-color-scheme: dark") :]
    for variable in ("--paper", "--ink", "--muted", "--rule", "--real", "--model"):
        assert f"{variable}:" in dark


def test_text_in_pictures_stays_text_in_the_font_of_the_page(tmp_path):
    text = render(tmp_path, Section("s", pictures=(Picture(lambda: drawing(label="价 $a"), "c"),)))
    svg = text[text.index("<svg") : text.index("</svg>")]
    assert svg.count(">价 $a<") == 2
    assert "font-family" not in svg


def test_pictures_are_drawn_when_the_page_is_and_not_before(tmp_path):
    drawn = []

    def draw():
        drawn.append(1)
        return drawing()

    report = Report("t", "s", (Section("s", pictures=(Picture(draw, "c"),)),))
    assert not drawn
    report.to_html(tmp_path / "a.html")
    report.to_html(tmp_path / "b.html")
    assert len(drawn) == 2
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_small_neighbours_stand_in_a_row_and_the_order_is_kept(tmp_path):
    widths = [3.0, 3.0, 7.0, 3.0]
    pictures = tuple(
        Picture(lambda w=w: drawing(width=w), f"caption {i}") for i, w in enumerate(widths)
    )
    text = render(tmp_path, Section("s", pictures=pictures))
    page = Page(text)
    assert len([a for a in page.tags("div") if a.get("class") == "grid"]) == 2
    assert [a["aria-label"] for a in page.tags("svg")] == [f"caption {i}" for i in range(4)]
    shown = page.tags("svg")[2]
    assert shown["style"] == "--width:672px"
    assert "width" not in shown
    assert "viewbox" in shown


def test_cells(tmp_path):
    row = {
        "none": None,
        "nan": float("nan"),
        "small": -0.00012346,
        "float": np.float64(-8.31249),
        "large": 12_345.6,
        "int": -20_190,
        "numpy": np.int32(5),
        "yes": True,
        "text": "a b",
    }
    rows = [row, {"text": "only this", "new": 1}]
    page = Page(render(tmp_path, Section("s", table=rows)))
    assert [a["data-heading"] for a in page.tags("td")] == [*row, "new"] * 2
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", (tmp_path / "report.html").read_text())
    assert cells[:10] == [
        "–", "–", "−0.0001235", "−8.312", "12,346", "−20,190", "5", "yes", "a b", "–",
    ]  # fmt: skip
    assert cells[10:] == ["–"] * 8 + ["only this", "1"]
    classes = [a.get("class") for a in page.tags("th")]
    assert classes == ["number"] * 7 + [None, None, "number"]


def test_an_empty_section_is_only_its_heading(tmp_path):
    page = Page(render(tmp_path, Section("alone")))
    assert page.tags("table", "figure", "p") == [{"class": "subtitle"}]


def test_a_notebook_shows_the_page_in_a_sealed_frame(tmp_path):
    report = Report(HOSTILE, "s", (Section("s", pictures=(Picture(drawing, "c"),)),))
    frame = Page(report._repr_html_())
    assert [tag for tag, _ in frame.elements] == ["iframe"]
    attributes = frame.elements[0][1]
    assert "sandbox" in attributes
    path = report.to_html(tmp_path / "report.html")
    assert attributes["srcdoc"] == path.read_text(encoding="utf-8")
    assert html.escape(HOSTILE, quote=True) not in report._repr_html_()  # escaped once more


def test_a_drawing_leaves_matplotlib_as_it_was(tmp_path):
    before = dict(mpl.rcParams)
    render(tmp_path, Section("s", pictures=(Picture(drawing, "c"),)))
    assert dict(mpl.rcParams) == before


def test_where_it_cannot_be_written(tmp_path):
    report = Report("t", "s", ())
    with pytest.raises(OutputError, match=r"missing.*does not exist"):
        report.to_html(tmp_path / "missing" / "report.html")
    with pytest.raises(OutputError, match="folder"):
        report.to_html(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_was_there_stays_until_the_new_page_is_whole(tmp_path):
    path = tmp_path / "report.html"
    path.write_text("old")

    def broken():
        raise RuntimeError("no picture")

    report = Report("t", "s", (Section("s", pictures=(Picture(broken, "c"),)),))
    with pytest.raises(RuntimeError, match="no picture"):
        report.to_html(path)
    assert path.read_text() == "old"
    assert Report("t", "s", ()).to_html(str(path)) == path
    assert path.read_text().startswith("<!doctype html>")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.parametrize("package", ["jinja2", "matplotlib"])
def test_without_an_extra(package, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, package, None)
    report = Report("t", "s", (Section("s", pictures=(Picture(drawing, "c"),)),))
    with pytest.raises(MissingExtraError, match=rf"'{package}'.*variate\[report\]"):
        report.to_html(tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


def test_labels():
    assert shorten("short", 10) == "short"
    assert shorten("  two\nlines\x00 and\ttabs ", 30) == "two lines and tabs"
    long = shorten("the beginning of a long label, the end", 20)
    assert len(long) <= 20
    assert long.startswith("the begin")
    assert long.endswith("end")
    alike = [f"a beginning that all share, number {i} of the northern region" for i in range(3)]
    assert shorten_all(alike, 12) == ["…0 of t…gion", "…1 of t…gion", "…2 of t…gion"]
    assert shorten_all([f"number {i}" for i in range(3)], 8) == ["number 0", "number 1", "number 2"]
    assert shorten_all(["a", "b"], 12) == ["a", "b"]
    assert shorten_all(["x", "x"], 12) == ["x", "x"]


def test_numbers():
    written = [number(v) for v in (0, 1.0, -0.5, 999.96, 1234.5, 1.5e9, 1.5e-9, 123456789)]
    assert written == ["0", "1", "−0.5", "1,000", "1,234", "1.5e+09", "1.5e−09", "123,456,789"]
    assert number(2.0, 8) == "2"
    assert number(1234.5, 8) == "1,234.5"
