"""A network in an ONNX file, run by onnxruntime, behind the same seam as a network of this project."""

import hashlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from colorization.errors import CheckpointError, ConfigError, first_line
from colorization.inference.adapters import Adapter, find_adapter, shipped_adapters
from colorization.network import KNOBS, LightnessToAb
from colorization.runtime.files import StrPath
from colorization.runtime.installation import install_hint
from colorization.weights.onnx_files import check_onnx
from colorization.weights.safe_load import ENTRY, UnreadableError

log = logging.getLogger(__name__)

_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}
_USUAL_SIZE = 256
_CUDA = "install onnxruntime-gpu in place of onnxruntime"


class OnnxNetwork(LightnessToAb):
    """Colours with an ONNX graph.

    onnxruntime runs on the CUDA device of the lightness if it can, otherwise on the CPU.

    Args:
        path: the file; `check_onnx` says what is refused.
        adapter: what the graph takes and gives; None for a file of `colorize-export`.
        device: where the first pictures will be.

    Attributes:
        sha256: of the file and of those that it names.
        size: the graph's own size: it sees about `size * size` pixels.
        trained_size: side of the pictures that it was trained with; the own size if the file does not say.

    Raises:
        CheckpointError: the file is missing, refused or corrupt, or the adapter does not fit the graph.
        ConfigError: a package is missing, or there is no adapter.
    """

    def __init__(self, path: StrPath, adapter: Adapter | None, device: str | torch.device = "cpu") -> None:
        super().__init__()
        self.path = Path(path).expanduser()
        try:
            self.sha256 = check_onnx(self.path)
        except UnreadableError as error:
            raise CheckpointError(f"checkpoint {path} {error}") from error
        except OSError as error:
            raise CheckpointError(f"checkpoint {path} can't be read: {error.strerror or error}") from error
        self._session: Any = None
        self._device: torch.device | None = None
        session = self._session_on(torch.device(device))
        description = _description(session)
        if adapter is None:
            if description is None:
                raise ConfigError(
                    f"adapter is missing: {path} {_signature(session)}; give adapter={' or '.join(fitting(session))}"
                )
            adapter = find_adapter("generic")
        self.adapter = adapter
        main, *further = session.get_inputs()
        if not _fits(session, adapter):
            others = fitting(session)
            instead = f"; adapter={' or '.join(others)} fits" if others else ""
            raise CheckpointError(
                f"checkpoint {path} does not fit the adapter, which {adapter}: the graph {_signature(session)}{instead}"
            )
        self._input, self._type = main.name, _TYPES[main.type]
        self._hints = [(each.name, each.shape[1], _TYPES[each.type]) for each in further]
        self._output = next(_outputs(session, adapter)).name
        self._at_once, self._height, self._width = _fixed(main.shape, adapter.layout)
        sides = [side for side in (self._height, self._width) if side is not None]
        own, trained, self.fixed = description or (None, None, {})
        self.size = max(sides, default=adapter.size or own or _USUAL_SIZE)
        self.trained_size = trained or self.size
        # So that pictures say which network made them.
        identity = hashlib.sha256(f"{self.sha256} {adapter.identity}".encode()).digest()
        self.identity: Tensor
        self.register_buffer("identity", torch.tensor([*identity], dtype=torch.uint8))

    def __getstate__(self) -> dict[str, Any]:
        """Without the session, which can't be pickled and is opened again."""
        return {**super().__getstate__(), "_session": None, "_device": None}

    @property
    def temperature(self) -> float | None:
        """The adapter's."""
        return self.adapter.temperature

    @temperature.setter
    def temperature(self, value: float | None) -> None:
        if value is not None:
            self.adapter.set_temperature(value)

    def check_resolution(self, wanted: int | None) -> None:
        """Checks a resolution that a user asked for.

        Raises:
            ConfigError: the graph has a fixed size, which is another.
        """
        if wanted is not None and self._height and self._width and wanted not in (self._height, self._width):
            raise ConfigError(
                f"resolution={wanted} has no effect: {self.path} takes {self._height} x {self._width} pixels: leave "
                "it out"
            )

    def seen_size(self, height: int, width: int, resolution: int) -> tuple[int, int]:
        multiple = self.adapter.multiple
        side = -(-resolution // multiple) * multiple
        if self.adapter.fit == "stretch":
            return self._height or side, self._width or side
        if not (self._height or self._width):
            return super().seen_size(height, width, resolution)
        # The largest that fits into the graph's size.
        scale = min((own / side for own, side in ((self._height, height), (self._width, width)) if own))
        return max(round(scale * height), 1), max(round(scale * width), 1)

    def forward(self, lightness: Tensor) -> Tensor:
        """Takes any size that is not larger than a graph's fixed one."""
        height, width = lightness.shape[-2:]
        multiple = self.adapter.multiple
        tall, wide = self._height or -(-height // multiple) * multiple, self._width or -(-width // multiple) * multiple
        padded = F.pad(lightness, (0, wide - width, 0, tall - height), mode="replicate")
        decoded = [self.adapter.decode(self._run(part)) for part in self._parts(padded)]
        ab = torch.cat(decoded)[: len(lightness)]
        if ab.shape[-2:] != padded.shape[-2:]:
            ab = F.interpolate(ab, padded.shape[-2:], mode="bilinear", align_corners=False)
        return ab[..., :height, :width]

    def _parts(self, lightness: Tensor) -> Iterator[Tensor]:
        """The batch in parts of the size that the graph takes; the last one is filled up with its last picture."""
        for part in lightness.split(self._at_once or len(lightness)):
            missing = (self._at_once or len(part)) - len(part)
            yield torch.cat((part, part[-1:].expand(missing, -1, -1, -1))) if missing else part

    def _run(self, lightness: Tensor) -> Tensor:
        feed = {self._input: self.adapter.encode(lightness).cpu().numpy().astype(self._type, copy=False)}
        for name, channels, kind in self._hints:
            feed[name] = np.zeros((len(lightness), channels, *lightness.shape[-2:]), kind)
        session = self._session_on(lightness.device)
        try:
            output = session.run([self._output], feed)[0]
        except Exception as error:  # onnxruntime's exceptions have no base class
            said = first_line(error)
            if "allocate memory" in said or "out of memory" in said.lower() or "bad allocation" in said:
                raise MemoryError(said) from error
            raise CheckpointError(f"checkpoint {self.path} fails in onnxruntime: {said[:300]}") from error
        channels = 3 if self.adapter.layout == "nhwc" else 1
        if output.ndim != 4 or output.shape[channels] != self.adapter.out_channels or len(output) != len(lightness):
            shape = " x ".join(map(str, output.shape))
            raise CheckpointError(
                f"checkpoint {self.path} does not fit the adapter, which {self.adapter}: the graph gives {shape}"
            )
        return torch.from_numpy(output.astype(np.float32)).to(lightness.device)

    def _session_on(self, device: torch.device) -> Any:
        if self._session is None or self._device != device:
            self._session, self._device = open_session(self.path, device), device
        return self._session


def open_session(path: Path, device: torch.device) -> Any:
    """A session of onnxruntime.

    Raises:
        CheckpointError: the graph is refused by onnxruntime.
        ConfigError: onnxruntime is not installed.
    """
    try:
        import onnxruntime
    except ImportError:
        raise ConfigError(f"{path} needs the package onnxruntime: {install_hint('export')}") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # errors are raised, too
    providers: list[Any] = ["CPUExecutionProvider"]
    if device.type == "cuda" and can_use_cuda():
        providers.insert(0, ("CUDAExecutionProvider", {"device_id": device.index or 0}))
    try:
        session = onnxruntime.InferenceSession(path, options, providers=providers)
    except Exception as error:  # onnxruntime's exceptions have no base class
        raise CheckpointError(f"checkpoint {path} is refused by onnxruntime: {first_line(error)[:300]}") from error
    if device.type == "cuda" and "CUDAExecutionProvider" not in session.get_providers():
        log.warning("onnxruntime can't use CUDA here: %s runs on the CPU, slower; %s", path, _CUDA)
    return session


def can_use_cuda() -> bool:
    """Whether the installed onnxruntime is built for CUDA."""
    import onnxruntime

    return "CUDAExecutionProvider" in onnxruntime.get_available_providers()


def check_device(name: str) -> None:
    """Checks a device that a user asked for.

    Raises:
        ConfigError: it is a CUDA device, and onnxruntime is not built for CUDA.
    """
    if name.startswith("cuda") and not can_use_cuda():
        raise ConfigError(f"device={name}: onnxruntime can't use CUDA here: {_CUDA}, or give device=cpu")


def fitting(session: Any) -> list[str]:
    """The names of the adapters in conf/adapter that fit a graph's channels."""
    return [name for name in shipped_adapters() if _fits(session, find_adapter(name))]


class _Description(NamedTuple):
    """What `colorize-export` wrote into a file: the resolution, the training size, and the options of the decoding."""

    own: int
    trained: int
    fixed: dict[str, float]


def _description(session: Any) -> _Description | None:
    """None for files of other programs."""
    try:
        said = json.loads(session.get_modelmeta().custom_metadata_map[ENTRY])
        trained = int(said["config"]["data"]["size"])
        own = int(said.get("resolution", trained))
        objective = said["config"].get("objective", {})
        fixed = {name: float(objective[name]) for name in KNOBS if objective.get(name) is not None}
    except (AttributeError, KeyError, ValueError, TypeError, OverflowError, RecursionError):
        return None
    return _Description(own, trained, fixed) if all(16 <= size <= 4096 for size in (own, trained)) else None


def _fixed(shape: list[Any], layout: str) -> tuple[int | None, int | None, int | None]:
    """Batch, height and width of a graph's input; None where it takes any."""
    batch, height, width = (shape[axis] for axis in ((0, 1, 2) if layout == "nhwc" else (0, 2, 3)))
    known = [side if isinstance(side, int) and side > 0 else None for side in (batch, height, width)]
    return known[0], known[1], known[2]


def _has(value: Any, channels: int, layout: str) -> bool:
    """Whether a graph's input or output may be a picture with so many channels."""
    if value.type not in _TYPES or len(value.shape) != 4:
        return False
    own = value.shape[3 if layout == "nhwc" else 1]
    return not isinstance(own, int) or own == channels


def _outputs(session: Any, adapter: Adapter) -> Iterator[Any]:
    return (each for each in session.get_outputs() if _has(each, adapter.out_channels, adapter.layout))


def _fits(session: Any, adapter: Adapter) -> bool:
    if not session.get_inputs():
        return False
    main, *further = session.get_inputs()
    hints = [(each.type in _TYPES, len(each.shape), each.shape[1] if len(each.shape) == 4 else 0) for each in further]
    return (
        _has(main, adapter.channels, adapter.layout)
        and next(_outputs(session, adapter), None) is not None
        and (not further or (adapter.hints and hints == [(True, 4, 2), (True, 4, 1)]))
    )


def _signature(session: Any) -> str:
    """What a graph takes and gives, in words."""

    def said(values: list[Any]) -> str:
        return ", ".join(
            f"{each.name} {each.type.removeprefix('tensor(').removesuffix(')')} "
            f"{' x '.join(str(side or '?') for side in each.shape)}"
            for each in values[:4]
        )

    return f"takes {said(session.get_inputs()) or 'nothing'} and gives {said(session.get_outputs())}"
