"""Base class of loss terms."""

import math
from abc import ABC, abstractmethod

from torch import Tensor, nn

from colorization.errors import ConfigError


class Term(nn.Module, ABC):
    """A term of the loss on predicted colours.

    A new term is a subclass in a file of this folder, and one file in `conf/objective/term/`. Its `__init__` takes its
    own options and `**summed`, which it passes on. Any objective takes it:
    `+objective/term@objective.terms.NAME=FILE`.

    Args:
        weight: its factor in the sum.
        begin: share of the training run after which it is added, 0..1.

    Attributes:
        comparable: whether its values can be compared between steps; validation leaves out terms whose values can't.
    """

    comparable = True

    def __init__(self, weight: float = 1.0, begin: float = 0.0) -> None:
        super().__init__()
        if not 0 <= weight < math.inf:
            raise ConfigError(f"objective.terms: weight={weight:g} is out of range: give 0 or more")
        if not 0 <= begin < 1:
            raise ConfigError(f"objective.terms: begin={begin:g} is not a share of a run: give 0 <= begin < 1")
        self.weight = weight
        self.begin = begin

    @abstractmethod
    def forward(self, lightness: Tensor, predicted: Tensor, ab: Tensor) -> Tensor:
        """The loss of predicted colours.

        Args:
            lightness: `(B, 1, H, W)` in 0..100.
            predicted: ab in Lab units, `(B, 2, H, W)`.
            ab: the true ab.

        Returns:
            A scalar.
        """
