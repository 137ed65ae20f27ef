"""Tracebacks that show a bug where it is: in a user's code, without the hundred lines of libraries around it."""

import sys
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

_OURS = str(Path(__file__).parent.parent)
_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})


def show_short_tracebacks(how_to_see_all: str) -> None:
    """Lets this program end with a short traceback if it ends with an exception.

    Args:
        how_to_see_all: a sentence for the last line.
    """

    def show(kind: type[BaseException], error: BaseException, _: TracebackType | None) -> None:
        print(f"{short_traceback(error)}{how_to_see_all}", file=sys.stderr)

    sys.excepthook = show


def short_traceback(error: BaseException) -> str:
    """A traceback without the frames of libraries, and without this package's where a user's own code is among them.

    The innermost frame stays in any case.
    """
    whole = traceback.TracebackException.from_exception(error)
    for part in _chain(whole):
        frames = [frame for frame in part.stack if not _is_library(frame.filename)]
        frames = [frame for frame in frames if not frame.filename.startswith(_OURS)] or frames
        innermost = [frame for frame in part.stack[-1:] if frame not in frames]
        part.stack = traceback.StackSummary.from_list([*frames, *innermost])
    return "".join(whole.format())


def _chain(part: traceback.TracebackException | None) -> Iterator[traceback.TracebackException]:
    if part is not None:
        yield part
        yield from _chain(part.__cause__)
        yield from _chain(part.__context__)


def _is_library(file: str) -> bool:
    return file.startswith(("<frozen", *_LIBRARIES)) and not file.startswith(_OURS)
