"""A run that was stopped at any point resumes exactly."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from colorization.checkpoints.network import read_checkpoint
from colorization.training.module import ColorizationModule
from colorization.training.resume import find_resume
from tests.helpers.photos import make_folder
from tests.helpers.runs import CONF, SMALL, TINY, rows, train_in

Fails = Callable[..., str]

# Three epochs of four batches of two photos; inside an epoch, every step is kept.
OPTIONS = (
    *TINY,
    "data.batch_size=2",
    "data.val_share=0.2",
    "trainer.max_epochs=3",
    "callbacks.last_checkpoint.minutes=0",
)

# The same whatever the number of loader processes.
LITTLE = ("scheduler=cosine",)
ALL_THERE_IS = (
    "data.num_workers=2",
    "callbacks=[default,ema]",
    "trainer.accumulate_grad_batches=2",
    "scheduler=plateau",
    "scheduler.patience=0",
    "objective=classification",
    "+objective/term@objective.terms.adversarial=adversarial",
    "objective.terms.adversarial.begin=0.2",
)
# Hooks and at which call of each a run breaks off.
MOMENTS = (
    ("training_step", 4),  # in the middle of the first epoch
    ("training_step", 5),  # at the first epoch's end
    ("training_step", 11),
    ("validation_step", 2),  # in the middle of a validation
    ("on_train_epoch_end", 2),  # behind a validation, so that best.ckpt is the newest
)


class _PowerCutError(Exception):
    pass


@pytest.fixture(scope="module")
def ten_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("ten") / "photos", 10)


def weights(run: Path) -> dict[str, Any]:
    """The state in a run's last checkpoint, as one flat dict."""
    checkpoint = read_checkpoint(run / "checkpoints" / "last.ckpt")
    kept = ("state_dict", "optimizer_states", "lr_schedulers", "adversary", "averaging_state", "current_model_state")
    return dict(_flat({key: checkpoint[key] for key in kept if key in checkpoint}, ""))


def _flat(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict | list | tuple):
        for key, below in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _flat(below, f"{path}.{key}")
    else:
        yield path, value


def assert_same(whole: Path, resumed: Path) -> None:
    """Bit for bit the same weights and states, and the same curves."""
    first, second = weights(whole), weights(resumed)
    assert first.keys() == second.keys()
    for key, value in first.items():
        same = torch.equal(value, second[key]) if isinstance(value, torch.Tensor) else value == second[key]
        assert same, key
    curves = [
        [(row["step"], key, row[key]) for key in _CURVES for row in rows(run) if row.get(key)]
        for run in (whole, resumed)
    ]
    assert curves[0] == curves[1]


_CURVES = ("train/loss", "val/loss", "val/psnr", "epoch", "lr-AdamW")


def break_off(run: Path, photos: Path, hook: str, calls: int, *options: str) -> None:
    """Trains until a hook of the module is called for that many times."""
    original, called = getattr(ColorizationModule, hook), iter(range(1, 1_000_000))

    def failing(self: ColorizationModule, *arguments: Any) -> Any:
        if next(called) == calls:
            raise _PowerCutError
        return original(self, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ColorizationModule, hook, failing)
        with pytest.raises(_PowerCutError):
            train_in(run, photos, *OPTIONS, *options)


@pytest.mark.parametrize(
    ("options", "hook", "calls"),
    [
        *((LITTLE, *moment) for moment in MOMENTS),
        pytest.param(ALL_THERE_IS, *MOMENTS[0], marks=pytest.mark.slow),
        *(pytest.param(ALL_THERE_IS, *moment, marks=pytest.mark.long) for moment in MOMENTS[1:]),
    ],
)
def test_a_resumed_run_ends_bit_for_bit_where_it_would_have(
    tmp_path: Path, ten_photos: Path, whole: Callable[..., Path], options: tuple[str, ...], hook: str, calls: int
) -> None:
    run = tmp_path / "run"
    break_off(run, ten_photos, hook, calls, *options)
    train_in(run, ten_photos, *OPTIONS, *options, "ckpt_path=auto")
    assert_same(whole(*options), run)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, ten_photos: Path) -> Callable[..., Path]:
    """The folder of a run that was not stopped, made once for each set of options."""
    made: dict[tuple[str, ...], Path] = {}

    def run(*options: str) -> Path:
        if options not in made:
            folder = tmp_path_factory.mktemp("whole") / "run"
            train_in(folder, ten_photos, *OPTIONS, *options)
            made[options] = folder
        return made[options]

    return run


