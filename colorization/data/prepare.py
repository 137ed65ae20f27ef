"""The name that `python -m` knew before `colorize-prepare`."""

from colorization.commands.main import prepare

if __name__ == "__main__":
    prepare()
