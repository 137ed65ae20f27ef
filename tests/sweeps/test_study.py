"""Studies that are resumed, killed, shared between processes, and pruned."""

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from joblib.externals.loky import get_reusable_executor
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from colorization.errors import ConfigError
from colorization.runtime.installation import install_hint
from colorization.sweeps.study import SweepStudy, open_storage
from tests.helpers import toy_sweep
from tests.helpers.photos import make_folder
from tests.helpers.runs import CONF, SMALL, TINY, RunScript, leaderboard, rows, sweep_toy

Fails = Callable[..., str]


def trials(sweep: Path, storage: str = "study.db") -> list[FrozenTrial]:
    return optuna.load_study(study_name="colorization", storage=open_storage(str(sweep / storage))).trials


def times_run(sweep: Path) -> list[int]:
    """How often each trial was run."""
    count = len(trials(sweep))
    return [len((sweep / str(number) / toy_sweep.RUNS).read_text().splitlines()) for number in range(count)]


def sweeper(folder: Path, **options: Any) -> dict[str, Any]:
    """The node hydra.sweeper."""
    return {
        "storage": str(folder / "study.db"),
        "study_name": "colorization",
        "direction": "minimize",
        "n_trials": 4,
        "sampler": {"_target_": "optuna.samplers.TPESampler", "seed": 0},
        "pruner": {"_target_": "optuna.pruners.NopPruner"},
        **options,
    }


SPACE = {"lr": FloatDistribution(0, 1), "width": CategoricalDistribution((1, 2, 3))}


def start(folder: Path, *options: str, seconds: float) -> subprocess.Popen[bytes]:
    """Starts a study of the toy in a process of its own, in its own group."""
    program = "from tests.helpers.toy_sweep import command; command()"
    words = ["sweep=optuna", f"hydra.sweep.dir={folder}", f"paths.output_dir={folder.parent}", *options]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), toy_sweep.SECONDS: str(seconds)}
    return subprocess.Popen(
        [sys.executable, "-c", program, *words], env=environment, cwd=CONF.parent, start_new_session=True
    )


@pytest.mark.long
def test_a_study_that_is_killed_goes_on_with_the_same_command(tmp_path: Path) -> None:
    """Twenty trials in all: none is lost, none is there twice, and they are those of a study that nobody killed."""
    sweep = tmp_path / "sweep"
    process = start(sweep, seconds=0.5)
    while not (sweep / "7" / toy_sweep.RUNS).exists():
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    states = [trial.state for trial in trials(sweep)]
    assert states == [TrialState.COMPLETE] * 7 + [TrialState.RUNNING]
    assert start(sweep, seconds=0).wait() == 0
    assert [trial.state for trial in trials(sweep)] == [TrialState.COMPLETE] * 20
    assert times_run(sweep) == [1] * 7 + [2] + [1] * 12
    assert len(leaderboard(sweep)) == 20
    assert {row["status"] for row in leaderboard(sweep)} == {"done"}
    space = trials(sweep)[0].distributions
    options = sweeper(tmp_path / "other", n_trials=20)
    options["sampler"]["n_startup_trials"] = 5
    never_killed = SweepStudy(tmp_path / "other", options, space, {})
    while claimed := never_killed.claim(1):
        never_killed.finish(claimed[0], abs(math.log10(claimed[0].params["optimizer.lr"]) + 3))
    found = [trial.params for trial in trials(sweep)]
    assert found == [trial.params for trial in never_killed.study.trials]
    assert len({trial["optimizer.lr"] for trial in found}) == 20


@pytest.mark.long
def test_joblib_runs_trials_of_a_study_side_by_side() -> None:
    words = ["hydra/launcher=joblib", "hydra.sweeper.n_jobs=2", "hydra.launcher.n_jobs=2", "hydra.sweeper.n_trials=3"]
    assert sweep_toy("sweep=optuna", *words) == 0
    get_reusable_executor().shutdown()
    assert [trial.state for trial in trials(Path("sweep"))] == [TrialState.COMPLETE] * 3
    assert times_run(Path("sweep")) == [1] * 3


