"""Pictures learned by two processes: streamed, a hierarchy, codes; alike in both, bit for bit."""

import hashlib
import importlib.util

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from test_training_processes import torchrun

from variate.models.quantized import MovingCodebook
from variate.training.processes import Processes, SharedBuffers

SCRIPT = """
import json, os, sys, warnings
from pathlib import Path
import numpy as np, torch
import variate as vt
from test_image_processes import *
from torch import nn
from variate.image import files, preparing

warnings.simplefilter("ignore")
FOLDER = Path(sys.argv[1])
X = np.load(FOLDER / "digits.npy")
FOUND = {}

class Spiked(nn.Module):  # one picture has a slope a million times the usual
    def forward(self, model, x, moment):
        loss = vt.objectives.ELBO()(model, x, moment)
        spike = 1e6 if model.training and (x == 16).flatten(1).all(1).any() else 1.0
        return vt.inference.Loss(spike * loss.total, loss.terms)

def fit(name, data, **options):
    where = {key: options.pop(key) for key in ("checkpoint", "resume", "logdir") if key in options}
    torch.manual_seed(len(FOUND) + int(os.environ['RANK']))  # processes need not have the same
    given = {"width": 4, "epochs": 3, "batch_size": 30} | options
    model = vt.ImageVAE(**given).fit(data, processes=2, **where)
    FOUND[name] = {
        "rank": model.facts_["rank"], "digest": digest(model.model_), "history": model.history_,
        "held_out": model.facts_["held_out"], "stage": model.facts_.get("second_stage"),
    }
    return model

large = files.LARGE
files.LARGE = preparing.LARGE = 1
logdir = {"logdir": FOLDER / "curves"} if TENSORBOARD else {}
factor = vt.objectives.Factor(2.0, 3, (8,))
fit("streamed", FOLDER / "pictures", latent=3, objective=factor, **logdir)
files.LARGE = preparing.LARGE = large
hierarchy = vt.networks.Hierarchy(groups=(0, 1, 1), channels=2)
white = np.concatenate([X, np.full((1, 8, 8), 16, np.uint8)])
fit("hierarchy", white, levels=17, network=hierarchy, objective=Spiked(), epochs=9)
vq = {"levels": 17, "network": vt.networks.VQ(8, 3, halvings=2), "checkpoint": FOLDER / "run"}
coded = fit("codes", X, **vq)
FOUND["own"] = coded.model_.encoder[1].codebook._who
FOUND["scores"] = coded.score_samples(X[:7], draws=2).tolist()
if FOUND["codes"]["rank"] == 0:
    (FOLDER / "run.prior").write_bytes(b"damaged")  # the second stage is begun anew, by both
fit("resumed", X, resume=True, **vq)
(FOLDER / f"{FOUND['codes']['rank']}.json").write_text(json.dumps(FOUND))
"""
TENSORBOARD = importlib.util.find_spec("tensorboard") is not None


def digest(model):
    parts = sorted(model.state_dict().items())
    return hashlib.sha256(b"".join(part.numpy().tobytes() for _, part in parts)).hexdigest()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    x = load_digits().images[:120].astype(np.uint8)
    np.save(folder / "digits.npy", x)
    (folder / "pictures").mkdir()
    for i, picture in enumerate(x[:60] * 15):
        Image.fromarray(picture).save(folder / "pictures" / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def found(folder):
    return torchrun(SCRIPT, folder)


@pytest.mark.parametrize("name", ["streamed", "hierarchy", "codes", "resumed"])
def test_both_processes_end_alike(found, name):
    first, second = (results[name] for results in found)
    assert (first.pop("rank"), second.pop("rank")) == (0, 1)
    for one in (first, second):
        if one["stage"]:
            one["stage"].pop("seconds")
    assert first == second
    assert len(first["history"]) > 1


def test_a_second_stage_that_cannot_be_resumed_is_begun_anew_by_both(found):
    first, resumed = found[0]["codes"], found[0]["resumed"]
    assert resumed["stage"]["stopped"].startswith("budget spent")
    assert resumed["digest"] == first["digest"]


def test_scores_are_shared_out_and_come_back_to_both(found):
    assert found[0]["scores"] == found[1]["scores"]
    assert len(found[0]["scores"]) == 7


@pytest.mark.skipif(not TENSORBOARD, reason="writes no curves without tensorboard")
def test_only_the_first_writes_curves(found, folder):
    assert len(list((folder / "curves").iterdir())) == 1
    assert len(found) == 2


@pytest.mark.parametrize("world", [2, 8])
def test_dead_entries_of_a_shared_codebook_are_revived_where_vectors_are(world):
    """Far groups of vectors: a mean of two from different groups would be near none of them."""
    groups = 6 * torch.randn(32, 6)
    book = MovingCodebook(32, 6, 0.99)
    cpu = torch.device("cpu")
    for _ in range(40):
        y = groups[torch.randint(32, (128,))] + 0.1 * torch.randn(128, 6)
        before = {name: buffer.clone() for name, buffer in book.named_buffers()}
        moved = {name: torch.zeros_like(buffer) for name, buffer in before.items()}
        for rank, part in enumerate(y.chunk(world)):  # what `settle` averages, one by one
            SharedBuffers([book], Processes(rank, world, cpu, cpu))
            book.learn(part)
            for name, buffer in book.named_buffers():
                moved[name] += (buffer - before[name]) / world
                buffer.copy_(before[name])
        for name, buffer in book.named_buffers():
            buffer.add_(moved[name])
    used = book.nearest(groups).unique()
    assert len(used) >= 28
    assert book._who == (world - 1, world)
