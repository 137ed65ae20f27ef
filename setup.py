"""conf/ stays at the top of the repository and is installed as colorization.conf; all else stands in pyproject.toml."""

from setuptools import find_packages, setup

setup(packages=[*find_packages(include=["colorization", "colorization.*"]), "colorization.conf"])
