r"""How much of music of tracks comes back, at the posterior's mean; all figures are defined here.

    accuracy_teacher_forced   the likeliest symbol given the true past and the code is the true one
    note_f1                   of notes that agree in track, onset and pitch, greedily written
    note_f1_sampled           the same, of what is drawn from the code
    note_f1_random            the same, of what is drawn from the prior: what knowing nothing gives
    onset_f1                  of places (track and step) at which any note begins, greedily written
    length_accuracy           of notes that agree, those that agree in length too
    sounding_f1               of keys that are down, step by step: the piano-roll's
    exact                     the share of items that come back whole
    notes                     notes of an item, a mean

Two items are as far apart as 1 - F1 of their notes. This module does not know reports.
"""

from typing import Any

import numpy as np
from torch import Tensor

from variate import verbs
from variate.distributions.sequences import counted
from variate.music.measures import forced_and_drawn
from variate.music.polyphony.codec import TracksCodec
from variate.music.polyphony.events import END, Events

__all__ = ["apart", "copied", "reconstructions"]


def reconstructions(model: Any, codec: TracksCodec, x: Tensor, seed: int) -> dict[str, float]:
    """The figures of reconstructions of x `[N, L]`."""
    mean, _ = verbs.encode(model, x)
    forced, drawn = forced_and_drawn(model, x, mean, seed)
    greedy = verbs.decode(model, mean, lambda law: law.mode)
    nothing = verbs.sample(model, len(x), temperature=1.0, seed=seed)
    events, steps = codec.events(), codec.steps
    true, made = (events.struck(items) for items in (x, greedy))
    keys, others = _keys(events, x, steps), _keys(events, greedy, steps)
    both = np.isin(keys, others)
    sizes = dict(zip(others.tolist(), made.length.tolist(), strict=True))
    alike = [sizes[key] == length for key, length in
             zip(keys[both].tolist(), true.length[both].tolist(), strict=True)]  # fmt: skip
    begins = [np.unique(found // events.notes * 16 + _track(codec, found % events.notes))
              for found in (keys, others)]  # fmt: skip
    return {
        "accuracy_teacher_forced": float((forced == x)[counted(x, END)].double().mean()),
        "note_f1": _f1(keys, others),
        "note_f1_sampled": _f1(keys, _keys(events, drawn, steps)),
        "note_f1_random": _f1(keys, _keys(events, nothing, steps)),
        "onset_f1": _f1(*begins),
        "length_accuracy": float(np.mean(alike)) if alike else 0.0,
        "sounding_f1": _f1(*(_sounding(events, items, steps) for items in (x, greedy))),
        "exact": float((greedy == x).all(1).double().mean()),
        "notes": len(keys) / max(1, len(x)),
    }


def apart(codec: TracksCodec, way: Tensor, end: Tensor) -> list[float]:
    """How far items `[M, L]` are from an item `[L]`."""
    events = codec.events()
    last = _keys(events, end[None], codec.steps)
    return [1 - _f1(_keys(events, item[None], codec.steps), last) for item in way]


def copied(codec: TracksCodec, drawn: Tensor, train: Tensor) -> float:
    """The share of drawn items that training items are, at the same or another pitch."""
    known = set(_relative(codec, train))
    return float(np.mean([item in known for item in _relative(codec, drawn)]))


def _relative(codec: TracksCodec, x: Tensor) -> list[bytes]:
    """The same for items that are the same at some pitch."""
    events = codec.events()
    item, note, step, length = (part.numpy() for part in events.struck(x))
    track = _track(codec, note)
    pitch = np.array(codec.highest)[track] - (note - codec.offsets[track])
    ends = np.searchsorted(item, np.arange(len(x) + 1))
    found = []
    for i in range(len(x)):
        part = slice(ends[i], ends[i + 1])
        low = pitch[part].min() if ends[i] < ends[i + 1] else 0
        rows = np.stack([track[part], step[part], length[part], pitch[part] - low])
        found.append(int(x[i, 0]).to_bytes(4, "little") + rows.astype(np.int32).tobytes())
    return found


def _track(codec: TracksCodec, note: Any) -> Any:
    return np.searchsorted(codec.offsets, note, side="right") - 1


def _keys(events: Events, x: Tensor, steps: int) -> Any:
    """A number for each note of items: the item, the step and the note."""
    item, note, step, _ = events.struck(x)
    return ((item * steps + step) * events.notes + note).numpy()


def _sounding(events: Events, x: Tensor, steps: int) -> Any:
    """A number for each key that is down at a step."""
    item, note, step, length = (part.numpy() for part in events.struck(x))
    within = np.arange(length.sum()) - np.repeat(length.cumsum() - length, length)
    at = np.repeat(item * steps + step, length) + within
    return at * events.notes + np.repeat(note, length)


def _f1(a: Any, b: Any) -> float:
    """The F1 of two sets of numbers; 1 if both are empty."""
    return 2 * len(np.intersect1d(a, b)) / (len(a) + len(b)) if len(a) + len(b) else 1.0
