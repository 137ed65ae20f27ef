"""The root schema of each command, a dataclass: Hydra refuses unknown keys and values of the wrong type.

Below the root, the signature of a `_target_` is the schema, see `colorization.config.instantiate`.
"""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

_Node = dict[str, Any]


def _group() -> Any:
    return field(default_factory=dict)


@dataclass
class TrainConfig:
    """The root of `train.py`."""

    backbone: _Node = _group()
    decoder: _Node = _group()
    objective: _Node = _group()
    data: _Node = _group()
    optimizer: _Node = _group()
    scheduler: _Node = _group()
    trainer: _Node = _group()
    callbacks: _Node = _group()
    logger: _Node = _group()
    paths: _Node = _group()
    monitor: str = "val/loss"
    monitor_mode: str = MISSING
    seed: int = 0
    ckpt_path: str | None = None
    init_from: str | None = None
    lr_find: bool = False


@dataclass
class EvaluateConfig:
    """The root of `evaluate.py`."""

    checkpoint: str | None = None
    compare: list[str] | None = None
    predictions: list[str] | None = None
    best_of: int = 1
    adapter: _Node = _group()
    trust: list[str] = field(default_factory=list)
    protocol: _Node = _group()
    benchmark: _Node = _group()
    resolution: int | None = None
    vividness: float | None = None
    temperature: float | None = None
    metrics: list[str] | None = None
    lpips_weights: str | None = None
    lpips_vgg_weights: str | None = None
    dists_weights: str | None = None
    msswd_weights: str | None = None
    fid_weights: str | None = None
    fid_backend: str = "tf"
    fid_statistics: str | None = None
    data: _Node = _group()
    split: str | None = None
    panel_pictures: int = 8
    trainer: _Node = _group()
    paths: _Node = _group()
    seed: int = 0


@dataclass
class PredictConfig:
    """The root of `predict.py`."""

    checkpoint: str = "default"
    adapter: _Node = _group()
    trust: list[str] = field(default_factory=list)
    input: list[str] = MISSING
    output: str = "colorized"
    recursive: bool = True
    suffix: str | None = None
    format: str | None = None
    quality: int | None = None
    compare: bool = False
    overwrite: bool = False
    resolution: int | None = None
    saturation: float = 1.0
    vividness: float | None = None
    temperature: float | None = None
    device: str = "auto"
    batch_size: int = 8
    max_pixels: int = 200_000_000
    paths: _Node = _group()


@dataclass
class AuditThresholds:
    """Thresholds of an audit's findings; see conf/audit.yaml."""

    tiny: int = 64
    sepia: float = 2.0
    low_color: float = 7.5
    near_duplicate: int = 4


@dataclass
class AuditConfig:
    """The root of `colorize-audit`."""

    data: _Node = _group()
    split: str = "all"
    exclude: list[str] = field(default_factory=list)
    thresholds: AuditThresholds = field(default_factory=AuditThresholds)
    paths: _Node = _group()


@dataclass
class PrepareConfig:
    """The root of `colorize-prepare`."""

    source: str = MISSING
    target: str = MISSING
    size: int = 256
    quality: int = 95
    photos_per_shard: int = 1000
    val_share: float = 0.1
    num_workers: int = MISSING


@dataclass
class ExportConfig:
    """The root of `colorize-export`."""

    checkpoint: str = MISSING
    trust: list[str] = field(default_factory=list)
    format: str = "safetensors"
    half: bool = False
    resolution: int | None = None
    vividness: float | None = None
    temperature: float | None = None
    output: str | None = None
    overwrite: bool = False
    paths: _Node = _group()


@dataclass
class AppConfig:
    """The root of `colorize-app`."""

    checkpoint: str = "default"
    checkpoints: str | None = None
    trust: list[str] = field(default_factory=list)
    device: str = "auto"
    host: str = "127.0.0.1"
    port: int = 7860
    auth: str | None = None
    max_upload_mb: int = 200
    max_files: int = 20
    max_pixels: int = 50_000_000
    max_resolution: int = 1024
    max_seconds: float = 600
    queue: int = 20
    keep_minutes: float = 60
    paths: _Node = _group()


# By the name of the command and of its file in conf/.
ROOTS = {
    "train": TrainConfig,
    "evaluate": EvaluateConfig,
    "predict": PredictConfig,
    "audit": AuditConfig,
    "prepare": PrepareConfig,
    "export": ExportConfig,
    "app": AppConfig,
}
