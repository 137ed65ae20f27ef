"""Exports a trained network to one file: `colorize-export checkpoint=PATH format=onnx`. `--help` lists the options.

This module does not import PyTorch: a refused command does not wait for it.
"""

from pathlib import Path

from omegaconf import DictConfig

from colorization.checkpoints.formats import FORMATS
from colorization.checkpoints.shipped import located
from colorization.config.instantiate import resolve_early
from colorization.errors import ConfigError, did_you_mean
from colorization.runtime.console import console
from colorization.runtime.stopping import stopping_at_once


def run(composed: DictConfig) -> None:
    """Exports a checkpoint, and prints the largest difference of the colours."""
    config = resolve_early(composed)
    if config["format"] not in FORMATS:
        raise ConfigError(f"format={config['format']} does not exist{did_you_mean(config['format'], FORMATS)}")
    ending = FORMATS[config["format"]][0]
    source = located(config["checkpoint"], config["paths"]["output_dir"])
    output = Path(config["output"] or source.with_suffix(ending)).expanduser()
    if output.suffix != ending:
        raise ConfigError(f"output={output} has to end in {ending} for format={config['format']}")
    if output.exists() and not config["overwrite"]:
        raise ConfigError(f"output={output} exists: give another name, or overwrite=true to replace it")
    with stopping_at_once():
        from colorization.checkpoints.export import export
    with console.status(f"Exporting {source}"):
        exported = export(
            source,
            output,
            config["format"],
            config["half"],
            config["trust"],
            resolution=config["resolution"],
            temperature=config["temperature"],
            vividness=config["vividness"],
        )
    fixed = "".join(f", {name}={value:g} for good" for name, value in exported.fixed.items())
    console.print(f"{output} ({output.stat().st_size / 2**20:.1f} MB){fixed}")
    console.print(f"largest difference to {source}: {exported.difference:.2g} Lab units")
