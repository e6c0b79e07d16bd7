"""What an evaluation gives back: figures, and a report that shows them.

This module does not know any kind of data.
"""

from typing import Any

from variate._version import __version__
from variate.records import Evaluation
from variate.report import Report, Section, headline

__all__ = ["verdict"]


def verdict(
    kind: str,
    facts: dict[str, Any],
    history: list[dict[str, Any]],
    figures: dict[str, Any],
    own: tuple[dict[str, Any], list[Section]],
    *,
    seed: int,
) -> Evaluation:
    """The figures that every kind has and the kind's own, with a report.

    Args:
        kind: The kind of data.
        facts: What the model was trained on.
        history: Its validations.
        figures: `rows` and what every kind has.
        own: Figures and sections of the kind.
        seed: Of the draws.
    """
    report = Report(
        title=f"{kind.capitalize()} model of {facts['source']}",
        subtitle=f"trained on {facts['training_rows']:,} items, measured on {figures['rows']:,}; "
        f"seed {seed}, variate {__version__}",
        sections=(*headline(figures, history), *own[1]),
    )
    return Evaluation(figures | own[0], report)
