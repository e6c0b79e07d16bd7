"""A report: titled sections of text, figures and pictures, as one self-contained HTML page.

The page asks nothing of the network: its style is inside, its pictures are inline SVG, and its
content security policy forbids everything else. Whatever text comes in is escaped.

This module does not know any model, nor what the sections say.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from variate.errors import MissingExtraError
from variate.output import replacing
from variate.report.style import number
from variate.report.svg import PIXELS_PER_INCH, inline

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Picture", "Report", "Section"]

SMALL = 340  # pixels: pictures up to this width stand side by side
PROSE = 40  # characters: a table with longer cells is stacked on a narrow screen
_NUMBER = re.compile(r"[−+-]?[\d.,]+(\D{0,3}$|\s|%)")


@dataclass(frozen=True)
class Picture:
    """A picture that is drawn when it is rendered.

    Attributes:
        draw: Makes the matplotlib figure.
        caption: What it shows and how to read it.
    """

    draw: Callable[[], Figure]
    caption: str


@dataclass(frozen=True)
class Section:
    """A part of a report.

    Attributes:
        title: Its heading.
        text: Paragraphs, parted by blank lines.
        table: Rows, each a mapping from the heading of a column to its cell. None is shown as a
            dash, numbers to four significant digits, a text as it is.
        pictures: What is drawn below.
    """

    title: str
    text: str = ""
    table: Sequence[Mapping[str, Any]] | None = None
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True)
class Report:
    """Titled sections that can be written as one HTML page."""

    title: str
    subtitle: str
    sections: tuple[Section, ...]

    def to_html(self, path: str | Path) -> Path:
        """Write the report as one self-contained page, whole or not at all.

        Returns:
            Where it was written.

        Raises:
            OutputError: The file cannot be written there.
            MissingExtraError: jinja2 or matplotlib is not installed.
        """
        page = self._render().encode("utf-8", errors="replace")
        target = Path(path).expanduser()
        with replacing(target) as file:
            file.write(page)
        return target

    def _repr_html_(self) -> str:
        page = html.escape(self._render(), quote=True)
        style = "width:100%;height:42rem;border:1px solid #8884;border-radius:4px"
        return f'<iframe sandbox srcdoc="{page}" style="{style}" title="report"></iframe>'

    def _render(self) -> str:
        try:
            from jinja2 import Environment, FileSystemLoader, StrictUndefined
        except ImportError as error:
            raise MissingExtraError("A report", "jinja2", "report") from error
        environment = Environment(
            loader=FileSystemLoader(Path(__file__).with_name("templates")),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        return environment.get_template("report.html.j2").render(
            title=self.title,
            subtitle=self.subtitle,
            sections=[_laid_out(section) for section in self.sections],
        )


def _laid_out(section: Section) -> dict[str, Any]:
    """What the template shows of a section."""
    return {
        "title": section.title,
        "paragraphs": [text for text in re.split(r"\n\s*\n", section.text.strip()) if text],
        "table": _table(section.table) if section.table else None,
        "rows_of_pictures": _rows_of_pictures(section.pictures),
    }


def _table(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    headings = list(dict.fromkeys(heading for row in rows for heading in row))
    cells = [[_cell(row.get(heading)) for heading in headings] for row in rows]
    return {
        "headings": [str(heading) for heading in headings],
        "rows": cells,
        "numeric": [
            all(cell == "–" or _NUMBER.match(cell) for cell in column)
            for column in zip(*cells, strict=True)
        ],
        "prose": any(len(cell) > PROSE for row in cells for cell in row),
    }


def _cell(value: Any) -> str:
    """A cell as text: a dash for nothing, a true minus sign, four significant digits."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Integral):
        return f"{int(value):,}".replace("-", "−")
    if isinstance(value, Real):
        return "–" if math.isnan(value) else number(float(value))
    return str(value)


def _rows_of_pictures(pictures: Sequence[Picture]) -> list[dict[str, Any]]:
    """The pictures in order, neighbours that are small gathered in one row."""
    from markupsafe import Markup  # comes with jinja2

    drawn = []
    for picture in pictures:
        figure = picture.draw()
        small = figure.get_figwidth() * PIXELS_PER_INCH <= SMALL
        svg = Markup(inline(figure, picture.caption))  # matplotlib escaped its labels
        drawn.append({"small": small, "svg": svg, "caption": picture.caption})
    return [
        {"small": small, "pictures": list(row)}
        for small, row in groupby(drawn, key=lambda picture: picture["small"])
    ]
