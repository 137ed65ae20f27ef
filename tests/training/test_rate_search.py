"""lr_find=true and conf/debug, as Lightning has them."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from colorization.training.rate_search import steepest
from tests.helpers.runs import SMALL, TINY, RunScript, rows

Fails = Callable[..., str]


def test_the_finder_suggests_a_rate_with_plot_and_command(
    tmp_path: Path, photos: Path, run_script: RunScript, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    options = [*SMALL, *TINY, "data=folder", f"data.root={photos}", "optimizer.lr=0.5"]
    run_script("train", *options, "lr_find=true", f"hydra.run.dir={run}")
    said = capsys.readouterr().out
    match = re.search(r"optimizer\.lr=(\S+) is suggested; it was 0\.5", said)
    assert match is not None
    assert 1e-5 < float(match[1]) < 0.5
    assert (run / "lr_find.png").read_bytes().startswith(b"\x89PNG")
    assert not list(run.rglob("*.ckpt"))
    assert not (run / "config.yaml").exists()
    command = shlex.split(said.strip().splitlines()[-1])
    assert command[-1] == f"optimizer.lr={match[1]}"
    assert "optimizer.lr=0.5" not in command
    assert "lr_find=true" not in command
    assert f"data.root={photos}" in command


def test_the_suggestion_is_where_the_loss_falls_fastest() -> None:
    rates = np.logspace(-6, 0, 100)
    noise = 0.002 * np.random.default_rng(0).standard_normal(100)
    losses = 0.1 / (1 + (rates / 1e-3)) + noise  # falls fastest, over the logarithm, at 1e-3
    losses[rates > 0.05] += 10 * rates[rates > 0.05]
    losses[95:] = (50, 40, 30, 20, 10)  # a fall that is no learning
    for cut in (len(rates), 90):
        losses[cut:] = np.nan
        suggested = steepest(list(rates), list(losses))
        assert suggested is not None
        assert 2e-4 < suggested < 5e-3
    assert steepest(list(rates), list(rates)) is None
    assert steepest(list(rates[:12]), [1.0] * 12) is None


def test_the_finder_is_for_new_runs(tmp_path: Path, fails: Fails) -> None:
    (tmp_path / "last.ckpt").touch()
    assert "leave out ckpt_path" in fails("train", *SMALL, *TINY, "lr_find=true", f"ckpt_path={tmp_path / 'last.ckpt'}")


@pytest.mark.parametrize("option", ["overfit", "limit", "profiler"])
def test_debug(tmp_path: Path, photos: Path, run_script: RunScript, option: str) -> None:
    run = tmp_path / "run"
    small = [word for word in SMALL if not word.startswith("trainer.max_epochs")]
    options = [*small, *TINY, "data=folder", f"data.root={photos}", f"debug={option}", f"hydra.run.dir={run}"]
    run_script("train", *options, "decoder.width=32", "optimizer.lr=0.01")
    assert (run / "checkpoints" / "best.ckpt").exists()
    if option == "overfit":
        losses = [float(row["train/loss"]) for row in rows(run) if row["train/loss"]]
        assert len(losses) == 50
        assert min(losses) < 0.5 * losses[0]
        still = ["optimizer.lr=0", "trainer.max_epochs=3", f"hydra.run.dir={tmp_path / 'still'}"]
        run_script("train", *options[:-1], *still)
        losses = [float(row["train/loss"]) for row in rows(tmp_path / "still") if row["train/loss"]]
        assert losses == pytest.approx([losses[0]] * 3, rel=1e-5)
    elif option == "profiler":
        assert "Total time" in (run / "fit-profile.txt").read_text()


def test_a_profiler_that_does_not_exist(fails: Fails) -> None:
    assert "trainer.profiler=simpel does not exist; did you mean simple?" in fails(
        "train", *SMALL, *TINY, "data=sample", "trainer.profiler=simpel"
    )
