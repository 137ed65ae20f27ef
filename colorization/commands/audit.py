"""Audits a dataset before training: `colorize-audit data=folder data.root=photos`. `--help` lists the options.

This module does not import PyTorch: a refused command does not wait for it.
"""

import shlex
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from colorization.audit.names import FINDINGS
from colorization.config.instantiate import instantiate, resolve, resolve_early
from colorization.config.schemas import AuditThresholds
from colorization.data.roots import check_photos
from colorization.data.splits import checked_split
from colorization.errors import ConfigError, DataError, did_you_mean
from colorization.runtime.console import console
from colorization.runtime.installation import command_line
from colorization.runtime.stopping import stopping_at_once


def run(composed: DictConfig) -> None:
    """Reports photos that teach a network nothing or the wrong thing, and lists them for `data.exclude`."""
    check(resolve_early(composed))
    with stopping_at_once():
        from colorization.audit.audit import audit_photos
        from colorization.audit.report import EXCLUDE, print_findings, write_report
        from colorization.data.datamodule import PhotoDataModule
    config = resolve(composed)
    split = checked_split(config["split"])
    thresholds = AuditThresholds(**config["thresholds"])
    data: PhotoDataModule = instantiate(config["data"], "data")
    data.prepare_data()
    photos = data.photos(split)
    if photos is None or len(photos) == 0:
        raise DataError(f"{data} has no {split} photos: give split=all, or add some")
    audit = audit_photos(photos, thresholds, config["exclude"], data.num_workers)
    excluded = data.excluded_names() | audit.excluded(config["exclude"])
    run = Path(config["paths"]["run"])
    paths = write_report(audit, excluded, config, str(data), run)
    print_findings(audit, config["exclude"], f"{len(photos)} photos ({split}) of {data}")
    for path in paths:
        console.print(path)
    if excluded:
        console.print(f"{EXCLUDE} lists {len(excluded)} photos; train without them with this command:")
        console.print(f"  {command_line('train')} {shlex.join(data_overrides(run / EXCLUDE))}", markup=False)


def data_overrides(exclude: Path) -> list[str]:
    """The overrides that select this run's photos, with a new list of excluded ones."""
    given = [text for text in HydraConfig.get().overrides.task if text.lstrip("+").startswith(("data=", "data."))]
    kept = [text for text in given if not text.startswith("data.exclude=")]
    path = str(exclude)
    is_plain = all(character.isalnum() or character in "/._-" for character in path)
    return [*kept, f"data.exclude={path}" if is_plain else f'data.exclude="{path}"']


def check(config: dict[str, Any]) -> None:
    """Checks the options.

    Raises:
        ColorizationError: a value is out of range, or there are no photos.
    """
    for kind in config["exclude"]:
        if kind not in FINDINGS:
            raise ConfigError(f"exclude={kind} is not a finding{did_you_mean(kind, FINDINGS)}")
    most = {"near_duplicate": 16}  # more bits would match by chance
    for key, value in config["thresholds"].items():
        if not 0 <= value <= most.get(key, float("inf")):
            upper = f", at most {most[key]}" if key in most else ""
            raise ConfigError(f"thresholds.{key}={value:g} is out of range: give 0 or more{upper}")
    checked_split(config["split"])
    check_photos(config["data"])
