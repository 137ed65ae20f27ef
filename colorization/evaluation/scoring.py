"""Scores checkpoints, folders of pictures and the all-gray baseline on the same photos."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning import LightningModule
from scipy.sparse import csr_array, vstack
from torch import Tensor, nn

from colorization.color import clipped_share, gray_ab, merge_lab, rgb_to_lab, to_float
from colorization.errors import DataError
from colorization.evaluation.bootstrap import GRAY, TRUTH, PictureScores
from colorization.evaluation.candidates import Candidate, Checkpoint, Colored, Folder
from colorization.metrics.fid import Fid
from colorization.metrics.scores import pixel_auc, render, score_pictures, score_truth, sums_by_color

# How many of the worst, of the median and of the best pictures are shown.
SHOWN_EXTREMES = 3


@dataclass
class ShownPicture:
    """A picture of the report, coloured by each candidate.

    Attributes:
        index: its index among the scored pictures.
        columns: uint8 RGB `(3, H, W)` of gray, each candidate and the truth.
    """

    index: int
    columns: list[Tensor]


class Evaluation(LightningModule):
    """Colours the test photos with every checkpoint, as `colorize` would, and scores them, and the pictures of folders,
    as 8-bit RGB. Batches come from `PhotoDataModule`.

    Args:
        candidates: the checkpoints and folders.
        metrics: the metrics to compute, keys of `METRICS`.
        perceptual: the networks of those that need one, by metric.
        fid: needed if `fid` is among them; its sets are the candidates' labels and `GRAY`.
        shown: how many of the first pictures are shown.

    Attributes:
        pictures: the scores, after the test; the same in every process.
        fids: the FID of each candidate and of gray.
        first: the first pictures.
        extremes: the pictures with the lowest, median and highest difference in PSNR between the last candidate and
            the first; a single candidate is compared with gray.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        metrics: Sequence[str],
        perceptual: Mapping[str, nn.Module],
        fid: Fid | None,
        shown: int,
    ) -> None:
        super().__init__()
        self.candidates = candidates
        self.models = nn.ModuleList(candidate.model for candidate in candidates if isinstance(candidate, Checkpoint))
        self.metrics = set(metrics) | {"psnr"}  # selects the extreme pictures
        for metric in ("colorfulness", "colorfulness_abs"):
            if f"{metric}_mean_difference" in metrics:
                self.metrics.add(metric)
        self.perceptual = nn.ModuleDict(perceptual)
        self.fid = fid
        self.shown = shown
        self._names: list[str] = []
        self._indices: list[int] = []
        self._scores: dict[tuple[str, str], list[Tensor]] = defaultdict(list)
        self._sums: dict[str, list[csr_array]] = defaultdict(list)
        self.pictures: PictureScores | None = None
        self.fids: dict[str, float] = {}
        self.first: list[ShownPicture] = []
        self.extremes: dict[str, list[ShownPicture]] = {}

    def color(self, batch: dict[str, Any]) -> dict[str, Colored]:
        """The pictures of gray and of each candidate for a batch of `PhotoDataModule`."""
        ab = gray_ab(batch["lightness"])
        colored = {GRAY: Colored(render(batch["lightness"], ab), ab)}
        for candidate in self.candidates:
            colored[candidate.label] = candidate.color(batch)
        return colored

    def test_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        if not batch["name"]:
            # With a sharded network, all ranks have to run it together, also a rank without photos.
            self._run_networks()
            return
        lightness, true_ab, truth = batch["lightness"], batch["ab"], batch["rgb"]
        self._names += batch["name"]
        self._indices += batch["index"]
        by_color = bool(self.metrics & {"auc", "auc_rebalanced"})
        pictures = {}
        for label, (picture, ab) in self.color(batch).items():
            pictures[label] = picture
            scores = score_pictures(picture, truth, self.metrics)
            scores |= {metric: network(picture, truth) for metric, network in self.perceptual.items()}
            if "clipped" in self.metrics and ab is not None:
                scores["clipped"] = clipped_share(merge_lab(lightness, ab))
            if by_color:
                accuracy = pixel_auc(rgb_to_lab(to_float(picture))[:, 1:], true_ab)
                scores["auc"] = accuracy.mean(dim=(1, 2))
                self._add_sums(label, accuracy, true_ab)
            self._add(label, scores)
        self._add(TRUTH, score_truth(truth, {*self.metrics, "colorfulness"}))
        if by_color:
            self._add_sums(TRUTH, torch.ones_like(true_ab[:, 0]), true_ab)
        for candidate in self.candidates:
            if isinstance(candidate, Folder):
                self._add(candidate.label, {"resized": batch["resized"][:, candidate.number]})
        if self.fid is not None:
            self.fid.update(pictures, truth)

    def _run_networks(self) -> None:
        black = torch.zeros(1, 3, 32, 32, dtype=torch.uint8, device=self.device)
        batch = self.trainer.datamodule.on_after_batch_transfer({"rgb": black}, 0)  # type: ignore[attr-defined]
        for candidate in self.candidates:
            if isinstance(candidate, Checkpoint):
                candidate.color(batch)

    def _add(self, label: str, scores: dict[str, Tensor]) -> None:
        for metric, values in scores.items():
            self._scores[label, metric].append(values.cpu().double())  # Apple's GPUs have no float64

    def _add_sums(self, label: str, values: Tensor, true_ab: Tensor) -> None:
        self._sums[label].append(csr_array(sums_by_color(values, true_ab).numpy()))

    def on_test_epoch_end(self) -> None:
        self.trainer.datamodule.gather_skipped()  # type: ignore[attr-defined]
        self.pictures = self._gather()
        if self.fid is not None and len(self.pictures.names) > 1:
            self.fids = self.fid.compute()
        # Every rank makes the pictures: with a sharded network, all ranks have to run it together.
        self.first = [self._show(index) for index in range(min(self.shown, len(self.pictures.names)))]
        order = np.argsort(self.gains(), kind="stable")[::-1]
        self.extremes = {
            kind: [self._show(int(index)) for index in chosen] for kind, chosen in choose_extremes(order).items()
        }

    def gains(self) -> np.ndarray:
        """The last candidate's PSNR minus the first's, or minus gray's for a single candidate, `(N,)` in dB."""
        assert self.pictures is not None
        first = self.candidates[0].label if len(self.candidates) > 1 else GRAY
        scores = self.pictures.scores
        gains: np.ndarray = scores[self.candidates[-1].label]["psnr"] - scores[first]["psnr"]
        return gains

    def _gather(self) -> PictureScores:
        own = (
            self._names,
            self._indices,
            {key: torch.cat(parts).numpy() for key, parts in self._scores.items()},
            {label: vstack(parts, "csr") for label, parts in self._sums.items()},
        )
        gathered: list[Any] = [own]
        if self.trainer.world_size > 1:
            gathered = [None] * self.trainer.world_size
            torch.distributed.all_gather_object(gathered, own)
        gathered = [rank for rank in gathered if rank[0]]
        if not gathered:
            raise DataError(f"{self.trainer.datamodule} has no photo that can be scored: give others")  # type: ignore[attr-defined]
        names = [name for rank in gathered for name in rank[0]]
        indices = [index for rank in gathered for index in rank[1]]
        order = np.argsort(indices, kind="stable")
        scores: dict[str, dict[str, np.ndarray]] = defaultdict(dict)
        for label, metric in gathered[0][2]:
            scores[label][metric] = np.concatenate([rank[2][label, metric] for rank in gathered])[order]
        sums = {label: vstack([rank[3][label] for rank in gathered], "csr")[order] for label in gathered[0][3]}
        pixels = sums.pop(TRUTH, None)
        return PictureScores([names[i] for i in order], [indices[i] for i in order], dict(scores), pixels, sums)

    def _show(self, index: int) -> ShownPicture:
        assert self.pictures is not None
        item = self.trainer.datamodule.scored(self.pictures.indices[index])  # type: ignore[attr-defined]
        tensors = {key: value.unsqueeze(0).to(self.device) for key, value in item.items() if isinstance(value, Tensor)}
        batch = self.trainer.datamodule.on_after_batch_transfer(tensors, 0)  # type: ignore[attr-defined]
        columns = [colored.rgb[0].cpu() for colored in self.color(batch).values()]
        return ShownPicture(index, [*columns, item["rgb"]])


