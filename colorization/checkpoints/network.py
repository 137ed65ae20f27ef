"""Checkpoints: their description, and rebuilding a network from nothing but the file.

A checkpoint is Lightning's, with one more entry, `colorization`: the format version and the resolved configuration as a
plain dict. It loads with `torch.load(weights_only=True)`, and building the network downloads nothing. A safetensors
file of `colorization.checkpoints.export` holds the same entry and the weights.

Both may come from a stranger: they can neither run code nor exhaust memory, see docs/security.md.
"""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from colorization.backbones import Backbone
from colorization.checkpoints.finding import check_exists
from colorization.checkpoints.memory_budget import Budget
from colorization.checkpoints.renamed import renamed
from colorization.checkpoints.shipped import DEFAULT_MODEL
from colorization.checkpoints.stored_config import NO_BEGINNING, OF_TRAINING, buildable, packages_of
from colorization.config.instantiate import Packages, instantiate, locate, packages_named, parameters
from colorization.decoders.base import Decoder
from colorization.errors import CheckpointError, ConfigError
from colorization.network import ColorizationNetwork
from colorization.objectives.base import Objective
from colorization.runtime.files import StrPath
from colorization.weights import safe_load
from colorization.weights.pickles import RefusedError, check_limits
from colorization.weights.safe_load import ENTRY, UnreadableError

FORMAT = 1

# Options with paths, URLs or the number of devices.
_OF_THE_MACHINE = ("root", "exclude", "skipped_file", "cache", "cache_gb", "num_workers", "default_root_dir", "devices")

# Maximum size of a training crop, which is also the default input size of a network.
MOST_SIZE = 4096
# Memory for building: three times the weights (their layout changes, frameworks build heads that are removed), and this
# many bytes for what is not stored: constants, and parts of objectives for training only.
_BUDGET_TIMES, _BUDGET_BYTES = 3, 512 * 2**20
# Limits of a configuration; a typical one has 150 values in four levels.
_MOST_OF_CONFIG, _DEEPEST_CONFIG = 10_000, 24

PARTS: dict[str, type[nn.Module]] = {"backbone": Backbone, "decoder": Decoder, "objective": Objective}


def describe(config: Mapping[str, Any], resolution: int | None = None) -> dict[str, Any]:
    """The entry `colorization` of a checkpoint. Exports may choose a resolution, see `usual_resolution`."""
    return {"format": FORMAT, "config": dict(config), **({} if resolution is None else {"resolution": resolution})}


