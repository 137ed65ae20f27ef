"""Files of `torch.save`, read without Python's unpickler: the same as PyTorch reads, and nothing that grows."""

import io
import zipfile
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from colorization.weights import pickles, torch_files
from colorization.weights.safe_load import UnreadableError, load, load_state_dict
from tests.helpers.hostile import GROWING, archive, checkpoint_program, name, tensor
from tests.helpers.limits import limited

DTYPES = (
    *(torch.float32, torch.float64, torch.float16, torch.bfloat16),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
)


def everything() -> dict[str, Any]:
    """All that a checkpoint may hold."""
    whole = torch.arange(24, dtype=torch.float32)
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    optimizer = torch.optim.AdamW(network.parameters())
    network(torch.zeros(1, 1, 4, 4)).sum().backward()
    optimizer.step()
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 3, 9])
    return {
        "dtypes": {str(dtype): torch.ones(3).to(dtype) for dtype in DTYPES},
        "views": [whole[3:9], whole.view(4, 6).T, whole.view(2, 3, 4)[:, 1], whole[5], whole[:0], torch.tensor(1.5)],
        "tied": [whole, whole],
        "parameter": nn.Parameter(torch.ones(2)),
        "network": network.state_dict(),
        "channels last": torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(),
        "values": [None, True, False, 0, -1, 255, 65536, -(2**31), 2**70, -(2**70), 0.5, float("inf"), "Zürich", ""],
        "tuples": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [[]], {}],
        "ordered": OrderedDict(a=1, b=OrderedDict()),
        "numbers": {0: "a", -5: "b"},
    }


def assert_same(mine: Any, theirs: Any) -> None:
    if isinstance(theirs, torch.Tensor):
        assert type(mine) is torch.Tensor
        assert (mine.dtype, mine.shape, mine.stride()) == (theirs.dtype, theirs.shape, theirs.stride())
        assert torch.equal(mine, theirs.detach())
    elif isinstance(theirs, dict):
        assert isinstance(mine, Counter if isinstance(theirs, Counter) else dict)
        assert list(mine) == list(theirs)
        for key, value in theirs.items():
            assert_same(mine[key], value)
    elif isinstance(theirs, list | tuple):
        assert type(mine) is type(theirs)
        assert len(mine) == len(theirs)
        for first, second in zip(mine, theirs, strict=True):
            assert_same(first, second)
    else:
        assert type(mine) is type(theirs)
        assert mine == theirs


@pytest.mark.parametrize("as_archive", [True, False])
def test_what_torch_saves_comes_back(tmp_path: Path, as_archive: bool) -> None:
    path = tmp_path / "file"
    torch.save(everything(), path, _use_new_zipfile_serialization=as_archive)
    mine = load(path)
    assert_same(mine, torch.load(path, weights_only=True))
    assert mine["tied"][0].data_ptr() == mine["tied"][1].data_ptr()


@pytest.mark.parametrize("program", GROWING.values(), ids=GROWING.keys())
def test_what_grows_is_refused_before_it_does(program: bytes, tmp_path: Path) -> None:
    path = tmp_path / "odd.ckpt"
    path.write_bytes(archive(checkpoint_program(program), _0=bytes(4)))
    outcome = limited(lambda: load(path), memory=2**29)
    assert outcome.ended == "raised UnreadableError", outcome
    assert outcome.said.startswith("is refused: it ")
    if program == GROWING["pairs that share themselves"]:
        assert "it expands to far more than its size" in outcome.said


@pytest.mark.parametrize(
    "program",
    [
        *(name(module, attribute) for module, attribute in (("os", "system"), ("builtins", "eval"), ("torch", "load"))),
        name("collections", "deque"),
        b"\x8c\x02os\x8c\x06system\x93",  # of a later protocol
        b"(I1\nlp0\n.",
        b"cos\nsystem\n(X\x04\x00\x00\x00truei",
        b"\x82\x01",
        b"B\x04\x00\x00\x00abcd",
        b"N\x85b",
        b"NQ",
        b"(X\x06\x00\x00\x00moduleNtQ",
        name("collections", "OrderedDict"),
        name("torch", "FloatStorage") + b")R",
        name("torch._utils", "_rebuild_parameter") + b"N\x85R",
        name("torch._utils", "_rebuild_tensor_v2") + b"(NK\x00))t\x85R",
    ],
)
def test_what_weights_are_not_made_of(program: bytes, tmp_path: Path) -> None:
    path = tmp_path / "odd.ckpt"
    path.write_bytes(archive(checkpoint_program(program)))
    with pytest.raises(UnreadableError):
        load(path)


