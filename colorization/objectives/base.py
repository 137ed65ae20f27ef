"""Base class of objectives."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping

from torch import Tensor, nn

from colorization.errors import ConfigError
from colorization.objectives.terms.base import Term

# Names of logged losses that terms must not take.
_TAKEN = ("loss", "pixel", "discriminator")


class Objective(nn.Module, ABC):
    """Decodes the network's output to ab, and computes the loss: a weighted sum of a loss on each pixel and of further
    terms on the decoded colours.

    Whatever an objective learns from data is a buffer, so that checkpoints hold it.

    A new objective is a subclass in a file of this folder, and one file in `conf/objective/`. Its `__init__` takes its
    own options and `**summed`, which it passes on.

    Args:
        weight: weight of the loss on each pixel.
        terms: further terms by name, see `Term`.

    Attributes:
        out_channels: number of channels of the network's output.
        temperature: of the annealed mean that decodes a distribution; None for an objective without one.
        vividness: where decoding lies between safe (0) and vivid (1) colours; None for an objective without the choice.
        wants_prior: whether `set_prior` has to be called before training.
    """

    out_channels: int
    temperature: float | None = None
    vividness: float | None = None
    wants_prior = False

    def __init__(self, weight: float = 1.0, terms: Mapping[str, Term] | None = None) -> None:
        super().__init__()
        chosen = {name: term for name, term in (terms or {}).items() if term is not None}
        if not (0 <= weight < math.inf) or (weight == 0 and not chosen):
            raise ConfigError(f"objective.weight={weight:g} is out of range: give more than 0, or 0 with other terms")
        for name, term in chosen.items():
            if name in _TAKEN:
                raise ConfigError(f"objective.terms.{name}: this name is reserved, give the term another one")
            if not isinstance(term, Term):
                raise ConfigError(
                    f"objective.terms.{name} is not a term: choose one with +objective/term@objective.terms.NAME=FILE"
                )
        self.weight = weight
        self.terms = nn.ModuleDict(chosen)

    @abstractmethod
    def pixel_loss(self, prediction: Tensor, ab: Tensor) -> Tensor:
        """The loss on each pixel: a scalar. Arguments as for `loss`."""

    @abstractmethod
    def decode(self, prediction: Tensor) -> Tensor:
        """The network's output `(B, out_channels, H, W)` to ab in Lab units, float32 `(B, 2, H, W)`."""

    def loss(self, prediction: Tensor, ab: Tensor, lightness: Tensor, progress: float = 1.0) -> dict[str, Tensor]:
        """The loss of a prediction.

        Args:
            prediction: the network's output, `(B, out_channels, H, W)`.
            ab: the true colours in Lab units, `(B, 2, H, W)`.
            lightness: `(B, 1, H, W)` in 0..100.
            progress: share of the training run that is done, 0..1; terms that begin later are left out.

        Returns:
            Scalars by name: `loss`, which is minimized, and its summands if there are further terms. In eval mode,
            terms that are not `comparable` are left out.
        """
        pixel = self.pixel_loss(prediction, ab)
        total = self.weight * pixel
        if not self.terms:
            return {"loss": total}
        losses = {"pixel": pixel}
        predicted = self.decode(prediction)
        for name, term in self.terms.items():
            assert isinstance(term, Term)
            if progress >= term.begin and (self.training or term.comparable):
                losses[name] = term(lightness, predicted, ab)
                total = total + term.weight * losses[name]
        return {"loss": total, **losses}

    def set_prior(self, prior: Tensor) -> None:
        """Sets the share of each bin of `colorization.color.ab_bins` in the training photos, `(Q,)`."""
        raise AssertionError(f"{type(self).__name__} has no use for a prior")
