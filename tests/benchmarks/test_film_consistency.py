"""Consistency of films, against cases that can be computed by hand."""

import math

import cv2
import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from benchmarks.film_consistency import color_distribution_consistency, occluded, warp, warping_error
from tests.helpers.photos import make_photo


def plain(red: int, green: int = 50, blue: int = 60) -> Tensor:
    return torch.tensor([red, green, blue], dtype=torch.uint8).view(3, 1, 1).expand(3, 6, 8)


def test_cdc_of_a_still_is_zero() -> None:
    assert color_distribution_consistency([plain(10)] * 5) == 0


def test_cdc_by_hand() -> None:
    """Red alternates between two levels: frames an odd step apart share no level, whose divergence is ln 2, and frames
    an even step apart share all. Of steps 1, 2 and 4 one is odd, of three channels one changes: ln 2 / 9.
    """
    frames = [plain(10 + 100 * (number % 2)) for number in range(6)]
    assert color_distribution_consistency(frames) == pytest.approx(math.log(2) / 9)


def test_cdc_of_half_a_change_by_hand() -> None:
    """One half of the red pixels changes for good in the middle of six frames. Then P = (1, 0), Q = (1/2, 1/2), and
    M = (3/4, 1/4): the divergence is D. It occurs in 1 of 5, 2 of 4 and 2 of 2 pairs of steps 1, 2 and 4.
    """
    changed = plain(10).clone()
    changed[0, :3] = 200
    frames = [plain(10)] * 3 + [changed] * 3
    d = 0.5 * math.log(4 / 3) + 0.5 * (0.5 * math.log(2 / 3) + 0.5 * math.log(2))
    assert color_distribution_consistency(frames) == pytest.approx(d * (1 / 5 + 2 / 4 + 2 / 2) / 9)


def test_cdc_of_photos_by_scipy_and_opencv() -> None:
    """With their histograms and entropies, as ColorMNet's code uses them."""
    photos = [np.asarray(make_photo(seed=seed)) for seed in range(7)]
    expected = 0.0
    for step in (1, 2, 4):
        for channel in range(3):
            histograms = [
                cv2.calcHist([np.ascontiguousarray(photo)], [channel], None, [256], [0, 256]).ravel()
                for photo in photos
            ]
            pairs = list(zip(histograms[:-step], histograms[step:], strict=True))
            divergences = [(stats.entropy(p, (p + q) / 2) + stats.entropy(q, (p + q) / 2)) / 2 for p, q in pairs]
            expected += np.mean(divergences) / 9
    frames = [torch.from_numpy(photo.copy()).permute(2, 0, 1) for photo in photos]
    assert color_distribution_consistency(frames) == pytest.approx(expected, rel=1e-5)


def test_cdc_needs_five_frames() -> None:
    with pytest.raises(ValueError, match="4 frames are too few"):
        color_distribution_consistency([plain(10)] * 4)


def moved(photo: Tensor, across: int, down: int) -> Tensor:
    return photo.roll((down, across), dims=(1, 2))


def flow_of(across: float, down: float, like: Tensor) -> Tensor:
    return torch.tensor([float(across), float(down)]).view(2, 1, 1).expand(2, *like.shape[1:]).contiguous()


def test_warping_undoes_a_motion() -> None:
    photo = torch.from_numpy(np.array(make_photo())).permute(2, 0, 1) / 255
    flow = flow_of(3, 2, photo)
    back = warp(moved(photo, 3, 2), flow)
    assert torch.allclose(back[:, :-2, :-3], photo[:, :-2, :-3], atol=1e-5)
    halves = warp(photo, flow_of(0.5, 0, photo))
    assert torch.allclose(halves[:, :, :-1], (photo[:, :, :-1] + photo[:, :, 1:]) / 2, atol=1e-5)


def test_warping_error_by_hand() -> None:
    """A film that only moves has none where nothing is hidden; one whose red jumps by 0.1 has 0.01 / 3."""
    photo = torch.from_numpy(np.array(make_photo())).permute(2, 0, 1) / 255 * 0.8
    flow = flow_of(3, 2, photo)
    hidden = torch.zeros(photo.shape[1:], dtype=torch.bool)
    hidden[-2:], hidden[:, -3:] = True, True
    following = moved(photo, 3, 2)
    assert warping_error(photo, following, flow, hidden) == pytest.approx(0, abs=1e-8)
    following = following + torch.tensor([0.1, 0, 0]).view(3, 1, 1)
    assert warping_error(photo, following, flow, hidden) == pytest.approx(0.01 / 3, rel=1e-4)
    still, everything = flow_of(0, 0, photo), torch.ones_like(hidden)
    assert warping_error(photo, photo + 0.1, still, ~everything) == pytest.approx(0.01, rel=1e-4)
    # In their code the difference is multiplied by the mask, and divided by all pixels if none is left.
    assert warping_error(photo, photo + 0.1, still, everything) == 0


def test_occlusion_by_hand() -> None:
    """Flows that cancel are trusted. One that comes back 2 px off is not: 4 > 0.01 (9 + 25) + 0.5. At an edge of
    motion, the steps of 3 px count, on its nearer side.
    """
    photo = torch.zeros(3, 10, 12)
    there = flow_of(3, 0, photo)
    assert not bool(occluded(there, -there).any())
    assert bool(occluded(there, flow_of(-5, 0, photo)).all())
    assert not bool(occluded(there, flow_of(-3.5, 0, photo)).any())
    half = there.clone()
    half[:, :, 6:] = 0
    still = torch.zeros_like(half)
    expected = torch.zeros(10, 12, dtype=torch.bool)
    expected[:, 5] = True
    lost = (half - still).square().sum(dim=0) > 0.01 * 9 + 0.5
    assert torch.equal(occluded(half, still), expected | lost)
