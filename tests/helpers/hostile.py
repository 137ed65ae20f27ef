"""Files that no `torch.save` would write."""

import io
import pickle
import zipfile
from typing import Any

ENTRY = "colorization"


def archive(program: bytes, **records: bytes) -> bytes:
    """An archive as `torch.save` makes them, with this pickle, and with records of numbers under `data/`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        opened.writestr("archive/data.pkl", program)
        opened.writestr("archive/version", "3\n")
        for name, contents in records.items():
            opened.writestr(f"archive/data/{name.removeprefix('_')}", contents)
    return buffer.getvalue()


def checkpoint_program(value: bytes) -> bytes:
    """The pickle of a checkpoint with these instructions where the width of its decoder should be."""
    decoder = {"_target_": "colorization.decoders.autoencoder.AutoencoderDecoder", "width": "HERE"}
    config = {"data": {"size": 32}, "backbone": {}, "decoder": decoder, "objective": {}}
    whole: Any = {ENTRY: {"format": 1, "config": config}, "state_dict": {}}
    instructions = pickle.dumps(whole, protocol=2)
    here = b"X\x04\x00\x00\x00HERE"
    assert here in instructions
    return instructions.replace(here, value)


def whole_number(value: int) -> bytes:
    """The instruction for a whole number of any size up to 255 bytes."""
    encoded = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(encoded)]) + encoded


def name(module: str, attribute: str) -> bytes:
    """The instruction that names something to be imported."""
    return f"c{module}\n{attribute}\n".encode()


def storage(key: str, numbers: int) -> bytes:
    """The instructions for float32 numbers of a record."""
    text = b"X\x07\x00\x00\x00storage"
    key_text = b"X" + len(key).to_bytes(4, "little") + key.encode()
    return (
        b"(" + text + name("torch", "FloatStorage") + key_text + b"X\x03\x00\x00\x00cpu" + whole_number(numbers) + b"tQ"
    )


def tensor(size: tuple[int, ...], stride: tuple[int, ...], offset: int = 0, key: str = "0", numbers: int = 1) -> bytes:
    """The instructions for a tensor over a record."""
    shapes = b"".join(b"(" + b"".join(map(whole_number, shape)) + b"t" for shape in (size, stride))
    hooks = name("collections", "OrderedDict") + b")R"
    arguments = b"(" + storage(key, numbers) + whole_number(offset) + shapes + b"\x89" + hooks + b"t"
    return name("torch._utils", "_rebuild_tensor_v2") + arguments + b"R"


# Instructions that a file of a few kilobytes makes gigabytes or hours of, each with a tensor's record of one number.
GROWING: dict[str, bytes] = {
    "a bytearray of 8 GiB": name("__builtin__", "bytearray") + whole_number(8 * 2**30) + b"\x85R",
    "a tensor for a device": name("torch._utils", "_rebuild_device_tensor_from_cpu_tensor")
    + b"("
    + tensor((2**33,), (0,))
    + name("torch", "float64")
    + b"X\x03\x00\x00\x00cpu\x89tR",
    "a set of a stride of 0": name("__builtin__", "set") + tensor((2**31,), (0,)) + b"\x85R",
    "a Counter of a bytearray": name("collections", "Counter")
    + name("__builtin__", "bytearray")
    + whole_number(2**31)
    + b"\x85R\x85R",
    "punycode": name("_codecs", "encode")
    + b"X"
    + (300_000).to_bytes(4, "little")
    + "ü".encode() * 150_000
    + b"X\x08\x00\x00\x00punycode\x86R",
    "pairs that share themselves": b"]q\x01" + b"".join(b"h%c\x86q%c" % (n, n + 1) for n in range(1, 61)),
    "a list that holds itself": b"]q\x01h\x01a",
    "a tensor of 400 GB": name("torch", "FloatTensor") + whole_number(10**11) + b"\x85R",
    "a stride of 0": tensor((2**40,), (0,)),
    "a tensor beyond its numbers": tensor((4,), (1,)),
    "an offset beyond its numbers": tensor((1,), (1,), offset=2**40),
    "a negative offset": tensor((1,), (1,), offset=-1),
    "a negative stride": tensor((1,), (-1,)),
    "a record that is larger than it is": tensor((2**33,), (1,), numbers=2**33),
    "a million numbers": b"](" + b"K\x01" * 1_100_000 + b"e",
    "a dict whose keys collide": b"}("
    + b"".join(whole_number(n * (2**61 - 1)) + b"N" for n in range(1, 30_000))
    + b"u",
    "a deep list": b"]" * 100_000 + b"a" * 99_999,
    "a deep dict": b"}" + b"X\x01\x00\x00\x00a}" * 100_000 + b"s" * 100_000,
    "a Counter that counts in text": name("collections", "Counter") + b"}X\x01\x00\x00\x00aX\x01\x00\x00\x00bs\x85R",
    "attributes of a list": b"]}b",
}
