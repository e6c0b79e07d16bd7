"""How good are models of music: melodies, chorales, piano-rolls?

    melodies   two bars of Nottingham's tunes, split by piece, without repeats: how much of unseen
               tunes comes back (preset Fidelity), and whether drawn ones stay in key and on the
               beat as the data does (preset Sampling); the language model of the same size beside
               it; sliders: does what was asked for come out, and what moves with it?
    chorales   two bars of four voices: three written under a given soprano; parallel fifths and
               octaves and crossed voices, beside the data's own
    rolls      nats per step of the piano-rolls of Boulanger-Lewandowski et al., the definition and
               the class of model as `harness/pianoroll.py` says
    speed      symbols a second, training and drawing, beside a plain loop of the same network

`--prepared FOLDER` keeps what was read of the data, so that a machine without it can go on from
there; `--device cuda` trains on a GPU.
"""

import argparse
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness.arguments import parser
from harness.music_loops import by_hand, drawn_by_hand, drawn_by_the_law, through_the_loop
from harness.music_sets import ROLLS, chorales, melodies, piano_rolls
from harness.pianoroll import ChordDecoder, ChordEncoder, crops, steps_of
from harness.record import Record
from harness.voice_leading import marks, symbols_of
from scipy.stats import spearmanr
from torch import Tensor, nn

import variate as vt
from variate import verbs
from variate.evaluation import bounds
from variate.models.sequences import language_model
from variate.music import Fidelity, MusicVAE, Sampling, measures
from variate.music.attributes import attributes
from variate.music.textures import texture_of
from variate.music.windows import Windows
from variate.training import AugmentedSource, MemorySource

PARTS = ("melodies", "chorales", "rolls", "speed")
SHARE = 0.1  # of the pieces, that no model sees
TESTED = 1_000  # windows
SLIDER_STEPS, SLIDER_DRAWS = 7, 24


def main() -> None:
    options = arguments()
    if options.device == "cpu":
        torch.set_num_threads(1)
    options.prepared.mkdir(parents=True, exist_ok=True)
    described = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in vars(options).items()
        if name not in ("out", "data", "prepared", "pictures")
    }  # fmt: skip
    record = Record("music", described)
    record.head()
    for part in options.parts:
        started = time.perf_counter()
        record.results[part] = RUN[part](record, options)
        record.results[part]["seconds"] = time.perf_counter() - started
    record.write(options)


def arguments() -> argparse.Namespace:
    made = parser(__doc__.partition("\n\n")[0])
    made.add_argument("--data", type=Path, default=os.environ.get("VARIATE_DATA"),
                      help="a folder that has music/ ($VARIATE_DATA)")  # fmt: skip
    made.add_argument("--prepared", type=Path, default=Path("prepared-music"),
                      help="a folder where what was read of the data is kept")  # fmt: skip
    made.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    made.add_argument("--sets", nargs="+", default=list(ROLLS), choices=ROLLS,
                      help="of the piano-rolls")  # fmt: skip
    made.add_argument("--minutes", type=float, default=10.0, help="of each training")
    made.add_argument("--device", default="cpu")
    made.add_argument("--precision", default="bfloat16", choices=("float32", "bfloat16"))
    made.add_argument("--hidden", type=int, default=128, help="width of the networks' states")
    made.add_argument("--batch", type=int, default=128, help="windows of a step")
    made.add_argument("--draws", type=int, default=64, help="importance draws")
    made.add_argument("--pictures", type=Path, help="a folder for scores and sound to look at")
    made.add_argument("--semitones", type=int, default=5, help="by which rolls are moved")
    made.add_argument("--dropout", type=float, default=0.3, help="of the rolls' model")
    options = made.parse_args()
    if options.quick:
        options.minutes, options.draws = 0.2, 4
    return options


# -- melodies -------------------------------------------------------------------------------------


