"""Learning-rate schedules."""

import pytest
import torch

from colorization.errors import ConfigError
from colorization.schedulers import multi_step, one_cycle


def optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=8.0)


def test_multi_step_multiplies_the_rate_at_shares_of_the_run() -> None:
    made = optimizer()
    scheduler = multi_step(made, 10, [0.3, 0.5], gamma=0.5)["scheduler"]
    rates = []
    for _ in range(10):
        rates.append(made.param_groups[0]["lr"])
        made.step()
        scheduler.step()
    assert rates == [8.0] * 3 + [4.0] * 2 + [2.0] * 5


@pytest.mark.parametrize("milestones", [[0.5, 0.2], [0.0], [1.0], [80_000]])
def test_milestones_are_rising_shares(milestones: list[float]) -> None:
    with pytest.raises(ConfigError, match=r"scheduler\.milestones=.*give shares of the run"):
        multi_step(optimizer(), 10, milestones)


def test_one_cycle_leaves_the_betas_alone_unless_asked() -> None:
    for cycles in (False, True):
        adam = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], betas=(0.5, 0.99))
        scheduler = one_cycle(adam, 10, cycle_momentum=cycles)["scheduler"]
        betas = set()
        for _ in range(10):
            betas.add(round(adam.param_groups[0]["betas"][0], 6))
            adam.step()
            scheduler.step()
        assert (betas == {0.5}) != cycles


def test_a_cycle_of_momentum_that_was_begun_is_resumed() -> None:
    """Runs of version 0.1.0 had no option for it."""
    adams = [torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))]) for _ in range(2)]
    begun, resumed = (one_cycle(adam, 20, cycle_momentum=adam is adams[0])["scheduler"] for adam in adams)
    for step in range(12):
        if step == 5:
            adams[1].load_state_dict(adams[0].state_dict())
            resumed.load_state_dict(begun.state_dict())
        for adam, scheduler in zip(adams, (begun, resumed), strict=True):
            adam.step()
            scheduler.step()
    assert adams[0].param_groups[0]["betas"] == adams[1].param_groups[0]["betas"] != (0.9, 0.999)
