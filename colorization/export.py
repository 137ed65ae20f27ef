"""The name that `python -m` knew before `colorize-export`."""

from colorization.commands.main import export

if __name__ == "__main__":
    export()
