"""Short tracebacks: a user's code, without the frames of libraries."""

import sys
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

_OURS = str(Path(__file__).parent.parent)
_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})


def show_short_tracebacks(how_to_see_all: str) -> None:
    """Installs a hook that prints a short traceback for an uncaught exception.

    Args:
        how_to_see_all: a sentence for the last line.
    """

    def show(kind: type[BaseException], error: BaseException, _: TracebackType | None) -> None:
        print(f"{short_traceback(error)}{how_to_see_all}", file=sys.stderr)

    sys.excepthook = show


def short_traceback(error: BaseException) -> str:
    """A traceback without frames of libraries, and without those of this package if there are frames of a user's code.

    The innermost frame is always included.
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
