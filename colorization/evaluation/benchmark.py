"""An evaluation on a benchmark's photos."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from colorization.config.instantiate import instantiate
from colorization.data.benchmarks import Benchmark, BenchmarkPhotos
from colorization.data.datamodule import PhotoDataModule
from colorization.data.splits import Split
from colorization.errors import ConfigError


class BenchmarkRun:
    """Has a data module score the photos of a benchmark, all of them, gray ones included; nothing without a benchmark.

    Args:
        config: the configuration.
        data: the user's photos.

    Raises:
        ConfigError: a split is requested, too.
    """

    def __init__(self, config: Mapping[str, Any], data: PhotoDataModule) -> None:
        node = config["benchmark"]
        self.benchmark: Benchmark | None = instantiate(node, "benchmark") if node else None
        self.data = data
        self.photos: BenchmarkPhotos | None = None
        if self.benchmark is not None and config["split"] not in (None, "all"):
            raise ConfigError(f"split={config['split']} and benchmark={self.benchmark.name} do not go together")

    @property
    def split(self) -> Split | None:
        """The split that holds the photos; None without a benchmark."""
        return None if self.benchmark is None else "all"

    def select(self) -> None:
        """Finds and checks the photos.

        Raises:
            ConfigError: the benchmark needs a list, or can't read it.
            DataError: a photo is missing or wrong.
        """
        if self.benchmark is not None:
            self.photos = self.benchmark.find(self.data.scored_photos())
            self.data.score_only(self.photos.indices, colorless=True)

    @property
    def facts(self) -> dict[str, Any]:
        """The entry `benchmark` of `metrics.json`."""
        if self.benchmark is None or self.photos is None:
            return {}
        found = {"name": self.benchmark.name, "photos": len(self.photos.hashes), "sha256": self.photos.digest}
        return {"benchmark": found | {"checked": self.photos.checked}}

    @property
    def notes(self) -> list[str]:
        """A line about the photos."""
        if self.benchmark is None or self.photos is None:
            return []
        checked = "every file checked" if self.photos.checked else "files not checked, for want of a list with SHA-256"
        return [
            f"benchmark {self.benchmark.name}: {len(self.photos.hashes)} photos, {checked}; SHA-256 of all "
            f"{self.photos.digest}"
        ]

    def write(self, folder: Path) -> list[Path]:
        """Writes `photos.csv`, which `benchmark.list` takes, and returns its path."""
        if self.photos is None:
            return []
        path = folder / "photos.csv"
        self.photos.write(path)
        return [path]
