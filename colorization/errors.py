"""Errors whose message is written for the person at the keyboard."""


class ColorizationError(ValueError):
    """A mistake that the user can mend. The message is one sentence that names the file or key and the mend.

    The scripts print the message without a traceback and exit with code 1.
    """


class ConfigError(ColorizationError):
    """A configuration key, value or combination that can't work."""


class DataError(ColorizationError):
    """A data set that can't be used: missing, empty, without colour, or mostly unreadable."""


class PictureError(ColorizationError):
    """One picture file that can't be read or written."""


class CheckpointError(ColorizationError):
    """A checkpoint that is missing, damaged, too new, or that asks for foreign code."""


class TrainingError(ColorizationError):
    """A training run that can't go on."""


def first_line(error: BaseException) -> str:
    """The first line of what an error says."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
