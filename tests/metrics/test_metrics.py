"""Scores: scikit-image is the oracle, and reduced precision must not touch them."""

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from colorization.color import ciede2000, gray_ab, rgb_to_lab, to_float
from colorization.config.resolvers import better
from colorization.evaluation.bootstrap import PictureScores, means
from colorization.metrics.names import CHEAP, METRICS
from colorization.metrics.scores import (
    Scores,
    pixel_auc,
    render,
    score_pictures,
    score_truth,
    sums_by_color,
)
from tests.helpers.photos import make_photo


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
        assert float(scores["ssim"][index]) == pytest.approx(ssim_of_scikit_image(ours, theirs), abs=2e-6)


def ssim_of_scikit_image(first: np.ndarray, second: np.ndarray) -> float:
    return float(
        structural_similarity(
            first, second, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
    )


@pytest.mark.parametrize("change", [0, -5, 1])
def test_ssim_of_plain_pictures(change: int) -> None:
    """Rounding counts where nothing varies: 1 for the same picture, and scikit-image's value in double precision."""
    plain = torch.tensor([200, 60, 30], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 40, 48).contiguous()
    other = plain.clone()
    other[..., :: 1 if change < 0 else 2] += change
    found = float(score_pictures(plain, other, ["ssim"])["ssim"])
    expected = ssim_of_scikit_image(*(picture[0].permute(1, 2, 0).numpy() for picture in (plain, other)))
    assert found == pytest.approx(expected, abs=2e-5 if change else 0)


def test_autocast_does_not_touch_scores() -> None:
    predicted, truth = batch()
    expected = score_pictures(predicted, truth, METRICS)
    with torch.autocast("cpu", torch.bfloat16):
        scores = score_pictures(predicted, truth, METRICS)
    assert all(torch.equal(scores[key], expected[key]) for key in expected)


def test_means_are_over_pictures_whatever_the_batches() -> None:
    predicted, truth = batch()
    lightness = rgb_to_lab(to_float(truth))[:, :1]
    together, apart = Scores(), Scores()
    rows = together.update(lightness, predicted, truth)
    for index in range(2):
        apart.update(lightness[index : index + 1], predicted[index : index + 1], truth[index : index + 1])
    means = together.compute()
    assert means.keys() == rows.keys() == {*CHEAP, *(f"gray_{key}" for key in CHEAP), "colorfulness_truth"}
    for key, value in means.items():
        assert float(value) == pytest.approx(float(rows[key].mean()), rel=1e-5)
        assert float(value) == pytest.approx(float(apart.compute()[key]), rel=1e-5)


def test_gray_baseline_is_the_picture_without_its_colors() -> None:
    _, truth = batch()
    lightness = rgb_to_lab(to_float(truth))[:, :1]
    gray = render(lightness, gray_ab(lightness))
    scores = Scores().update(lightness, gray, truth)
    for key in CHEAP:
        assert torch.equal(scores[key], scores[f"gray_{key}"])
    assert float(scores["colorfulness"].max()) < 1 < float(scores["colorfulness_truth"].min())


def test_a_perfect_prediction() -> None:
    _, truth = batch()
    scores = score_pictures(truth, truth)
    assert float(scores["ssim"].min()) == pytest.approx(1)
    assert float(scores["colorfulness_difference"].abs().max()) == 0


def test_scores_are_those_that_are_asked_for() -> None:
    predicted, truth = batch()
    assert score_pictures(predicted, truth).keys() == set(CHEAP)
    assert score_pictures(predicted, truth, ["psnr", "lpips"]).keys() == {"psnr"}
    assert score_truth(truth, METRICS).keys() == {"colorfulness", "colorfulness_abs"}
    expected = ciede2000(*(rgb_to_lab(to_float(pictures)) for pictures in (predicted, truth))).mean(dim=(1, 2))
    assert torch.allclose(score_pictures(predicted, truth, ["ciede2000"])["ciede2000"], expected)


def test_auc_is_the_area_under_the_curve() -> None:
    """The definition, written down once more: shares of pixels within 0, 1, .. 150, and trapezoids."""
    generator = torch.Generator().manual_seed(0)
    truth = 60 * torch.randn(1, 2, 40, 50, generator=generator)
    predicted = truth + 60 * torch.randn(truth.shape, generator=generator)
    predicted[..., :5] = truth[..., :5]
    errors = (predicted - truth).norm(dim=1).flatten().double().numpy()
    shares = [(errors <= threshold).mean() for threshold in range(151)]
    assert errors.max() > 150
    assert float(pixel_auc(predicted, truth).double().mean()) == pytest.approx(np.trapezoid(shares) / 150, rel=1e-6)


def test_auc_of_gray_on_a_case_by_hand() -> None:
    """Four pixels, of chroma 0, 5, 50 and 151 against gray: the steps are at 0, 5, 50 and never."""
    truth = torch.tensor([[0.0, 3, 30, 151], [0, 4, 40, 0]]).view(1, 2, 2, 2)
    gray = torch.zeros_like(truth)
    expected = torch.tensor([150, 145.5, 100.5, 0]) / 150
    assert torch.allclose(pixel_auc(gray, truth).flatten(), expected)
    assert float(pixel_auc(gray, truth).mean()) == pytest.approx(396 / 600)


def test_sums_by_color_are_apart_for_each_picture_and_color() -> None:
    ab = torch.tensor([[[[0.0, 3, -14]], [[0, -4, 26]]], [[[0.0, 58, 62]], [[0, 58, 58]]]])  # (2, 2, 1, 3)
    values = torch.tensor([[[1.0, 2, 4]], [[8, 16, 32]]])
    sums = sums_by_color(values, ab)
    assert sums.dtype == torch.float64
    assert sorted(sums[0][sums[0] > 0].tolist()) == [3, 4]
    assert sorted(sums[1][sums[1] > 0].tolist()) == [8, 48]
    assert sums[1][sums[0] == 3].tolist() == [8]


@pytest.mark.parametrize("metric", METRICS)
def test_it_is_known_whether_more_is_better(metric: str) -> None:
    more = {"psnr", "ssim", "auc", "auc_rebalanced", "colorfulness", "colorfulness_abs"}
    for name in (f"val/{metric}", f"val/gray_{metric}", metric):
        assert better(name) == ("max" if metric in more else "min")
    assert better("val/loss") == "min"


def two_halves(left: tuple[int, int, int], right: tuple[int, int, int]) -> Tensor:
    """A picture of two colours, uint8 `(1, 3, 12, 16)`."""
    pixels = torch.tensor([left] * 8 + [right] * 8, dtype=torch.uint8).T
    return pixels.view(1, 3, 1, 16).expand(-1, -1, 12, -1).contiguous()


def test_differences_of_colorfulness_by_hand() -> None:
    """Red and cyan: rg = 100 and -100, yb = 50 and -50. Signed, their deviations are 100 and 50 and their means 0;
    absolute, the deviations are 0 and the means 100 and 50. The truth is red: rg = 100, yb = 50, no deviation.
    """
    predicted = two_halves((100, 0, 0), (0, 100, 100))
    truth = two_halves((100, 0, 0), (100, 0, 0))
    length = 12500**0.5
    scores = {**score_pictures(predicted, truth, METRICS), **score_truth(truth, METRICS)}
    assert float(scores["colorfulness_difference"]) == pytest.approx(length - 0.3 * length)
    assert float(scores["colorfulness_abs_difference"]) == pytest.approx(0, abs=1e-4)
    pictures: dict[str, dict[str, np.ndarray]] = {"a": {}, "/truth": {}}
    for key in ("colorfulness", "colorfulness_abs"):
        # A second picture has the two exchanged: the differences of the means are 0, the means of the differences not.
        first, second = (float(score_pictures(one, one, [key])[key]) for one in (predicted, truth))
        pictures["a"][key], pictures["/truth"][key] = np.array([first, second]), np.array([second, first])
    found = means(PictureScores(["1", "2"], [0, 1], pictures, None, {}), "a")
    assert found["colorfulness_mean_difference"] == pytest.approx(0, abs=1e-6)
    assert found["colorfulness_abs_mean_difference"] == pytest.approx(0, abs=1e-6)
    assert found["colorfulness"] == pytest.approx(0.65 * length)
    assert found["colorfulness_abs"] == pytest.approx(0.3 * length)


def test_identical_pictures_have_a_finite_psnr() -> None:
    _, truth = batch()
    assert score_pictures(truth, truth, ["psnr"])["psnr"].tolist() == [100, 100]
