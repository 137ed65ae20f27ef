"""The work of `evaluate.py`: loading networks and photos, scoring, and the report."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import seed_everything
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from colorization.checkpoints.shipped import located
from colorization.config.instantiate import instantiate, resolve
from colorization.data.datamodule import PhotoDataModule
from colorization.data.protocols import Protocol
from colorization.errors import ConfigError, first_line
from colorization.evaluation.benchmark import BenchmarkRun
from colorization.evaluation.bootstrap import GRAY
from colorization.evaluation.candidates import Candidate, Checkpoint
from colorization.evaluation.choices import choose_metrics, choose_split
from colorization.evaluation.folders import open_folders
from colorization.evaluation.report import EvaluationReport
from colorization.evaluation.scoring import Evaluation, distinct_labels
from colorization.evaluation.statistics import TruthStatistics
from colorization.inference.loading import Loaded, load_model
from colorization.network import set_knob
from colorization.runtime.console import console
from colorization.runtime.processes import check_accelerator

_UNUSED_SIZE = 256  # of data.size, where no photo is cropped
_SOURCES = {
    "colorization.data.folder.FolderDataModule": "folder",
    "colorization.data.sample.SampleDataModule": "sample",
    "colorization.data.tars.photos.ShardsDataModule": "shards",
    "colorization.data.torchvision.TorchvisionDataModule": "torchvision",
}


def evaluate(composed: DictConfig, paths: Sequence[str], folders: Sequence[str]) -> None:
    """Scores checkpoints and folders of coloured pictures.

    Args:
        composed: the configuration.
        paths: of the checkpoints.
        folders: of the pictures.
    """
    networks = load_networks(composed, paths)
    trained = [(network.config or {}).get("data", {}) for network in networks]
    if "_target_" not in composed.data:
        learned_from = data_options(trained[0]) if trained else ""
        raise ConfigError(
            "data is missing: give the photos to score, for example data=folder data.root=PHOTOS"
            f"{f'; for the held-out photos of training, {learned_from}' if learned_from else ''}"
        )
    protocol_name = str(HydraConfig.get().runtime.choices["protocol"])
    set_size(composed, protocol_name, networks[0].trained_size if networks else None)
    config = resolve(composed)
    run = Path(config["paths"]["run"])
    seed_everything(config["seed"], verbose=False)

    # Early errors first.
    check_accelerator(config["trainer"].get("accelerator"))
    protocol: Protocol = instantiate(config["protocol"], "protocol")
    data: PhotoDataModule = instantiate(config["data"], "data")
    data.test_protocol = protocol
    benchmark = BenchmarkRun(config, data)
    data.test_split = benchmark.split or choose_split(config["split"], data, config["data"], trained)
    benchmark.select()
    labels = distinct_labels([*paths, *folders])
    if len(labels) == len(paths) == 1:
        labels = ["model"]
    opened = open_folders(folders, labels[len(paths) :], config["best_of"], data)
    measures = choose_metrics(config, protocol, [GRAY, *labels], has_folders=bool(folders))
    left_out, fid = measures.left_out, measures.fid
    statistics = None
    if fid is not None and config["fid_statistics"] is not None:
        statistics = TruthStatistics(config["fid_statistics"], fid, data)
    candidates: list[Candidate] = [
        Checkpoint(label, path, network.model, network.resolution)
        for label, path, network in zip(labels, paths, networks, strict=False)
    ]
    for knob in ("temperature", "vividness"):
        if config[knob] is not None:
            set_knobs([each for each in candidates if isinstance(each, Checkpoint)], knob, config[knob])
    candidates += opened.folders
    evaluation = Evaluation(candidates, measures.metrics, measures.perceptual, fid, config["panel_pictures"])
    trainer = instantiate(config["trainer"], "trainer", logger=False, enable_checkpointing=False)
    try:
        trainer.test(evaluation, data, verbose=False)
    except MisconfigurationException as error:
        raise ConfigError(first_line(error)) from error
    if not trainer.is_global_zero:
        return
    if evaluation.pictures is None:
        raise ConfigError(
            f"trainer.strategy={config['trainer']['strategy']} does not return the scores: use trainer=ddp"
        )
    if fid is not None and not evaluation.fids:
        left_out["fid"] = "fid needs two pictures or more"
        if config["metrics"] is not None:
            raise ConfigError(f"metrics: {left_out['fid']}, but there is only one: leave it out, or give more photos")

    notes = [f"left out: {reason}" for reason in left_out.values()]
    if any("num_workers" not in node for node in trained):  # nor what else is of the machine that trained it
        notes.append("an exported model does not name its training photos: make sure that these are others")
    if skipped := data.skipped.summary():
        notes.append(skipped)
    notes += [*opened.notes(evaluation.pictures), *benchmark.notes]
    count = len(evaluation.pictures.names)
    photos = "1 photo" if count == 1 else f"{count} photos"
    title = f"{photos} ({data.test_split}) of {data}, protocol {protocol_name}: {protocol}"
    facts = {
        "temperature": config["temperature"],
        "vividness": config["vividness"],
        "protocol": {"name": protocol_name, **{k: v for k, v in config["protocol"].items() if k != "_target_"}},
        "data": str(data),
        "split": data.test_split,
        "size": protocol.size,
        "pictures": count,
        "skipped": {"unreadable": len(data.skipped.unreadable), "colorless": len(data.skipped.colorless)},
        "left_out": left_out,
        **({"fid_backend": fid.backend} if fid is not None else {}),
        **opened.facts,
        **benchmark.facts,
    }
    if statistics is not None and evaluation.fids:
        notes.append(statistics.keep(count))
    report = EvaluationReport(evaluation, measures.metrics, title, notes)
    report.print()
    for path in [*report.write(run, facts), *benchmark.write(run)]:
        console.print(path)


def load_networks(composed: DictConfig, paths: Sequence[str]) -> list[Loaded]:
    """Loads the checkpoints that are scored.

    Raises:
        ColorizationError: one can't be used.
    """
    adapter = OmegaConf.to_container(composed.adapter, resolve=True)
    files = [located(path, composed.paths.output_dir) for path in paths]
    return [load_model(file, composed.resolution, composed.trust, adapter) for file in files]  # type: ignore[arg-type]


def data_options(trained: Mapping[str, Any]) -> str:
    """The options of a command line that name the photos that a network learned from; empty if that can't be said.

    Args:
        trained: the node `data` of a checkpoint's configuration, which is shown and not used: it may be a stranger's.
    """
    source = _SOURCES.get(str(trained.get("_target_")))
    if source is None:
        return ""
    options = {key: trained[key] for key in ("root", "name", "val_share") if trained.get(key) is not None}
    values = {key: f"[{','.join(value)}]" if isinstance(value, list) else value for key, value in options.items()}
    return shlex.join([f"data={source}", *(f"data.{key}={value}" for key, value in values.items())])


def set_knobs(candidates: Sequence[Checkpoint], knob: str, value: float) -> None:
    """Sets `temperature` or `vividness` of every checkpoint whose objective has one.

    Raises:
        ConfigError: none has, or the value is out of range.
    """
    if not candidates:
        raise ConfigError(f"{knob}={value:g} has no effect on predictions: leave it out")
    having = [candidate.model for candidate in candidates if getattr(candidate.model, knob) is not None]
    for model in having or [candidates[0].model]:
        set_knob(model, knob, value)


def set_size(composed: DictConfig, protocol: str, trained: int | None) -> None:
    """Gives data.size, and with it the protocol `validation`, the value that is meant where none is given.

    Raises:
        ConfigError: data.size is given, and the protocol says otherwise; or it is needed and not known.
    """
    given = composed.data.size
    follows = OmegaConf.to_container(composed.protocol).get("size") == "${data.size}"  # type: ignore[union-attr]
    if given is not None and not follows:
        raise ConfigError(f"data.size={given} has no effect with protocol={protocol}: change protocol.size, or drop it")
    if follows and given is None and trained is None:
        raise ConfigError(
            f"protocol={protocol} needs a size: give data.size=PIXELS, or another protocol, protocol=native for "
            "pictures as they are"
        )
    composed.data.size = given or trained or composed.protocol.size or _UNUSED_SIZE
    if composed.protocol.size is None:
        composed.data.batch_size = 1  # pictures of different sizes make no batch