def start(run: Path, photos: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(CONF.parent / "train.py"), *SMALL, "data=folder", f"data.root={photos}", *OPTIONS]
    return subprocess.Popen(
        [*command, f"hydra.run.dir={run}", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_for(run: Path, steps: int, process: subprocess.Popen[str]) -> None:
    """Until a run's last checkpoint has done that many steps."""
    last, deadline = run / "checkpoints" / "last.ckpt", time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if last.exists() and torch.load(last, weights_only=True)["global_step"] >= steps:
            return
        time.sleep(0.01)
    raise AssertionError(process.communicate(timeout=10)[0])


@pytest.mark.long
def test_kill_9_at_three_moments(tmp_path: Path, ten_photos: Path, whole: Callable[..., Path]) -> None:
    run = tmp_path / "run"
    generator = torch.Generator().manual_seed(0)
    for steps in sorted(torch.randperm(10, generator=generator)[:3].tolist()):
        process = start(run, ten_photos, *LITTLE, "data.num_workers=1", "ckpt_path=auto")
        wait_for(run, steps, process)
        time.sleep(float(torch.rand((), generator=generator)) / 2)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    train_in(run, ten_photos, *OPTIONS, *LITTLE, "ckpt_path=last")
    assert_same(whole(*LITTLE), run)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGTERM, 143),
        pytest.param(signal.SIGINT, 130, marks=pytest.mark.long),
        pytest.param(signal.SIGUSR1, 143, marks=pytest.mark.long),
    ],
)
def test_a_stop_request_saves_and_says_how_to_resume(
    tmp_path: Path, ten_photos: Path, whole: Callable[..., Path], number: int, code: int
) -> None:
    """The request goes to all processes of the job, loaders included, as SLURM sends it."""
    run = tmp_path / "run"
    longer = "callbacks.last_checkpoint.minutes=60"
    process = start(run, ten_photos, *LITTLE, "data.num_workers=1", longer)
    wait_for(run, 4, process)
    os.killpg(process.pid, number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == code
    assert f"ckpt_path=last hydra.run.dir={run}" in " ".join(output.split())
    assert "Traceback" not in output
    train_in(run, ten_photos, *OPTIONS, *LITTLE, "ckpt_path=last")
    assert_same(whole(*LITTLE), run)


def test_a_corrupt_checkpoint_falls_back_to_an_earlier_one(
    tmp_path: Path, ten_photos: Path, whole: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    break_off(run, ten_photos, "training_step", 7, *LITTLE)
    last = run / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:-1000])
    train_in(run, ten_photos, *OPTIONS, *LITTLE, "ckpt_path=last")
    said = " ".join(capsys.readouterr().out.split())
    assert "last.ckpt is corrupt, or " in said
    assert f"resuming from {run}/checkpoints/best.ckpt" in said
    assert_same(whole(*LITTLE), run)


def test_a_flipped_bit_is_noticed(trained: Path) -> None:
    checkpoint = trained / "checkpoints" / "last.ckpt"
    before = checkpoint.read_bytes()
    middle = len(before) // 2
    try:
        checkpoint.write_bytes(before[:middle] + bytes([before[middle] ^ 1]) + before[middle + 1 :])
        found = find_resume("last", trained, trained)
        assert found is not None
        assert found[0].name != "last.ckpt"
    finally:
        checkpoint.write_bytes(before)


def test_without_an_intact_checkpoint_an_error_says_so(tmp_path: Path, fails: Fails) -> None:
    assert "there is no checkpoint in" in fails("train", *SMALL, "ckpt_path=last", f"paths.output_dir={tmp_path}")
    folder = tmp_path / "run" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "last.ckpt").write_bytes(b"PK")
    for value in ("last", "auto"):
        message = fails("train", *SMALL, f"ckpt_path={value}", f"hydra.run.dir={tmp_path}/run")
        assert f"no checkpoint in {folder} can be read" in message


@pytest.mark.slow
def test_a_full_disk_leaves_the_checkpoint_before_whole(tmp_path: Path, ten_photos: Path) -> None:
    """A limit on the size of files stands in for the disk."""
    run = tmp_path / "run"
    break_off(run, ten_photos, "training_step", 7)
    before = {path.name: path.read_bytes() for path in (run / "checkpoints").iterdir()}
    script = (
        "import resource, runpy, signal, sys;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000));"
        "sys.argv[0] = 'train.py'; runpy.run_path(sys.argv.pop(1), run_name='__main__')"
    )
    options = [*SMALL, "data=folder", f"data.root={ten_photos}", *OPTIONS, f"hydra.run.dir={run}", "ckpt_path=last"]
    command = [sys.executable, "-c", script, str(CONF.parent / "train.py"), *options]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 1
    assert "last.ckpt can't be written (File too large)" in result.stderr
    assert "Traceback" not in result.stderr
    assert "[pytorch_lightning" not in result.stdout + result.stderr  # its remarks
    assert {path.name: path.read_bytes() for path in (run / "checkpoints").iterdir()} == before


def test_stopped_inside_an_epoch_it_needs_the_same_batches(tmp_path: Path, ten_photos: Path, fails: Fails) -> None:
    run = tmp_path / "run"
    break_off(run, ten_photos, "training_step", 7)
    options = [*SMALL, "data=folder", f"data.root={ten_photos}", *OPTIONS, f"hydra.run.dir={run}", "ckpt_path=last"]
    message = fails("train", *options, "data.batch_size=1")
    assert "inside an epoch of 4 batches of 9 photos with seed=0, a global batch of 2, but" in message
    assert "9 batches of 9 photos with seed=0, a global batch of 1" in message
    assert "4 batches of 9 photos with seed=1, a global batch of 2" in fails("train", *options, "seed=1")
