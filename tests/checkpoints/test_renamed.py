"""Checkpoints that earlier versions wrote."""

import lzma
from pathlib import Path

import pytest
import torch

from colorization.checkpoints.network import ENTRY, read_checkpoint
from colorization.checkpoints.renamed import RENAMED, renamed
from colorization.config.instantiate import locate
from colorization.inference.colorizer import Colorizer
from colorization.training.resume import check_resumable
from tests.helpers.runs import Compose

# Written by version 0.1.0 for one epoch on shards; its weights were rounded since, so that it is small.
WRITTEN_BY_0_1_0 = Path(__file__).parent / "checkpoint-0.1.0.ckpt.xz"
ITS_COMMAND = (
    *("backbone=timm", "backbone.name=test_efficientnet", "backbone.pretrained=false", "decoder=autoencoder"),
    *("decoder.width=16", "optimizer=sgd", "data=shards", "data.val_share=0.4", "data.size=32", "data.batch_size=2"),
    *("data.root=elsewhere", "trainer=cpu", "trainer.precision=32-true", "logger=none"),
)


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    path = tmp_path / "earlier.ckpt"
    path.write_bytes(lzma.decompress(WRITTEN_BY_0_1_0.read_bytes()))
    return path


def test_a_checkpoint_of_version_0_1_0_still_colours(earlier: Path) -> None:
    colored = Colorizer.from_checkpoint(earlier, device="cpu")(torch.rand(3, 40, 56))
    assert colored.shape == (3, 40, 56)


def test_a_run_of_version_0_1_0_is_resumed_by_its_own_command(earlier: Path, compose_config: Compose) -> None:
    config = read_checkpoint(earlier)[ENTRY]["config"]
    check_resumable(config, compose_config(*ITS_COMMAND, "ckpt_path=auto"), earlier)


def test_every_renamed_class_is_where_the_table_says() -> None:
    for old, new in RENAMED.items():
        assert locate(new, "_target_", ("colorization",)).__name__ == old.rpartition(".")[2]
        assert renamed({"a": [{"_target_": old}]}) == {"a": [{"_target_": new}]}
