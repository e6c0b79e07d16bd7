"""How likely are the sentences of the Penn Treebank under a VAE, beside the same language model?

The standard split, a sentence an item, its words the symbols (the ten thousand of the file, `<unk>`
one of them) and the end one more. Two models of the same decoder get the same wall time:

    lm     the decoder told nothing (z = 0), a language model
    vae    a third of the time the same, then the ELBO with free nats and a warm-up

Figures are of the test sentences, in nats per sentence: -log p(x) by the importance-weighted bound
(500 draws), -ELBO, KL, the mutual information of x and z (1,000 sentences), and how many units are
active (the variance of their mean is above 0.01). Perplexity is exp(nats / words), of all test
sentences together, the end of each counted as a word. `vae` has N(0, I) as its prior, `vae+prior` a
mixture fitted to the codes of the training sentences: the same encoder and decoder. Of the weights
those are kept that are best on the validation sentences.

`--kept FOLDER` keeps the two models there once they are trained, and measures those that it finds
there in place of training them; with `--train lm` (or vae) one is trained and nothing measured, so
that two processes can train side by side.

Throughput is in words per second: of training, by `vt.train` beside a plain loop of the same
network, objective and batches with torch's AdamW; of sampling, by `Sequences.sample` beside a plain
loop of the network's step with `torch.multinomial`.
"""

import argparse
import json
import os
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
from harness.arguments import parser
from harness.ptb import Treebank, treebank
from harness.record import Record
from harness.timing import Stopwatch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import variate as vt
from variate import verbs
from variate.evaluation.latent import active_units, elbo_surgery
from variate.inference import Moment
from variate.models import SequenceDecoder
from variate.models.sequences import language_model
from variate.nets import RecurrentDecoder, RecurrentEncoder
from variate.objectives import GroupFreeBits, LanguageModel, Opening, WarmUp
from variate.training import Finished, LengthSource

ALONE, WARM = 0.35, 0.35
TRIED = 30  # steps from which the speed is taken
SHOWN = 8
OF_TRAINING = (  # that a model which is measured later must have been trained with
    "hidden", "embedding", "encoder", "latent", "nats", "dropout", "word_dropout", "batch",
    "learning_rate", "weight_decay", "seed", "precision",
)  # fmt: skip
CODES = 40_000


def main() -> None:
    options = arguments()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.set_float32_matmul_precision("high")
    bank = treebank(options.data)
    test = bank.test[: options.items]
    test = test[bank.lengths(test).argsort()]  # so that a block is no longer than it must be
    record = Record("text", described(options, bank, test))
    record.head()
    source = LengthSource(bank.train, bank.lengths(bank.train))
    if options.train:
        trained(bank, source, options, record, options.train)
        return
    if options.throughput:
        record.results["throughput"] = throughput(bank, source, options)
        print("words/s", record.results["throughput"], flush=True)
    lm = trained(bank, source, options, record, "lm")
    record.results["lm"] |= of_language_model(lm, bank, test, options)
    del lm
    vae = trained(bank, source, options, record, "vae")
    record.results["vae"] |= of_vae(vae, bank, test, options)
    record.results["shown"] = shown(vae, bank, test, options)
    fit_prior(vae, bank.train, options)
    record.results["vae+prior"] = of_vae(vae, bank, test, options)
    tell(record)
    record.write(options)


