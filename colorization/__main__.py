"""`python -m colorization COMMAND ...`: the commands without their names in the shell."""

import sys

from colorization.commands.main import COMMANDS
from colorization.errors import did_you_mean


def main() -> None:
    """Runs the command that the first word names."""
    words = sys.argv[1:]
    if not words or words[0] not in COMMANDS:
        hint = f": {words[0]} is not a command{did_you_mean(words[0], COMMANDS)}" if words else ""
        sys.exit(f"Usage: python -m colorization {{{','.join(COMMANDS)}}} ...{hint}")
    del sys.argv[1]
    COMMANDS[words[0]]()


if __name__ == "__main__":
    main()
