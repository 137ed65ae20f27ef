"""What every term of a loss promises."""

import math
from abc import ABC, abstractmethod

from torch import Tensor, nn

from colorization.errors import ConfigError


class Term(nn.Module, ABC):
    """Says what is wrong with predicted colours.

    A new term is a subclass in a file of this folder, and one file in `conf/objective/term/`. Its `__init__` takes its
    own options and `**summed`, which it passes on. Any objective takes it:
    `+objective/term@objective.terms.NAME=FILE`.

    Args:
        weight: the factor that it enters the sum with.
        begin: the share of the training run after which it enters, 0..1.

    Attributes:
        comparable: whether its values can be compared from one step to another; validation leaves out what can't.
    """

    comparable = True

    def __init__(self, weight: float = 1.0, begin: float = 0.0) -> None:
        super().__init__()
        if not 0 <= weight < math.inf:
            raise ConfigError(f"objective.terms: a weight of {weight:g} can't work; give 0 or more")
        if not 0 <= begin < 1:
            raise ConfigError(f"objective.terms: begin={begin:g} is no share of a run; give 0 or more, and less than 1")
        self.weight = weight
        self.begin = begin

    @abstractmethod
    def forward(self, lightness: Tensor, predicted: Tensor, ab: Tensor) -> Tensor:
        """How wrong predicted colours are.

        Args:
            lightness: `(B, 1, H, W)` in 0..100.
            predicted: ab in Lab units, `(B, 2, H, W)`.
            ab: the true ab.

        Returns:
            A scalar.
        """
