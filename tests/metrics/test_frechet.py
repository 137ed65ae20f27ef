"""The Fréchet distance, by hand and by scipy."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import linalg
from torch import Tensor

from colorization.errors import ConfigError
from colorization.metrics.frechet import Moments, frechet_distance, load_moments, moments_of, save_moments


def moments(features: Tensor) -> Moments:
    features = features.double()
    return moments_of(torch.tensor(float(len(features))).double(), features.sum(dim=0), features.T @ features)


def random_features(count: int, dimensions: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(dimensions, dimensions, generator=generator, dtype=torch.float64)
    return torch.randn(count, dimensions, generator=generator, dtype=torch.float64) @ mixing + seed


def test_moments_are_numpy_s() -> None:
    features = random_features(20, 4, seed=1)
    found = moments(features)
    assert np.allclose(found.mean, features.numpy().mean(axis=0))
    assert np.allclose(found.covariance, np.cov(features.numpy(), rowvar=False))


def test_distance_of_two_points_each_by_hand() -> None:
    """Means 1 and 4 apart by 3. Variances: of 0 and 2, 2; of 4 and 4, 0: 9 + 2 + 0."""
    assert frechet_distance(moments(torch.tensor([[0.0], [2.0]])), moments(torch.tensor([[4.0], [4.0]]))) == 11


def test_distance_of_independent_dimensions_by_hand() -> None:
    """`|m1 - m2|^2` plus the squared differences of the standard deviations: 5^2 + (1 - 3)^2 + (2 - 1)^2."""

    def independent(means: list[float], deviations: list[float]) -> Moments:
        count, mean, deviation = (torch.tensor(values, dtype=torch.float64) for values in (9.0, means, deviations))
        return Moments(count, mean, torch.diag(deviation**2))

    first, second = independent([0, 0], [1, 2]), independent([3, 4], [3, 1])
    assert frechet_distance(first, second) == pytest.approx(30, abs=1e-12)
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("count", [200, 5])
def test_distance_is_that_of_scipy_s_matrix_root(count: int) -> None:
    """Also of fewer features than dimensions, whose covariances are singular."""
    first, second = random_features(count, 8, seed=1), random_features(count, 8, seed=2)
    one, other = (np.cov(features.numpy(), rowvar=False) for features in (first, second))
    root = linalg.sqrtm(one @ other).real
    between = ((first.mean(dim=0) - second.mean(dim=0)) ** 2).sum()
    expected = float(between) + np.trace(one) + np.trace(other) - 2 * np.trace(root)
    assert frechet_distance(moments(first), moments(second)) == pytest.approx(expected, rel=1e-5)
    assert frechet_distance(moments(second), moments(first)) == pytest.approx(expected, rel=1e-5)


def test_a_file_of_moments(tmp_path: Path) -> None:
    made = {"fid_backend": "tf", "photos": "abc"}
    found = moments(random_features(20, 4, seed=1))
    path = tmp_path / "sub" / "truth.safetensors"
    save_moments(found, made, path)
    assert all(torch.equal(one, other) for one, other in zip(load_moments(path, made), found, strict=True))
    with pytest.raises(ConfigError, match="made with another photos"):
        load_moments(path, {**made, "photos": "abd"})
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ConfigError, match="is corrupt, or no file of statistics"):
        load_moments(path, made)
