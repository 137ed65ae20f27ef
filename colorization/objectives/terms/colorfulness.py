"""Reward for colourful pictures."""

from torch import Tensor

from colorization.color import colorfulness, lab_to_rgb, merge_lab
from colorization.objectives.terms.base import Term


class Colorfulness(Term):
    """1 - M/100, M being the colourfulness of Hasler and Süsstrunk (2003), as in DDColor (Kang et al., 2023).

    It ignores the true colours: combine it with a loss that does not.
    """

    def forward(self, lightness: Tensor, predicted: Tensor, ab: Tensor) -> Tensor:
        return (1 - colorfulness(lab_to_rgb(merge_lab(lightness, predicted))) / 100).mean()
