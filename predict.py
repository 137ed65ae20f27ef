"""Colours pictures: `python predict.py checkpoint=FILE PICTURE_OR_FOLDER ...`. `--help` lists the options."""

from colorization.commands.main import predict

if __name__ == "__main__":
    predict()