def arguments() -> argparse.Namespace:
    made = parser(__doc__.partition("\n\n")[0])
    folder = os.environ.get("VARIATE_DATA")
    made.add_argument("--data", type=Path, default=folder, help="has text/ptb.*.txt.gz")
    made.add_argument("--device", default=None, help="cpu, cuda; None: a GPU if there is one")
    made.add_argument("--precision", default="auto", help="of training: float32, bfloat16, auto")
    made.add_argument("--threads", type=int, default=None, help="of torch, on the CPU")
    made.add_argument("--minutes", type=float, default=1.25, help="of each of the two trainings")
    made.add_argument("--items", type=int, default=None, help="test sentences; None: all")
    made.add_argument("--draws", type=int, default=500, help="posterior draws of each")
    made.add_argument("--hidden", type=int, default=1024, help="width of the states")
    made.add_argument("--embedding", type=int, default=512, help="width of the words' vectors")
    made.add_argument("--encoder", type=int, help="width of its states each way; default: half")
    made.add_argument("--latent", type=int, default=32, help="dimensions of z")
    made.add_argument("--nats", type=float, default=6.0, help="KL that is free")
    made.add_argument("--dropout", type=float, default=0.5, help="of the inputs and outputs")
    made.add_argument("--word-dropout", type=float, default=0.1, help="of the words given")
    made.add_argument("--batch", type=int, default=256, help="sentences per step")
    made.add_argument("--learning-rate", type=float, default=1.5e-3, help="its peak")
    made.add_argument("--weight-decay", type=float, default=0.0, help="of AdamW, decoupled")
    made.add_argument("--rows", type=int, default=64, help="sentences measured at once")
    made.add_argument("--chunk", type=int, default=50, help="draws of them at once")
    made.add_argument("--seed", type=int, default=1, help="of weights, batches and draws")
    made.add_argument("--throughput", action="store_true", help="measure it, beside a plain loop")
    made.add_argument("--kept", type=Path, default=None, help="a folder of trained models")
    made.add_argument("--train", choices=("lm", "vae"), help="only train this one, for --kept")
    options = made.parse_args()
    if options.train and not options.kept:
        made.error("--train needs --kept, a folder for the model")
    if options.device is None:
        options.device = "cuda" if torch.cuda.is_available() else "cpu"
    if options.quick:
        options.minutes, options.items, options.draws = min(options.minutes, 0.3), 100, 20
        options.hidden, options.embedding, options.batch = 64, 32, 32
    options.encoder = options.encoder or options.hidden // 2
    return options


def described(options: argparse.Namespace, bank: Treebank, test: Tensor) -> dict[str, Any]:
    left_out = ("data", "out", "quick", "kept", "train")
    told = {k: v for k, v in vars(options).items() if k not in left_out}
    if options.device.startswith("cuda"):
        told["gpu"] = torch.cuda.get_device_name()
    return told | {
        "symbols": bank.end + 1,
        "test_sentences": len(test),
        "test_words": int(bank.lengths(test).sum()),
    }


def made(bank: Treebank, options: argparse.Namespace) -> vt.VAE:
    """The model; encoder and decoder have their own vectors of words."""
    torch.manual_seed(options.seed)
    size, end, latent = bank.end + 1, bank.end, options.latent
    encoder = nn.Sequential(
        RecurrentEncoder(size, options.embedding, options.encoder, end, options.dropout),
        vt.posteriors.DiagonalGaussian(latent),
    )
    net = RecurrentDecoder(
        size, latent, options.embedding, options.hidden,
        dropout=options.dropout, word_dropout=options.word_dropout,
    )  # fmt: skip
    decoder = SequenceDecoder(net, bank.train.shape[1], end, block=2 * options.rows)
    model = vt.VAE(encoder, decoder, vt.priors.Aggregate(latent))
    model(bank.test[:2])  # gives lazy layers their shapes
    return model


def trained(
    bank: Treebank, source: LengthSource, options: argparse.Namespace, record: Record, name: str
) -> vt.VAE:
    """A model after its time, or as it was kept; what it took goes into the record."""
    model = made(bank, options)
    if options.kept is None:
        record.results[name] = learned(model, bank, source, options, name)
        return model
    weights, told = (options.kept / f"{name}{ending}" for ending in (".safetensors", ".json"))
    chosen = {option: getattr(options, option) for option in OF_TRAINING}
    if told.exists():
        kept = json.loads(told.read_text())
        if kept.pop("options") != chosen:
            raise SystemExit(f"{told} was trained with other options; give the same, or remove it")
        model.load_state_dict(load_file(weights))
        record.results[name] = kept
        return model.to(options.device).eval()
    record.results[name] = learned(model, bank, source, options, name)
    options.kept.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, weights)
    told.write_text(json.dumps(record.results[name] | {"options": chosen}))
    return model


