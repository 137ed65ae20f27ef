"""Hostile checkpoints, by number: they load and colour, or are refused with one sentence, within limits.

Unlike random bytes they keep the structure of a file, and change it where it counts: the instructions of its pickle and
the names that these import, the values of its configuration, its tensors, and the records of its archive.

A longer run: `python -m tests.helpers.checkpoint_fuzz 20000`.
"""

import argparse
import copy
import gc
import io
import json
import pickletools
import random
import struct
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch

from colorization.checkpoints.network import ENTRY, read_checkpoint, rebuild
from colorization.errors import ColorizationError
from colorization.inference.colorizer import Colorizer
from colorization.network import TrainedNetwork
from colorization.training.saving import BestCheckpoint
from tests.helpers import hostile
from tests.helpers.limits import Outcome, limited_each
from tests.helpers.tiny import tiny_checkpoint, tiny_config

# Cases that share a process, as long as none ends it.
_TOGETHER = 100
_PICTURE = np.linspace(0, 255, 24 * 40, dtype=np.uint8).reshape(24, 40)

# What pickles of strangers name: all that PyTorch's weights-only reader would make, and what others run.
_NAMES = [
    *(("collections", "OrderedDict"), ("collections", "Counter"), ("collections", "defaultdict")),
    *(("__builtin__", name) for name in ("set", "bytearray", "complex", "eval", "exec", "getattr", "print", "list")),
    *(("builtins", name) for name in ("set", "bytearray", "range", "open")),
    *(
        ("os", "system"),
        ("posix", "system"),
        ("subprocess", "Popen"),
        ("_codecs", "encode"),
        ("copyreg", "_reconstructor"),
    ),
    *(("torch", name) for name in ("FloatStorage", "LongStorage", "BoolStorage", "Tensor", "Size", "device", "load")),
    *(("torch", name) for name in ("float32", "ComplexFloatStorage", "QUInt8Storage", "UntypedStorage", "hub.load")),
    *(("torch.nn.parameter", "Parameter"), ("torch.serialization", "_get_layout"), ("torch.storage", "UntypedStorage")),
    *(
        ("torch._utils", f"_rebuild_{name}")
        for name in (
            *("tensor", "tensor_v2", "tensor_v3", "parameter", "parameter_with_state", "qtensor", "sparse_tensor"),
            *("meta_tensor_no_storage", "nested_tensor", "wrapper_subclass", "device_tensor_from_numpy"),
            "device_tensor_from_cpu_tensor",
        )
    ),
    ("torch._tensor", "_rebuild_from_type_v2"),
    ("colorization.backbones", "TorchvisionBackbone"),
]
_NUMBERS = [
    0,
    1,
    -1,
    2,
    3,
    255,
    256,
    65535,
    10**5,
    10**6,
    2**31 - 1,
    -(2**31),
    2**32,
    10**10,
    2**62,
    2**63,
    -(2**63),
    2**600,
]
_TEXTS = [
    "",
    "a",
    "0",
    "1",
    "cpu",
    "cuda",
    "meta",
    "storage",
    "state_dict",
    "config",
    "_target_",
    "/etc/passwd",
    "ü" * 50,
]
_NODES: list[dict[str, Any]] = [
    {"_target_": "colorization.backbones.TorchvisionBackbone", "name": "resnet18", "weights": "/etc/passwd"},
    {"_target_": "colorization.backbones.TorchvisionBackbone", "name": "vgg19"},
    {"_target_": "colorization.backbones.TimmBackbone", "name": "test_vit"},
    {"_target_": "colorization.backbones.TimmBackbone", "name": "convnext_xxlarge", "_partial_": True},
    {"_target_": "colorization.objectives.terms.perceptual.Perceptual", "weights": "/etc/passwd"},
    {"_target_": "colorization.objectives.terms.perceptual.Perceptual"},
    {"_target_": "colorization.objectives.terms.pixel.Pixel"},
    {"_target_": "colorization.objectives.classification.Classification", "features": 10**6},
    {"_target_": "colorization.decoders.query.QueryDecoder", "queries": 10**6, "layers": 10**5},
    {"_target_": "colorization.decoders.unet.UNetDecoder", "width": 10**9},
    {"_target_": "colorization.commands.train.run"},
    {"_target_": "colorization.config.instantiate.instantiate", "node": {}, "path": ""},
    {"_target_": "torch.hub.load", "repo_or_dir": "a/b"},
    {"_target_": "os.system", "command": "true"},
    {"_target_": "torch.nn.Linear", "in_features": 10**6, "out_features": 10**6},
]
_VALUES: list[Any] = [
    *(*_NUMBERS, *_TEXTS, *_NODES, None, True, False, 0.5, float("nan"), float("inf"), -1e300),
    *([], {}, (), [[]], [{}], [1] * 300, torch.zeros(3), {7: 7}, Counter("ab"), "x" * 5000),
    *("resnet50", "vgg16", "mse", "huber", "test_vit", "test_resnet", "vit_giant_patch14_dinov2"),
    *("swin_tiny_patch4_window7_224", "hf-hub:timm/resnet18.a1_in1k", "local-dir:/etc", "${oc.env:HOME}"),
]


