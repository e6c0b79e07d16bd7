"""A NaN is found where it was born: the module, the operation, the line and the rows."""

import warnings

import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal
from training_tiny import WIDTH, Bound, Decoder, Encoder, Prior, correlated, digest, tiny

from variate.errors import NonFiniteError, VariateWarning
from variate.inference import Loss
from variate.models.vae import VAE
from variate.training import Finished, Step, train
from variate.training.descent import Descent
from variate.training.nonfinite import trace

X = correlated(200)


class Logarithm(nn.Module):
    def forward(self, x):
        return x.log()  # the line that is to be named


class Root(nn.Module):
    def forward(self, x):
        return x.square().sum(-1).sqrt()  # 0 / 0 in the gradient at x = 0


class Net(nn.Module):
    """A linear layer, then something that may give birth to a NaN."""

    def __init__(self, last):
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.last = last
        with torch.no_grad():
            self.first.weight.copy_(torch.eye(3))
            self.first.bias.zero_()

    def forward(self, x):
        return self.last(self.first(x))


def traced(net, x, loss=lambda y: y.mean()):
    return trace(lambda: Loss(loss(net(x))), x, [("model", net)])


def ones(*bad, value):
    x = torch.ones(6, 3)
    for row in bad:
        x[row] = value
    return x


def test_everything_finite_has_no_birth_and_leaves_no_gradient():
    net = Net(Logarithm())
    assert traced(net, torch.ones(6, 3)) is None
    assert all(p.grad is None for p in net.parameters())


def test_a_birth_in_the_forward_pass_is_named_with_its_rows():
    born = traced(Net(Logarithm()), ones(2, 4, value=-1.0))
    assert born.what == "the operation 'log'"
    assert born.module == "model.last"
    assert "test_training_nonfinite.py, line" in born.line
    assert "return x.log()  # the line" in born.line
    assert not born.backward
    assert born.rows == (2, 4)


def test_a_birth_in_the_gradient_is_named_with_the_line_of_the_forward_pass():
    born = traced(Net(Root()), ones(3, value=0.0))
    assert born.backward
    assert "return x.square().sum(-1).sqrt()" in born.line
    assert born.rows == (3,)


def test_a_value_of_the_data_itself_is_named_as_such():
    born = traced(Net(nn.Identity()), ones(5, value=float("inf")))
    assert born.what == "the data"
    assert born.rows == (5,)


def test_a_weight_that_is_not_finite_is_named():
    net = Net(nn.Identity())
    with torch.no_grad():
        net.first.bias[1] = float("nan")
    assert traced(net, torch.ones(6, 3)).what == "the weight 'model.first.bias'"


def test_what_does_not_reach_the_loss_is_not_accused():
    """A mask of -inf, and the logarithm of what is masked away afterwards."""

    class Masked(nn.Module):
        def forward(self, x):
            scores = torch.zeros(len(x), 3).masked_fill(x < 0, float("-inf"))
            harmless = torch.where(x > 0, x.detach().log(), 0.0)
            return scores.softmax(-1) + harmless + x

    x = ones(1, 2, value=torch.tensor([-1.0, 1.0, 0.0]))
    assert traced(Net(Masked()), x) is None
    born = traced(Net(Masked()), x, lambda y: (y - 1.2).log().mean())
    assert born.module == ""
    assert "(y - 1.2).log()" in born.line
    assert 1 in born.rows


def test_a_missing_value_in_the_data_is_not_accused_of_what_another_value_did():
    """NaN in the data is masked at the end; a negative value in another row is the culprit."""

    class Table(nn.Module):
        def forward(self, x):
            score = (x - 1.0) / 2.0 + 1.0
            return torch.where(x.isnan(), 0.0, score.log() * 3.0)

    x = ones(4, value=torch.tensor([1.0, -9.0, 1.0]))
    x[1, 0] = float("nan")
    born = trace(lambda: Loss(Table()(x).mean()), x, [("model", Table())], gradient=False)
    assert born.what == "the operation 'log'"
    assert born.rows == (4,)


def test_among_several_causes_the_one_that_was_born_is_followed():
    """A NaN in the data and an overflow in the network meet in one operation."""
    x = ones(1, value=float("nan"))
    net = Net(Logarithm())
    finite = -torch.ones(6, 3)
    born = trace(
        lambda: Loss(torch.where(x.isnan(), 0.0, x * net(finite).sum()).mean()),
        x,
        [("model", net)],
    )
    assert born.what == "the operation 'log'"
    assert born.module == "model.last"


def test_rows_are_found_behind_a_dimension_of_draws():
    class Draws(nn.Module):
        def forward(self, x):
            return x.expand(2, *x.shape).log()

    assert traced(Net(Draws()), ones(4, value=-1.0)).rows == (4,)


# ---- in a run -----------------------------------------------------------------------------------


