"""Training of the discriminator, beside Lightning's automatic optimization of the network."""

from collections.abc import Iterable
from typing import Any

import torch
from pytorch_lightning import Trainer
from pytorch_lightning.strategies import DDPStrategy, SingleDeviceStrategy, Strategy
from torch import Tensor
from torch.optim import Optimizer

from colorization.errors import ConfigError
from colorization.objectives.base import Objective
from colorization.objectives.terms.adversarial import Adversarial


class Adversary:
    """The discriminator's optimizer, and its steps.

    The network keeps Lightning's automatic optimization, with the trainer's accumulation, clipping, schedule and
    scaling. The discriminator's gradients come from the same batches. DistributedDataParallel does not see its
    parameters, which require gradients only in its own step, so gradients are averaged here.

    Args:
        term: the term with the discriminator.
    """

    def __init__(self, term: Adversarial) -> None:
        self.term = term
        self.optimizer: Optimizer | None = None
        self._resumed: dict[str, Any] | None = None

    @classmethod
    def of(cls, objective: Objective) -> "Adversary | None":
        """The adversary of an objective; None without an adversarial term.

        Raises:
            ConfigError: it has several such terms.
        """
        terms = [term for term in objective.terms.values() if isinstance(term, Adversarial)]
        if len(terms) > 1:
            raise ConfigError("objective.terms has several adversarial terms: give only one")
        return cls(terms[0]) if terms else None

    def configure(self, trainer: Trainer) -> None:
        """Makes the optimizer, once the discriminator is on its device.

        Raises:
            ConfigError: the strategy shares out parameters, or the optimizer refuses its options.
        """
        if not has_whole_network(trainer.strategy):
            raise ConfigError(
                "an adversarial term needs a whole copy of the network on each device: trainer.strategy=ddp"
            )
        try:
            self.optimizer = self.term.make_optimizer(self.term.discriminator.parameters())
        except (ValueError, TypeError) as error:
            raise ConfigError(f"objective.terms: the discriminator's optimizer can't be built: {error}") from error
        if self._resumed is not None:
            self.optimizer.load_state_dict(self._resumed)
            self._resumed = None

    def learn(self, lightness: Tensor, predicted: Tensor, ab: Tensor, batches: int) -> Tensor:
        """Accumulates the gradients of a batch and returns the discriminator's loss.

        `batches` is the number of accumulated batches; the other arguments are those of
        `Adversarial.discriminator_loss`.
        """
        discriminator = self.term.discriminator.requires_grad_(True)
        device = lightness.device.type
        # float16 would need a gradient scaler; bfloat16 and float32 do not.
        needs_scaling = torch.is_autocast_enabled(device) and torch.get_autocast_dtype(device) == torch.float16
        with torch.autocast(device, enabled=torch.is_autocast_enabled(device) and not needs_scaling):
            loss = self.term.discriminator_loss(lightness, predicted, ab)
        (loss / batches).backward()
        discriminator.requires_grad_(False)
        return loss.detach()

    def average_gradients(self, trainer: Trainer) -> Tensor:
        """Averages the gradients over all ranks and returns their norm: a scalar."""
        for parameter in self.term.discriminator.parameters():
            if parameter.grad is not None:
                parameter.grad = trainer.strategy.reduce(parameter.grad, reduce_op="mean")
        return gradient_norm(self.term.discriminator.parameters())

    def step(self) -> None:
        """Steps the optimizer."""
        assert self.optimizer is not None
        self.optimizer.step()
        self.optimizer.zero_grad()

    def state_dict(self) -> dict[str, Any]:
        """The optimizer's state, for a checkpoint."""
        assert self.optimizer is not None
        return self.optimizer.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Keeps a checkpoint's state until the optimizer exists."""
        self._resumed = state


def gradient_norm(parameters: Iterable[Tensor]) -> Tensor:
    """The Euclidean norm of all gradients together: a scalar."""
    return torch.nn.utils.get_total_norm(parameter.grad for parameter in parameters if parameter.grad is not None)


def has_whole_network(strategy: Strategy) -> bool:
    """Whether every rank has all parameters and gradients, not a shard of them."""
    return (
        isinstance(strategy, SingleDeviceStrategy) or type(strategy) is DDPStrategy
    )  # DeepSpeed's is a subclass of it
