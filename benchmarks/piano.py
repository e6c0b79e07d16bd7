"""How much of the piano of pop songs does a model know after so many minutes?

Two bars of the track PIANO of POP909's songs (`harness/pop909.py`), any number of notes at a time,
split by song, without repeats. For each preset what comes back of items of songs that were held
out, -log p(x) in nats per note, and drawn music beside the data's. The data set is not among those
of the data folder: `--pop909 FOLDER` is its folder of the same name, a clone of its repository.
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from harness.arguments import parser
from harness.pop909 import songs
from harness.record import Record

from variate.evaluation import bounds
from variate.music import Fidelity, MusicVAE, Sampling, measures
from variate.music.extraction import Wanted
from variate.music.polyphony.windows import TrackWindows
from variate.music.reading import read_tracks
from variate.music.splitting import split_by_piece

PRESETS = {"fidelity": Fidelity, "sampling": Sampling}


def main() -> None:
    options = arguments()
    if options.device == "cpu":
        torch.set_num_threads(1)
    told = {k: v for k, v in vars(options).items() if k not in {"pop909", "out"}}
    record = Record("piano", told)
    record.head()
    windows, report = read_tracks(songs(options.pop909), ("PIANO",), Wanted(2))
    print(report)
    record.results["extraction"] = report.facts()
    for name in options.presets:
        found = record.results[name] = figures(windows, PRESETS[name](), options)
        record.table(name, ["", ""], [[key, f"{value:,.4g}"] for key, value in found.items()])
    record.write(options)


def arguments() -> argparse.Namespace:
    made = parser(__doc__.partition("\n\n")[0])
    made.add_argument(
        "--pop909", type=Path, required=True, help="the folder POP909 of the data set"
    )
    made.add_argument("--presets", nargs="+", choices=tuple(PRESETS), default=tuple(PRESETS))
    made.add_argument("--minutes", type=float, default=10.0, help="of each training")
    made.add_argument("--items", type=int, default=200, help="held-out items that are measured")
    made.add_argument("--draws", type=int, default=64, help="importance draws")
    made.add_argument("--hidden", type=int, default=128, help="width of the networks' states")
    made.add_argument("--batch", type=int, default=64, help="items of a step")
    made.add_argument("--device", default="cpu")
    made.add_argument("--seed", type=int, default=0)
    options = made.parse_args()
    if options.quick:
        options.minutes, options.items, options.draws = 0.3, 12, 4
    return options


def figures(windows: TrackWindows, preset: Any, options: argparse.Namespace) -> dict[str, Any]:
    model = MusicVAE(
        tracks=["PIANO"], minutes=options.minutes, device=options.device, hidden=options.hidden,
        batch_size=options.batch, seed=options.seed, preset=preset,
    ).fit(windows)  # fmt: skip
    texture, codec = model._texture, model.codec_
    *_, held_out = split_by_piece(windows.pieces, texture.usual, options.seed)
    some = windows.part(
        held_out[torch.linspace(0, len(held_out) - 1, options.items).long()].numpy()
    )
    x = codec.symbols(some)
    bound = bounds(model.model_, x.to(options.device), draws=options.draws, rows=16)
    notes = len(some.notes) / len(x)
    drawn = model.sample(len(x), seed=options.seed)
    return {
        "steps": model.facts_["steps"],
        "nats_per_note": float(-bound.importance.mean()) / notes,
        "elbo_nats_per_note": float(-bound.elbo.mean()) / notes,
        "notes_per_item": notes,
        "kl": model.facts_["held_out"]["kl"],
        **texture.reconstructions(model.model_, x, options.seed),
        **measures.likeness(drawn, codec.decode(x)),
    }


if __name__ == "__main__":
    main()
