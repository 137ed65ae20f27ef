"""Scores: scikit-image is the oracle, and reduced precision must not touch them."""

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from colorization.color import gray_ab, rgb_to_lab, to_float
from colorization.metrics import METRICS, Scores, render, score_pictures
from tests.conftest import make_photo


def batch() -> tuple[Tensor, Tensor]:
    """Two pictures of different size of error: uint8 RGB `(2, 3, 40, 48)`, and the true ones."""
    truth = torch.stack([torch.from_numpy(np.array(make_photo(seed=seed))).permute(2, 0, 1) for seed in (1, 2)])
    noise = torch.randint(-30, 31, truth.shape, generator=torch.Generator().manual_seed(0))
    noise[1] //= 4
    return (truth + noise).clamp(0, 255).to(torch.uint8), truth


def test_psnr_and_ssim_are_scikit_image_s_for_each_picture() -> None:
    predicted, truth = batch()
    scores = score_pictures(predicted, truth)
    for index in range(2):
        ours, theirs = (pictures[index].permute(1, 2, 0).numpy() for pictures in (predicted, truth))
        assert float(scores["psnr"][index]) == pytest.approx(peak_signal_noise_ratio(theirs, ours), rel=1e-5)
        expected = structural_similarity(
            theirs, ours, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        assert float(scores["ssim"][index]) == pytest.approx(expected, abs=1e-4)


def test_autocast_does_not_touch_scores() -> None:
    predicted, truth = batch()
    expected = score_pictures(predicted, truth)
    with torch.autocast("cpu", torch.bfloat16):
        scores = score_pictures(predicted, truth)
    assert all(torch.equal(scores[key], expected[key]) for key in expected)


def test_means_are_over_pictures_whatever_the_batches() -> None:
    predicted, truth = batch()
    lightness = rgb_to_lab(to_float(truth))[:, :1]
    together, apart = Scores(), Scores()
    rows = together.update(lightness, predicted, truth)
    for index in range(2):
        apart.update(lightness[index : index + 1], predicted[index : index + 1], truth[index : index + 1])
    means = together.compute()
    assert means.keys() == rows.keys() == {*METRICS, *(f"gray_{key}" for key in METRICS), "colorfulness_truth"}
    for key, value in means.items():
        assert float(value) == pytest.approx(float(rows[key].mean()), rel=1e-5)
        assert float(value) == pytest.approx(float(apart.compute()[key]), rel=1e-5)


def test_gray_baseline_is_the_picture_without_its_colors() -> None:
    _, truth = batch()
    lightness = rgb_to_lab(to_float(truth))[:, :1]
    gray = render(lightness, gray_ab(lightness))
    scores = Scores().update(lightness, gray, truth)
    for key in METRICS:
        assert torch.equal(scores[key], scores[f"gray_{key}"])
    assert float(scores["colorfulness"].max()) < 1 < float(scores["colorfulness_truth"].min())


def test_a_perfect_prediction() -> None:
    _, truth = batch()
    scores = score_pictures(truth, truth)
    assert float(scores["ssim"].min()) == pytest.approx(1)
    assert float(scores["colorfulness_difference"].abs().max()) == 0