def run_melodies(record: Record, options: argparse.Namespace) -> dict[str, Any]:
    train, test = parted(melodies(options.data, options.prepared))
    test = test.part(
        np.linspace(0, len(test) - 1, 40 if options.quick else min(TESTED, len(test))).astype(int)
    )
    found: dict[str, Any] = {"train_windows": len(train), "test_windows": len(test)}
    for name, preset in (("fidelity", Fidelity()), ("sampling", Sampling())):
        model = fitted(train, options, preset=preset)
        found[name] = figures_of(model, train, test, options)
        show_figures(record, f"melodies, {name}", found[name])
        if name == "fidelity":
            found["sliders"] = sliders(model, test, options)
            rows = [
                [a, f"{s['spearman']:.3f}", f"{s['drift']:.3f}"]
                for a, s in found["sliders"].items()
            ]
            record.table("sliders (targets)", ["", "spearman", "drift of the others"], rows)
        pictures(model, test, options, f"melodies-{name}")
    alone = fitted(train, options, preset=Sampling(), objective=vt.objectives.LanguageModel())
    found["language_model_nll_per_step"] = nll_alone(alone, test)
    show_figures(
        record,
        "melodies, the same network without a code",
        {"nll_per_step": found["language_model_nll_per_step"]},
    )
    best = found["fidelity"]
    record.target("teacher-forced accuracy", best["accuracy_teacher_forced"], 0.97, least=True)
    record.target("accuracy from the code alone", best["accuracy_free"], 0.93, least=True)
    drawn = found["sampling"]
    record.target(
        "key fit of drawn melodies less the data's",
        drawn["key_fit"] - drawn["data_key_fit"],
        -0.01,
        least=True,
    )
    record.target(
        "notes off the beat less the data's",
        abs(drawn["off_beat"] - drawn["data_off_beat"]),
        0.02,
        least=False,
    )
    return found


def fitted(train: Windows, options: argparse.Namespace, **more: Any) -> MusicVAE:
    model = MusicVAE(
        minutes=options.minutes, device=options.device, precision=options.precision,
        hidden=options.hidden, batch_size=options.batch, seed=0, **more,
    )  # fmt: skip
    return model.fit(train)


def parted(windows: Windows) -> tuple[Windows, Windows]:
    """Windows of nine tenths of the pieces, and of the others."""
    known = np.unique(windows.pieces)
    order = np.random.default_rng(0).permutation(len(known))
    held = np.isin(windows.pieces, known[order[: round(SHARE * len(known))]])
    return windows.part(np.flatnonzero(~held)), windows.part(np.flatnonzero(held))


def figures_of(
    model: MusicVAE, train: Windows, test: Windows, options: argparse.Namespace
) -> dict[str, Any]:
    codec, net = model.codec_, model.model_
    x = codec.symbols(test)
    found: dict[str, Any] = dict(measures.reconstructions(net, codec, x, seed=0))
    few = x[: 32 if options.quick else 256]
    bound = bounds(net, few.to(options.device), draws=options.draws, rows=32)
    steps = codec.steps_of(few)
    found["nll_per_step"] = float((-bound.importance.cpu() / steps).mean())
    found["elbo_per_step"] = float((bound.elbo.cpu() / steps).mean())
    found |= {name: model.facts_["held_out"][name] for name in ("kl", "active_units")}
    found["latent"] = model.latent_
    drawn = verbs.sample(net, 100 if options.quick else 1000, temperature=1.0, seed=0)
    found |= measures.likeness(codec.decode(drawn), codec.decode(x))
    known = codec.symbols(train)
    found["copied"] = measures.copied(codec, drawn, known)
    found["data_copied"] = measures.copied(codec, x, known)
    found["interpolation_monotone"], curve = measures.between(net, texture_of(codec), x)
    found["interpolation_curve"] = curve.tolist()
    found["steps_of_training"] = model.facts_["steps"]
    return found


def nll_alone(model: MusicVAE, test: Windows) -> float:
    """-log p(x|z = 0) per step, a mean over items."""
    x = model.codec_.symbols(test)
    steps = model.codec_.steps_of(x)
    total = []
    device = verbs.device_of(model.model_)
    with torch.no_grad():
        for block in x.split(128):
            x_there = block.to(device)
            total.append(-language_model(model.model_, x_there).log_prob(x_there)[0].cpu())
    return float((torch.cat(total) / steps).mean())


