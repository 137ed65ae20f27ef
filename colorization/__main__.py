"""`python -m colorization COMMAND ...`: the commands as a module."""

import os
import sys

from colorization import __version__
from colorization.commands.main import COMMANDS
from colorization.errors import did_you_mean

# Lightning starts other ranks as `python -m colorization` with the arguments after the command.
_CHOSEN = "COLORIZATION_COMMAND"


def main() -> None:
    """Runs the command in the first word."""
    usage = f"Usage: python -m colorization {{{','.join(COMMANDS)}}} KEY=VALUE ..."
    words = sys.argv[1:]
    if words in (["--help"], ["-h"]):
        print(f"{usage}\nHelp of a command: python -m colorization COMMAND --help")
    elif words == ["--version"]:
        print(f"colorization {__version__}")
    elif words and words[0] in COMMANDS:
        os.environ[_CHOSEN] = words[0]
        del sys.argv[1]
        COMMANDS[words[0]]()
    elif "LOCAL_RANK" in os.environ and _CHOSEN in os.environ:
        COMMANDS[os.environ[_CHOSEN]]()
    else:
        hint = f"\n{words[0]} is not a command{did_you_mean(words[0], COMMANDS)}" if words else ""
        sys.exit(usage + hint)


if __name__ == "__main__":
    main()
