"""Means over scored pictures, and bootstrap intervals of their differences."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

# Labels scored in addition to the checkpoints. No label of a checkpoint begins with a slash.
GRAY, TRUTH = "/gray", "/truth"

Values = NDArray[np.float64]


@dataclass
class PictureScores:
    """The scores of N pictures.

    Attributes:
        names: the pictures' names.
        indices: their indices in the dataset.
        scores: by label (a checkpoint's, `GRAY` or `TRUTH`) and metric, `(N,)`.
        pixels: number of pixels of each true colour in each picture, `(N, colours)`; sparse, because a photo has few of
            the colours.
        accuracies: by label, the sum of those pixels' AuC, `(N, colours)`, sparse.
    """

    names: list[str]
    indices: list[int]
    scores: dict[str, dict[str, Values]]
    pixels: csr_array | None
    accuracies: dict[str, csr_array]

    def means(self, label: str, counts: Values) -> dict[str, Values]:
        """Every metric of one label, for resamples of these pictures.

        `colorfulness_mean_difference` is the absolute difference between the mean colourfulness and the truth's, and
        `colorfulness_abs_mean_difference` the same of `colorfulness_abs`.

        `auc_rebalanced` is the AuC with the same weight for each colour (Zhang, Isola and Efros, 2016, section 3.1):
        pixels are weighted by 1/p, the weights of their loss with lambda = 0. p is the share of the pixel's colour (the
        nearest node of the grid of ab bins) among all true pixels of the resample, so that the weighted mean is the
        mean over the colours that occur. The paper's p is ImageNet's, smoothed.

        Args:
            label: a checkpoint's label, `GRAY` or `TRUTH`.
            counts: how often each resample holds each picture, `(R, N)`.

        Returns:
            For each metric `(R,)`.
        """
        total = counts.sum(axis=1)
        means = {metric: counts @ values / total for metric, values in self.scores[label].items()}
        truth = self.scores[TRUTH]
        for metric in ("colorfulness", "colorfulness_abs"):
            if metric in means and metric in truth and label != TRUTH:
                bias = means[metric] - counts @ truth[metric] / total
                means[f"{metric}_mean_difference"] = np.abs(bias)
        if label in self.accuracies:
            assert self.pixels is not None
            pixels, sums = counts @ self.pixels, counts @ self.accuracies[label]
            occurs = pixels > 0
            each = np.divide(sums, pixels, out=np.zeros_like(sums), where=occurs)
            means["auc_rebalanced"] = each.sum(axis=1) / occurs.sum(axis=1)
        return means


class Interval(NamedTuple):
    """The bounds of a 95 % interval."""

    low: float
    high: float


def means(pictures: PictureScores, label: str) -> dict[str, float]:
    """Every metric of one label, over all pictures."""
    found = pictures.means(label, np.ones((1, len(pictures.names))))
    return {metric: float(value[0]) for metric, value in found.items()}


def difference_intervals(
    pictures: PictureScores, pairs: Iterable[tuple[str, str]]
) -> Mapping[tuple[str, str], dict[str, Interval]]:
    """The 95 % percentile bootstrap intervals (Efron, 1979) of the differences in every metric.

    Pictures are resampled with replacement. Both labels of a pair use the same resamples (a paired bootstrap), so that
    pictures that are hard for both do not widen the interval.

    Args:
        pictures: two or more.
        pairs: labels to compare; the difference is the first's metric minus the second's.
    """
    pairs = list(pairs)
    labels = {label for pair in pairs for label in pair}
    draws: dict[tuple[str, str], dict[str, list[Values]]] = {pair: {} for pair in pairs}
    for counts in _resamples(len(pictures.names)):
        drawn = {label: pictures.means(label, counts) for label in labels}
        for first, second in pairs:
            for metric in drawn[first].keys() & drawn[second].keys():
                differences = draws[first, second].setdefault(metric, [])
                differences.append(drawn[first][metric] - drawn[second][metric])
    return {
        pair: {metric: _interval(np.concatenate(parts)) for metric, parts in found.items()}
        for pair, found in draws.items()
    }


def _resamples(pictures: int, resamples: int = 2000, at_once: int = 100, seed: int = 0) -> Iterator[Values]:
    generator = np.random.default_rng(seed)
    for _ in range(resamples // at_once):
        drawn = generator.integers(0, pictures, (at_once, pictures))
        yield np.stack([np.bincount(row, minlength=pictures) for row in drawn]).astype(np.float64)


def _interval(draws: Values) -> Interval:
    low, high = np.percentile(draws, (2.5, 97.5))
    return Interval(float(low), float(high))
