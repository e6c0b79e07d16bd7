"""The loop: what it yields, what it leaves behind, and that it learns."""

import itertools

import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, Independent, Normal
from training_tiny import (
    LATENT,
    WIDTH,
    Bound,
    Decoder,
    Distortion,
    Encoder,
    Prior,
    WithCritic,
    correlated,
    digest,
    points,
    restless,
    tiny,
)

from variate.errors import CollapseWarning, DataError, OptionError, SupportError
from variate.inference import Loss
from variate.models.vae import VAE
from variate.training import (
    Finished,
    MemorySource,
    Saved,
    Started,
    Step,
    StreamSource,
    Validated,
    train,
)

X, HELD = correlated(400).split([300, 100])


def run(model, objective=None, data=X, **options):
    options = {"validation": HELD, "epochs": 4, "batch_size": 50} | options
    return list(train(model, Bound() if objective is None else objective, data, **options))


def kinds(events):
    return [kind for kind, _ in itertools.groupby(events, key=type)]


def of(events, kind):
    return [event for event in events if isinstance(event, kind)]


def figure(model, objective, x):
    """The held-out figure of the weights a model has, with noise of our own."""
    with torch.no_grad():
        losses = [objective.eval()(model.eval(), x, MOMENT).total for _ in range(50)]
    return -float(torch.stack(losses).mean())


class _End:
    progress = 1.0
    items = 300


MOMENT = _End()


# ---- events -------------------------------------------------------------------------------------


def test_a_run_starts_steps_validates_and_finishes():
    events = run(tiny())
    assert kinds(events)[0] is Started
    assert kinds(events)[-2:] == [Validated, Finished]
    steps = of(events, Step)
    assert [step.step for step in steps] == list(range(1, 25))
    assert [step.items for step in steps] == list(range(50, 1_201, 50))
    assert steps[-1].epoch == 4.0
    assert steps[-1].progress == 1.0
    seconds = [step.seconds for step in steps]
    assert seconds == sorted(seconds)
    assert events[0] == Started(
        items=300,
        held_out=100,
        probe=100,
        batch_size=50,
        steps=24,
        seconds=None,
        parameters=sum(p.numel() for p in tiny().parameters()),
        device="cpu",
        precision="float32",
    )
    assert events[-1].reason == "budget spent (24 steps)"
    assert events[-1].step == 24


def test_the_loss_of_a_step_has_no_graph_and_its_terms():
    step = of(run(tiny()), Step)[5]
    assert not step.loss.total.requires_grad
    assert {"elbo", "kl", "log_likelihood", "beta"} <= step.loss.terms.keys()


def test_it_learns_and_the_model_ends_with_the_weights_of_the_best_figure():
    model, objective = tiny(), Bound()
    before = figure(tiny(), objective, HELD)
    events = run(model, objective, epochs=60)
    best = max(of(events, Validated), key=lambda event: event.figure)
    assert events[-1].best_figure == best.figure
    assert events[-1].best_step == best.step
    assert best.figure > before + 2.0
    assert figure(model, objective, HELD) == pytest.approx(best.figure, abs=0.15)
    assert not model.training
    flags = [event.best for event in of(events, Validated)]
    highest = list(itertools.accumulate((e.figure for e in of(events, Validated)), max))
    assert flags == [True] + [b > a for a, b in itertools.pairwise(highest)]


def test_every_schedule_is_over_when_the_budget_is_whatever_the_size():
    """A warm-up is laid over the budget, so it completes in three steps as in three thousand."""
    for options in ({"epochs": 0.5}, {"epochs": 30}, {"batch_size": 300, "epochs": 2}):
        objective = Bound(share=1.0)
        events = run(tiny(), objective, **options)
        last = of(events, Step)[-1]
        assert last.progress == 1.0
        # the first look and the first step are at 0; the last step is one short of 1
        total = last.step
        assert objective.seen == [0.0, *(step / total for step in range(total))]


def test_the_learning_rate_follows_its_schedule():
    rates = [step.learning_rate for step in of(run(tiny(), epochs=30), Step)]
    assert max(rates) == pytest.approx(2e-3, rel=1e-3)
    assert rates.index(max(rates)) < 0.03 * len(rates)
    assert rates[-1] < 1e-6


# ---- random numbers -----------------------------------------------------------------------------


