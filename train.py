"""Trains a network: `python train.py backbone=vgg19 data=folder data.root=photos`. `--help` lists the options."""

from colorization.commands.main import train

if __name__ == "__main__":
    train()
