"""A file of the truth's statistics for FID: its network sees the true pictures once, not in every evaluation."""

import hashlib
from pathlib import Path

from colorization.data.datamodule import PhotoDataModule
from colorization.errors import ConfigError
from colorization.metrics.fid import Fid
from colorization.metrics.frechet import load_moments, save_moments


class TruthStatistics:
    """The statistics of the pictures that are scored: read now if the file is there, written later otherwise.

    Args:
        path: the file.
        fid: gets the statistics.
        data: the photos, with their protocol.

    Raises:
        ConfigError: the file can't be read, or is of other photos, another protocol or another network.
    """

    def __init__(self, path: str, fid: Fid, data: PhotoDataModule) -> None:
        self.path = Path(path).expanduser()
        self.fid = fid
        self._made_of = {
            "fid_backend": fid.backend,
            "fid_weights": hashlib.sha256(fid.weights_path.read_bytes()).hexdigest(),
            "protocol": str(data.test_protocol),
            "photos": data.scored_photos().fingerprint(),
        }
        if self.path.exists():
            fid.known_truth = load_moments(self.path, self._made_of)

    def keep(self, pictures: int) -> str:
        """Writes the file if it was missing. After the evaluation.

        Args:
            pictures: how many were scored.

        Returns:
            A line about it.

        Raises:
            ConfigError: the file was read, but is of another number of pictures.
        """
        truth = self.fid.truth()
        if int(truth.number) != pictures:
            raise ConfigError(
                f"fid_statistics={self.path} was made of {int(truth.number)} pictures, but {pictures} were scored: "
                "give another file name"
            )
        if self.fid.known_truth is not None:
            return f"statistics of the truth for FID: read from {self.path}"
        save_moments(truth, self._made_of, self.path)
        return f"statistics of the truth for FID: written to {self.path}"