def test_the_callers_random_numbers_are_untouched_at_every_event():
    torch.manual_seed(8)
    state = torch.get_rng_state()
    for _ in train(restless(), Bound(), X, validation=HELD, epochs=2, batch_size=50):
        assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_run_depends_on_its_seed_and_on_nothing_the_caller_draws():
    hashes = []
    for seed, disturb in ((1, 0), (1, 10), (2, 0)):
        model = restless()
        for _ in train(model, Bound(), X, validation=HELD, epochs=3, batch_size=50, seed=seed):
            torch.randn(disturb)
        hashes.append(digest(model))
    assert hashes[0] == hashes[1] != hashes[2]


def test_how_often_it_is_validated_does_not_change_the_steps():
    losses = []
    for every in (1, 7):
        events = run(restless(), validate_every=every, epochs=3)
        losses.append([float(step.loss.total) for step in of(events, Step)])
    assert losses[0] == losses[1]


# ---- data ---------------------------------------------------------------------------------------


def test_a_batch_is_never_larger_than_the_data():
    events = run(tiny(), data=X[:7], epochs=3, batch_size=512)
    assert events[0].batch_size == 7
    assert events[-1].step == 3


def test_one_item_can_be_trained_on():
    events = run(tiny(), data=X[:1], validation=None, epochs=3)
    assert events[-1].step == 3


