"""What every objective promises."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping

from torch import Tensor, nn

from colorization.errors import ConfigError
from colorization.objectives.terms.base import Term

# What losses are logged as, besides the terms.
_TAKEN = ("loss", "pixel", "discriminator")


class Objective(nn.Module, ABC):
    """Gives the network's output its meaning, and says how wrong it is: a loss on each pixel, and any further terms on
    the colours that the output stands for, weighted and summed.

    Whatever an objective learns from data is a buffer, so that it travels in the checkpoint.

    A new objective is a subclass in a file of this folder, and one file in `conf/objective/`. Its `__init__` takes its
    own options and `**summed`, which it passes on.

    Args:
        weight: of the loss on each pixel.
        terms: further terms by name, see `Term`.

    Attributes:
        out_channels: how many channels the network has to produce.
        temperature: how far decoding goes from the mean to the mode of a distribution; None for an objective that
            predicts none.
        vividness: where decoding lies between safe (0) and vivid (1) colours; None for an objective without the choice.
        wants_prior: whether `set_prior` is to be called before training.
    """

    out_channels: int
    temperature: float | None = None
    vividness: float | None = None
    wants_prior = False

    def __init__(self, weight: float = 1.0, terms: Mapping[str, Term] | None = None) -> None:
        super().__init__()
        chosen = {name: term for name, term in (terms or {}).items() if term is not None}
        if not (0 <= weight < math.inf) or (weight == 0 and not chosen):
            raise ConfigError(f"objective.weight={weight:g} can't work: give a number above 0, or 0 beside other terms")
        for name, term in chosen.items():
            if name in _TAKEN:
                raise ConfigError(f"objective.terms.{name} bears a name that is taken: give the term another")
            if not isinstance(term, Term):
                raise ConfigError(
                    f"objective.terms.{name} is no term: choose one with +objective/term@objective.terms.NAME=FILE"
                )
        self.weight = weight
        self.terms = nn.ModuleDict(chosen)

    @abstractmethod
    def pixel_loss(self, prediction: Tensor, ab: Tensor) -> Tensor:
        """How wrong a prediction is, pixel by pixel: a scalar, for the arguments of `loss`."""

    @abstractmethod
    def decode(self, prediction: Tensor) -> Tensor:
        """The network's output `(B, out_channels, H, W)` to ab in Lab units, float32 `(B, 2, H, W)`."""

    def loss(self, prediction: Tensor, ab: Tensor, lightness: Tensor, progress: float = 1.0) -> dict[str, Tensor]:
        """How wrong a prediction is.

        Args:
            prediction: the network's output, `(B, out_channels, H, W)`.
            ab: the true colours in Lab units, `(B, 2, H, W)`.
            lightness: `(B, 1, H, W)` in 0..100.
            progress: the share of the training run that is done, 0..1; terms that begin later are left out.

        Returns:
            Scalars by name: `loss`, which is minimized, and, if there are further terms, what it is the weighted sum
            of. In eval mode without the terms whose yardstick changes in the course of training.
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
        """Takes the share of each bin of `colorization.color.ab_bins` in the training photos, `(Q,)`."""
        raise AssertionError(f"{type(self).__name__} has no use for a prior")
