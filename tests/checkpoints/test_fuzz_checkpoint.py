"""Checkpoints from strangers: whatever bytes and values are in them, they load or are refused with one sentence."""

import copy
import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from colorization import Colorizer
from colorization.checkpoints.memory_budget import Budget
from colorization.checkpoints.network import ENTRY, read_checkpoint
from colorization.errors import CheckpointError
from colorization.weights.safe_load import save_safetensors
from tests.helpers.tiny import tiny_checkpoint, tiny_config

CASES = settings(
    max_examples=60, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def checkpoint() -> dict[str, Any]:
    return tiny_checkpoint(tiny_config())


@pytest.fixture(scope="module")
def archive(checkpoint: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def exported(checkpoint: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("exported") / "tiny.safetensors"
    save_safetensors(checkpoint["state_dict"], checkpoint[ENTRY], path)
    return path.read_bytes()


def load(content: bytes, path: Path) -> None:
    """Loads a checkpoint of these bytes, which works or raises one sentence that names the file."""
    path.write_bytes(content)
    sentence = f"checkpoint {path} works"
    try:
        Colorizer.from_checkpoint(path, device="cpu", resolution=32)
    except CheckpointError as error:
        sentence = str(error)
    assert sentence.startswith(f"checkpoint {path} ")
    assert "\n" not in sentence
    assert len(sentence) < 700


def structure(archive: bytes) -> list[int]:
    """Where an archive's headers and pickle are: all but the weights."""
    places = set(range(len(archive)))
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        for record in opened.infolist():
            if "/data/" in record.filename:
                name, extra = struct.unpack_from("<HH", archive, record.header_offset + 26)
                start = record.header_offset + 30 + name + extra
                places -= set(range(start, start + record.file_size))
    return sorted(places)


def mutate(content: bytes, places: list[int], data: st.DataObject) -> bytes:
    """Up to eight changes at some of these places: a byte, a number of four or eight bytes, a cut, an insertion."""
    changed = bytearray(content)
    for _ in range(data.draw(st.integers(1, 8))):
        at = min(data.draw(st.sampled_from(places)), len(changed))
        kind = data.draw(st.sampled_from(["byte", "byte", "u32", "u64", "cut", "drop", "insert", "repeat"]))
        if kind == "byte":
            changed[at : at + 1] = bytes([data.draw(st.integers(0, 255))])
        elif kind == "u32":
            changed[at : at + 4] = struct.pack("<I", data.draw(st.integers(0, 2**32 - 1)))
        elif kind == "u64":
            changed[at : at + 8] = struct.pack("<Q", data.draw(st.integers(0, 2**64 - 1)))
        elif kind == "cut":
            del changed[at:]
        elif kind == "drop":
            del changed[at : at + data.draw(st.integers(1, 64))]
        elif kind == "insert":
            changed[at:at] = data.draw(st.binary(min_size=1, max_size=16))
        else:
            changed[at:at] = changed[max(at - 32, 0) : at]
    return bytes(changed)


@pytest.mark.slow
@CASES
@given(data=st.data())
def test_archives_with_changed_bytes(
    data: st.DataObject, archive: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    load(mutate(archive, structure(archive), data), tmp_path_factory.getbasetemp() / "fuzz.ckpt")


@pytest.mark.slow
@CASES
@given(data=st.data())
def test_safetensors_with_changed_bytes(
    data: st.DataObject, exported: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    header = 8 + int.from_bytes(exported[:8], "little")
    load(mutate(exported, list(range(header)), data), tmp_path_factory.getbasetemp() / "fuzz.safetensors")


NUMBERS = st.one_of(
    st.integers(),
    st.sampled_from([0, 1, -1, 15, 16, 17, 4097, 10**5, 10**6, 10**9, 2**31, 2**63 - 1, 2**64, 10**400]),
    st.floats(),
)
LEAVES = st.one_of(
    NUMBERS,
    st.none(),
    st.booleans(),
    st.text(max_size=20),
    st.sampled_from(
        [
            "vit_giant_patch14_dinov2",
            "convnext_xxlarge",
            "hf-hub:timm/resnet18.a1_in1k",
            "os.system",
            "colorization.decoders.unet.UNetDecoder",
            "colorization.backbones.TorchvisionBackbone",
            "colorization.network.ColorizationNetwork",
            "colorization.config.instantiate.instantiate",
            "torch.nn.Linear",
            "vgg19",
            "${oc.env:HOME}",
            "/etc/passwd",
        ]
    ),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.one_of(st.text(max_size=8), NUMBERS), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = ["backbone", "decoder", "objective", "data"]
OPTIONS = ["_target_", "_partial_", "name", "width", "channels", "loss", "delta", "size", "frozen", "weights", "new"]


@pytest.mark.slow
@CASES
@given(changes=st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from([*OPTIONS, None]), VALUES), max_size=4))
def test_configurations_with_changed_values(
    changes: list[tuple[str, str | None, Any]], checkpoint: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    changed = {**checkpoint, ENTRY: copy.deepcopy(checkpoint[ENTRY])}
    for group, option, value in changes:
        config = changed[ENTRY]["config"]
        if option is None or not isinstance(config[group], dict):
            config[group] = value
        else:
            config[group][option] = value
    buffer = io.BytesIO()
    torch.save(changed, buffer)
    load(buffer.getvalue(), tmp_path_factory.getbasetemp() / "fuzz.ckpt")


def changed_copy(checkpoint: dict[str, Any]) -> dict[str, Any]:
    return {ENTRY: copy.deepcopy(checkpoint[ENTRY]), "state_dict": dict(checkpoint["state_dict"])}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c[ENTRY]["config"]["decoder"].update(width=10**5), "a network of more than 513 MB"),
        (lambda c: c[ENTRY]["config"]["decoder"].update(width=10**9), "a network of more than 513 MB"),
        (lambda c: c[ENTRY]["config"]["backbone"].update(name="vit_giant_patch14_dinov2"), "more than 513 MB"),
        (lambda c: c[ENTRY]["config"]["data"].update(size=10**9), r"its data\.size is not within"),
        (lambda c: c[ENTRY]["config"]["data"].update(size=-1), r"its data\.size is not within"),
        (lambda c: c["state_dict"].update({7: torch.zeros(1)}), "not names with tensors"),
        (lambda c: c["state_dict"].update(more=[1]), "not names with tensors"),
        (
            lambda c: c["state_dict"].update(more=torch.eye(9).to_sparse()),
            r"it names 'torch\._utils\._rebuild_sparse_tensor'",
        ),
        (
            lambda c: c["state_dict"].update(more=torch.empty(9**9, 9**9, device="meta")),
            "_rebuild_meta_tensor_no_storage",
        ),
        (lambda c: c["state_dict"].update({"network.more": torch.zeros(1)}), "Unexpected key"),
    ],
)
def test_sizes_are_checked_before_memory_is_taken(
    checkpoint: dict[str, Any], tmp_path: Path, change: Change, message: str
) -> None:
    changed = changed_copy(checkpoint)
    change(changed)
    torch.save(changed, tmp_path / "huge.ckpt")
    with pytest.raises(CheckpointError, match=message):
        Colorizer.from_checkpoint(tmp_path / "huge.ckpt", device="cpu")


def test_weights_that_claim_more_than_is_stored_are_refused(checkpoint: dict[str, Any], tmp_path: Path) -> None:
    """One number in the file, repeated by a stride of 0, claims the 5 GB that the configuration asks for."""
    changed = changed_copy(checkpoint)
    changed[ENTRY]["config"]["decoder"]["width"] = 2**14
    changed["state_dict"]["network.decoder.convolutions.0.weight"] = torch.zeros(1).expand(2**13, 2**14, 3, 3)
    torch.save(changed, tmp_path / "thin.ckpt")
    assert (tmp_path / "thin.ckpt").stat().st_size < 2**20
    with pytest.raises(CheckpointError, match="a tensor that is larger than its stored data"):
        Colorizer.from_checkpoint(tmp_path / "thin.ckpt", device="cpu")


def test_compressed_archives_are_refused(archive: bytes, tmp_path: Path) -> None:
    """A gigabyte of zeros deflates to a megabyte."""
    with (
        zipfile.ZipFile(io.BytesIO(archive)) as opened,
        zipfile.ZipFile(tmp_path / "bomb.ckpt", "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for record in opened.infolist():
            bomb.writestr(record.filename, opened.read(record))
    with pytest.raises(CheckpointError, match=r"bomb\.ckpt is refused: it is compressed"):
        read_checkpoint(tmp_path / "bomb.ckpt")


def test_records_that_claim_more_than_the_file_are_refused(archive: bytes, tmp_path: Path) -> None:
    """A directory that names the same bytes again and again would have them read again and again."""
    with zipfile.ZipFile(tmp_path / "twins.ckpt", "w") as twins:
        twins.writestr("archive/data/0", archive)
        for index in range(1, 9):
            twin = copy.copy(twins.filelist[0])
            twin.filename = f"archive/data/{index}"
            twins.filelist.append(twin)
    with pytest.raises(CheckpointError, match=r"twins\.ckpt is refused: it claims to hold more"):
        read_checkpoint(tmp_path / "twins.ckpt")


def test_budget_counts_before_it_makes() -> None:
    """Neither a tensor too large nor too many small ones; what is on the meta device costs nothing."""
    with Budget(2**20):
        torch.zeros(2**17)
        torch.nn.Linear(10**5, 10**6, device="meta")
        with pytest.raises(CheckpointError, match="more than 1 MB"):
            torch.nn.Linear(10**5, 10**6)
    with Budget(2**20), pytest.raises(CheckpointError):
        [torch.empty(0) for _ in range(1000)]
