"""Exports a trained network to one file.

`safetensors` holds the weights and the configuration; you can use it wherever you can use a checkpoint. `onnx` and
`torch_export` hold the network and the decoding of its output as one graph for other programs: lightness
`(batch, 1, height, width)` in 0..100 in, ab `(batch, 2, height, width)` in Lab units out, of any size. Their metadata
`colorization` describes the network and its training size in JSON.

Every export is read back and compared with the original network.
"""

import json
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from colorization.checkpoints.formats import FORMATS
from colorization.checkpoints.network import MOST_SIZE, describe, read_checkpoint, rebuild, shareable, trained_size
from colorization.compat.torch import sizes_of_one_are_general
from colorization.errors import CheckpointError, ConfigError, first_line
from colorization.network import TrainedNetwork, knobs, set_knob
from colorization.runtime.files import StrPath, atomic_file
from colorization.runtime.installation import install_hint
from colorization.weights.safe_load import ENTRY, save_safetensors

# Maximum difference in Lab units, for the rounding of other kernels; an 8-bit level is about a third of a unit.
TOLERANCE = 0.05
# The same for float16 weights, on noise, which is harder than photos: less than an 8-bit level.
HALF_TOLERANCE = 0.3
_AXES = ("batch", "height", "width")


class Exported(NamedTuple):
    """A written export.

    Attributes:
        difference: the largest of the file's ab to the checkpoint's, in Lab units, over random lightness of several
            sizes.
        fixed: the options that can't be changed in the file, by name, with their values.
    """

    difference: float
    fixed: dict[str, float]


def export(
    source: StrPath,
    output: StrPath,
    kind: str,
    half: bool = False,
    trusted: Sequence[str] = (),
    resolution: int | None = None,
    temperature: float | None = None,
    vividness: float | None = None,
) -> Exported:
    """Writes a checkpoint's network in another format.

    Args:
        source: a checkpoint, or a safetensors file.
        output: the file, written atomically.
        kind: a key of `FORMATS`.
        half: whether to store weights as float16, for `safetensors` only. Loading converts them to float32.
        trusted: further packages whose networks and objectives the checkpoint may name.
        resolution: that of the file, see `usual_resolution`; None for the checkpoint's.
        temperature: that of the file, if the objective has one; None for the checkpoint's.
        vividness: as `temperature`.

    Returns:
        What the file holds, and how well it agrees with the checkpoint.

    Raises:
        ConfigError: a package is missing, or an option is out of range, or the objective has no such option.
        CheckpointError: the checkpoint can't be read, the network can't be exported to the format, or the export gives
            other colours.
    """
    for package in FORMATS[kind][1]:
        try:
            import_module(package)
        except ImportError:
            raise ConfigError(f"format={kind} needs the package {package}: {install_hint('export')}") from None
    if half and kind != "safetensors":
        raise ConfigError(f"half=true is for format=safetensors only: leave it out with format={kind}")
    if resolution is not None and not 16 <= resolution <= MOST_SIZE:
        raise ConfigError(f"resolution={resolution} is out of range: give 16 to {MOST_SIZE}")
    checkpoint = read_checkpoint(source)
    model = TrainedNetwork(*rebuild(checkpoint, source, trusted)).eval().requires_grad_(False)
    for name, value in (("temperature", temperature), ("vividness", vividness)):
        if value is not None:
            set_knob(model, name, value)
    config, size = checkpoint[ENTRY]["config"], trained_size(checkpoint)
    config = {**config, "objective": {**config["objective"], **knobs(model)}}
    resolution = resolution or checkpoint[ENTRY].get("resolution")
    with atomic_file(Path(output)) as part:
        if kind == "safetensors":
            state = _halved(model.state_dict()) if half else model.state_dict()
            save_safetensors(state, describe(shareable(config), resolution), part)
            run: Callable[[Tensor], Tensor] = TrainedNetwork(*rebuild(read_checkpoint(part), part, trusted))
            difference = largest_difference(model, run, size)
        else:
            groups = {key: config[key] for key in ("backbone", "decoder", "objective")}
            metadata = json.dumps(describe({**groups, "data": {"size": size}}, resolution))
            write = write_onnx if kind == "onnx" else write_torch_export
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    difference = largest_difference(model, write(model, metadata, part), size)
            except OSError:
                raise
            except Exception as error:  # exporters, and the graphs that they write, raise any exception
                others = " or ".join(f"format={other}" for other in FORMATS if other != kind)
                raise CheckpointError(
                    f"checkpoint {source} can't be exported with format={kind}: {first_line(error)}; give {others}"
                ) from error
        if not difference <= (HALF_TOLERANCE if half else TOLERANCE):
            raise CheckpointError(
                f"checkpoint {source}: format={kind} gives other colours, by up to {difference:.2g} Lab units; nothing "
                "was written, give another format"
            )
    return Exported(difference, {} if kind == "safetensors" else knobs(model))


def _halved(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: value.half() if value.is_floating_point() else value for key, value in state.items()}


@torch.inference_mode()
def largest_difference(model: nn.Module, run: Callable[[Tensor], Tensor], size: int) -> float:
    """The largest difference between two implementations, in Lab units.

    Args:
        model: lightness `(B, 1, H, W)` to ab `(B, 2, H, W)`.
        run: the other implementation.
        size: side of the largest test picture; the others have odd sides, or 1 px.
    """
    generator = torch.Generator().manual_seed(0)
    largest = 0.0
    for shape in ((1, 1, size, size), (2, 1, 45, 71), (3, 1, 33, 64), (1, 1, 1, 1)):
        lightness = 100 * torch.rand(shape, generator=generator)
        largest = max(largest, (run(lightness) - model(lightness)).abs().max().item())
    return largest


@torch.no_grad()
def _program(model: TrainedNetwork) -> torch.export.ExportedProgram:
    """The network as a graph that takes any batch, height and width."""
    model = model.to(memory_format=torch.contiguous_format)  # another layout would add conditions on the sizes
    # Sizes without special cases: none is 1.
    example = torch.zeros(2, 1, 70, 90)
    axes = dict(zip((0, 2, 3), (torch.export.Dim(name, min=1) for name in _AXES), strict=True))
    with sizes_of_one_are_general():
        return torch.export.export(model, (example,), dynamic_shapes={"lightness": axes})


def write_torch_export(model: TrainedNetwork, metadata: str, path: Path) -> Callable[[Tensor], Tensor]:
    """Writes a `.pt2` file for `torch.export.load`, with the metadata as an extra file, and loads it."""
    torch.export.save(_program(model), path, extra_files={f"{ENTRY}.json": metadata})
    run: Callable[[Tensor], Tensor] = torch.export.load(path).module()
    return run


def write_onnx(model: TrainedNetwork, metadata: str, path: Path) -> Callable[[Tensor], Tensor]:
    """Writes an ONNX file, with the metadata in `metadata_props`, and loads it into onnxruntime."""
    import onnx_ir
    import onnxruntime

    program: Any = torch.onnx.export(
        _program(model), dynamo=True, verbose=False, input_names=["lightness"], output_names=["ab"]
    )
    graph = program.model.graph
    for value, channels in ((graph.inputs[0], 1), (graph.outputs[0], 2)):
        value.shape = onnx_ir.Shape([_AXES[0], channels, *_AXES[1:]])
    program.model.metadata_props[ENTRY] = metadata
    program.save(path, external_data=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda lightness: torch.from_numpy(session.run(["ab"], {"lightness": lightness.numpy()})[0])