def shareable(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration without options of the training machine: folders, logging and file names."""
    groups = ("backbone", "decoder", "objective", "data", "optimizer", "scheduler", "trainer", "monitor", "seed")
    kept = {key: config[key] for key in groups if key in config}
    if isinstance(kept.get("backbone"), Mapping):
        kept["backbone"] = {key: NO_BEGINNING.get(key, value) for key, value in kept["backbone"].items()}
    if isinstance(kept.get("objective"), Mapping):
        kept["objective"] = {key: value for key, value in kept["objective"].items() if key != "terms"}
    for group in ("data", "trainer"):
        if isinstance(kept.get(group), Mapping):
            kept[group] = {key: value for key, value in kept[group].items() if key not in _OF_THE_MACHINE}
    return kept


def read_checkpoint(path: StrPath) -> dict[str, Any]:
    """Reads a checkpoint onto the CPU, running no code from it.

    Raises:
        CheckpointError: it is missing, corrupt, not a checkpoint of this project, or of a newer format.
    """
    path = Path(path).expanduser()
    check_exists(path)
    if path.suffix.lower() in (".onnx", ".yaml"):  # graphs, and entries of the catalogue
        raise CheckpointError(
            f"checkpoint {path} is an exported network: it colours and can be scored, but neither be trained nor "
            "exported again; give a .ckpt of train.py"
        )
    try:
        checkpoint = safe_load.load(path)
        entry = checkpoint.get(ENTRY) if isinstance(checkpoint, dict) else None
        check_limits(entry, 0, _MOST_OF_CONFIG, _DEEPEST_CONFIG)
    except UnreadableError as error:
        raise CheckpointError(
            f"checkpoint {path} {error}; give a .ckpt that train.py wrote, such as last.ckpt of a run, or a "
            ".safetensors of colorize-export"
        ) from error
    except RefusedError as error:
        raise CheckpointError(f"checkpoint {path} is refused: its configuration is not plain, {error}") from error
    if not isinstance(entry, dict) or not isinstance(entry.get("config"), dict):
        raise CheckpointError(f"checkpoint {path} was not written by this project: it has no entry {ENTRY}")
    if not isinstance(entry.get("format"), int) or entry["format"] > FORMAT:
        raise CheckpointError(
            f"checkpoint {path} has format {str(entry.get('format'))[:20]}, newer than the {FORMAT} that this version "
            "reads; update colorization"
        )
    data, weights = entry["config"].get("data"), checkpoint.get("state_dict")
    if not isinstance(data, dict) or not isinstance(data.get("size"), int) or not isinstance(weights, dict):
        raise CheckpointError(f"checkpoint {path} is incomplete: it has no weights, or no data configuration")
    if not 1 <= data["size"] <= MOST_SIZE:
        raise CheckpointError(f"checkpoint {path} is refused: its data.size is not within 1..{MOST_SIZE}")
    if not isinstance(entry.get("resolution", 16), int) or not 16 <= entry.get("resolution", 16) <= MOST_SIZE:
        raise CheckpointError(f"checkpoint {path} is refused: its resolution is not within 16..{MOST_SIZE}")
    if not all(isinstance(key, str) and isinstance(value, Tensor) for key, value in weights.items()):
        raise CheckpointError(f"checkpoint {path} is refused: its weights are not names with tensors")
    checkpoint[ENTRY] = {**entry, "config": renamed(entry["config"])}
    return checkpoint


def trained_size(checkpoint: Mapping[str, Any]) -> int:
    """The side of the training crops, in pixels."""
    return int(checkpoint[ENTRY]["config"]["data"]["size"])


def usual_resolution(checkpoint: Mapping[str, Any]) -> int:
    """The network sees pictures at about `resolution * resolution` pixels, unless a user asks for another resolution:
    the one that an export chose, otherwise the side of the training crops.
    """
    return int(checkpoint[ENTRY].get("resolution", trained_size(checkpoint)))


def without_download(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration whose network starts from random weights, which trained ones will replace."""
    backbone = config["backbone"]
    accepted = parameters(locate(backbone["_target_"], "backbone._target_"))
    return {**config, "backbone": {**backbone, **{key: off for key, off in NO_BEGINNING.items() if key in accepted}}}


def build_network(config: Mapping[str, Any], packages: Packages = None) -> tuple[ColorizationNetwork, Objective]:
    """Network and objective from a resolved configuration's `backbone`, `decoder` and `objective`.

    Raises:
        ConfigError: a `_target_` is not allowed or of the wrong kind, or refuses its options.
    """
    objective = _build(config, "objective", Objective, packages)
    backbone = _build(config, "backbone", Backbone, packages)
    decoder = _build(
        config,
        "decoder",
        Decoder,
        packages,
        channels=backbone.channels,
        reductions=backbone.reductions,
        out_channels=objective.out_channels,
    )
    return ColorizationNetwork(backbone, decoder), objective


def _build(config: Mapping[str, Any], group: str, kind: type[nn.Module], packages: Packages, **arguments: Any) -> Any:
    node = config.get(group)
    if not isinstance(node, Mapping):
        raise ConfigError(f"{group} is missing from the configuration; choose one with {group}=NAME")
    target = locate(node.get("_target_"), f"{group}._target_", packages)
    if not (isinstance(target, type) and issubclass(target, kind)):
        raise ConfigError(f"{group}._target_={node['_target_']} is not a {kind.__name__}")
    return instantiate(node, group, packages, **arguments)


def rebuild(
    checkpoint: Mapping[str, Any], path: StrPath, trusted: Sequence[str] = ()
) -> tuple[ColorizationNetwork, Objective]:
    """Rebuilds the trained network and its objective, in eval mode on the CPU.

    Args:
        checkpoint: of `read_checkpoint`.
        path: its path, for messages.
        trusted: further packages whose networks and objectives it may name; their code is imported and run.

    Raises:
        CheckpointError: a `_target_` is not allowed, or the weights do not fit the configuration.
    """
    try:
        return _rebuild(checkpoint[ENTRY]["config"], checkpoint["state_dict"], trusted)
    except Exception as error:  # a stranger's configuration can go wrong in any way
        raise CheckpointError(f"checkpoint {path} can't be rebuilt: {_reason(error)}") from error


def packages_needed(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Other packages whose networks and objectives a configuration names: loading its checkpoint has to trust them."""
    parts = {group: config.get(group) for group in PARTS}
    if isinstance(objective := parts["objective"], Mapping):
        parts["objective"] = {key: value for key, value in objective.items() if key not in OF_TRAINING}
    return packages_named(parts)


def check_rebuilds(network: ColorizationNetwork, objective: Objective, config: Mapping[str, Any]) -> None:
    """Checks before training that the checkpoints of a run will load: it rebuilds the network from its description.
    Needs the time and memory of a second network, and draws random numbers.

    Raises:
        ConfigError: they would not load.
    """
    weights = {f"network.{key}": value for key, value in network.state_dict().items()}
    weights |= {f"objective.{key}": value for key, value in objective.state_dict().items()}
    try:
        _rebuild(config, weights, packages_needed(config))
    except Exception as error:  # a user's classes can raise any exception
        raise ConfigError(
            f"checkpoints of this network could not be loaded: rebuilding it from its options fails: {_reason(error)}"
        ) from error


def load_weights(network: ColorizationNetwork, objective: Objective, path: StrPath) -> None:
    """Loads the weights of a checkpoint into a network of the same options, which is then fine-tuned.

    Raises:
        CheckpointError: it can't be read, or its weights do not fit.
    """
    checkpoint = read_checkpoint(path)
    for group, module in (("backbone", network.backbone), ("decoder", network.decoder), ("objective", objective)):
        prefix = "objective." if group == "objective" else f"network.{group}."
        try:
            _load(module, checkpoint["state_dict"], prefix)
        except RuntimeError as error:
            if path == DEFAULT_MODEL:
                raise CheckpointError(
                    f"init_from=default does not fit this {group}: give experiment=default init_from=default, which "
                    "has the network of the default model"
                ) from error
            raise CheckpointError(
                f"init_from={path} does not fit this {group}: that network was trained with "
                f"{_options(checkpoint[ENTRY]['config'].get(group))}; give the same options"
            ) from error


def _options(node: Any) -> str:
    return ", ".join(f"{key}={value}" for key, value in node.items()) if isinstance(node, Mapping) else "none"


def _rebuild(
    config: Mapping[str, Any], weights: Mapping[str, Any], trusted: Sequence[str]
) -> tuple[ColorizationNetwork, Objective]:
    packages = packages_of(trusted)
    parts = {group: buildable(config.get(group), kind, group, packages) for group, kind in PARTS.items()}
    with Budget(_BUDGET_TIMES * safe_load.stored_bytes(weights) + _BUDGET_BYTES):
        network, objective = build_network(parts, packages)
    _load(network, weights, "network.")
    _load(objective, weights, "objective.")
    return network.eval(), objective.eval()


def _reason(error: Exception) -> str:
    return textwrap.shorten(" ".join(str(error)[:1000].splitlines()[:2]) or type(error).__name__, 400)


def _load(module: nn.Module, weights: Mapping[str, Any], prefix: str) -> None:
    own = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
    # Terms of a loss are for training only: a module keeps its own.
    kept = {key: value for key, value in module.state_dict().items() if key.startswith("terms.")}
    module.load_state_dict({**{key: value for key, value in own.items() if not key.startswith("terms.")}, **kept})