def learned(
    model: vt.VAE, bank: Treebank, source: LengthSource, options: argparse.Namespace, name: str
) -> dict[str, Any]:
    """Train a model for its time; what it took."""
    nats = GroupFreeBits(options.nats, beta=WarmUp(1.0, WARM))
    events = vt.train(
        model, LanguageModel() if name == "lm" else Opening(nats, ALONE), source,
        validation=bank.valid[: options.items], minutes=options.minutes,
        batch_size=options.batch, learning_rate=options.learning_rate,
        weight_decay=options.weight_decay, seed=options.seed, device=options.device,
        precision=options.precision,
    )  # fmt: skip
    curve = []
    for event in events:
        if isinstance(event, vt.training.Validated):
            curve.append([event.step, round(event.figure, 3), round(event.terms.get("kl", 0.0), 3)])
            print(f"{name}: step {event.step}, {event.seconds:.0f} s, valid {event.figure:.3f}, "
                  f"kl {curve[-1][2]}", flush=True)  # fmt: skip
    assert isinstance(event, Finished)
    return {
        "minutes": options.minutes, "steps": event.step,
        "epochs": event.step * options.batch / source.items,
        "seconds": event.seconds, "cpu_seconds": event.cpu_seconds, "best_step": event.best_step,
        "parameters": sum(p.numel() for p in model.parameters()),
        "decoder_parameters": sum(p.numel() for p in model.decoder.parameters()), "curve": curve,
    }  # fmt: skip


@torch.no_grad()
def of_language_model(
    model: vt.VAE, bank: Treebank, test: Tensor, options: argparse.Namespace
) -> dict[str, float]:
    watch, total = Stopwatch(), 0.0
    for block in test.split(4 * options.rows):
        x = block.to(options.device)
        total -= float(language_model(model, x).log_prob(x).double().sum())
    return {"nll": total / len(test), "measuring": watch.taken().wall} | perplexity(
        total, bank, test
    )


def of_vae(
    model: vt.VAE, bank: Treebank, test: Tensor, options: argparse.Namespace
) -> dict[str, Any]:
    watch = Stopwatch()
    bounds = vt.evaluation.bounds(
        model, test, draws=options.draws, chunk=options.chunk, rows=options.rows
    )
    nll, elbo = -bounds.importance, -bounds.elbo
    some = test[torch.randperm(len(test), generator=torch.Generator().manual_seed(0))]
    surgery = elbo_surgery(model, some, points=min(1000, len(some)))
    kl = surgery.mutual_information + surgery.aggregate_gap
    return {
        "nll": float(nll.mean()), "nll_error": float(nll.std() / len(nll) ** 0.5),
        "-elbo": float(elbo.mean()), "kl": kl, "rec": float(elbo.mean()) - kl,
        "mutual_information": surgery.mutual_information,
        "active": active_units(model, test), "latent": options.latent,
        "measuring": watch.taken().wall,
    } | perplexity(float(nll.sum()), bank, test)  # fmt: skip


def perplexity(total: float, bank: Treebank, test: Tensor) -> dict[str, float]:
    return {"perplexity": float(torch.tensor(total / int(bank.lengths(test).sum())).exp())}


def fit_prior(model: vt.VAE, train: Tensor, options: argparse.Namespace) -> None:
    codes = verbs.codes(model, train, CODES, seed=1_000 + options.seed)  # no noise of a measure
    model.prior.fit(codes, seed=options.seed)


@torch.no_grad()
def shown(
    model: vt.VAE, bank: Treebank, test: Tensor, options: argparse.Namespace
) -> dict[str, list[Any]]:
    """Sentences to look at: drawn, reconstructed, between two."""
    torch.manual_seed(options.seed)
    device = torch.device(options.device)
    x = test[torch.linspace(0.2, 0.8, SHOWN).mul(len(test)).long()].to(device)
    mean = model.encoder(x).mean
    ways = verbs.way(mean[2].cpu(), mean[-3].cpu(), 7, spherical=True).to(device)
    drawn = model.decoder(torch.randn(1, SHOWN, options.latent, device=device))
    again = model.decoder(mean[None]).mode[0]
    told = {
        "drawn": [bank.text(row) for row in drawn.sample()[0].cpu()],
        "drawn, greedily": [bank.text(row) for row in drawn.mode[0].cpu()],
        "reconstructed": [
            [bank.text(a), bank.text(b)] for a, b in zip(x.cpu(), again.cpu(), strict=True)
        ],
        "between": [bank.text(row) for row in model.decoder(ways[None]).mode[0].cpu()],
    }
    for name, lines in told.items():
        print(name, *lines, sep="\n  ", flush=True)
    return told


