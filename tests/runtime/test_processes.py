"""Which share of the work a process takes."""

import os

import pytest
import torch

from colorization.runtime.processes import Process, this_process


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, Process(0, 1, 0)),
        ({"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}, Process(5, 8, 1)),
        ({"SLURM_PROCID": "2", "SLURM_STEP_NUM_TASKS": "3", "SLURM_LOCALID": "0"}, Process(2, 3, 0)),
        # A batch script: one process for which there is nobody to share with.
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "3", "SLURM_LOCALID": "0"}, Process(0, 1, 0)),
    ],
)
def test_rank_and_world_size_of_a_process(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: Process
) -> None:
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        monkeypatch.delenv(name)
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert this_process() == expected


def test_each_process_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Process(3, 8, 3).device("cpu") == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [Process(rank, 3, rank).device("auto") for rank in range(3)] == ["cuda:0", "cuda:1", "cuda:0"]
    assert Process().device("auto") == "auto"
    assert Process(1, 2, 1).device("cuda:0") == "cuda:0"