def test_many_views_of_the_same_numbers_count_each_time(tmp_path: Path) -> None:
    """An optimizer would make a copy of each."""
    numbers = torch.zeros(2**16)
    torch.save([numbers] * 4, tmp_path / "tied")
    assert len(load(tmp_path / "tied")) == 4
    for copies in ([numbers] * 9, [numbers.view(256, 256) for _ in range(9)]):
        torch.save(copies, tmp_path / "tied")
        with pytest.raises(UnreadableError, match="expands to far more"):
            load(tmp_path / "tied")


def test_a_changed_bit_of_the_numbers_is_noticed(tmp_path: Path) -> None:
    torch.save(torch.zeros(1000), tmp_path / "file")
    contents = bytearray((tmp_path / "file").read_bytes())
    contents[contents.index(bytes(100)) + 50] ^= 1
    (tmp_path / "file").write_bytes(contents)
    with pytest.raises(UnreadableError, match=r"is corrupt.*\(BadZipFile\)"):
        load(tmp_path / "file")


@pytest.mark.parametrize("as_archive", [True, False])
@pytest.mark.parametrize("keep", [0.1, 0.5, 0.99])
def test_files_that_are_cut_off(tmp_path: Path, as_archive: bool, keep: float) -> None:
    torch.save(everything(), tmp_path / "file", _use_new_zipfile_serialization=as_archive)
    contents = (tmp_path / "file").read_bytes()
    (tmp_path / "file").write_bytes(contents[: int(keep * len(contents))])
    with pytest.raises(UnreadableError):
        load(tmp_path / "file")


def test_an_older_file_that_claims_more_than_its_bytes(tmp_path: Path) -> None:
    torch.save(torch.zeros(3), tmp_path / "file", _use_new_zipfile_serialization=False)
    contents = (tmp_path / "file").read_bytes()
    assert contents.startswith(torch_files.LEGACY_START)
    three = b"K\x03N"
    assert three in contents
    claims = contents.replace(three, b"\x8a\x05" + (10**11).to_bytes(5, "little") + b"N")
    (tmp_path / "file").write_bytes(claims)
    with pytest.raises(UnreadableError, match="is refused: it claims to hold more than its size"):
        load(tmp_path / "file")


def test_a_directory_of_many_records_is_not_read(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        for number in range(100):
            record = zipfile.ZipInfo(f"archive/{number}")
            record.extra = bytes(60_000)
            opened.writestr(record, b"")
    (tmp_path / "file").write_bytes(buffer.getvalue())
    with pytest.raises(UnreadableError, match="is refused: it has a directory or a name of more than 4 MB"):
        load(tmp_path / "file")


def test_a_safetensors_header_without_end(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes((2**40).to_bytes(8, "little") + b"{" + b" " * 1000)
    with pytest.raises(UnreadableError, match="is refused: its header has more than 4 MB"):
        load(tmp_path / "file")


@pytest.mark.parametrize("value", [[torch.zeros(1)], {"a": 1}, {1: torch.zeros(1)}, torch.zeros(1), None])
def test_files_that_are_not_state_dicts_are_refused(tmp_path: Path, value: Any) -> None:
    torch.save(value, tmp_path / "file")
    with pytest.raises(UnreadableError, match="is not a state dict"):
        load_state_dict(tmp_path / "file")


def test_a_program_is_not_longer_than_any_checkpoint_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickles, "MOST_INSTRUCTIONS", 50)
    (tmp_path / "file").write_bytes(archive(b"(" + b"N0" * 30 + b"t."))
    with pytest.raises(UnreadableError):
        load(tmp_path / "file")


def test_tensors_stay_within_their_numbers(tmp_path: Path) -> None:
    shapes: list[tuple[tuple[int, ...], tuple[int, ...], int, bool]] = [
        ((2, 3), (3, 1), 0, True),
        ((3, 2), (1, 3), 0, True),
        ((2,), (2,), 3, True),
        ((0, 9), (1, 1), 6, True),
        ((2, 3), (3, 1), 1, False),
        ((2,), (2,), 4, False),
        ((6,), (1,), 1, False),
        ((1,) * 17, (1,) * 17, 0, False),
    ]
    for size, stride, offset, is_within in shapes:
        program = tensor(size, stride, offset, numbers=6) + b"."
        (tmp_path / "file").write_bytes(archive(b"\x80\x02" + program, _0=bytes(range(24))))
        if is_within:
            assert load(tmp_path / "file").shape == size
            continue
        with pytest.raises(UnreadableError):
            load(tmp_path / "file")