@cache
def seed() -> dict[str, Any]:
    """A small checkpoint with the state of a training."""
    whole = tiny_checkpoint(tiny_config())
    weights = list(whole["state_dict"].values())[:6]
    moments = {number: {"step": torch.tensor(3.0), "exp_avg": torch.zeros_like(w)} for number, w in enumerate(weights)}
    groups = [{"lr": 1e-3, "betas": (0.9, 0.999), "params": list(range(6)), "fused": None}]
    best = {"monitor": "val/loss", "best_k_models": {"best.ckpt": torch.tensor(0.5)}, "dirpath": "/nowhere"}
    return whole | {
        "epoch": 1,
        "global_step": 3,
        "pytorch-lightning_version": "2.6.6",
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 1}}}},
        "callbacks": {"BestCheckpoint": best, "LastCheckpoint": {"seconds": 1.5}},
        "optimizer_states": [{"state": moments, "param_groups": groups}],
        "lr_schedulers": [{"last_epoch": 3, "_last_lr": [1e-3], "milestones": Counter({3: 1})}],
    }


@cache
def _records() -> dict[str, bytes]:
    buffer = io.BytesIO()
    torch.save(seed(), buffer)
    with zipfile.ZipFile(buffer) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


@cache
def _program() -> tuple[bytes, ...]:
    """The seed's pickle, instruction by instruction."""
    return tuple(_instructions(_records()["archive/data.pkl"]))


def _instructions(pickled: bytes) -> list[bytes]:
    starts = [place for _, _, place in pickletools.genops(pickled) if place is not None]
    return [pickled[start:end] for start, end in zip(starts, [*starts[1:], len(pickled)], strict=True)]


def case(number: int) -> bytes:
    """The file of a number, always the same but for names of storages in the old format, which are memory addresses."""
    chance = random.Random(number)
    kind = chance.choice([_other_program, _other_program, _other_values, _other_values, _other_tensors, _other_records])
    return kind(chance)


