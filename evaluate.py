"""Scores checkpoints: `python evaluate.py checkpoint=PATH data=folder data.root=photos`. `--help` tells more."""

from colorization.commands.main import evaluate

if __name__ == "__main__":
    evaluate()
