"""The record of a run: a table on the screen, a JSON file with the machine beside the figures.

Every figure is a list of repetitions; what is shown is its median and, in brackets, its smallest
and largest. Ratios are taken round by round, of runs that came one after the other, and only then
summarised, so that what slows the machine for a while slows both sides of a ratio.

This module does not know what is measured.
"""

import argparse
import datetime
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from harness import machine

__all__ = ["Record", "ratios", "show", "summary"]

RESULTS = Path(__file__).resolve().parents[1] / "results"


def summary(values: Sequence[float]) -> dict[str, Any]:
    """Median, smallest, largest and all values of a figure."""
    return {
        "median": median(values),
        "min": min(values),
        "max": max(values),
        "values": list(values),
    }


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """The ratio of two figures, round by round."""
    return [a / b for a, b in zip(above, below, strict=True)]


def show(values: Sequence[float], digits: int = 2, scale: float = 1.0) -> str:
    """A figure for people: `median (smallest..largest)`."""
    low, middle, high = (f"{f(values) * scale:,.{digits}f}" for f in (min, median, max))
    return f"{middle} ({low}..{high})" if len(values) > 1 else middle


@dataclass
class Record:
    """What one benchmark found.

    Attributes:
        name: The name of the script.
        options: What it was asked for.
        results: Its figures, JSON-able.
        targets: What was promised, and whether it holds.
    """

    name: str
    options: dict[str, Any]
    results: dict[str, Any] = field(default_factory=dict)
    targets: list[dict[str, Any]] = field(default_factory=list)
    machine: dict[str, Any] = field(default_factory=machine.facts)

    def head(self) -> None:
        """Print where this runs."""
        about = self.machine
        versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
        print(f"{self.name}: {about['cpu']}, {about['cores']} cores, {about['memory_gib']} GiB")
        print(f"python {about['python']}, {versions}; load {about['load_at_start'][0]} at start\n")

    def table(self, title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table: the first column flush left, the others flush right."""
        widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
        print(title)
        for row in [heads, *rows]:
            cells = [
                cell.ljust(width) if i == 0 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            print("  " + "   ".join(cells).rstrip())
        print(flush=True)

    def target(self, what: str, value: float, bound: float, *, least: bool) -> None:
        """State a promise and whether it holds; a benchmark fails nobody, so it is only said."""
        holds = value >= bound if least else value <= bound
        sign = ">=" if least else "<="
        self.targets.append({"what": what, "value": value, sign: bound, "holds": holds})
        verdict = "holds" if holds else "MISSED"
        print(f"target: {what} {sign} {bound:g}: {value:.4g}, {verdict}", flush=True)

    def write(self, arguments: argparse.Namespace) -> None:
        """Write the JSON file: where `--out` says, else, unless `--quick`, beside the others."""
        today = datetime.datetime.now(datetime.UTC).date().isoformat()
        path: Path | None = arguments.out
        if path is None and not arguments.quick:
            path = RESULTS / f"{self.name}-{today}.json"
        if path is None:
            print("\n--quick: nothing recorded (give --out FILE to keep the figures)")
            return
        content = {
            "benchmark": self.name,
            "date": today,
            "quick": arguments.quick,
            "options": self.options,
            "machine": self.machine | {"load_at_end": machine.load()},
            "targets": self.targets,
            "results": self.results,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(_rounded(content), indent=1) + "\n", encoding="utf-8")
        print(f"\nwrote {path}")


def _rounded(value: Any) -> Any:
    """Six significant digits everywhere: more is noise."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return [_rounded(inner) for inner in value] if isinstance(value, list | tuple) else value
