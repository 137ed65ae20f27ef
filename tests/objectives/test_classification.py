"""Bins cover the gamut, encoding is undone by decoding, and rare colours count more."""

import pytest
import torch
from torch import Tensor, nn

from colorization.color import BIN_STEP, ab_bins, annealed_mean, nearest_bins, rgb_to_lab
from colorization.errors import ConfigError
from colorization.objectives.classification import STRIDE, Classification, rebalancing_weights


def every_color(step: int = 5) -> Tensor:
    """8-bit sRGB in steps of `step`, in 0..1, as a picture `(1, 3, N, N * N)`."""
    levels = torch.arange(0, 256, step) / 255
    return torch.stack(torch.meshgrid(levels, levels, levels, indexing="ij")).flatten(2).unsqueeze(0)


def test_every_color_is_near_a_bin_and_between_four() -> None:
    ab = rgb_to_lab(every_color())[:, 1:]
    distances, _ = nearest_bins(ab, ab_bins(), 4)
    assert float(distances[..., 0].max()) <= BIN_STEP / 2**0.5 + 1e-2
    assert float(distances[..., 3].max()) <= BIN_STEP * 2**0.5 + 1e-2


def test_every_bin_is_a_corner_of_a_square_that_holds_a_color() -> None:
    ab = rgb_to_lab(every_color(3))[0, 1:].flatten(1).T
    squares = {tuple(square) for square in (ab / BIN_STEP).floor().unique(dim=0).int().tolist()}
    corners = {(a + right, b + up) for a, b in squares for right in (0, 1) for up in (0, 1)}
    found = {tuple(node) for node in (ab_bins() / BIN_STEP).int().tolist()}
    # The colours in steps of 3 leave a few squares at the gamut's edge out.
    assert corners <= found
    assert len(found - corners) < 10


def test_the_surface_of_the_cube_has_the_bins_of_the_whole_cube() -> None:
    squares = {tuple(node) for node in (ab_bins() / BIN_STEP).int().tolist()}
    levels = torch.arange(256) / 255
    for red in (51, 128, 200):
        face = torch.stack([torch.full((256, 256), red / 255), *torch.meshgrid(levels, levels, indexing="ij")])
        occupied = (rgb_to_lab(face)[1:].flatten(1).T.round(decimals=2) / BIN_STEP).floor().unique(dim=0).int()
        assert {tuple(square) for square in occupied.tolist()} <= squares


def test_encoding_spreads_a_color_over_the_bins_around_it() -> None:
    objective = Classification()
    target, nearest = objective.encode(rgb_to_lab(every_color(15))[:, 1:])
    assert torch.allclose(target.sum(dim=1), torch.ones_like(target[:, 0]), atol=1e-5)
    assert int((target > 0).sum(dim=1).max()) <= 5
    assert torch.equal(target.argmax(dim=1), nearest)


def test_decoding_undoes_encoding() -> None:
    """At temperature 1 the mean of the soft-encoded distribution is the colour, but for up to 0.71 Lab units (0.22 on
    average).
    """
    objective = Classification()
    ab = rgb_to_lab(every_color(5))[:, 1:]
    target, _ = objective.encode(ab)
    error = (annealed_mean(target.clamp(min=1e-30).log(), objective.bins, temperature=1) - ab).norm(dim=1)
    assert float(error.max()) < 0.75
    assert float(error.mean()) < 0.25


@pytest.mark.parametrize("wrong", [0.0, 1e-40, -1.0, float("nan"), float("inf")])
def test_a_wrong_temperature_is_refused(wrong: float) -> None:
    objective = Classification()
    with pytest.raises(ConfigError, match="temperature"):
        objective.temperature = wrong


@pytest.mark.parametrize("uniform_share", [0.01, 0.5, 1.0])
def test_rebalancing_weights_average_to_one_under_the_prior(uniform_share: float) -> None:
    bins = ab_bins()
    prior = torch.rand(len(bins), generator=torch.Generator().manual_seed(0)) ** 8
    prior /= prior.sum()
    weights = rebalancing_weights(prior, bins, uniform_share)
    spread = torch.exp(-(torch.cdist(bins, bins) ** 2) / 50)
    smoothed = (spread / spread.sum(dim=0)) @ prior
    assert float((weights * smoothed).sum()) == pytest.approx(1, abs=1e-4)
    if uniform_share == 1:
        assert torch.allclose(weights, torch.ones_like(weights), atol=1e-4)
    else:
        assert weights[smoothed.argmin()] == weights.max() > weights.min() == weights[smoothed.argmax()]


def test_rebalancing_makes_rare_colors_dearer() -> None:
    objective = Classification()
    prediction = torch.zeros(1, objective.out_channels, 8, 8)
    prior = torch.zeros(len(objective.bins))
    common, rare = 150, 0
    prior[common] = 1.0
    losses = {}
    objective.set_prior(prior)
    for name, number in (("common", common), ("rare", rare)):
        ab = objective.bins[number].view(1, 2, 1, 1).expand(1, 2, 8, 8)
        losses[name] = float(objective.loss(prediction, ab, torch.zeros(1, 1, 8, 8))["loss"].detach())
    assert losses["rare"] > 10 * losses["common"] > 0


def test_a_colorless_picture_teaches_nothing_and_takes_nothing_away() -> None:
    objective = Classification()
    generator = torch.Generator().manual_seed(0)
    prediction = torch.randn(2, objective.out_channels, 8, 8, generator=generator)
    lightness, ab = torch.zeros(2, 1, 8, 8), torch.randn(2, 2, 8, 8, generator=generator) * 30
    ab[1] = 2.0
    alone = objective.loss(prediction[:1], ab[:1], lightness[:1])["loss"]
    assert torch.allclose(objective.loss(prediction, ab, lightness)["loss"], alone)
    nothing = objective.loss(prediction[1:], ab[1:], lightness[1:])["loss"]
    assert float(nothing.detach()) == 0
    nothing.backward()


def test_classification_learns_a_color() -> None:
    """A one-colour picture: cross-entropy leads to that colour, at any size, also one that STRIDE does not divide."""
    torch.manual_seed(0)
    objective = Classification()
    prediction = nn.Parameter(torch.randn(1, objective.out_channels, 10, 7) * 0.1)
    ab = torch.tensor([43.0, -31.0]).view(1, 2, 1, 1).expand(1, 2, 10, 7)
    optimizer = torch.optim.Adam([prediction, *objective.parameters()], lr=0.05)
    assert STRIDE == 4
    for _ in range(150):
        optimizer.zero_grad()
        objective.loss(prediction, ab, torch.zeros(1, 1, 10, 7))["loss"].backward()
        optimizer.step()
    decoded = objective.decode(prediction.detach()).detach()
    assert decoded.shape == (1, 2, 10, 7)
    assert float((decoded - ab).norm(dim=1).max()) < 4.2


def test_the_prior_of_classification_is_in_the_checkpoint() -> None:
    taught = Classification()
    taught.set_prior(torch.rand(len(ab_bins())).softmax(dim=0))
    fresh = Classification()
    fresh.load_state_dict(taught.state_dict())
    for name in ("bins", "prior", "class_weights"):
        assert torch.equal(getattr(fresh, name), getattr(taught, name))
    assert not torch.equal(fresh.class_weights, Classification().class_weights)
