"""What is private of other libraries and used here is still there, and does what it did."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf
from pytorch_lightning import Trainer
from pytorch_lightning.loggers import WandbLogger
from torch import Tensor

from colorization.compat.hydra import keep_one_store


@contextmanager
def private(what: str) -> Iterator[None]:
    """Names what has vanished, or works in another way."""
    try:
        yield
    except (AssertionError, AttributeError, ImportError, KeyError, TypeError, ValueError) as error:
        pytest.fail(f"{what} is not what it was ({error!r}): mend it in colorization/compat, or pin the package")


def quiet_trainer(**options: Any) -> Trainer:
    return Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False, **options)


def test_launchers_that_start_the_script_again() -> None:
    with private("pytorch_lightning's _SubprocessScriptLauncher"):
        from colorization.compat.lightning import relaunches_script

        assert relaunches_script(quiet_trainer(devices=2, strategy="ddp"))
        assert not relaunches_script(quiet_trainer(devices=2, strategy="ddp_spawn"))
        assert not relaunches_script(quiet_trainer(devices=1))


def test_the_request_to_stop() -> None:
    with private("Trainer._signal_connector.received_sigterm"):
        from colorization.compat.lightning import request_stop

        trainer = quiet_trainer()
        assert not trainer.received_sigterm
        request_stop(trainer)
        assert trainer.received_sigterm


def test_metrics_csv_is_continued(tmp_path: Path) -> None:
    with private("CSVLogger._experiment or ExperimentWriter._check_log_dir_exists"):
        from colorization.compat.lightning import ContinuingCSVLogger

        rows: tuple[dict[str, Tensor | float], ...] = ({"loss": 1.0}, {"loss": 2.0, "psnr": 3.0})
        for step, metrics in enumerate(rows):
            logger = ContinuingCSVLogger(str(tmp_path), name="", version="")
            logger.log_metrics(metrics, step)
            logger.finalize("success")
        assert (tmp_path / "metrics.csv").read_text().split() == ["loss,psnr,step", "1.0,,0", "2.0,3.0,1"]


def test_options_of_a_wandb_logger(tmp_path: Path) -> None:
    with private("WandbLogger._wandb_init, _id, _experiment or _attach_id"):
        from colorization.compat.lightning import continue_wandb_run, has_begun, is_spawned, wandb_options

        logger = WandbLogger(save_dir=tmp_path, project="test", name="one", mode="disabled")
        assert wandb_options(logger).items() >= {"project": "test", "name": "one", "mode": "disabled"}.items()
        continue_wandb_run(logger, "abc")
        assert logger.version == "abc"
        assert not has_begun(logger)
        assert not is_spawned(logger)
        run = logger.experiment
        assert has_begun(logger)
        assert logger.version == run.id
        run.finish()
        state = logger.__getstate__()  # what a process that is spawned gets
        assert "_attach_id" in state
        logger.__dict__.update(state | {"_attach_id": "abc"})
        assert is_spawned(logger)
        assert not has_begun(logger)


def test_operations_that_make_tensors() -> None:
    with private("torch.utils._python_dispatch.TorchDispatchMode or OpOverload._schema"):
        from colorization.compat.torch import DispatchMode, makes_tensors

        seen: list[bool] = []

        class Watch(DispatchMode):
            def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
                seen.append(makes_tensors(function))
                return function(*args, **kwargs or {})

        with Watch():
            torch.zeros(2).neg()
        assert seen == [True, False]


def test_exported_sizes_of_one() -> None:
    with private("torch.fx.experimental._config.backed_size_oblivious"):
        from colorization.compat.torch import sizes_of_one_are_general

        batch = {"input": {0: torch.export.Dim("batch", min=1)}}
        with sizes_of_one_are_general():
            program = torch.export.export(torch.nn.Flatten(), (torch.zeros(1, 3),), dynamic_shapes=batch)
        assert program.module()(torch.zeros(5, 3)).shape == (5, 3)


def test_the_length_of_a_one_cycle_schedule() -> None:
    with private("OneCycleLR's state, its _schedule_phases"):
        from colorization.compat.torch import forget_length

        def schedule(steps: int) -> Any:
            optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
            return torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=steps)

        state, longer = schedule(10).state_dict(), schedule(20)
        assert state.keys() >= {"total_steps", "_schedule_phases"}
        kept = longer.state_dict()["_schedule_phases"]
        forget_length(state)
        longer.load_state_dict(state)
        assert (longer.total_steps, longer.state_dict()["_schedule_phases"]) == (20, kept)


def test_the_network_of_lpips() -> None:
    with private("torchmetrics.functional.image.lpips._NoTrainLpips"):
        from colorization.compat.torchmetrics import lpips_network

        network, picture = lpips_network("alex"), torch.rand(1, 3, 64, 64)
        assert float(network(picture, picture, normalize=True)) == 0
        assert float(network(picture, 1 - picture, normalize=True)) > 0


def test_the_root_of_a_configuration() -> None:
    with private("OmegaConf's Node._get_root"):
        from colorization.compat.omegaconf import root_of

        config = OmegaConf.create({"a": {"b": {}}})
        assert root_of(config.a.b) is config


def test_the_store_of_structured_configurations_is_not_copied() -> None:
    with private("hydra's ConfigStore"):
        keep_one_store()
        store = ConfigStore.instance()
        assert copy.deepcopy({"sources": [store]})["sources"][0] is store
        first, second = (store.load("hydra/config.yaml").node for _ in range(2))
        assert first is not second  # a command can't change what is in the store