def test_raw_data_stays_raw_until_the_network():
    class Pixels(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = Encoder()
            self.seen = set()

        def forward(self, x):
            self.seen.add(x.dtype)
            return self.inner(x.float() / 255)

    encoder = Pixels()
    data = (X.abs() * 40).clamp(max=255).to(torch.uint8)
    run(tiny(encoder), data=data, validation=data[:20], epochs=1)
    assert encoder.seen == {torch.uint8}


def test_the_same_items_give_the_same_steps_from_a_tensor_and_from_a_source():
    a, b = restless(), restless()
    run(a, data=X)
    run(b, data=MemorySource(X))
    assert digest(a) == digest(b)


def test_streaming_trains_as_well_as_memory():
    blocks = X.split(30)
    source = StreamSource([lambda b=b: b for b in blocks], [len(b) for b in blocks], window=3)
    found = [run(tiny(), data=data, epochs=40)[-1].best_figure for data in (X, source)]
    assert found[0] == pytest.approx(found[1], abs=0.1)


def test_without_held_out_items_the_figure_is_of_training_items_and_says_so():
    events = run(tiny(), validation=None)
    assert events[0].held_out == 0
    assert events[0].probe == 300
    assert not any(event.held_out for event in of(events, Validated))
    assert events[-1].held_out is False


def test_no_budget_is_a_budget_that_fits_the_data():
    events = train(tiny(), Bound(), X, batch_size=50)
    started = next(events)
    assert started.steps == 4_000
    events.close()


def test_a_budget_of_minutes_is_kept():
    events = run(tiny(), epochs=None, minutes=0.6 / 60)
    assert events[0].seconds == pytest.approx(0.6)
    assert 0.6 <= events[-1].seconds < 3.0  # a loaded machine is late
    assert events[-1].reason == "budget spent (0.01 minutes)"
    assert of(events, Step)[-1].progress == 1.0
    assert len(of(events, Validated)) >= 2


# ---- stopping -----------------------------------------------------------------------------------


def test_patience_stops_a_run_that_no_longer_improves():
    events = run(points(), Distortion(), epochs=400, patience=3, ema=0.0, learning_rate=0.05)
    assert events[-1].reason == "no improvement for 3 validations"
    assert of(events, Step)[-1].progress < 1.0
    tail = of(events, Validated)[-3:]
    assert not any(event.best for event in tail)
    assert events[-1].best_step == of(events, Validated)[-4].step


@pytest.mark.parametrize("share", [0.2, 0.6])
def test_patience_is_not_counted_before_the_warm_up_is_over(share):
    class Worse(Bound):
        """Its figure falls with every validation."""

        validations = 0

        def forward(self, model, x, moment):
            loss = super().forward(model, x, moment)
            if not self.training:
                self.validations += 1
                return Loss(0 * loss.total + self.validations, loss.terms)
            return loss

    events = run(tiny(), Worse(share), epochs=20, patience=2, validate_every=6)
    assert "no improvement" in events[-1].reason
    last = of(events, Validated)[-1].progress
    assert share + 0.05 <= last <= share + 0.15


def test_leaving_the_loop_leaves_the_best_weights_in_the_model():
    model = tiny()
    for event in train(model, Bound(), X, validation=HELD, epochs=30, validate_every=20):
        if isinstance(event, Validated):
            best = {name: p.clone() for name, p in model.named_parameters()}
        if isinstance(event, Step) and event.step == 50:
            break
    assert not model.training
    assert any(not torch.equal(best[name], p) for name, p in model.named_parameters())
    again = tiny()
    events = train(again, Bound(), X, validation=HELD, epochs=30, validate_every=20)
    for event in events:
        if isinstance(event, Validated) and event.step == 40:
            break
    events.close()
    assert digest(again) == digest(model)


def test_leaving_before_any_validation_leaves_the_averaged_weights():
    model = tiny()
    for event in train(model, Bound(), X, validation=HELD, epochs=30, validate_every=10**6):
        if isinstance(event, Step) and event.step == 10:
            live = digest(model)
            break
    assert digest(model) not in {live, digest(tiny())}
    assert not model.training


def test_an_error_in_the_model_leaves_the_best_weights_in_it():
    class Failing(Bound):
        def forward(self, model, x, moment):
            if self.training and moment.progress > 0.5:
                raise KeyboardInterrupt
            return super().forward(model, x, moment)

    model = tiny()
    seen = []
    with pytest.raises(KeyboardInterrupt):
        seen.extend(train(model, Failing(), X, validation=HELD, epochs=30, validate_every=20))
    assert not model.training
    assert figure(model, Bound(), HELD) > figure(tiny(), Bound(), HELD) + 0.5


# ---- models and objectives ----------------------------------------------------------------------


def test_lazy_layers_get_their_sizes_and_the_same_weights_every_time():
    class Lazy(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.LazyLinear(2 * LATENT)

        def forward(self, x):
            location, raw = self.net(x).chunk(2, -1)
            return Independent(Normal(location, raw.exp()), 1)

    hashes = []
    for disturb in (1, 2):
        torch.manual_seed(disturb)
        model = VAE(Lazy(), tiny().decoder, Prior())
        run(model)
        hashes.append(digest(model))
    assert hashes[0] == hashes[1]


def test_a_critic_is_trained_beside_the_model_and_its_buffers_start_untouched():
    objective = WithCritic()
    before = digest(objective)
    seen = []

    class Watched(nn.Module):
        def forward(self, x):
            seen.append(float(objective.running))
            return encoder(x)

    encoder = Encoder()
    watched = Watched()
    watched.inner = encoder
    model = tiny(watched)
    events = run(model, objective, epochs=3)
    assert digest(objective) != before
    assert seen[:3] == [0.0, 0.0, 0.0]  # the check of the data, the first look, the first step
    assert float(objective.running) != 0.0
    assert all(step.loss.critic is not None for step in of(events, Step))


def test_parameters_of_an_objective_without_a_critic_follow_the_total():
    class Learned(nn.Module):
        def __init__(self):
            super().__init__()
            self.shift = nn.Parameter(torch.ones(()))

        def forward(self, model, x, moment):
            return Loss(Distortion()(model, x, moment).total + self.shift.square())

    objective = Learned()
    run(tiny(), objective, epochs=20, learning_rate=0.02)
    assert objective.shift.abs() < 0.5


def test_frozen_parameters_stay():
    model = tiny()
    for p in model.encoder.parameters():
        p.requires_grad_(False)
    frozen = digest(model.encoder)
    run(model)
    assert digest(model.encoder) == frozen


def test_an_objective_may_be_a_plain_function():
    def objective(model, x, moment):
        return Loss(-model(x).log_likelihood(x).mean())

    assert run(tiny(), objective)[-1].best_figure > -20


def test_a_collapsed_posterior_is_warned_of_at_the_end():
    class Deaf(Bound):
        def forward(self, model, x, moment):
            loss = super().forward(model, x, moment)
            kl = model(x).kl().mean()
            return Loss(loss.total + 1_000 * kl, loss.terms)

    with pytest.warns(CollapseWarning, match="0 of 2 latent dimensions are active") as caught:
        run(tiny(), Deaf(), epochs=40, learning_rate=0.05)
    assert "Lower beta" in str(caught[0].message)


# ---- the border ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epochs": 1, "minutes": 1}, "both given"),
        ({"epochs": 0}, "epochs=0 must be above 0"),
        ({"epochs": None, "minutes": -1}, "minutes=-1 must be above 0"),
        ({"batch_size": 0}, "batch_size=0 must be at least 1"),
        ({"learning_rate": 0.0}, "learning_rate=0.0 must be above 0"),
        ({"weight_decay": -1.0}, "weight_decay=-1.0 must not be negative"),
        ({"ema": 1.0}, "ema=1.0 must be at least 0 and below 1"),
        ({"clip": 0.0}, "clip=0.0 must be above 0"),
        ({"skip": 1.0}, "skip=1.0 must be above 1"),
        ({"patience": 0}, "patience=0 must be at least 1"),
        ({"validate_every": 0}, "validate_every=0 must be at least 1"),
        ({"resume": True}, "needs checkpoint=FILE"),
        ({"precision": "float16"}, "precision='float16' is unknown"),
        ({"device": "meta"}, "device='meta' cannot be trained on"),
    ],
)
def test_an_argument_that_cannot_be_used_is_named(options, words):
    with pytest.raises(OptionError, match=words):
        run(tiny(), **options)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_told():
    with pytest.raises(OptionError, match="sees no CUDA device; use device='cpu'"):
        run(tiny(), device="cuda")


