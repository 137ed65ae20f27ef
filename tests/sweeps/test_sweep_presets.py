"""What chooses how the jobs of a sweep are found and run: Optuna, joblib, submitit, and W&B's own agent."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from joblib.externals.loky import get_reusable_executor
from wandb import wandb_agent

from colorization.config.resolvers import gpu_of_job
from colorization.runtime.installation import install_hint
from colorization.sweeps.results import read_result
from tests.helpers import toy_sweep
from tests.helpers.runs import CONF, SMALL, Compose, RunScript, leaderboard, sweep_toy

Fails = Callable[..., str]
ROOT = CONF.parent


@pytest.mark.parametrize(("monitor", "best"), [("val/loss", min), ("val/psnr", max)])
def test_optuna_searches_in_the_metric_s_direction(monitor: str, best: Callable[[list[float]], float]) -> None:
    """Without -m: the preset says that there are many runs."""
    assert sweep_toy("sweep=optuna", "hydra.sweeper.n_trials=4", f"monitor={monitor}") == 0
    rows = leaderboard(Path("sweep"))
    assert len(rows) == 4
    found = yaml.safe_load(Path("sweep/optimization_results.yaml").read_text())
    values = [float(row["value"]) for row in rows]
    assert found["best_value"] == best(values) == values[0]
    assert {"optimizer.lr", "optimizer.weight_decay", "decoder.width"} <= rows[0].keys()
    rates = [float(row["optimizer.lr"]) for row in rows]
    assert all(3e-5 <= rate <= 3e-3 for rate in rates)
    assert len(set(rates)) == 4


def test_optuna_repeats_itself_with_the_same_seed_and_leaves_alone_what_is_given() -> None:
    rates = []
    for seed in (0, 0, 1):
        assert sweep_toy("sweep=optuna", "hydra.sweeper.n_trials=2", f"seed={seed}", "decoder.width=32") == 0
        assert all("decoder.width=32" in row["overrides"].split() for row in leaderboard(Path("sweep")))
        rates.append([row["optimizer.lr"] for row in leaderboard(Path("sweep"))])
        shutil.rmtree("sweep")
    assert rates[0] == rates[1] != rates[2]


def test_optuna_continues_after_a_failed_trial() -> None:
    failing = f"seed=choice(1,{toy_sweep.MISTAKE})"
    message = sweep_toy("sweep=optuna", "hydra.sweeper.sampler.seed=0", "hydra.sweeper.n_trials=5", failing)
    rows = leaderboard(Path("sweep"))
    assert len(rows) == 5
    done = [row for row in rows if row["status"] == "done"]
    assert 0 < len(done) < 5
    assert {row["seed"] for row in done} == {"1"}
    assert f"{5 - len(done)} of 5 jobs failed" in str(message)
    found = yaml.safe_load(Path("sweep/optimization_results.yaml").read_text())
    assert found["best_params"]["seed"] == 1


def test_a_search_in_which_all_fails_still_has_a_leaderboard() -> None:
    message = sweep_toy(
        "sweep=optuna",
        "hydra.sweeper.n_trials=2",
        f"seed={toy_sweep.MISTAKE}",
        "hydra.sweeper.sampler.seed=0",
    )
    assert "2 of 2 jobs failed" in str(message)
    assert len(leaderboard(Path("sweep"))) == 2


@pytest.mark.long
def test_joblib_runs_jobs_side_by_side_each_on_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    message = sweep_toy("sweep=joblib", f"seed=1,2,{toy_sweep.MISTAKE}")
    get_reusable_executor().shutdown()
    assert "1 of 3 jobs failed" in str(message)
    assert "job 2: seed is not to my taste" in str(message)
    assert {row["job"]: row["photos"] for row in leaderboard(Path("sweep"))} == {
        "0": "photos 5",
        "1": "photos 7",
        "2": "",
    }


@pytest.mark.long
def test_submitit_starts_jobs_of_its_own_and_one_that_is_killed_is_in_the_leaderboard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By its local executor, which needs no cluster."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    local = ["hydra/launcher=submitit_local", "hydra.launcher.gpus_per_node=0"]
    message = sweep_toy("sweep=submitit", *local, f"seed=1,{toy_sweep.KILLED}")
    assert "1 of 2 jobs failed" in str(message)
    assert "job 1: no result: it was killed" in str(message)
    assert [row["status"] for row in leaderboard(Path("sweep"))] == ["done", "failed"]


@pytest.mark.parametrize(
    ("preset", "group", "name"),
    [("joblib", "launcher", "joblib"), ("submitit", "launcher", "submitit_slurm")],
)
def test_a_preset_without_its_extra_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, preset: str, group: str, name: str
) -> None:
    Plugins.instance()  # loads them all
    monkeypatch.delitem(ConfigStore.instance().repo["hydra"][group], f"{name}.yaml")
    for options in (["seed=1"], ["seed=1,2"], ["-m", "seed=1,2"]):
        message = sweep_toy(*options, f"sweep={preset}")
        assert str(message) == f"Error: hydra/{group}/{name} needs a plugin of Hydra: {install_hint(preset)}"


def test_submitit_without_slurm_says_what_to_take_instead(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    message = str(sweep_toy("sweep=submitit", "seed=1,2"))
    assert message.startswith("Error: hydra/launcher=submitit_slurm needs SLURM, and there is no srun")
    assert "add hydra/launcher=submitit_local to sweep=submitit, or give sweep=joblib" in message
    assert not Path("sweep").exists()


def test_jobs_get_the_gpus_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    assert [gpu_of_job(number) for number in range(4)] == ["2", "3", "2", "3"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    for count, expected in ((0, ["", "", ""]), (2, ["0", "1", "0"])):
        monkeypatch.setattr(torch.cuda, "device_count", lambda count=count: count)
        assert [gpu_of_job(number) for number in range(3)] == expected


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["hydra.launcher.n_jobs=2"], "hydra.launcher.n_jobs belongs to a sweep: give sweep=joblib"),
        (["sweep=joblib", "hydra.launcher.njobs=2"], "hydra.launcher.njobs is not an option; did you mean n_jobs"),
        (["sweep=optuna", "hydra.sweeper.ntrials=3"], "hydra.sweeper.ntrials is not an option; did you mean n_trials"),
        (["sweep=optuna", "hydra.sweeper.n_trials=0"], "hydra.sweeper.n_trials=0 is too few"),
        (["sweep=optuna", "monitor=val/psrn"], "monitor=val/psrn is not logged; did you mean val/psnr"),
        (["-m", "seed=1,2", "monitor=val/psrn"], "monitor=val/psrn is not logged; did you mean val/psnr"),
        (["sweep=joblib", "seeed=1,2"], "seeed is not an option; did you mean seed"),
    ],
)
def test_mistakes_in_sweeps(fails: Fails, options: list[str], part: str) -> None:
    assert part in fails("train", *SMALL, *options)


def test_the_wandb_sweep_file_is_not_an_option(fails: Fails) -> None:
    assert "wandb sweep conf/sweep/wandb.yaml" in fails("train", *SMALL, "sweep=wandb")


@pytest.mark.long
def test_a_run_that_an_agent_of_w_and_b_starts(
    tmp_path: Path, compose_config: Compose, monkeypatch: pytest.MonkeyPatch, run_script: RunScript
) -> None:
    """The command as W&B's own agent makes it of the file, for values that its search may choose."""
    sweep = yaml.safe_load((CONF / "sweep" / "wandb.yaml").read_text())
    started: list[list[str]] = []

    class Process:
        def __init__(self, command: list[str], env: dict[str, str], **_: Any) -> None:
            started.append(command)

    for name, value in (("WANDB_SWEEP_ID", "sweep1"), ("WANDB_DIR", str(tmp_path)), ("WANDB_RUN_ID", "")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("WANDB_SWEEP_PARAM_PATH", "")
    monkeypatch.setattr(wandb_agent, "AgentProcess", Process)
    agent = wandb_agent.Agent(None, None, sweep_id="sweep1")
    agent._sweep_command = list(sweep["command"])
    values = {
        name: options["values"][0] if "values" in options else options["min"]
        for name, options in sweep["parameters"].items()
    }
    arguments = {name: {"value": value} for name, value in values.items()}
    agent._command_run({"run_id": "run1", "program": sweep["program"], "args": arguments})
    env, interpreter, program, *options = started[0]
    assert (env, interpreter, program) == ("/usr/bin/env", "python", "train.py")
    assert (ROOT / program).is_file()
    monkeypatch.delenv("WANDB_SWEEP_PARAM_PATH")
    monkeypatch.setenv("WANDB_MODE", "offline")
    small = [option for option in SMALL if option != "logger=none"]
    run_script("train", *options, *small, "data.repeats=1")
    run = tmp_path / "outputs" / "wandb_sweeps" / "sweep1" / "run1"
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["optimizer"]["lr"] == values["optimizer.lr"]
    assert config["decoder"]["width"] == values["decoder.width"]
    assert config["logger"]["wandb"]
    result = read_result(run)
    assert result is not None
    metric = sweep["metric"]
    assert metric["name"] in result.scores
    assert {"minimize": "min", "maximize": "max"}[metric["goal"]] == compose_config()["monitor_mode"]
    assert metric["name"] == compose_config()["monitor"]
