"""A loss term in ten lines."""

from torch import Tensor

from colorization.objectives.terms.base import Term


class Smooth(Term):
    """Mean change of predicted ab from one pixel to the next, in Lab units: it penalizes blotches."""

    def forward(self, lightness: Tensor, predicted: Tensor, ab: Tensor) -> Tensor:
        return predicted.diff(dim=-1).abs().mean() + predicted.diff(dim=-2).abs().mean()