def choose_extremes(order: Sequence[int] | np.ndarray) -> dict[str, list[int]]:
    """The worst, median and best pictures, without repetition.

    Args:
        order: indices of the pictures, the best first.

    Returns:
        `worst` (the worst first), `median` and `best`, up to `SHOWN_EXTREMES` each.
    """
    ranked = [int(index) for index in order]
    each = min(SHOWN_EXTREMES, len(ranked) // 3)
    if each == 0:
        return {"worst": ranked[1:], "median": [], "best": ranked[:1]}
    start = (len(ranked) - each) // 2
    return {"worst": ranked[: -each - 1 : -1], "median": ranked[start : start + each], "best": ranked[:each]}


def distinct_labels(paths: Sequence[str]) -> list[str]:
    """Short distinct names of files: their paths without the common parts.

    For example `a` and `b` for `runs/a/checkpoints/best.ckpt` and `runs/b/checkpoints/best.ckpt`. Bare names, such as
    `default`, stay as they are.
    """
    parts = [[path] if Path(path).name == path else list(Path(path).expanduser().absolute().parts) for path in paths]
    in_folders = [rest for rest in parts if len(rest) > 1]
    for end in (0, -1):
        while len({rest[end] for rest in in_folders}) == 1 < min(map(len, in_folders)):
            for rest in in_folders:
                del rest[end]
    # Checkpoints of a run are always in a folder of this name.
    told = [[part for part in rest if part != "checkpoints"] for rest in parts]
    for count in range(1, max(map(len, told)) + 1):
        labels = ["/".join(rest[-count:]) for rest in told]
        if all(labels) and len(set(labels)) == len(labels):
            return labels
    return ["/".join(rest) for rest in parts]
