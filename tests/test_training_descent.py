"""The step of the optimiser: it is AdamW, clips by scaling, and refuses what is not finite."""

import pytest
import torch
from torch import nn

from variate.inference import Loss
from variate.training.descent import WINDOW, Descent
from variate.training.processes import Processes

CPU = torch.device("cpu")
ALONE = Processes(0, 1, CPU, CPU)


def network(dtype=torch.float64):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3)).to(dtype)


def descent(net, critic=(), weight_decay=0.0, clip=None):
    parameters = list(net.parameters())
    return Descent(parameters, critic, weight_decay=weight_decay, clip=clip, processes=ALONE)


def losses(net, steps, scale=1.0):
    for step in range(steps):
        draw = torch.Generator().manual_seed(step)
        x = torch.randn(8, 5, generator=draw, dtype=torch.float64)
        yield scale * net(x).square().mean()


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("clip", [None, 0.05])
def test_it_is_torchs_adamw_with_torchs_clipping(weight_decay, clip):
    ours, theirs = network(), network()
    down = descent(ours, weight_decay=weight_decay, clip=clip)
    groups = [
        {"params": [p for p in theirs.parameters() if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in theirs.parameters() if p.ndim == 1], "weight_decay": 0.0},
    ]
    adamw = torch.optim.AdamW(groups, lr=1.0)
    pairs = zip(losses(ours, 30), losses(theirs, 30), strict=True)
    for step, (our_loss, their_loss) in enumerate(pairs):
        rate = 0.01 / (1 + step)
        down.step(Loss(our_loss), rate)
        down.remember(step)
        adamw.zero_grad()
        their_loss.backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(theirs.parameters(), clip)
        for group in adamw.param_groups:
            group["lr"] = rate
        adamw.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("poison", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_gradient_that_is_not_finite_changes_nothing(poison, dtype):
    """Pins what torch's fused kernel does with found_inf."""
    net = network(dtype)
    down = descent(net, clip=1.0, weight_decay=0.1)
    x = torch.ones(8, 5, dtype=dtype)
    for step in range(3):
        down.step(Loss(net(x).square().mean()), 0.01)
        down.remember(step)
    names = [name for name in down.tensors() if "norms" not in name]
    before = {name: down.tensors()[name].clone() for name in names}
    weights = [p.detach().clone() for p in net.parameters()]
    loss = net(x).square().mean()
    next(iter(net.parameters())).register_hook(lambda grad: grad.index_fill(0, SECOND, poison))
    down.step(Loss(loss), 0.01)
    down.remember(3)
    assert all(torch.equal(down.tensors()[name], before[name]) for name in names)
    assert all(torch.equal(p, w) for p, w in zip(net.parameters(), weights, strict=True))
    assert down.bad_steps(0, 4) == [3]
    assert down.tensors()["descent/count"] == 3


SECOND = torch.tensor([1])


def test_gradients_a_million_times_too_large_still_move_the_weights():
    net = network()
    down = descent(net, clip=1.0)
    start = next(iter(losses(net, 1))).item()
    for step, loss in enumerate(losses(net, 200, scale=1e6)):
        down.step(Loss(loss), 0.01)
        down.remember(step)
    assert next(iter(losses(net, 1))).item() < 0.1 * start
    assert down.bad_steps(150, 200) == []


def test_the_bad_steps_of_a_window_are_remembered_with_their_numbers():
    net = network()
    down = descent(net)
    bad = {3, 48, 57, 99}
    found = []
    for step, loss in enumerate(losses(net, 100)):
        down.step(Loss(loss * (float("nan") if step in bad else 1.0)), 0.01)
        down.remember(step)
        if (step + 1) % WINDOW == 0:
            found += down.bad_steps(step + 1 - WINDOW, step + 1)
    assert found == sorted(bad)


def test_the_critic_moves_by_its_own_loss_and_the_rest_by_the_total():
    net, critic = network(), network()
    frozen_net, frozen_critic = network(), network()
    down = descent(net, list(critic.parameters()))
    x = torch.randn(8, 5, dtype=torch.float64)
    # the total also depends on the critic, the critic's loss also on the net
    total = net(x).sum() + critic(x).square().sum()
    own = critic(x).sum() + net(x).square().sum()
    down.step(Loss(total, critic=own), 0.01)
    down.remember(0)
    sign = {"net": 1.0, "critic": 1.0}
    for name, part, frozen in (("net", net, frozen_net), ("critic", critic, frozen_critic)):
        frozen(x).sum().backward()
        for p, q in zip(part.parameters(), frozen.parameters(), strict=True):
            moved = p.detach() - q.detach()
            torch.testing.assert_close(
                moved, -0.01 * sign[name] * q.grad.sign(), rtol=1e-3, atol=1e-5
            )
    assert all(p.grad is None for p in (*net.parameters(), *critic.parameters()))


def test_a_step_without_a_critics_loss_leaves_the_critic_alone():
    net, critic = network(), network()
    down = descent(net, list(critic.parameters()))
    before = [p.detach().clone() for p in critic.parameters()]
    down.step(Loss(net(torch.ones(1, 5, dtype=torch.float64)).sum()), 0.01)
    down.remember(0)
    assert all(torch.equal(p, b) for p, b in zip(critic.parameters(), before, strict=True))
    assert down.bad_steps(0, 1) == []


def test_parameters_that_the_loss_does_not_reach_stay():
    net = network()
    unused = nn.Parameter(torch.ones(3, 3, dtype=torch.float64))
    down = Descent([*net.parameters(), unused], [], weight_decay=0.5, clip=None, processes=ALONE)
    for step, loss in enumerate(losses(net, 3)):
        down.step(Loss(loss), 0.1)
        down.remember(step)
    assert torch.equal(unused, torch.ones(3, 3, dtype=torch.float64))


class TestSkip:
    """A norm far above the usual is refused, and the rule cannot lock."""

    def run(self, scales, skip=10.0):
        """Which of the steps, of losses scaled so, moved the weights."""
        net = network()
        parameters = list(net.parameters())
        down = Descent(parameters, (), weight_decay=0.0, clip=None, skip=skip, processes=ALONE)
        moved = []
        for step, loss in enumerate(losses(net, len(scales))):
            before = parameters[0].detach().clone()
            down.step(Loss(loss * scales[step]), 1e-4)
            down.remember(step)
            moved.append(not torch.equal(before, parameters[0]))
        return moved, down

    def test_one_wild_step_changes_nothing(self):
        moved, down = self.run([1.0] * 30 + [1e4] + [1.0] * 5)
        assert [step for step, yes in enumerate(moved) if not yes] == [30]
        assert down.bad_steps(0, 36) == []  # it is finite, and no cause for an inquiry
        assert down.tensors()["descent/count"] == 35

    def test_norms_that_stay_high_become_usual(self):
        moved, _ = self.run([1.0] * 100 + [1e6] * 250)
        refused = [step for step, yes in enumerate(moved) if not yes]
        assert refused[0] == 100
        assert len(refused) < 200
        assert all(moved[-30:])

    def test_the_first_steps_and_infinity_do_not_count(self):
        moved, down = self.run([1.0, 1e6, 1.0, float("inf"), 1e3])
        assert moved == [True, True, True, False, True]
        assert down.tensors()["descent/usual"].isfinite()

    def test_without_it_every_step_counts(self):
        moved, down = self.run([1.0] * 30 + [1e4], skip=None)
        assert all(moved)
        assert "descent/usual" not in down.tensors()


def test_moments_of_what_has_died_are_zero_and_no_weight_moves_for_it():
    """As torch leaves them, they are denormal numbers for ever, which are slow."""
    ours, theirs = nn.Parameter(torch.ones(4)), nn.Parameter(torch.ones(4))
    adamw = torch.optim.AdamW([theirs], lr=1e-3, weight_decay=0.0)
    down = Descent([ours], [], weight_decay=0.0, clip=None, processes=ALONE)
    for step in range(1500):
        alive = torch.tensor([1.0, 1.0, float(step < 100), float(step < 5)])
        target = torch.randn(4, generator=torch.Generator().manual_seed(step))
        down.step(Loss((alive * (ours - target).square()).sum()), 1e-3)
        down.remember(step)
        adamw.zero_grad()
        (alive * (theirs - target).square()).sum().backward()
        adamw.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0.0)
    assert adamw.state[theirs]["exp_avg"][2] != 0
    (mean,) = (t for name, t in down.tensors().items() if "/mean/" in name)
    assert mean[0] != 0
    assert (mean[2:] == 0).all()