def _archive(records: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as written:
        for name, contents in records.items():
            written.writestr(zipfile.ZipInfo(name), contents)  # of 1980, not of now
    return buffer.getvalue()


def _other_program(chance: random.Random) -> bytes:
    """Up to six changes of the pickle's instructions."""
    program = list(_program())
    for _ in range(chance.choice([1, 1, 1, 2, 3, 6])):
        at = chance.randrange(1, len(program))
        match chance.choice(["drop", "repeat", "swap", "insert", "replace", "argument", "name", "grow", "move"]):
            case "drop":
                del program[at : at + chance.choice([1, 1, 1, 3, 20])]
            case "repeat":
                program[at:at] = program[at : at + chance.choice([1, 5, 50])] * chance.choice([1, 1, 10, 1000])
            case "swap":
                other = chance.randrange(1, len(program))
                program[at], program[other] = program[other], program[at]
            case "insert":
                program.insert(at, _instruction(chance))
            case "replace":
                program[at] = _instruction(chance)
            case "argument":
                program[at] = _with_other_argument(program[at], chance)
            case "name":
                named = [place for place, each in enumerate(program) if each.startswith(b"c")]
                if named:
                    program[chance.choice(named)] = hostile.name(*chance.choice(_NAMES))
            case "grow":
                program[at:at] = [chance.choice(list(hostile.GROWING.values()))]
            case "move":
                moved = program[at : at + 30]
                del program[at : at + 30]
                place = chance.randrange(len(program) + 1)
                program[place:place] = moved
        if len(program) < 3:
            break
    return _archive(_records() | {"archive/data.pkl": b"".join(program)})


def _instruction(chance: random.Random) -> bytes:
    """Any instruction of any protocol, with some argument."""
    number = chance.choice(_NUMBERS)
    text = chance.choice(_TEXTS).encode()
    size = chance.choice([len(text), len(text), 2**31 - 1, 2**32 - 1])
    match chance.randrange(8):
        case 0:
            return hostile.whole_number(number)
        case 1:
            return b"X" + struct.pack("<I", size) + text
        case 2:
            return hostile.name(*chance.choice(_NAMES))
        case 3:
            return chance.choice([b"h", b"q"]) + bytes([chance.randrange(256)])
        case 4:
            return chance.choice([b"j", b"r"]) + struct.pack("<I", number % 2**32)
        case 5:
            return chance.choice([b"B", b"T", b"X", b"\x8b"]) + struct.pack("<I", size) + text
        case 6:
            return chance.choice([b"\x8d", b"\x8e", b"\x95", b"\x96"]) + struct.pack("<Q", number % 2**64) + text
        case _:
            opcode = chance.choice(pickletools.opcodes)
            return opcode.code.encode("latin-1") + bytes(
                chance.randrange(256) for _ in range(chance.choice([0, 1, 4, 8]))
            )


def _with_other_argument(instruction: bytes, chance: random.Random) -> bytes:
    if instruction[:1] in b"KMJ\x8a":
        return hostile.whole_number(chance.choice(_NUMBERS))
    if instruction[:1] == b"X":
        text = chance.choice(_TEXTS).encode()
        return b"X" + struct.pack("<I", len(text)) + text
    if instruction[:1] in b"hjqr":
        return chance.choice([b"j", b"r"]) + struct.pack("<I", chance.randrange(3000))
    if instruction[:1] == b"c":
        return hostile.name(*chance.choice(_NAMES))
    changed = bytearray(instruction)
    changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def _other_values(chance: random.Random) -> bytes:
    """Up to four changes of the configuration, now and then of the state of training."""
    changed = {**seed(), ENTRY: copy.deepcopy(seed()[ENTRY])}
    for key in ("callbacks", "loops", "optimizer_states", "lr_schedulers"):
        changed[key] = copy.deepcopy(changed[key])
    deepest = 0
    for _ in range(chance.choice([1, 1, 2, 4])):
        entry = changed.get(ENTRY)
        config = entry.get("config") if isinstance(entry, dict) else None
        places = list(_places(changed if chance.random() < 0.15 else config)) or list(_places(changed))
        within, key = chance.choice(places)
        value = copy.deepcopy(chance.choice(_VALUES))
        levels = chance.choice([0, 0, 0, 0, 1, 2, 40])
        deepest = max(deepest, levels)
        for _ in range(levels):
            value = chance.choice([[value], {"a": value}, [value, value]])
        options: list[Any] = ["_target_", "_partial_", "weights", "pretrained", "terms", "new", "width", "name", 7]
        if isinstance(within, dict) and chance.random() < 0.3:
            key = chance.choice(options)
        if chance.random() < 0.1 and isinstance(within, dict):
            within.pop(key, None)
        else:
            within[key] = value
    if chance.random() < 0.2 and deepest < 40:  # JSON would write what is shared again and again
        return _as_safetensors(changed)
    buffer = io.BytesIO()
    torch.save(changed, buffer, _use_new_zipfile_serialization=chance.random() < 0.8)
    return buffer.getvalue()


def _places(value: Any, deepest: int = 8) -> Iterator[tuple[Any, Any]]:
    """Containers with their keys, down to the leaves of what was not made deep; tensors are left alone."""
    for key, below in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        if key != "state_dict":
            yield value, key
            if deepest:
                yield from _places(below, deepest - 1)


def _as_safetensors(checkpoint: dict[str, Any]) -> bytes:
    weights = {key: value.contiguous() for key, value in seed()["state_dict"].items()}
    try:
        description = json.dumps(checkpoint[ENTRY])
    except (TypeError, ValueError):  # JSON has no such values
        description = "[[7]]"
    return safetensors.torch.save(weights, {ENTRY: description})


def _other_tensors(chance: random.Random) -> bytes:
    """Up to four weights of another shape, type, layout or memory."""
    changed = {**seed(), "state_dict": dict(seed()["state_dict"])}
    state = changed["state_dict"]
    makers: list[Callable[[torch.Tensor], Any]] = [
        lambda w: w.double(),
        lambda w: w.half(),
        lambda w: w.to(torch.complex64),
        lambda w: w.to(torch.bool),
        lambda w: w.to(torch.uint8),
        lambda w: torch.full_like(w, float("nan")) if w.is_floating_point() else w,
        lambda w: torch.full_like(w, float("inf")) if w.is_floating_point() else w,
        lambda w: w.flatten()[:1].expand(2**40),
        lambda w: torch.zeros(()).expand(w.shape),
        lambda w: w.transpose(0, -1) if w.ndim else w,
        lambda w: torch.zeros(0),
        lambda w: torch.zeros(0, 2**40),
        lambda w: torch.empty(2**20, 2**20, device="meta"),
        lambda w: torch.eye(5).to_sparse(),
        lambda w: torch.sparse_coo_tensor(torch.zeros(1, 1, dtype=torch.long), torch.ones(1), (2**40,)),
        lambda w: torch.quantize_per_tensor(torch.ones(5), 0.1, 0, torch.qint8),
        lambda w: torch.nn.Parameter(w) if w.is_floating_point() else w,
        lambda w: next(iter(state.values())),
        lambda w: w.tolist(),
        lambda w: {"a": w},
    ]
    for _ in range(chance.randint(1, 4)):
        name = chance.choice(list(state))
        value = chance.choice(makers)(seed()["state_dict"][name] if name in seed()["state_dict"] else torch.zeros(3))
        match chance.randrange(4):
            case 0:
                state[f"{name}.more"] = value
            case 1:
                del state[name]
            case _:
                state[name] = value
    buffer = io.BytesIO()
    torch.save(changed, buffer, _use_new_zipfile_serialization=chance.random() < 0.8)
    return buffer.getvalue()


def _other_records(chance: random.Random) -> bytes:
    """An archive whose records are others, or a file with other bytes where its structure is."""
    records = dict(_records())
    for _ in range(chance.randint(1, 3)):
        name = chance.choice(list(records))
        match chance.randrange(6):
            case 0:
                del records[name]
            case 1:
                records[chance.choice([f"{name}x", "archive/data.pkl", "b/data.pkl", "../data.pkl"])] = records.pop(
                    name
                )
            case 2:
                records[name] = records[name][: chance.randrange(len(records[name]) + 1)]
            case 3:
                records[name] += bytes(chance.choice([1, 4, 1000]))
            case 4:
                records[name] = records[chance.choice(list(records))]
            case _:
                records["archive/byteorder"] = chance.choice([b"big", b"", b"little"])
        if not records:
            break
    contents = bytearray(_archive(records))
    if chance.random() < 0.5 and contents:
        directory = max(contents.rfind(b"PK\x01\x02") - 2000, 0)
        for _ in range(chance.randint(1, 4)):
            at = chance.choice([chance.randrange(min(len(contents), 4000)), chance.randrange(directory, len(contents))])
            width = chance.choice([1, 2, 4, 8])
            contents[at : at + width] = (chance.choice(_NUMBERS) % 2 ** (8 * width)).to_bytes(width, "little")
    return bytes(contents)


def outcomes(numbers: Sequence[int], folder: Path) -> Iterator[tuple[int, Outcome]]:
    """What becomes of cases, in processes of limited memory and time."""

    def use(number: int) -> str:
        path = folder / f"case-{number}.ckpt"
        path.write_bytes(case(number))
        try:
            return _use(path)
        finally:
            path.unlink()

    (folder / "case-first.ckpt").write_bytes(_archive(_records()))
    _use(folder / "case-first.ckpt")  # imports what is imported late
    gc.freeze()  # what other tests left is not to be collected, and its folders removed, in the middle of a case
    for start in range(0, len(numbers), _TOGETHER):
        yield from limited_each(use, numbers[start : start + _TOGETHER])


def _use(path: Path) -> str:
    """Loads a checkpoint, looks up the best ones that it remembers, and colours with it."""
    checkpoint = read_checkpoint(path)
    state = checkpoint.get("callbacks")
    if isinstance(state, dict) and isinstance(state.get("BestCheckpoint"), dict):
        best = BestCheckpoint(path.parent / "checkpoints", monitor="val/loss", mode="min")
        best.load_state_dict(state["BestCheckpoint"])
        assert best.best_model_path == ""
    return str(Colorizer(TrainedNetwork(*rebuild(checkpoint, path)), resolution=32)(_PICTURE).shape)


def surprise(outcome: Outcome, folder: Path) -> str | None:
    """What should not have become of a case; None if all is well."""
    kinds = {f"raised {kind.__name__}" for kind in ColorizationError.__subclasses__()}
    if outcome.ended not in {"returned", *kinds}:
        return f"{outcome.ended}: {outcome.said[:300]}"
    if outcome.ended != "returned" and ("\n" in outcome.said or len(outcome.said) > 800):
        return f"not one sentence: {outcome.said[:300]}"
    for event, where in outcome.touched:
        if not where.startswith(str(folder / "case-")) and (
            event != "open" or not where.startswith(_PLACES_OF_MODULES)
        ):
            return f"{event} {where}"
    return None


# Where Python and its packages are, and what the limits themselves read.
_PLACES_OF_MODULES = (
    sys.prefix,
    sys.base_prefix,
    str(Path(torch.__file__).parents[1]),
    "/proc/",
    "/sys/",
    str(Path.cwd()),
)


def main() -> None:
    """Runs cases and prints what became of them."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("count", type=int)
    parser.add_argument("--first", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    ends: Counter[str] = Counter()
    surprises, slowest, largest, began = [], (0.0, 0), (0, 0), time.monotonic()
    numbers = range(arguments.first, arguments.first + arguments.count)
    with tempfile.TemporaryDirectory() as temporary, redirect_stdout(io.StringIO()):
        for number, outcome in outcomes(numbers, Path(temporary)):
            ends[outcome.ended] += 1
            slowest, largest = max(slowest, (outcome.seconds, number)), max(largest, (outcome.memory, number))
            if found := surprise(outcome, Path(temporary)):
                surprises.append(number)
                print(f"case {number}: {found}", file=sys.stderr, flush=True)
            if number % 1000 == 999:
                print(f"up to {number}: {dict(ends)}, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    print(f"{arguments.count} cases, {len(surprises)} surprises {surprises}")
    print(", ".join(f"{end} {count}" for end, count in ends.most_common()))
    print(
        f"slowest {slowest[0]:.2f} s (case {slowest[1]}), most memory {largest[0] / 2**20:.0f} MB (case {largest[1]})"
    )


if __name__ == "__main__":
    main()
