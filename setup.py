"""conf/ stays at the top of the repository and is installed as colorization.conf; hydra_plugins is a namespace package,
which has no __init__.py; all else stands in pyproject.toml.
"""

from setuptools import find_packages, setup

setup(packages=[*find_packages(include=["colorization", "colorization.*"]), "colorization.conf", "hydra_plugins"])
