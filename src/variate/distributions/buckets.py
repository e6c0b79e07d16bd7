"""Columns grouped by size, so that one of 5,000 outcomes does not pad the others.

This module does not know what the columns are.
"""

__all__ = ["buckets_of"]


def buckets_of(outcomes: dict[int, int]) -> list[list[int]]:
    """Positions of columns grouped by their number of outcomes: 2, up to 8, up to 32, ..."""
    groups: dict[int, list[int]] = {}
    for position, size in outcomes.items():
        groups.setdefault((max(size, 2) - 1).bit_length() // 2, []).append(position)
    return [groups[key] for key in sorted(groups)]
