"""The Fréchet distance of two sets of features, and a file of the moments of one."""

import json
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from colorization.errors import ConfigError
from colorization.runtime.files import atomic_file

_ENTRY = "fid_statistics"


class Moments(NamedTuple):
    """Of a set of N features, float64.

    Attributes:
        number: N, `()`.
        mean: `(D,)`.
        covariance: unbiased, `(D, D)`.
    """

    number: Tensor
    mean: Tensor
    covariance: Tensor


def moments_of(count: Tensor, total: Tensor, products: Tensor) -> Moments:
    """The moments from sums, float64.

    Args:
        count: N, 2 or more.
        total: the sum of the features, `(D,)`.
        products: the sum of their outer products, `(D, D)`.
    """
    mean = total / count
    return Moments(count, mean, (products - count * torch.outer(mean, mean)) / (count - 1))


def frechet_distance(first: Moments, second: Moments) -> float:
    """The squared Fréchet distance of two normal distributions: Dowson and Landau (1982),
    `|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))`. The last trace is that of `(R C2 R)^(1/2)` with R the root of C1: a
    symmetric matrix, whose root is real also with fewer features than dimensions.
    """
    values, vectors = torch.linalg.eigh(first.covariance)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    inner = torch.linalg.eigvalsh(root @ second.covariance @ root)
    between = (first.mean - second.mean).square().sum()
    within = first.covariance.trace() + second.covariance.trace() - 2 * inner.clamp(min=0).sqrt().sum()
    return float(between + within)


def save_moments(moments: Moments, made_of: dict[str, str], path: Path) -> None:
    """Writes moments atomically.

    Args:
        moments: of the true pictures.
        made_of: what they depend on, for `load_moments`.
        path: the file, safetensors.
    """
    tensors = {name: value.contiguous().cpu() for name, value in moments._asdict().items()}
    with atomic_file(path) as temporary:
        temporary.write_bytes(save(tensors, {_ENTRY: json.dumps(made_of)}))


def load_moments(path: Path, made_of: dict[str, str]) -> Moments:
    """Reads what `save_moments` wrote, onto the CPU.

    Raises:
        ConfigError: it can't be read, or was made of something else.
    """
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            found = json.loads((file.metadata() or {}).get(_ENTRY, "{}"))
            tensors = {name: file.get_tensor(name) for name in Moments._fields}
    except (SafetensorError, OSError, ValueError) as error:
        raise ConfigError(
            f"fid_statistics={path} is corrupt, or no file of statistics: remove it, or give another name"
        ) from error
    for name, value in made_of.items():
        if found.get(name) != value:
            raise ConfigError(
                f"fid_statistics={path} was made with another {name}: give another file name, or the same {name}"
            )
    return Moments(**tensors)
