"""The safe and the vivid end of one prediction."""

import math

import pytest
import torch

from colorization.color import normalize_ab
from colorization.errors import ConfigError
from colorization.objectives.vivid import Vivid


def test_vividness_moves_between_the_two_colours() -> None:
    objective = Vivid()
    safe, vivid = torch.full((1, 2, 4, 4), 10.0), torch.full((1, 2, 4, 4), 30.0)
    prediction = normalize_ab(torch.cat((safe, vivid), dim=1))
    for vividness, chroma in ((0, 10), (0.25, 15), (1, 30)):
        objective.vividness = vividness
        torch.testing.assert_close(objective.decode(prediction), torch.full((1, 2, 4, 4), float(chroma)))


@pytest.mark.parametrize("vividness", [-0.1, 1.1, math.nan])
def test_vividness_out_of_range_is_refused(vividness: float) -> None:
    with pytest.raises(ConfigError, match="from 0"):
        Vivid().vividness = vividness


def test_the_loss_is_what_the_formula_says() -> None:
    objective = Vivid(pull=0.5, share=0.2)
    ab = torch.zeros(1, 2, 2, 2)
    ab[0, 0, 0] = 20.0  # a of the upper half: its spread is 10, its mean 10
    safe, vivid = torch.zeros(1, 2, 2, 2), ab / 2
    loss = objective.pixel_loss(normalize_ab(torch.cat((safe, vivid), dim=1)), ab)
    # The safe colours are off by 5 on average. The vivid ones: mean square of the error 25, spread 5, mean 5.
    assert float(loss) == pytest.approx(5 / 110 + 0.2 * (10 * math.log10(25 + 1) - 0.5 * (5 + 0.37 * 5)), abs=0.01)


def test_more_colour_than_the_photo_has_is_not_rewarded() -> None:
    objective = Vivid(pull=100.0)
    ab = torch.zeros(1, 2, 2, 2)
    ab[0, 0, 0] = 20.0
    loss = [
        float(objective.pixel_loss(normalize_ab(torch.cat((ab, times * ab), dim=1)), ab)) for times in (0.9, 1, 1.1)
    ]
    assert loss[1] == min(loss)


def test_where_the_hue_is_open_the_safe_end_stays_pale_and_the_vivid_end_is_as_colourful_as_photos_are() -> None:
    """What is alike for the network is red in one photo and green in the other."""
    objective = Vivid(pull=2.0)
    ab = torch.zeros(2, 2, 4, 4)
    ab[:, 0, :2] = torch.tensor([40.0, -40.0]).view(2, 1, 1)
    prediction = torch.zeros(1, 4, 4, 4).normal_(std=0.01, generator=torch.Generator().manual_seed(0)).requires_grad_()
    optimizer = torch.optim.Adam([prediction], lr=0.01)
    for _ in range(200):
        optimizer.zero_grad()
        objective.pixel_loss(prediction.expand(2, -1, -1, -1), ab).backward()
        optimizer.step()
    ends = []
    for vividness in (0, 1):
        objective.vividness = vividness
        ends.append(float(objective.decode(prediction.detach()).norm(dim=1)[0, :2].mean()))
    safe, vivid = ends
    assert safe < 5
    assert vivid > 20


def test_a_gray_photo_and_a_flat_prediction_have_a_gradient() -> None:
    prediction = torch.zeros(2, 4, 8, 8, requires_grad=True)
    Vivid().pixel_loss(prediction, torch.zeros(2, 2, 8, 8)).backward()
    assert prediction.grad is not None
    assert torch.isfinite(prediction.grad).all()