def throughput(
    bank: Treebank, source: LengthSource, options: argparse.Namespace
) -> dict[str, float]:
    """Words per second of training, by the loop of variate and by a plain one."""
    device = torch.device(options.device)
    words = sum(int(bank.lengths(bank.train[source.rows(step, options.batch, options.seed)]).sum())
                for step in range(TRIED))  # fmt: skip
    objective = GroupFreeBits(options.nats)
    found = {}
    for name, loop in (("plain", _plain), ("variate", _ours)):
        model = made(bank, options).to(device)
        loop(model, objective, source, 3, options)
        _wait(device)
        watch = Stopwatch()
        loop(model, objective, source, TRIED, options)
        _wait(device)
        found[name] = words / watch.taken().wall
    found["ratio"] = found["variate"] / found["plain"]
    model.eval()
    for name, draw in (("plain", _plain_draws), ("variate", _our_draws)):
        z = torch.randn(options.batch, options.latent, device=device)
        draw(model, z)
        _wait(device)
        watch = Stopwatch()
        drawn = draw(model, z)
        _wait(device)
        found[f"sampling_{name}"] = drawn.numel() / watch.taken().wall
    return found | {"sampling_ratio": found["sampling_variate"] / found["sampling_plain"]}


@torch.no_grad()
def _our_draws(model: Any, z: Tensor) -> Tensor:
    drawn: Tensor = model.decoder(z[None]).sample()[0]
    return drawn


@torch.no_grad()
def _plain_draws(model: Any, z: Tensor) -> Tensor:
    net, memory, before, drawn = model.decoder.net, model.decoder.net.begin(z), None, []
    for _ in range(model.decoder.length):
        logits, memory = net.step(memory, before)
        before = torch.multinomial(logits.softmax(-1), 1)[:, 0]
        drawn.append(before)
    return torch.stack(drawn, 1)


def _plain(model: Any, objective: Any, source: Any, steps: int, options: Any) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.0)
    half = options.precision == "bfloat16" or (options.precision == "auto" and
                                                 options.device.startswith("cuda"))  # fmt: skip
    model.train()
    with closing(source.batches(0, options.batch, options.seed)) as stream:
        for _ in range(steps):
            x = next(stream).to(options.device, non_blocking=True)
            optimizer.zero_grad()
            with torch.autocast(options.device.partition(":")[0], torch.bfloat16, enabled=half):
                loss = objective(model, x, Moment())
            loss.total.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 10.0)
            optimizer.step()


def _ours(model: Any, objective: Any, source: Any, steps: int, options: Any) -> None:
    for _ in vt.train(
        model, objective, source, epochs=steps * options.batch / source.items,
        batch_size=options.batch, seed=options.seed, device=options.device,
        precision=options.precision, validation=source.data[:1], validate_every=10**6,
    ):  # fmt: skip
        pass


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def tell(record: Record) -> None:
    heads = ["nll", "-elbo", "kl", "mutual_information", "active", "perplexity", "epochs"]
    rows = [
        [name, *(f"{found[head]:.2f}" if head in found else "" for head in heads)]
        for name, found in record.results.items()
        if name in ("lm", "vae", "vae+prior")
    ]
    record.table("Penn Treebank, test sentences, nats per sentence", ["", *heads], rows)
    lm, best = record.results["lm"], record.results["vae+prior"]
    plain = record.results["vae"]
    record.target("-log p(x) per sentence (vae+prior)", best["nll"], 101.0, least=False)
    record.target("perplexity per word (vae+prior)", best["perplexity"], 101.0, least=False)
    record.target("KL (vae, to N(0, I))", plain["kl"], 5.0, least=True)
    record.target("share of active units", plain["active"] / plain["latent"], 0.5, least=True)
    record.target("nats above our language model", best["nll"] - lm["nll"], 1.0, least=False)


if __name__ == "__main__":
    main()
