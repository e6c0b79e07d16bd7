"""What is told of reading music, and what the verbs give back where it is more than music.

This module does not know how they were made.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Extraction", "Rewritten"]

NAMED = 5  # files that are named


@dataclass
class Extraction:
    """What became of files on their way to windows.

    Attributes:
        files: How many there were; each tune of a book is one.
        refused: Why a file gave nothing, by its name.
        kept: Windows.
        rejected: Windows that were left out, by the reason.
        meters: Windows that were kept, by their metre.
        onsets: Of notes, and how many of them lie off the grid of sixteenths.
        notes: What else was met, and how often: drum tracks, notes without length …
        voices: Of each window.
        bars: Of each window.
        tracks: Of each window, if it is of tracks and not of voices; else 0.
    """

    voices: int
    bars: int
    files: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    kept: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    meters: Counter[str] = field(default_factory=Counter)
    onsets: int = 0
    off: int = 0
    notes: Counter[str] = field(default_factory=Counter)
    tracks: int = 0

    @property
    def off_share(self) -> float:
        """The share of onsets that lie off the grid."""
        return self.off / self.onsets if self.onsets else 0.0

    def facts(self) -> dict[str, Any]:
        """All of it as JSON-able values; of the files that were refused the first twenty."""
        reasons = Counter(self.refused.values())
        return {
            "files": self.files,
            "files_refused": len(self.refused),
            "refused_because": dict(reasons.most_common()),
            "refused": dict(list(self.refused.items())[:20]),
            "windows": self.kept,
            "windows_rejected": dict(self.rejected.most_common()),
            "meters": dict(self.meters.most_common()),
            "onsets": self.onsets,
            "off_grid": round(self.off_share, 6),
            "also_met": {what: n for what, n in self.notes.most_common() if n},
        }

    def __str__(self) -> str:
        """The report, for people."""
        read = self.files - len(self.refused)
        count, what = (self.tracks, "track") if self.tracks else (self.voices, "voice")
        voices = f"one {what}" if count == 1 else f"{count} {what}s"
        lines = [
            f"{read:,} of {self.files:,} files are read; {self.kept:,} windows of {self.bars} "
            f"{'bar' if self.bars == 1 else 'bars'} and {voices} are kept",
        ]
        if self.meters:
            told = ", ".join(f"{count:,} in {meter}" for meter, count in self.meters.most_common())
            lines.append(f"metres: {told}")
        lines.append(f"off the grid of sixteenths: {self.off_share:.1%} of {self.onsets:,} onsets")
        lines += [f"left out: {count:,} windows, {why}"
                  for why, count in self.rejected.most_common()]  # fmt: skip
        by_reason: dict[str, list[str]] = {}
        for name, why in self.refused.items():
            by_reason.setdefault(why, []).append(name)
        for why, names in sorted(by_reason.items(), key=lambda entry: -len(entry[1])):
            more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
            lines.append(f"refused: {len(names):,} files, {why}: {', '.join(names[:NAMED])}{more}")
        lines += [f"met: {count:,} {what}" for what, count in self.notes.most_common() if count]
        return "\n".join(lines)


@dataclass(frozen=True)
class Rewritten:
    """Pieces of which a part was written anew.

    Attributes:
        filled: The likeliest of the draws of each piece.
        draws: Such pieces drawn, as many lists as were asked for.
    """

    filled: list[Any]
    draws: list[list[Any]]
