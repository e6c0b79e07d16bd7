"""Real sentences that come with Python: those of its language reference (`pydoc_data.topics`).

This module does not know any model.
"""

import re
from importlib import import_module

from variate.errors import DataError

__all__ = ["python_reference"]

PROSE = re.compile(r"[A-Z][^\n]*(?:\n[^\n]+)*")
CODE = re.compile(r"^ *(>>>|\.\.\.|\||\+[-=])|::=|  +[|#]|^   .*\n {6,}", re.MULTILINE)
ENDS = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"“*'`])")
SHORTEST, LONGEST = 20, 160  # letters


def python_reference() -> list[str]:
    """Sentences about Python, in the order in which they stand, each once.

    Raises:
        DataError: This Python comes without them.
    """
    try:
        topics: dict[str, str] = import_module("pydoc_data.topics").topics
    except ImportError as error:
        raise DataError(
            "this Python comes without pydoc_data, from which the demonstration takes its "
            "sentences; give `variate fit` a .txt file of your own."
        ) from error
    found: dict[str, None] = {}
    for name in sorted(topics):
        for block in topics[name].split("\n\n"):
            prose = block.strip().removeprefix("* ")
            if CODE.search(prose) or not PROSE.match(prose):
                continue
            for sentence in ENDS.split(" ".join(prose.split())):
                if SHORTEST <= len(sentence) <= LONGEST and sentence[-1] in ".!?":
                    found.setdefault(sentence)
    return list(found)
