"""Reads the pickles inside files of `torch.save`, without Python's unpickler.

A pickle is a program for a small stack machine. Here that machine knows only the instructions of which weights,
optimizer states and plain Python values are made, and the few names in `_STORAGES` and `_CALLS`: nothing is imported,
no object but those of the types below is made, and each instruction makes no more than the bytes that it takes up.
What comes out is made of None, bool, int, float, str, list, tuple, dict, Counter and dense tensors alone.

What an instruction can't do by itself, many of them together could: `check_limits` bounds what comes out as a whole.
"""

import pickletools
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, BinaryIO, NamedTuple

import torch
from torch import Tensor

# Bounds on one file. A training checkpoint of ResNet-50 takes 30,000 instructions, and 10,000 values six levels deep.
MOST_INSTRUCTIONS = 1_000_000
MOST_VALUES = 1_000_000
DEEPEST = 64
# Tensors may share memory, as tied weights do. Counted one by one they may hold so many times the file's bytes.
SHARED_TIMES = 4
_MOST_DIMENSIONS = 16


class RefusedError(ValueError):
    """A file that is not made as its kind is; says why."""


class Stored(NamedTuple):
    """The memory behind tensors, and the type of the numbers in it."""

    memory: torch.UntypedStorage
    dtype: torch.dtype


# Finds or makes the memory of a key, for this many numbers of a type.
OpenStorage = Callable[[str, torch.dtype, int], torch.UntypedStorage]

_STORAGES = {
    "torch FloatStorage": torch.float32,
    "torch DoubleStorage": torch.float64,
    "torch HalfStorage": torch.float16,
    "torch BFloat16Storage": torch.bfloat16,
    "torch LongStorage": torch.int64,
    "torch IntStorage": torch.int32,
    "torch ShortStorage": torch.int16,
    "torch CharStorage": torch.int8,
    "torch ByteStorage": torch.uint8,
    "torch BoolStorage": torch.bool,
}


def read_pickle(stream: BinaryIO, open_storage: OpenStorage) -> Any:
    """Runs one pickle.

    Args:
        stream: is read up to the pickle's end.
        open_storage: gives the memory of tensors.

    Raises:
        RefusedError: it holds what weights and training states do not.
        Exception: it is damaged; any other error.
    """
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}
    for count, (instruction, argument, _) in enumerate(pickletools.genops(stream)):
        if count >= MOST_INSTRUCTIONS:
            raise RefusedError(f"it has more than {MOST_INSTRUCTIONS:,} instructions")
        match instruction.name:
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINFLOAT" | "BINUNICODE" | "SHORT_BINSTRING":
                stack.append(argument)
            case "NONE":
                stack.append(None)
            case "NEWTRUE":
                stack.append(True)
            case "NEWFALSE":
                stack.append(False)
            case "EMPTY_TUPLE":
                stack.append(())
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_DICT":
                stack.append({})
            case "MARK":
                marks.append(len(stack))
            case "TUPLE":
                _replace(stack, marks.pop(), tuple)
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                _replace(stack, len(stack) - int(instruction.name[-1]), tuple)
            case "APPEND":
                _append(stack, len(stack) - 1)
            case "APPENDS":
                _append(stack, marks.pop())
            case "SETITEM":
                _set_items(stack, len(stack) - 2)
            case "SETITEMS":
                _set_items(stack, marks.pop())
            case "GLOBAL":
                stack.append(_known(argument))
            case "REDUCE":
                _replace(stack, len(stack) - 2, lambda pair: _call(*pair))
            case "BUILD":
                stack.pop()  # attributes of an OrderedDict, such as the versions of modules: nothing here reads them
                if type(stack[-1]) is not dict:
                    raise RefusedError("it sets attributes of what has none")
            case "BINPERSID":
                stack.append(_open(stack.pop(), open_storage))
            case "PROTO":
                pass
            case "STOP":
                return stack.pop()
            case other:
                raise RefusedError(f"it has the pickle instruction {other}, of which weights are not made")
    raise EOFError("the pickle has no end")


def _replace(stack: list[Any], start: int, make: Callable[[list[Any]], Any]) -> None:
    """Puts what is made of the topmost values, from `start` on, in their place."""
    if not 0 <= start <= len(stack):
        raise EOFError("the pickle takes more than it has")
    stack[start:] = [make(stack[start:])]


def _append(stack: list[Any], start: int) -> None:
    items = stack[start:]
    del stack[start:]
    if type(stack[-1]) is not list:
        raise RefusedError("it appends to what is not a list")
    stack[-1].extend(items)


def _set_items(stack: list[Any], start: int) -> None:
    items = stack[start:]
    del stack[start:]
    if type(stack[-1]) is not dict:
        raise RefusedError("it sets items of what is not a dict")
    for key, value in zip(items[::2], items[1::2], strict=True):
        # Whole numbers beyond 32 bits can be chosen so that a dict of them takes a time that grows with its square.
        if type(key) is not str and not (type(key) is int and abs(key) < 2**32):
            raise RefusedError("it has a dict whose keys are neither names nor small numbers")
        stack[-1][key] = value