def test_no_items_is_an_error():
    with pytest.raises(DataError, match="has 0 items"):
        run(tiny(), data=X[:0])
    with pytest.raises(DataError, match="held-out data has no items"):
        run(tiny(), validation=X[:0])


def test_a_model_without_parameters_is_refused():
    model = tiny().requires_grad_(False)
    with pytest.raises(OptionError, match="no parameters"):
        run(model)


def test_a_total_that_is_no_scalar_is_refused():
    def objective(model, x, moment):
        return Loss(-model(x).log_likelihood(x))

    with pytest.raises(TypeError, match=r"has shape \[1, 50\]; it must be a scalar"):
        run(tiny(), objective)


@pytest.mark.parametrize("where", ["data", "validation"])
def test_data_outside_of_the_support_is_an_error_before_training(where):
    class Coins(Decoder):
        def forward(self, z):
            return Independent(Bernoulli(logits=self.net(z), validate_args=False), 1)

    data = {"data": torch.ones(60, WIDTH), "validation": torch.ones(60, WIDTH)}
    data[where][41, 3] = 0.5
    name = "the data" if where == "data" else "the held-out data"
    with pytest.raises(SupportError, match=rf"{name}, row 41, position 3: the value 0\.5"):
        run(VAE(Encoder(), Coins(), Prior()), **data)


# ---- checkpoints in one process (test_training_resume kills for real) -------------------------


def test_without_a_checkpoint_there_is_nothing_to_resume_and_it_says_so(tmp_path):
    events = run(tiny(), checkpoint=tmp_path / "run", resume=True)
    assert events[0].resumed is None
    assert events[-1].step == 24


def test_a_closed_run_goes_on_exactly(tmp_path):
    whole, halved = restless(), restless()
    options = {"validation": HELD, "epochs": 6, "batch_size": 50, "validate_every": 5}
    list(train(whole, WithCritic(), X, **options))
    saving = options | {"checkpoint": tmp_path / "run"}
    for event in train(halved, WithCritic(), X, **saving):
        if isinstance(event, Step) and event.step == 10:
            break
    objective = WithCritic()
    halved = restless()
    events = list(train(halved, objective, X, resume=True, **saving))
    assert events[0].resumed == 10
    assert isinstance(events[1], Validated)  # the one that was due at step 10
    assert digest(whole) == digest(halved)


def test_checkpoints_are_events_and_hold_the_run(tmp_path):
    options = {"checkpoint": tmp_path / "run", "checkpoint_seconds": 0.0, "epochs": 30}
    events = run(tiny(), **options)
    saved = of(events, Saved)
    assert saved
    assert saved[-1].path == tmp_path / "run"
    assert saved[-1].size == (tmp_path / "run").stat().st_size
    times = [events[i - 1].seconds for i, event in enumerate(events) if event in saved]
    for (earlier, later), event in zip(itertools.pairwise(times), saved, strict=False):
        assert later - earlier >= 50 * event.seconds  # so a write costs 2 % of the time


def test_a_finished_run_is_finished_at_once_when_resumed(tmp_path):
    options = {"checkpoint": tmp_path / "run", "epochs": 2}
    model = tiny()
    events = train(model, Bound(), X, validation=HELD, **options)
    last = None
    for event in events:
        last = event
        if isinstance(event, Validated) and event.progress == 1.0:
            break
    events.close()
    again = tiny()
    events = run(again, resume=True, batch_size=256, **options)
    assert [type(event) for event in events] == [Started, Finished]
    assert events[-1].best_figure == last.figure
    assert digest(again) == digest(model)