def sliders(model: MusicVAE, test: Windows, options: argparse.Namespace) -> dict[str, Any]:
    """Spearman's correlation of what was asked for with what came, and the largest of another's."""
    real = attributes(model.codec_.decode(model.codec_.symbols(test)))
    found = {}
    for name in model.sliders_.names:
        targets = np.quantile(real[name], np.linspace(0.05, 0.95, SLIDER_STEPS))
        asked, got = [], []
        for i, target in enumerate(targets):
            n = 4 if options.quick else SLIDER_DRAWS
            pieces = model.sample(n, given={name: float(target)}, seed=i)
            asked += [float(target)] * n
            got.append(attributes(pieces))
        came = {other: np.concatenate([part[other] for part in got]) for other in real}
        with np.errstate(all="ignore"):
            ranks = {
                other: float(spearmanr(asked, values).statistic) for other, values in came.items()
            }
        others = [abs(r) for other, r in ranks.items() if other != name and np.isfinite(r)]
        found[name] = {"spearman": ranks[name], "drift": float(np.mean(others)), "all": ranks}
    return found


# -- chorales -------------------------------------------------------------------------------------


def run_chorales(record: Record, options: argparse.Namespace) -> dict[str, Any]:
    train, test = parted(chorales(options.data, options.prepared))
    test = test.part(
        np.linspace(0, len(test) - 1, 8 if options.quick else min(200, len(test))).astype(int)
    )
    model = fitted(train, options, preset=Sampling())
    codec = model.codec_
    x = codec.symbols(test)
    made = model.impute(test, voices=[2, 3, 4], seed=0, draws=1)
    found: dict[str, Any] = {"train_windows": len(train), "test_windows": len(test)}
    found |= {
        f"held_out_{n}": model.facts_["held_out"][n]
        for n in ("kl", "active_units", "log_likelihood")
    }
    data = marks(symbols_of(codec.decode(x)))
    rows = []
    for name, pieces in (
        ("written, the likeliest of 32", made.filled),
        ("written, drawn", made.draws[0]),
    ):
        found[name] = marks(symbols_of(pieces))
        rows.append([name, *(f"{value:.2%}" for value in found[name].values())])
    free = model.sample(len(x), seed=0)
    found["drawn without a soprano"] = marks(symbols_of(free))
    rows.append(
        [
            "drawn without a soprano",
            *(f"{v:.2%}" for v in found["drawn without a soprano"].values()),
        ]
    )
    found["data"] = data
    rows.append(["the data", *(f"{value:.2%}" for value in data.values())])
    record.table("chorales: alto, tenor and bass under a given soprano", ["", *data], rows)
    found["reconstructions"] = measures.reconstructions(model.model_, codec, x, seed=0)
    show_figures(record, "chorales, reconstructions", found["reconstructions"])
    pictures(model, test, options, "chorales")
    if options.pictures:
        write_scores(made.filled[:6], options.pictures / "chorales-accompanied")
    return found


# -- piano-rolls ----------------------------------------------------------------------------------