@pytest.mark.long
def test_processes_share_a_study_and_take_over_from_one_that_is_killed(tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    processes = [start(sweep, "hydra.sweeper.n_trials=8", seconds=0.5) for _ in range(3)]
    while len(list(sweep.glob(f"*/{toy_sweep.RUNS}"))) < 4:
        time.sleep(0.05)
    os.killpg(processes[0].pid, signal.SIGKILL)
    assert [process.wait() for process in processes] == [-signal.SIGKILL, 0, 0]
    assert [trial.state for trial in trials(sweep)] == [TrialState.COMPLETE] * 8
    assert sorted(times_run(sweep)) in ([1] * 8, [1] * 7 + [2])
    assert len({trial.params["optimizer.lr"] for trial in trials(sweep)}) == 8


@pytest.mark.long
def test_a_study_is_extended_by_more_trials() -> None:
    assert sweep_toy("sweep=optuna", "hydra.sweeper.n_trials=2") == 0
    first = [trial.params for trial in trials(Path("sweep"))]
    assert sweep_toy("sweep=optuna", "hydra.sweeper.n_trials=3") == 0
    assert [trial.params for trial in trials(Path("sweep"))][:2] == first
    assert times_run(Path("sweep")) == [1, 1, 1]


def test_trials_that_nobody_runs_come_first_with_what_was_suggested_for_them(tmp_path: Path) -> None:
    study = SweepStudy(tmp_path, sweeper(tmp_path), SPACE, {})
    killed = study.study.ask()
    rate = killed.suggest_float("lr", 0, 1)
    first, second = study.claim(2)
    assert (first.number, second.number) == (0, 1)
    assert first.params["lr"] == rate
    assert first.params.keys() == second.params.keys() == SPACE.keys()
    beside = SweepStudy(tmp_path, sweeper(tmp_path), SPACE, {})
    assert [trial.number for trial in beside.claim(3)] == [2, 3]
    study.finish(first, 1.0)
    study.finish(second, None)
    states = [trial.state for trial in study.study.trials]
    assert states == [TrialState.COMPLETE, TrialState.FAIL, TrialState.RUNNING, TrialState.RUNNING]


def test_trials_of_a_server_s_other_folders_are_left_alone(tmp_path: Path) -> None:
    options = sweeper(tmp_path)
    here, there = (SweepStudy(tmp_path / name, options, SPACE, {}) for name in ("here", "there"))
    here.study.ask()
    assert [trial.number for trial in there.claim(1)] == [1]


def test_a_study_in_a_journal_and_in_a_folder_of_any_name(tmp_path: Path) -> None:
    for name in ("study.log", "study.db"):
        folder = tmp_path / "a?b {c}#%20 ü"
        study = SweepStudy(folder, sweeper(folder, storage=str(folder / name)), SPACE, {})
        study.finish(study.claim(1)[0], 1.0)
        assert [trial.value for trial in trials(folder, name)] == [1.0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["seed=1"], "was begun with seed=None, but this command has seed=1: give another hydra.sweep.dir"),
        (["monitor=val/psnr"], "was begun with direction=minimize, but this command has direction=maximize"),
        (["decoder.width=choice(8,16)"], "decoder.width of hydra.sweep.dir=sweep had other values to search"),
        (["hydra.sweeper.n_jobs=0"], "hydra.sweeper.n_jobs=0 is too few"),
        (["hydra.sweeper.storage=nothing://here"], "hydra.sweeper.storage=nothing://... can't be opened"),
        (["hydra.sweeper.sampler._target_=optuna.samplers.Magic"], "hydra.sweeper.sampler._target_"),
        (["+hydra.sweeper.pruner.warmup=1"], "hydra.sweeper.pruner.warmup is not an option of MedianPruner"),
        (["optimizer.lr=interval(2,1)"], "optimizer.lr=interval(2,1) can't be searched"),
    ],
)
def test_what_does_not_fit_a_study_is_refused(options: list[str], message: str) -> None:
    assert sweep_toy("sweep=optuna", "hydra.sweeper.n_trials=1") == 0
    assert message in str(sweep_toy("sweep=optuna", "hydra.sweeper.n_trials=2", *options))
    assert trials(Path("sweep"))[0].state is TrialState.COMPLETE


