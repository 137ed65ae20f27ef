"""Checkpoints of tiny networks with random weights, for tests that load many."""

from pathlib import Path
from typing import Any

import torch

from colorization.checkpoints.network import ENTRY, build_network, describe

DECODERS: dict[str, dict[str, Any]] = {
    "autoencoder": {"_target_": "colorization.decoders.autoencoder.AutoencoderDecoder", "width": 16},
    "unet": {"_target_": "colorization.decoders.unet.UNetDecoder", "width": 16},
    "query": {
        "_target_": "colorization.decoders.query.QueryDecoder",
        "width": 16,
        "queries": 8,
        "layers": 2,
        "embedding": 32,
    },
}


def tiny_config(backbone: str = "test_efficientnet", decoder: str = "autoencoder") -> dict[str, Any]:
    """A configuration whose network has about 100,000 weights.

    Args:
        backbone: one of timm's networks for tests.
        decoder: a key of `DECODERS`.
    """
    return {
        "backbone": {"_target_": "colorization.backbones.TimmBackbone", "name": backbone, "pretrained": False},
        "decoder": {**DECODERS[decoder]},
        "objective": {"_target_": "colorization.objectives.regression.Regression", "loss": "mse", "delta": 10.0},
        "data": {"_target_": "colorization.data.sample.SampleDataModule", "size": 32},
    }


def tiny_checkpoint(config: dict[str, Any]) -> dict[str, Any]:
    """What `train.py` would write for a configuration, with weights from seed 0 that colour clearly."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network, objective = build_network(config)
        output = getattr(network.decoder, "output", None) or network.decoder.mix
        assert isinstance(output, torch.nn.Conv2d | torch.nn.Linear)
        torch.nn.init.normal_(output.weight, std=0.05)
    state = {f"network.{key}": value for key, value in network.state_dict().items()}
    state |= {f"objective.{key}": value for key, value in objective.state_dict().items()}
    return {ENTRY: describe(config), "state_dict": state}


def write_tiny(path: Path, backbone: str = "test_efficientnet", decoder: str = "autoencoder") -> Path:
    """Writes such a checkpoint and returns its path."""
    torch.save(tiny_checkpoint(tiny_config(backbone, decoder)), path)
    return path