class Brittle(Encoder):
    """Overflows where the first value of an item is above 50."""

    def __init__(self):
        super().__init__()
        self.logarithm = Logarithm()

    def forward(self, x):
        return super().forward(x + 0 * self.logarithm(50 - x[:, :1]))


def brittle():
    return tiny(Brittle())


def run(model, data, objective=None, **options):
    options = {"epochs": 20, "batch_size": 50, "validation": X[:50]} | options
    return list(train(model, Bound() if objective is None else objective, data, **options))


@pytest.mark.parametrize("row", [0, 137])
def test_a_run_that_meets_a_nan_names_row_module_and_operation(row):
    data = X.clone()
    data[row, 0] = 1e6
    model = brittle()
    with pytest.raises(NonFiniteError) as caught:
        run(model, data)
    message = str(caught.value)
    assert f"on row {row} of the training data" in message
    assert "module 'model.encoder.logarithm'" in message
    assert "operation 'log'" in message
    assert "What to do: look at these rows for extreme values" in message
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_a_distribution_that_refuses_a_nan_is_traced_as_well():
    class Checked(Brittle):
        def forward(self, x):
            q = super().forward(x).base_dist
            return Independent(Normal(q.loc, q.scale, validate_args=True), 1)

    data = X.clone()
    data[137, 0] = 1e6
    with pytest.raises(NonFiniteError, match=r"operation 'log'.*on row 137") as caught:
        run(tiny(Checked()), data)
    assert "invalid values" in str(caught.value.__cause__)


def test_any_other_error_of_the_model_comes_as_it_is():
    class Odd(Bound):
        def forward(self, model, x, moment):
            if moment.progress > 0.2:
                raise ValueError("something else")
            return super().forward(model, x, moment)

    with pytest.raises(ValueError, match=r"^something else$"):
        run(tiny(), X, Odd(), validate_every=1_000)


def test_a_step_that_cannot_be_reproduced_is_skipped_with_a_warning():
    class Once(Bound):
        calls = 0

        def forward(self, model, x, moment):
            loss = super().forward(model, x, moment)
            if self.training:
                self.calls += 1
            return Loss(loss.total * (float("nan") if self.calls == 20 else 1.0), loss.terms)

    model = tiny()
    with pytest.warns(VariateWarning, match="the gradient of step 19 was not finite") as caught:
        events = run(model, X, Once())
    assert len(caught) == 1
    assert isinstance(events[-1], Finished)
    assert events[-1].skipped == 1
    assert events[-1].best_figure > -12


def test_a_long_row_of_lost_steps_is_an_error():
    class Dead(Bound):
        def forward(self, model, x, moment):
            loss = super().forward(model, x, moment)
            poison = float("nan") if torch.is_grad_enabled() and not self.replayed() else 1.0
            return Loss(loss.total * poison, loss.terms)

        def replayed(self):
            return torch.is_anomaly_enabled()

    with pytest.raises(NonFiniteError, match=r"the gradients of the last \d+ steps were not"):
        run(tiny(), X, Dead(), validate_every=1_000)


def test_a_figure_that_is_not_finite_is_warned_of_and_not_kept():
    held_out = X[:50].clone()
    held_out[31, 0] = 1e6
    with (
        pytest.warns(VariateWarning, match="on row 31 of the held-out data") as caught,
        pytest.raises(NonFiniteError, match="figure of the averaged weights was never finite"),
    ):
        run(brittle(), X, validation=held_out, epochs=4)
    assert "module 'model.encoder.logarithm'" in str(caught[0].message)


def test_looking_back_changes_nothing():
    """A replay leaves weights, buffers and random numbers as they were."""

    class Watched(Bound):
        def __init__(self):
            super().__init__()
            self.register_buffer("count", torch.zeros(()))

        def forward(self, model, x, moment):
            if self.training:
                self.count += 1
            return super().forward(model, x, moment)

    hashes, counts = [], []
    bad_steps = Descent.bad_steps
    for claimed in ([], [3]):
        with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
            warnings.simplefilter("ignore", VariateWarning)
            patch.setattr(
                Descent,
                "bad_steps",
                lambda self, a, b, claimed=claimed: (
                    [s for s in claimed if a <= s < b] or bad_steps(self, a, b)
                ),
            )
            model, objective = VAE(Encoder(restless=True), Decoder(), Prior()), Watched()
            model.load_state_dict(START)
            events = run(model, X, objective)
        hashes.append(digest(model))
        counts.append(float(objective.count))
        assert len([e for e in events if isinstance(e, Step)]) == 80
    assert hashes[0] == hashes[1]
    assert counts == [80.0, 80.0]


with torch.random.fork_rng(devices=[]):
    torch.manual_seed(2)
    START = VAE(Encoder(restless=True), Decoder(), Prior()).state_dict()


def test_width_is_what_the_tests_above_take_it_for():
    assert X.shape == (200, WIDTH)