@pytest.mark.parametrize("word", ["optimizer.lrr=interval(1e-5,1e-3)", "backbone=resnet18,vgg99"])
def test_a_typo_in_the_search_is_in_no_study(word: str) -> None:
    assert "did you mean" in str(sweep_toy("sweep=optuna", word))
    assert not Path("sweep").exists()


def test_a_folder_of_another_sweep_is_refused() -> None:
    assert sweep_toy("-m", "optimizer.lr=1e-3,1e-4") == 0
    assert "hydra.sweep.dir=sweep holds another sweep" in str(sweep_toy("sweep=optuna"))


@pytest.mark.parametrize("version", [None, "2.10.1"])
def test_without_optuna_4_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, version: str | None) -> None:
    if version is None:
        monkeypatch.setitem(sys.modules, "optuna", None)
    else:
        monkeypatch.setattr(optuna, "__version__", version)
    message = str(sweep_toy("sweep=optuna", "hydra.sweeper.n_trials=1"))
    assert message.startswith("Error: sweep=optuna needs Optuna")
    assert message.endswith(install_hint("optuna"))


def test_a_pruned_trial_ends_early_and_is_marked(
    tmp_path: Path, run_script: RunScript, capsys: pytest.CaptureFixture[str]
) -> None:
    """Any loss is above the threshold, from the second validation on."""
    make_folder(tmp_path / "photos", 6)
    sweep = tmp_path / "sweep"
    words = [*SMALL, *TINY, "data=folder", f"data.root={tmp_path}/photos", "data.val_share=0.4", "trainer.max_epochs=4"]
    words += ["sweep=optuna", f"hydra.sweep.dir={sweep}", "hydra.sweeper.n_trials=2", "hydra.sweeper.params=null"]
    pruner = "{_target_: optuna.pruners.ThresholdPruner, upper: 0, n_warmup_steps: 1}"
    words += ["optimizer.lr=interval(1e-5,1e-4)", "~hydra.sweeper.pruner", f"+hydra.sweeper.pruner={pruner}"]
    run_script("train", *words)
    for trial in trials(sweep):
        assert trial.state is TrialState.PRUNED
        assert trial.user_attrs["pruned_at"] == 0.5
        run = sweep / str(trial.number)
        losses = [float(row["val/loss"]) for row in rows(run) if row["val/loss"]]
        assert list(trial.intermediate_values) == [0, 1]
        assert list(trial.intermediate_values.values()) == pytest.approx(losses, rel=1e-4)
    assert "pruning ended 2 of 2 trials, and saved 50 % of all steps" in capsys.readouterr().out
    board = leaderboard(sweep)
    assert [row["status"] for row in board] == ["pruned", "pruned"]
    assert all((sweep / row["checkpoint"]).is_file() for row in board)
    assert "| 1 (pruned) |" in (sweep / "leaderboard.md").read_text()


def test_pruning_without_a_study_is_a_mistake(fails: Fails) -> None:
    pruning = "+callbacks.pruning={_target_: colorization.sweeps.pruning.Pruning, monitor: val/loss}"
    assert "callbacks.pruning belongs to a study: give sweep=optuna" in fails("train", *SMALL, pruning)


def test_a_storage_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "study.db").write_text("no database, but long enough to have a header that can be read as one")
    with pytest.raises(ConfigError, match=r"study\.db can't be opened"):
        open_storage(str(tmp_path / "study.db"))
