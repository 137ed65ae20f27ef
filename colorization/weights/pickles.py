"""Reads the pickles in files of `torch.save` without Python's unpickler.

A pickle is a program for a small stack machine. This interpreter supports only the instructions of weights, optimizer
states and plain Python values, and the few names in `_STORAGES` and `_CALLS`. It imports nothing, creates objects of
the types below only, and no instruction allocates more than its size in bytes. The result consists of None, bool, int,
float, str, list, tuple, dict, Counter and dense tensors only.

Many harmless instructions together can still build a huge object: `check_limits` bounds the result as a whole.
"""

import pickletools
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, BinaryIO, NamedTuple

import torch
from torch import Tensor

# Limits per file. A training checkpoint of ResNet-50 has 30,000 instructions, and 10,000 values up to six levels deep.
MOST_INSTRUCTIONS = 1_000_000
MOST_VALUES = 1_000_000
DEEPEST = 64
# Tensors may share memory, like tied weights: maximum of their total size relative to the file's.
SHARED_TIMES = 4
_MOST_DIMENSIONS = 16


class RefusedError(ValueError):
    """A file is refused; the message says why."""


class Stored(NamedTuple):
    """The memory of tensors, and its dtype."""

    memory: torch.UntypedStorage
    dtype: torch.dtype


# Returns the memory of a key, given the dtype and the number of elements.
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
        stream: read up to the end of the pickle.
        open_storage: returns the memory of tensors.

    Raises:
        RefusedError: it holds something other than weights and training states.
        Exception: it is corrupt; any other error.
    """
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[Any, Any] = {}
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
                stack.append(_known(str(argument)))
            case "REDUCE":
                _replace(stack, len(stack) - 2, lambda pair: _call(*pair))
            case "BUILD":
                stack.pop()  # attributes of an OrderedDict, such as versions of modules, are ignored
                if type(stack[-1]) is not dict:
                    raise RefusedError("it sets attributes of a value without attributes")
            case "BINPERSID":
                stack.append(_open(stack.pop(), open_storage))
            case "PROTO":
                pass
            case "STOP":
                return stack.pop()
            case other:
                raise RefusedError(f"it has the pickle instruction {other}, which weights do not need")
    raise EOFError("the pickle does not end")


def _replace(stack: list[Any], start: int, make: Callable[[list[Any]], Any]) -> None:
    """Replaces the top of the stack, from index `start`, by `make` of it."""
    if not 0 <= start <= len(stack):
        raise EOFError("the pickle's stack is too short")
    stack[start:] = [make(stack[start:])]


def _append(stack: list[Any], start: int) -> None:
    items = stack[start:]
    del stack[start:]
    if type(stack[-1]) is not list:
        raise RefusedError("it appends to a value that is not a list")
    stack[-1].extend(items)


def _set_items(stack: list[Any], start: int) -> None:
    items = stack[start:]
    del stack[start:]
    if type(stack[-1]) is not dict:
        raise RefusedError("it sets items of a value that is not a dict")
    for key, value in zip(items[::2], items[1::2], strict=True):
        # Large integers can be chosen to collide, so that a dict takes quadratic time.
        if type(key) is not str and not (type(key) is int and abs(key) < 2**32):
            raise RefusedError("it has a dict with keys other than strings and small integers")
        stack[-1][key] = value


class _Name(str):
    """A supported name in a pickle, which the interpreter replaces."""


def _known(name: str) -> _Name:
    if name not in _STORAGES and name not in _CALLS:
        shown = name.replace(" ", ".")[:80]
        raise RefusedError(f"it names {shown!r}, which is not supported")
    return _Name(name)


def _open(key: Any, open_storage: OpenStorage) -> Stored:
    """Opens a persistent ID `("storage", type, key, device, size)`, in older files with a None at the end."""
    word, kind, name, _, numbers, *view = key
    if word != "storage" or type(kind) is not _Name or kind not in _STORAGES or view not in ([], [None]):
        raise RefusedError("it has data other than dense tensors")
    if type(name) is not str or type(numbers) is not int or numbers < 0:
        raise RefusedError("it has data of unknown size")
    return Stored(open_storage(name, _STORAGES[kind], numbers), _STORAGES[kind])


def _call(name: Any, arguments: Any) -> Any:
    if type(name) is not _Name or name not in _CALLS or type(arguments) is not tuple:
        raise RefusedError("it calls a value that is not supported")
    return _CALLS[name](*arguments)


def _tensor(stored: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Tensor:
    """A dense tensor in stored memory, within its bounds; `requires_grad` is ignored."""
    if type(stored) is not Stored or type(size) is not tuple or type(stride) is not tuple or len(size) != len(stride):
        raise RefusedError("it has a tensor without memory or shape")
    if len(size) > _MOST_DIMENSIONS or any(type(n) is not int or not 0 <= n < 2**62 for n in (offset, *size, *stride)):
        raise RefusedError("it has a tensor with an invalid shape")
    held = len(stored.memory) // stored.dtype.itemsize
    numbers, last = 1, offset
    for side, step in zip(size, stride, strict=True):
        numbers *= side
        last += (side - 1) * step
    if numbers > held or (numbers and last >= held):
        raise RefusedError("it has a tensor that is larger than its stored data")
    return torch.empty(0, dtype=stored.dtype).set_(stored.memory, offset, size, stride)


def _parameter(tensor: Any, *_: Any) -> Tensor:
    if type(tensor) is not Tensor:
        raise RefusedError("it has a parameter that is not a tensor")
    return tensor


def _ordered_dict(items: Any = ()) -> dict[Any, Any]:
    """Files of Python 2 pass the items as a list of pairs, newer ones set them afterwards."""
    made: list[Any] = [{}]
    for key, value in items:
        made += [key, value]
        _set_items(made, 1)
    return made[0]


def _counter(counts: Any = None) -> Counter[Any]:
    """The milestones of a learning-rate schedule."""
    if type(counts) is not dict or not all(type(count) is int for count in counts.values()):
        raise RefusedError("it has an invalid Counter")
    return Counter(counts)


_CALLS: dict[str, Callable[..., Any]] = {
    "torch._utils _rebuild_tensor_v2": _tensor,
    "torch._utils _rebuild_tensor": _tensor,
    "torch._utils _rebuild_parameter": _parameter,
    "collections OrderedDict": _ordered_dict,
    "collections Counter": _counter,
}


def check_limits(value: Any, stored_bytes: int, most_values: int = MOST_VALUES, deepest: int = DEEPEST) -> None:
    """Refuses values that expand far beyond the file: lists that contain themselves, or one list many times.

    Args:
        value: what `read_pickle` returned.
        stored_bytes: size of the file's tensor data.
        most_values: maximum number of values, counted as often as they are reached.
        deepest: maximum depth.

    Raises:
        RefusedError: a limit is exceeded, or tensors together have more than `SHARED_TIMES` the stored bytes, or a
            value is of another type than those of `read_pickle`.
    """
    values, most_bytes = 0, SHARED_TIMES * stored_bytes
    levels: list[Any] = [iter((value,))]
    while levels:
        for item in levels[-1]:
            values += 1
            if isinstance(item, Tensor):
                most_bytes -= item.nbytes
            if values > most_values or len(levels) > deepest or most_bytes < 0:
                raise RefusedError("it expands to far more than its size")
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
        raise RefusedError(f"it holds a {kind.__name__.strip('_')} outside of a tensor")
    return ()
