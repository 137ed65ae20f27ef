"""The name that `python -m` knew before `colorize-audit`."""

from colorization.commands.main import audit

if __name__ == "__main__":
    audit()
