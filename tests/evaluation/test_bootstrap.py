"""Means over pictures, and the intervals of their differences."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from colorization.evaluation.bootstrap import GRAY, TRUTH, PictureScores, difference_intervals, means

COLORS = 5


def made(pictures: int = 40, seed: int = 0) -> PictureScores:
    """Scores of two who coloured, `a` and `b`, of gray and of the truth; not every colour occurs in every picture."""
    generator = np.random.default_rng(seed)
    scores = {
        label: {"psnr": 20 + 5 * generator.random(pictures), "colorfulness": 30 + generator.random(pictures)}
        for label in ("a", "b", GRAY)
    }
    scores[TRUTH] = {"colorfulness": 40 + 5 * generator.random(pictures)}
    pixels = generator.integers(0, 4, (pictures, COLORS)) * generator.integers(0, 2, (pictures, COLORS))
    accuracies = {label: csr_array(pixels * generator.random((pictures, COLORS))) for label in ("a", "b", GRAY)}
    names = [f"{index}.jpg" for index in range(pictures)]
    return PictureScores(names, list(range(pictures)), scores, csr_array(pixels.astype(float)), accuracies)


def test_means_of_a_collection_are_those_of_its_pictures() -> None:
    """A collection may hold a picture twice and another not at all."""
    pictures = made(6)
    held = [0, 0, 3, 5]
    counts = np.bincount(held, minlength=6)[None].astype(float)
    found = pictures.means("a", counts)
    psnr, colorfulness = (pictures.scores["a"][key][held] for key in ("psnr", "colorfulness"))
    assert found["psnr"][0] == pytest.approx(psnr.mean())
    bias = abs(colorfulness.mean() - pictures.scores[TRUTH]["colorfulness"][held].mean())
    assert found["colorfulness_mean_difference"][0] == pytest.approx(bias)


def test_rebalanced_auc_weighs_pixels_by_one_over_the_share_of_their_color() -> None:
    generator = np.random.default_rng(0)
    colors = generator.choice(COLORS, 300, p=[0.7, 0.2, 0.06, 0.04, 0])
    values = generator.random(300)
    picture = np.arange(300) // 100
    pixels, sums = np.zeros((3, COLORS)), np.zeros((3, COLORS))
    np.add.at(pixels, (picture, colors), 1)
    np.add.at(sums, (picture, colors), values)
    found = {"a": csr_array(sums)}
    scores = PictureScores(["1", "2", "3"], [0, 1, 2], {"a": {}, TRUTH: {}}, csr_array(pixels), found)
    share = np.bincount(colors, minlength=COLORS) / 300
    weights = 1 / share[colors]
    expected = (weights * values).sum() / weights.sum()
    assert means(scores, "a")["auc_rebalanced"] == pytest.approx(expected)


def test_the_interval_of_a_mean_is_about_that_of_the_normal_distribution() -> None:
    pictures = made(400)
    differences = pictures.scores["a"]["psnr"] - pictures.scores[GRAY]["psnr"]
    interval = difference_intervals(pictures, [("a", GRAY)])["a", GRAY]["psnr"]
    half = 1.96 * differences.std() / np.sqrt(400)
    assert interval.low == pytest.approx(differences.mean() - half, abs=0.15 * half)
    assert interval.high == pytest.approx(differences.mean() + half, abs=0.15 * half)


def test_intervals_are_paired_and_repeatable() -> None:
    """`b` is `a` and a little more on every picture: however the pictures differ, the difference does not."""
    pictures = made()
    pictures.scores["b"]["psnr"] = pictures.scores["a"]["psnr"] + 0.25
    pictures.accuracies["b"] = pictures.accuracies["a"]
    found = difference_intervals(pictures, [("b", "a"), ("a", GRAY)])
    assert found["b", "a"]["psnr"] == pytest.approx((0.25, 0.25))
    assert found["b", "a"]["auc_rebalanced"] == (0, 0)
    wide = found["a", GRAY]
    assert all(wide[key].low < wide[key].high for key in wide)
    assert {"psnr", "colorfulness", "colorfulness_mean_difference", "auc_rebalanced"} == wide.keys()
    assert difference_intervals(pictures, [("a", GRAY)])["a", GRAY] == wide