class _Name(str):
    """A name that a pickle may use, which stands for what the interpreter makes of it."""


def _known(name: str) -> _Name:
    if name not in _STORAGES and name not in _CALLS:
        shown = name.replace(" ", ".")[:80]
        raise RefusedError(f"it names {shown!r}, of which weights and training states are not made")
    return _Name(name)


def _open(key: Any, open_storage: OpenStorage) -> Stored:
    """What a persistent ID stands for: `("storage", type, key, device, numbers)`, in older files with a None behind."""
    word, kind, name, _, numbers, *view = key
    if word != "storage" or type(kind) is not _Name or kind not in _STORAGES or view not in ([], [None]):
        raise RefusedError("it names data of another kind than dense tensors")
    if type(name) is not str or type(numbers) is not int or numbers < 0:
        raise RefusedError("it names data without saying how much")
    return Stored(open_storage(name, _STORAGES[kind], numbers), _STORAGES[kind])


def _call(name: Any, arguments: Any) -> Any:
    if type(name) is not _Name or name not in _CALLS or type(arguments) is not tuple:
        raise RefusedError("it calls what can't be called")
    return _CALLS[name](*arguments)


def _tensor(stored: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Tensor:
    """A dense tensor in stored memory, within its bounds. Whether it is to have gradients is for its module to say."""
    if type(stored) is not Stored or type(size) is not tuple or type(stride) is not tuple or len(size) != len(stride):
        raise RefusedError("it has a tensor without memory or shape")
    if len(size) > _MOST_DIMENSIONS or any(type(n) is not int or not 0 <= n < 2**62 for n in (offset, *size, *stride)):
        raise RefusedError("it has a tensor whose shape is none")
    held = len(stored.memory) // stored.dtype.itemsize
    numbers, last = 1, offset
    for side, step in zip(size, stride, strict=True):
        numbers *= side
        last += (side - 1) * step
    if numbers > held or (numbers and last >= held):
        raise RefusedError("it has a tensor that claims more numbers than are stored")
    return torch.empty(0, dtype=stored.dtype).set_(stored.memory, offset, size, stride)


def _parameter(tensor: Any, *_: Any) -> Tensor:
    if type(tensor) is not Tensor:
        raise RefusedError("it has a parameter that is not a tensor")
    return tensor


def _ordered_dict(items: Any = ()) -> dict[Any, Any]:
    """Files of Python 2 give the items as a list of pairs, newer ones set them afterwards."""
    made: list[Any] = [{}]
    for key, value in items:
        made += [key, value]
        _set_items(made, 1)
    return made[0]


def _counter(counts: Any = None) -> Counter[Any]:
    """The milestones of a learning-rate schedule."""
    if type(counts) is not dict or not all(type(count) is int for count in counts.values()):
        raise RefusedError("it has a Counter that does not count")
    return Counter(counts)


_CALLS: dict[str, Callable[..., Any]] = {
    "torch._utils _rebuild_tensor_v2": _tensor,
    "torch._utils _rebuild_tensor": _tensor,
    "torch._utils _rebuild_parameter": _parameter,
    "collections OrderedDict": _ordered_dict,
    "collections Counter": _counter,
}


def check_limits(value: Any, stored_bytes: int, most_values: int = MOST_VALUES, deepest: int = DEEPEST) -> None:
    """Refuses what only looks small: lists that hold themselves, or one list many times, sixty levels deep.

    Args:
        value: what `read_pickle` returned.
        stored_bytes: how many bytes the file has for tensors.
        most_values: how many values there may be, each counted as often as it is reached.
        deepest: how many levels they may lie deep.

    Raises:
        RefusedError: there are more, or tensors together hold more than `SHARED_TIMES` the stored bytes; or there is a
            value of another type than `read_pickle` makes.
    """
    values, most_bytes = 0, SHARED_TIMES * stored_bytes
    levels: list[Any] = [iter((value,))]
    while levels:
        for item in levels[-1]:
            values += 1
            if isinstance(item, Tensor):
                most_bytes -= item.nbytes
            if values > most_values or len(levels) > deepest or most_bytes < 0:
                raise RefusedError("it repeats itself, to far more than is stored in it")
            if below := _below(item):
                levels.append(iter(below))
                break
        else:
            levels.pop()


def _below(value: Any) -> Iterable[Any]:
    kind = type(value)
    if kind is dict or kind is Counter:
        return value.values()
    if kind is list or kind is tuple:
        return value
    if value is not None and kind not in (bool, int, float, str, Tensor):
        raise RefusedError(f"it holds a {kind.__name__.strip('_')} that belongs to no tensor")
    return ()
