"""Exceptions with a message for the user."""

import difflib
import re
from collections.abc import Iterable, Sequence


class ColorizationError(ValueError):
    """A mistake that the user can fix. The message is one sentence that names the file or key and the fix.

    The commands print the message without a traceback and exit with code 1.
    """


class ConfigError(ColorizationError):
    """A configuration key, value or combination that can't work."""


class DataError(ColorizationError):
    """A dataset that can't be used: missing, empty, without colour, or mostly unreadable."""


class PictureError(ColorizationError):
    """One picture file that can't be read or written."""


class TooLargeError(PictureError):
    """A picture, or a film's frames, with more pixels than are allowed.

    Args:
        message: for the user.
        size: width and height.
    """

    def __init__(self, message: str, size: tuple[int, int]) -> None:
        super().__init__(message)
        self.size = size


class CheckpointError(ColorizationError):
    """A checkpoint that is missing, corrupt, too new, or names foreign code."""


class TrainingError(ColorizationError):
    """A training run that can't continue."""


def first_line(error: BaseException) -> str:
    """The first line of an exception's message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def shown(text: str) -> str:
    """Text on one line that any terminal can show: file names may hold line breaks, escapes and invalid bytes."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]", lambda match: repr(match[0])[1:-1], text)


def first_names(names: Sequence[str]) -> str:
    """The part of a message that gives examples: three names, and dots if there are more."""
    return ", ".join(names[:3]) + (", .." if len(names) > 3 else "")


def did_you_mean(key: str, valid: Iterable[str]) -> str:
    """The end of a message about an unknown key: similar names, and all valid names."""
    names = sorted(name for name in valid if not name.startswith("_"))
    close = difflib.get_close_matches(key, names, n=3, cutoff=0.6)
    hint = f"; did you mean {' or '.join(close)}?" if close else ","
    return f"{hint} valid are {', '.join(names) or 'none'}"
