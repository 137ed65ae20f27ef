"""A run that is resumed from a stranger's checkpoint copies, deletes and opens nothing that it names."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from colorization.training.saving import BestCheckpoint
from tests.helpers.photos import make_folder
from tests.helpers.runs import SMALL, train_in

Change = Callable[[dict[str, Any]], object]
TWO_EPOCHS = ("backbone=timm", "backbone.name=test_efficientnet", "decoder.width=16", "trainer.max_epochs=2")


@pytest.fixture(scope="module")
def donor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of one epoch, beside its `photos`."""
    folder = tmp_path_factory.mktemp("donor")
    make_folder(folder / "photos", 6)
    train_in(folder / "run", folder / "photos", *TWO_EPOCHS, "trainer.max_epochs=1")
    return folder / "run"


def changed(donor: Path, path: Path, change: Change) -> Path:
    checkpoint = torch.load(donor / "checkpoints" / "last.ckpt", weights_only=True)
    change(checkpoint)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(checkpoint, path)
    return path


def best_state(checkpoint: dict[str, Any]) -> dict[str, Any]:
    return next(state for key, state in checkpoint["callbacks"].items() if key.startswith("BestCheckpoint"))


def lightnings(paths: dict[str, float], dirpath: Path | str) -> dict[str, Any]:
    """A state as Lightning's own ModelCheckpoint writes it, and this project did."""
    scores = {path: torch.tensor(score) for path, score in paths.items()}
    last = list(paths)[-1]
    return {
        "monitor": "val/loss",
        "best_model_score": torch.tensor(min(paths.values())),
        "best_model_path": last,
        "current_score": torch.tensor(1.0),
        "dirpath": str(dirpath),
        "best_k_models": scores,
        "kth_best_model_path": last,
        "kth_value": scores[last],
        "last_model_path": last,
    }


def test_no_file_is_copied_that_a_checkpoint_names(donor: Path, tmp_path: Path) -> None:
    secret = tmp_path / "private" / "diary.ckpt"
    secret.parent.mkdir()
    secret.write_text("dear diary")
    path = changed(
        donor,
        tmp_path / "downloads" / "last.ckpt",
        lambda c: best_state(c).update(lightnings({str(secret): 1e9}, secret.parent)),
    )
    train_in(tmp_path / "run", donor.parent / "photos", *TWO_EPOCHS, f"ckpt_path={path}")
    assert {file.name for file in (tmp_path / "run" / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}


@pytest.mark.parametrize("prefix", ["local://", "", "file://"])
def test_no_folder_is_deleted_that_a_checkpoint_names(donor: Path, tmp_path: Path, prefix: str) -> None:
    precious = tmp_path / "precious.ckpt"
    (precious / "thesis").mkdir(parents=True)
    path = changed(
        donor,
        tmp_path / "downloads" / "last.ckpt",
        lambda c: best_state(c).update(lightnings({f"{prefix}{precious}": 1e9}, tmp_path / "run" / "checkpoints")),
    )
    train_in(tmp_path / "run", donor.parent / "photos", *TWO_EPOCHS, f"ckpt_path={path}")
    assert (precious / "thesis").is_dir()
    assert (tmp_path / "run" / "checkpoints" / "best.ckpt").is_file()


@pytest.mark.parametrize(
    "name",
    [
        "../private.ckpt",
        "/etc/passwd",
        "last.ckpt",
        ".hidden.ckpt",
        "folder.ckpt",
        "link.ckpt",
        "a\0.ckpt",
    ],
)
def test_names_that_are_not_those_of_a_best_checkpoint(tmp_path: Path, name: str) -> None:
    """A folder and a link that lie beside it are no checkpoints either."""
    beside = tmp_path / "downloads"
    (beside / "folder.ckpt").mkdir(parents=True)
    (tmp_path / "private.ckpt").write_text("private")
    (beside / "link.ckpt").symlink_to(tmp_path / "private.ckpt")
    for plain in ("last.ckpt", ".hidden.ckpt"):
        (beside / plain).write_text("another")
    best = BestCheckpoint(tmp_path / "run", monitor="val/loss", mode="min")
    best._resumed_folder = beside
    best.load_state_dict(lightnings({name: 1.0}, beside))
    assert best.best_model_path == best.kth_best_model_path == ""
    assert best.best_k_models == {}
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("score", [1.0, torch.zeros(2), torch.tensor(1), "low", None])
def test_scores_that_are_none(tmp_path: Path, score: Any) -> None:
    (tmp_path / "best.ckpt").write_text("best")
    best = BestCheckpoint(tmp_path, monitor="val/loss", mode="min")
    best.load_state_dict({"best_k_models": {"best.ckpt": score}})
    assert best.best_k_models == {}


def test_several_best_checkpoints_keep_their_order(tmp_path: Path) -> None:
    for name in ("a.ckpt", "b.ckpt", "c.ckpt"):
        (tmp_path / name).write_text(name)
    first = BestCheckpoint(tmp_path, monitor="val/psnr", mode="max", save_top_k=3)
    first.best_k_models = {
        str(tmp_path / name): torch.tensor(score)
        for name, score in (("a.ckpt", 20.0), ("b.ckpt", 22.0), ("c.ckpt", 19.0))
    }
    assert not [value for value in first.state_dict().values() if str(tmp_path) in str(value)]
    second = BestCheckpoint(tmp_path, monitor="val/psnr", mode="max", save_top_k=3)
    second.load_state_dict(first.state_dict())
    assert second.best_model_path == str(tmp_path / "b.ckpt")
    assert second.kth_best_model_path == str(tmp_path / "c.ckpt")
    assert second.best_model_score == 22
    assert second.kth_value == 19


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.pop("loops"),
        lambda c: c.update(loops={}),
        lambda c: c.update(loops={"fit_loop": {"state_dict": 7}}),
        lambda c: c.update(global_step="many"),
        lambda c: c.update(callbacks=[]),
        lambda c: c.update(callbacks={"LastCheckpoint": {"minutes": 1}}),
        lambda c: c.update(optimizer_states=[{"state": {}, "param_groups": [7]}]),
        lambda c: c.update(lr_schedulers=[7]),
        lambda c: c.update({"pytorch-lightning_version": "x"}),
        lambda c: c.update(position={"epoch": "x"}),
        lambda c: c["state_dict"].popitem(),
    ],
)
def test_states_of_training_that_do_not_fit_are_one_sentence(
    donor: Path, tmp_path: Path, fails: Callable[..., str], change: Change
) -> None:
    path = changed(donor, tmp_path / "odd.ckpt", change)
    options = [*SMALL, "data=folder", f"data.root={donor.parent / 'photos'}", "data.val_share=0.4", *TWO_EPOCHS]
    message = fails("train", *options, f"hydra.run.dir={tmp_path / 'run'}", f"ckpt_path={path}")
    assert f"ckpt_path={path}" in message