def run_rolls(record: Record, options: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in options.sets:
        parts = piano_rolls(options.data, options.prepared, name)
        found[name] = rolls_of(parts, options)
        show_figures(record, f"{name}, nats per step (keys joint within a chord)", found[name])
        record.target(f"{name}, nats per step", found[name]["test"], TARGETS[name], least=False)
    return found


TARGETS = {"JSB_Chorales": 6.0, "Nottingham": 2.7}


def rolls_of(parts: dict[str, Tensor], options: argparse.Namespace) -> dict[str, Any]:
    latent, hidden = 8, 2 * options.hidden
    torch.manual_seed(0)
    model = vt.VAE(
        nn.Sequential(ChordEncoder(options.hidden), vt.posteriors.DiagonalGaussian(latent)),
        ChordDecoder(latent, hidden, options.hidden, 24, options.dropout),
        vt.priors.StandardNormal(latent),
    )
    valid = parts["valid"] if not options.quick else parts["valid"][:4]
    test = parts["test"] if not options.quick else parts["test"][:4]
    model(valid[:2, :8])
    source = AugmentedSource(
        MemorySource(parts["train"].to(options.device)), crops(96, options.semitones)
    )
    objective = vt.objectives.GroupFreeBits(2.0, beta=vt.objectives.WarmUp(1.0, 0.2))
    events = vt.train(
        model, objective, source, validation=cropped(valid), minutes=options.minutes,
        batch_size=32, learning_rate=2e-3, precision=options.precision, device=options.device,
        weight_decay=0.01,
    )  # fmt: skip
    for event in events:
        if isinstance(event, vt.training.Validated):
            print(f"rolls: step {event.step}, {event.seconds:.0f} s, "
                  f"valid {event.figure:.2f} nats per piece", flush=True)  # fmt: skip
    assert isinstance(event, vt.training.Finished)
    found: dict[str, Any] = {"steps_of_training": event.step}
    for part, x in (("valid", valid), ("test", test)):
        importance, elbo, kl = 0.0, 0.0, 0.0
        for piece in x.split(4):
            piece = piece[:, : int(steps_of(piece).max())].to(options.device)
            bound = bounds(model, piece, draws=min(options.draws, 32), rows=4, chunk=4)
            importance -= float(bound.importance.sum())
            elbo -= float(bound.elbo.sum())
            with torch.no_grad():
                kl += float(model(piece).kl().sum())
        steps = int(steps_of(x).sum())
        found |= {
            part: importance / steps,
            f"{part}_elbo": elbo / steps,
            f"{part}_kl_per_piece": kl / len(x),
        }
    return found


def cropped(x: Tensor) -> Tensor:
    """Some beginnings of pieces, by which weights are chosen: all would take too long."""
    return x[:60, :256]


# -- speed ----------------------------------------------------------------------------------------


def run_speed(record: Record, options: argparse.Namespace) -> dict[str, Any]:
    windows = melodies(options.data, options.prepared)
    train, _ = parted(windows)
    model = MusicVAE(
        epochs=1, device=options.device, hidden=options.hidden, batch_size=options.batch
    )
    few = train.part(np.arange(min(len(train), 4_000)))
    model.fit(few)
    model.model_.eval()
    z = torch.randn(512, model.latent_, device=options.device)
    loops = {
        "training": (through_the_loop, few, options),
        "plain_training": (by_hand, few, options),
        "drawing": (drawn_by_the_law, z),
        "plain_drawing": (drawn_by_hand, z),
    }
    found: dict[str, Any] = {name: [] for name in loops}
    for _ in range(5):
        for name, (loop, *given) in loops.items():
            found[name].append(loop(model, *given))
    shown = {name: float(np.median(speeds)) for name, speeds in found.items()}
    for name in ("training", "drawing"):
        ratios = np.array(found[name]) / np.array(found[f"plain_{name}"])
        found[f"{name}_ratio"] = shown[f"{name} ratio"] = float(np.median(ratios))
    show_figures(record, "symbols a second", shown)
    record.target(
        "training's share of a plain loop's speed", found["training_ratio"], 0.9, least=True
    )
    record.target(
        "drawing's share of a plain loop's speed", found["drawing_ratio"], 0.9, least=True
    )
    return found


# -- what is shown --------------------------------------------------------------------------------


def show_figures(record: Record, title: str, found: dict[str, Any]) -> None:
    rows = [
        [name, f"{value:,.4g}"] for name, value in found.items() if isinstance(value, int | float)
    ]
    record.table(title, ["", ""], rows)


def pictures(model: MusicVAE, test: Windows, options: argparse.Namespace, name: str) -> None:
    """Things to look at and to listen to: drawn, varied, between two."""
    if options.pictures is None:
        return
    codec = model.codec_
    real = codec.decode(codec.symbols(test.part([0, len(test) // 2])))
    write_scores(model.sample(8, seed=1), options.pictures / f"{name}-drawn")
    write_scores(
        [real[0], *model.vary(real[:1], 5, strength=0.5, seed=0)],
        options.pictures / f"{name}-varied",
    )
    if real[0].meter == real[1].meter:
        write_scores(model.interpolate(real[:1], real[1:], 7), options.pictures / f"{name}-between")


def write_scores(pieces: list[Any], path: Path) -> None:
    """Pieces in one picture (.svg), and each as MIDI where that can be written."""
    from variate.errors import MissingExtraError
    from variate.music import write
    from variate.music.engraving import svg_of

    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.with_suffix(".svg").write_text(svg_of(pieces), encoding="utf-8")
        write(pieces, path)
    except MissingExtraError as error:
        print(f"no scores: {error}")


RUN = {"melodies": run_melodies, "chorales": run_chorales, "rolls": run_rolls, "speed": run_speed}

if __name__ == "__main__":
    main()
